"""The order of the requests that the front end sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .state import BrowserState

__all__ = ["FrontEndRequests"]


class FrontEndRequests:
    """Numbers of the requests that the page views of one widget have sent: the later one wins.

    A widget can be shown at several places of a page, its *page views* (``view`` in messages). Each
    page view numbers its requests, and waits until the trait `_answered` contains the id of its
    last request; see `createRequests` in base.js. So a request has to be answered whatever
    happens, or the control would be dead.
    """

    def __init__(self) -> None:
        self._last_number: dict[str, int] = {}  # by view

    def accept(self, content: Any) -> str | None:
        """Return the id of a request, "view:number", or None if it is outdated.

        A kernel may handle two messages in two threads, so an earlier request may be handled after
        a later one of the same view, which has replaced it.

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
            state: The state whose turn this is, which reports errors.
            work: Does what is requested, given the id of the request.
            answer: Answers the request, whatever happened to `work`.
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
        """Return whether a view has sent no other request after this one."""
        view, _, number = request.rpartition(":")
        return self._last_number.get(view) == int(number)
