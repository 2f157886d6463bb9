"""Messages to the front end that a turn sends together at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .._util import ended_context

__all__ = ["SentTogether", "held_until_end", "send_if_late"]

#: A turn that takes longer than this sends what it has so far, before it goes on.
HOLD_SECONDS = 0.1


class _Held(threading.local):
    """What a thread has not sent yet."""

    is_open = False
    #: When the first of `states` was held.
    since = 0.0
    #: Widget → the names of its changed traits; None for all.
    states: dict[SentTogether, set[str] | None]

    def __init__(self) -> None:
        self.states = {}


_held = _Held()


class SentTogether:
    """A mixin for widgets whose new state waits until the end of the turn.

    A page paints a frame for each message that comes alone: a click changes a dozen widgets, so it
    would paint a dozen frames. The values are read when they are sent, so they are the newest.

    The mixin comes before the base class: ``class Frame(SentTogether, AnyWidget)``.
    """

    #: Traits that a page shows only after another action. If no others change, they are sent last.
    _shown_later: frozenset[str] = frozenset()

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Send traits to the front end, now or at the end of the turn."""
        if not _held.is_open:
            super().send_state(key)  # type: ignore[misc]
            return
        if not _held.states:
            _held.since = time.monotonic()
        names = None if key is None else {key} if isinstance(key, str) else set(key)
        before = _held.states.setdefault(self, set())
        _held.states[self] = None if names is None or before is None else before | names

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the front end, after the state that it may refer to."""
        if self in _held.states:
            self._send_held(_held.states.pop(self))
        super().send(content, buffers)  # type: ignore[misc]

    def _send_held(self, names: set[str] | None) -> None:
        super().send_state(names)  # type: ignore[misc]


@ended_context
def held_until_end() -> Iterator[None]:
    """Hold the states that this thread sends, and send them together at the end."""
    if _held.is_open:
        yield
        return
    _held.is_open = True
    try:
        yield
    finally:
        _held.is_open = False
        _send()


def send_if_late() -> None:
    """Send what this thread holds if it has waited for long."""
    if _held.states and time.monotonic() - _held.since > HOLD_SECONDS:
        _send()


def _is_shown_later(widget: SentTogether) -> bool:
    names = _held.states[widget]
    return names is not None and names <= widget._shown_later


def _send() -> None:
    """Send all held states, even if one of them cannot be sent."""
    try:
        while _held.states:
            widget = min(_held.states, key=_is_shown_later)
            widget._send_held(_held.states.pop(widget))
    finally:
        if _held.states:
            _send()
