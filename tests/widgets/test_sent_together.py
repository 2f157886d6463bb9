"""States that a turn sends to the front end together."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from idc_widgets.widgets import sent_together
from idc_widgets.widgets.sent_together import SentTogether, held_until_end
from idc_widgets.widgets.turns import Turns


class Sender:
    """Stands for a widget of ipywidgets: it records what it sends."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent = sent
        self.traits: dict[str, Any] = {"count": 0, "name": ""}

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        names = self.traits if key is None else {key} if isinstance(key, str) else key
        self.sent.append({name: self.traits[name] for name in names})

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)


class Counter(SentTogether, Sender):
    """A widget with the mixin."""

    def change(self, **traits: Any) -> None:
        """Set traits and send them, as an assignment does."""
        self.traits.update(traits)
        self.send_state(set(traits))


@pytest.fixture
def sent() -> list[Any]:
    return []


def test_a_turn_sends_the_newest_state_of_each_widget_once(sent: list[Any]) -> None:
    first, second = Counter(sent), Counter(sent)
    with Turns().turn():
        first.change(count=1)
        second.change(name="b")
        first.change(count=2)
        first.change(name="a")
        first.traits["count"] = 3
        assert sent == []
    assert sent == [{"count": 3, "name": "a"}, {"name": "b"}]
    first.change(count=4)
    assert sent[2:] == [{"count": 4}]


def test_all_traits_include_the_single_ones(sent: list[Any]) -> None:
    first, second = Counter(sent), Counter(sent)
    with held_until_end():
        first.send_state()
        first.send_state("count")
        second.send_state("count")
        second.send_state()
    assert sent == [{"count": 0, "name": ""}] * 2


def test_what_a_page_does_not_show_yet_comes_last(sent: list[Any]) -> None:
    class Hidden(Counter):
        _shown_later = frozenset({"count"})

    hidden, half_hidden, shown = Hidden(sent), Hidden(sent), Counter(sent)
    with held_until_end():
        hidden.change(count=1)
        half_hidden.change(count=2, name="b")
        shown.change(count=3)
    assert sent == [{"count": 2, "name": "b"}, {"count": 3}, {"count": 1}]


def test_a_message_comes_after_the_state_of_its_widget(sent: list[Any]) -> None:
    first, second = Counter(sent), Counter(sent)
    with held_until_end():
        second.change(count=2)
        first.change(count=1)
        first.send({"rows": 1})
    assert sent == [{"count": 1}, {"rows": 1}, {"count": 2}]


def test_all_is_sent_although_one_widget_cannot(sent: list[Any]) -> None:
    class Broken(Sender):
        def send_state(self, key: str | Iterable[str] | None = None) -> None:
            raise RuntimeError("no connection")

    class BrokenCounter(Counter, Broken):
        pass

    broken, whole = BrokenCounter(sent), Counter(sent)
    with pytest.raises(RuntimeError, match="no connection"), held_until_end():
        broken.change(count=1)
        whole.change(count=1)
    assert sent == [{"count": 1}]
    with held_until_end():
        whole.change(count=2)
    assert sent[1:] == [{"count": 2}]


def test_another_thread_does_not_wait(sent: list[Any]) -> None:
    widget = Counter(sent)
    with held_until_end():
        widget.change(name="a")
        thread = threading.Thread(target=lambda: widget.change(count=1))
        thread.start()
        thread.join()
        assert sent == [{"count": 1}]
    assert sent == [{"count": 1}, {"name": "a"}]


@pytest.mark.parametrize(("hold_seconds", "seen"), [(60, []), (-1, [{"count": 1}])])
def test_a_slow_turn_shows_what_it_has(
    sent: list[Any], monkeypatch: pytest.MonkeyPatch, hold_seconds: int, seen: list[Any]
) -> None:
    monkeypatch.setattr(sent_together, "HOLD_SECONDS", hold_seconds)
    widget, turns = Counter(sent), Turns()
    seen_by_the_next: list[Any] = []

    def show() -> None:
        widget.change(count=1)

    with turns.turn():
        turns.mark(show)
        turns.mark(lambda: seen_by_the_next.extend(sent))
    assert seen_by_the_next == seen
    assert sent == [{"count": 1}]
