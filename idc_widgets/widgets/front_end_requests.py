"""The order of the requests that the front end sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .state import BrowserState

__all__ = ["FrontEndRequests"]


class FrontEndRequests:
    """The number of the last request of each page view of a widget: a later request wins.

    A widget can be shown at several places of a page, its *page views* (``view`` in messages). Each
    page view numbers its requests, and waits until the trait `_answered` contains the id of its
    last request; see `createRequests` in base.js. So every request must be answered, even after an
    error: otherwise the control would wait forever.
    """

    def __init__(self) -> None:
        self._last_number: dict[str, int] = {}  # by page view

    def accept(self, content: Any) -> str | None:
        """Record the number of a request. Return its id, "view:number", or None if it is outdated.

        A kernel may handle two messages in two threads, so requests may come in the wrong order.
        A request is outdated if a later request of the same page view has come before it.

        Args:
            content: The message: {view, number, ...}.
        """
        view, number = str(content["view"]), int(content["number"])
        if number <= self._last_number.get(view, 0):
            return None
        self._last_number[view] = number
        return f"{view}:{number}"

    def carry_out(
        self,
        content: Any,
        state: BrowserState,
        work: Callable[[str], None],
        answer: Callable[[str], None],
    ) -> None:
        """Carry out a request in a turn, unless it is outdated; answer it if it is the last.

        Args:
            content: The message: {view, number, ...}.
            state: The state that gives the turn and reports errors.
            work: Called with the id of the request, to carry it out.
            answer: Called with the id to answer the request, even if `work` raised.
        """
        request = self.accept(content)
        if request is None:
            return
        try:
            with state.turn(reports=True):
                if self.is_last(request):
                    work(request)
        finally:
            if self.is_last(request):
                answer(request)

    def is_last(self, request: str) -> bool:
        """Return whether the page view of this request has sent no later one."""
        view, _, number = request.rpartition(":")
        return self._last_number.get(view) == int(number)
