"""The order of the requests that the front end sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from .click_order import CLICKS
from .state import BrowserState
from .turns import Turns, View

__all__ = ["FrontEndRequests"]

#: What anywidget adds to the traits of a widget. It does not change, and is large.
_OF_ANYWIDGET = {"_anywidget_id", "_css", "_esm"}


#: The limit of page views whose last request is in one answer.
_MAX_NOTED = 16


class RequestedWidget(Protocol):
    """A widget whose front end sends requests."""

    #: The last request that the other traits reflect, as "view:number"; or several of them.
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
    page view waits until the trait `_answered` contains the id of its last request; see
    `createRequests` in requests.js. So every request must be answered, even after an error:
    otherwise the control would wait forever.

    A page view sends a request again, with the same number, when no answer arrives. If the request
    was lost, the kernel sees the number for the first time, and carries the request out. If the
    answer was lost, the kernel only answers again.

    Args:
        state: The state, which reports errors. If `turn` reports them, a `Turns` is enough.
        turn: Makes the context of an action of a person; by default a turn that reports errors.
        views: The views of the state that show what the requests change.
    """

    def __init__(
        self,
        state: BrowserState | Turns,
        turn: Callable[[], AbstractContextManager[None]] | None = None,
        views: Sequence[View] = (),
    ) -> None:
        if isinstance(state, Turns):
            assert turn is not None
            self._turns, self._turn = state, turn
        else:
            self._turns, self._turn = state.turns, turn or partial(state.turn, reports=True)
        self._views = views
        self._last_number: dict[str, int] = {}  # by page view
        self._noted: dict[str, str] = {}  # page view → its last request, for `note`
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

        A request that overtook an earlier one of the page is kept until that one has come; see
        `ClickOrder`. A repeated request is answered again, and not carried out again. A message
        without `view` and `number` is ignored.

        Args:
            widget: The widget.
            content: The message: {view, number, page, after, ...}.
            work: Called with the id of the request, to carry it out.
            answer: Called with the id to answer the request, even if `work` raised.
        """
        if isinstance(content.get("view"), str) and isinstance(content.get("number"), int):
            carry_out = partial(self._carry_out, widget, content, work, answer)
            CLICKS.carry_out(content, self._turns, carry_out)

    def _carry_out(
        self,
        widget: RequestedWidget,
        content: Mapping[str, Any],
        work: Callable[[str], None],
        answer: Callable[[str], None],
    ) -> None:
        request = self.accept(content)
        if request is None:
            self._answer_again(widget, f"{content['view']}:{content['number']}", answer)
            return
        try:
            self._under_way.add(request)
            with self._turn():
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
        with self._turns.lock:
            if request in self._under_way or not self.is_last(request):
                return
            answer(request)
            if request in widget._answered.split():
                package = __name__.partition(".")[0]
                shown = [
                    name
                    for name, trait in widget.traits(sync=True).items()
                    if trait.this_class.__module__.partition(".")[0] == package
                ]
                widget.send_state([name for name in shown if name not in _OF_ANYWIDGET])

    def note(self, request: str) -> str:
        """Remember a request as the last one of its page view.

        Return the last request of each page view, separated by spaces.

        This is for a widget with several controls. Each control sends an id of its own in place of
        the id of the page view, and waits for its own answer.
        """
        view = request.rpartition(":")[0]
        self._noted.pop(view, None)
        self._noted[view] = request
        for earlier in list(self._noted)[:-_MAX_NOTED]:
            del self._noted[earlier]
        return " ".join(self._noted.values())

    def is_shown(self) -> bool:
        """Return whether the views show the result of the last request, or say that they cannot."""
        return not any(self._turns.is_postponed(view) for view in self._views)

    def is_last(self, request: str) -> bool:
        """Return whether the page view of this request has sent no later one."""
        view, _, number = request.rpartition(":")
        return self._last_number.get(view) == int(number)
