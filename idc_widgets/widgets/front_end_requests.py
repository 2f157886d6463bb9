"""The order of the requests that the front end sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .state import BrowserState

__all__ = ["FrontEndRequests"]

#: What anywidget adds to the traits of a widget. It does not change, and is large.
_OF_ANYWIDGET = {"_anywidget_id", "_css", "_esm"}


class RequestedWidget(Protocol):
    """A widget whose front end sends requests."""

    state: BrowserState
    #: The last request that the other traits reflect, as "view:number".
    _answered: Any

    def traits(self, **metadata: Any) -> dict[str, Any]:
        """Return the traits by name."""
        ...

    def send_state(self, key: list[str]) -> None:
        """Send the values of these traits."""
        ...


class FrontEndRequests:
    """The number of the last request of each page view of a widget: a later request wins.

    A widget can be shown at several places of a page, its *page views* (``view`` in messages). Each
    page view numbers its requests, and waits until the trait `_answered` contains the id of its
    last request; see `createRequests` in base.js. So every request must be answered, even after an
    error: otherwise the control would wait forever.

    A page view sends a request again, with the same number, when no answer arrives. If the request
    was lost, the kernel sees the number for the first time, and carries the request out. If the
    answer was lost, the kernel only answers again.
    """

    def __init__(self) -> None:
        self._last_number: dict[str, int] = {}  # by page view
        #: The requests that are being carried out, which will be answered at the end.
        self._under_way: set[str] = set()

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
        widget: RequestedWidget,
        content: Any,
        work: Callable[[str], None],
        answer: Callable[[str], None],
    ) -> None:
        """Carry out a request in a turn, unless it is outdated; answer it if it is the last.

        A repeated request is answered again, and not carried out again.

        Args:
            widget: The widget, whose state reports errors.
            content: The message: {view, number, ...}.
            work: Called with the id of the request, to carry it out.
            answer: Called with the id to answer the request, even if `work` raised.
        """
        request = self.accept(content)
        if request is None:
            self._answer_again(widget, f"{content['view']}:{content['number']}", answer)
            return
        try:
            self._under_way.add(request)
            with widget.state.turn(reports=True):
                if self.is_last(request):
                    work(request)
        finally:
            self._under_way.discard(request)
            if self.is_last(request):
                answer(request)

    def _answer_again(
        self, widget: RequestedWidget, request: str, answer: Callable[[str], None]
    ) -> None:
        """Send all that a widget shows once more, if a request is the last and is over."""
        with widget.state.lock:
            if request in self._under_way or not self.is_last(request):
                return
            answer(request)
            if widget._answered == request:
                package = __name__.partition(".")[0]
                shown = [
                    name
                    for name, trait in widget.traits(sync=True).items()
                    if trait.this_class.__module__.partition(".")[0] == package
                ]
                widget.send_state([name for name in shown if name not in _OF_ANYWIDGET])

    def is_last(self, request: str) -> bool:
        """Return whether the page view of this request has sent no later one."""
        view, _, number = request.rpartition(":")
        return self._last_number.get(view) == int(number)
