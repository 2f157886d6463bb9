"""Clicks of a page that arrive in another order than they were made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.interrupts import interrupted_everywhere

from idc_widgets import BrowserState, IDCClient
from idc_widgets.widgets import sent_together
from idc_widgets.widgets.click_order import ClickOrder
from idc_widgets.widgets.facets import FacetDropdown
from idc_widgets.widgets.turns import Turns


class Kernel:
    """Records in which order clicks are carried out."""

    def __init__(self) -> None:
        self.order = ClickOrder()
        self.turns = Turns(interrupt=lambda _thread: None, report=lambda _error: None)
        self.done: list[int] = []

    def take(
        self,
        number: int,
        after: int = 0,
        page: str = "page",
        error: Any = None,
        during: Callable[[], None] = lambda: None,
    ) -> None:
        def work() -> None:
            self.done.append(number)
            during()
            if error is not None:
                raise error

        content = {"page": page, "number": number, "after": after}
        self.order.carry_out(content, self.turns, work)


def test_a_click_waits_for_the_click_before_it() -> None:
    kernel = Kernel()
    kernel.take(1)
    kernel.take(4, after=3)
    kernel.take(3, after=2)
    assert kernel.done == [1]
    kernel.take(2, after=1)
    assert kernel.done == [1, 2, 3, 4]


def test_a_click_whose_predecessors_are_answered_waits_for_nothing() -> None:
    kernel = Kernel()
    kernel.take(57)  # the first click that a restarted kernel sees
    kernel.take(58, after=57)
    kernel.take(2, after=0, page="another")
    assert kernel.done == [57, 58, 2]


def test_a_lost_click_does_not_block_the_page() -> None:
    kernel = Kernel()
    kernel.take(3, after=2)
    kernel.take(4, after=3)
    kernel.take(3, after=2)
    assert kernel.done == []
    kernel.take(3, after=2)  # sent for the third time
    assert kernel.done == [3, 4]
    kernel.take(2, after=0)  # late, but not lost
    assert kernel.done == [3, 4, 2]


def test_a_click_that_is_sent_again_is_passed_on_to_be_answered() -> None:
    kernel = Kernel()
    kernel.take(1)
    kernel.take(1)
    assert kernel.done == [1, 1]


def test_a_click_that_is_sent_again_before_its_turn_does_not_take_a_later_turn() -> None:
    kernel = Kernel()
    kernel.take(2, after=1)
    kernel.take(1, during=lambda: kernel.take(2, after=1))
    assert kernel.done == [1, 2]
    kernel.take(2, after=1)
    assert kernel.done == [1, 2, 2]


def test_an_error_in_one_click_does_not_lose_the_next() -> None:
    kernel = Kernel()
    kernel.take(2, after=1)
    with pytest.raises(KeyboardInterrupt):
        kernel.take(1, error=KeyboardInterrupt())
    assert kernel.done == [1, 2]


def test_a_message_without_a_page_is_carried_out_at_once() -> None:
    kernel = Kernel()
    kernel.order.carry_out({"number": 9, "after": 8}, kernel.turns, lambda: kernel.done.append(9))
    assert kernel.done == [9]


def test_pages_and_clicks_are_forgotten() -> None:
    kernel = Kernel()
    for number in range(1, 3000):
        kernel.take(number, after=number - 1)
    for page in range(100):
        kernel.take(2, after=1, page=f"page {page}")
    assert len(kernel.order._pages) == 64
    kernel.take(3000, after=2999)  # the page is forgotten, so the click waits until it is repeated
    kernel.take(3000, after=2999)
    kernel.take(3000, after=2999)
    assert kernel.done == list(range(1, 3001))


def test_turns_are_taken_in_the_order_of_their_promises() -> None:
    turns = Kernel().turns
    first, second = turns.promise(), turns.promise()
    done: list[str] = []

    def later() -> None:
        with second, turns.turn():
            done.append("second")

    thread = threading.Thread(target=later)
    thread.start()
    with first:
        while not turns.is_awaited():  # the second waits, although nobody holds the turn
            pass
        with turns.turn():
            done.append("first")
    thread.join()
    assert done == ["first", "second"]


def test_a_promise_that_is_not_kept_delays_the_next_turn_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("idc_widgets.widgets.promises.PROMISE_SECONDS", 0.01)
    turns = Kernel().turns
    turns.promise()
    with turns.promise(), turns.turn():
        pass
    assert not turns._promises


def test_a_turn_within_a_promised_turn_does_not_wait() -> None:
    turns = Kernel().turns
    with turns.promise(), turns.turn():
        earlier = turns.promise()
        with turns.promise(), turns.turn():
            pass
        with earlier:
            pass
    assert not turns._promises


def test_an_interrupt_anywhere_in_a_click_holds_up_no_other_click() -> None:
    kernel = Kernel()

    def make() -> Callable[[], None]:
        nonlocal kernel
        kernel = Kernel()
        return lambda: kernel.take(1, during=in_a_turn)

    def in_a_turn() -> None:
        with kernel.turns.turn():
            kernel.turns.refresh(lambda: None)

    def take_again() -> None:
        kernel.take(1)  # the page sends it again, as it was not answered
        kernel.take(2, after=1)

    places = []
    modules = ("turns.py", "promises.py", "click_order.py", "contextlib.py")
    for place, error in interrupted_everywhere(make, *modules):
        places.append(place)
        assert len(kernel.turns._promises) == 0, place
        assert not sent_together._held.is_open, place
        thread = threading.Thread(target=take_again, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), place
        assert set(kernel.done) == {1, 2}, place
        assert error.__traceback__, "it keeps what was interrupted"
    assert len(places) > 30


def test_clicks_in_two_widgets_keep_their_order(client: IDCClient) -> None:
    state = BrowserState(client)
    modality, sex = FacetDropdown(state, "Modality"), FacetDropdown(state, "PatientSex")
    seen: list[list[str]] = []
    state.observe(lambda change: seen.append(list(change["new"].filters)), "filters")
    first = {"kind": "choose", "view": "a", "page": "p", "number": 1, "after": 0, "values": ["CT"]}
    second = {**first, "view": "b", "number": 2, "after": 1, "values": ["F"]}
    sex._handle_custom_msg(second, [])
    assert seen == []
    modality._handle_custom_msg(first, [])
    assert seen == [["Modality"], ["Modality", "PatientSex"]]
    assert (modality._answered, sex._answered) == ("a:1", "b:2")
