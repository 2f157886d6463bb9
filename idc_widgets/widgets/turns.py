"""The scheduler of the widgets: which thread may change the state, and when each view runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from .._util import call_in_forked_children, ended_context, fork_safe
from ..errors import QueryInterruptedError
from .promises import Promise, Promises
from .sent_together import held_until_end, send_if_late

__all__ = ["Turns", "View", "not_up_to_date"]

#: Shows the state on the screen.
View = Callable[[], None]

#: How long a turn waits for a running view to end before it interrupts the view again.
INTERRUPT_SECONDS = 0.02

#: The limit of tries per turn for a view that is interrupted although no turn waits.
MAX_PASSES = 3

_log = logging.getLogger(__name__)


def not_up_to_date(reason: str, next_step: str = "The next click tries again.") -> str:
    """Return the text of a widget that does not show the latest change.

    >>> not_up_to_date("it was interrupted")
    'Not up to date: it was interrupted. The next click tries again.'
    """
    return f"Not up to date: {reason}. {next_step}"


class Turns:
    """Decides which thread may change a state, and when the views of the state run.

    Three terms:

    - A *turn* is one action of a person or of Python code, such as a click or an assignment. A
      kernel may handle two clicks in two threads; `lock` makes one wait for the other, so no click
      is lost.
    - A *view* is a function without arguments that shows the state, such as the counts of the
      dropdowns or the rows of a grid. It may run a slow query.
    - A view is *late* if it does not show the latest change yet.

    A newer turn does not wait for the views of an older one. It interrupts the view that is
    running, and the views that are late then run once, in the newer turn::

        older turn   Modality = CT │ counts ✓ │ rows ✗ interrupted: late
                                                ▲      │ releases the lock
        newer turn           waits ─ interrupts ┘      └▶ Sex = F │ rows ✓ │ counts ✓
        ───────────────────────────────────────────────────────────────────────▶ time

    The rules behind the picture:

    1. `turn` enters its thread in `_waiting` until it has the lock, or gives up because it is
       interrupted (KeyboardInterrupt).
    2. While it waits, it interrupts the thread in `_refreshing` again and again: a query that is
       only about to begin does not notice an interruption.
    3. While a turn waits, no view is started; it stays late.
    4. A change marks every view that it affects as late (`mark`) *before* the first of them runs.
       So if one of them fails, the others are not forgotten.
    5. Late views run (`run_late`) in the order in which they became late: those of earlier turns
       come first. If one of them fails, the next one still runs:

       ==========================  ========================================================
       the view                    then
       ==========================  ========================================================
       returns                     it is not late any more
       is interrupted by a turn    it stays late; this is not an error
       raises an Exception         it stays late, the error is reported, the view shows that
                                   it is stale; the next turn tries it again
       raises KeyboardInterrupt    it stays late with all that follow; the error is raised
       ==========================  ========================================================

    6. Before a turn releases the lock, it runs the views that are still late, except those that
       failed in this turn. If another turn is waiting by then, rule 3 leaves them to that turn.
    7. Views that stay late although no turn waits show that they are stale.

    8. A turn may be promised (`promise`). Promised turns take the lock in the order of the
       promises, so clicks that come in several threads keep their order.

    So after many turns, the last one brings every view up to date. The lock is re-entrant, because
    a view may itself change the state. Users' observers are not views: they run after the turn,
    without the lock; see `Teller`.

    Args:
        interrupt: Ends the running queries of one thread, given its ident (`Engine.interrupt`). By
            default, it does nothing, for views without queries.
        report: Shows an error that a view raised; the views after it still run. By default, the
            error goes to the log.
    """

    def __init__(
        self,
        *,
        interrupt: Callable[[int], object] = lambda _thread: None,
        report: Callable[[Exception], object] = _log.error,
    ) -> None:
        self._interrupt = interrupt
        self._report = report
        #: Held while the state changes and while a view runs.
        self.lock = fork_safe(threading.RLock())
        #: The threads whose turns wait for `lock`; a dict, because its changes are atomic.
        self._waiting: dict[int, None] = {}
        self._promises = Promises()
        #: The thread whose turn it is, and an object that identifies the turn.
        self._owner: int | None = None
        self._this_turn = object()
        #: The thread in which a view runs, which a newer turn may interrupt.
        self._refreshing: int | None = None
        self._no_view_runs = _set_event()
        #: Late view → the number of its last mark. The views that became late first come first.
        self._late: dict[View, int] = {}
        self._marks = 0
        #: The late views that failed in this turn, and the views that show that they are stale.
        self._failed: set[View] = set()
        self._stale: set[View] = set()
        #: The turn in which the loop of `run_late` is running.
        self._running_late: object = None
        #: View → the function that makes it show that it is stale.
        self._show_stale: dict[View, Callable[[str], None]] = {}
        call_in_forked_children(self)

    def after_fork(self) -> None:
        """Forget the turns of other threads, which do not exist in a forked child."""
        mine = threading.get_ident()
        self._waiting = {thread: None for thread in self._waiting if thread == mine}
        self._promises.after_fork()
        if self._owner != mine:
            self._owner = None
        if self._refreshing != mine:
            self._refreshing = None
            self._no_view_runs = _set_event()

    @ended_context
    def turn(self) -> Iterator[None]:
        """Hold `lock` for one action, and then run the late views; see the rules of the class."""
        thread = threading.get_ident()
        if self.is_mine():
            yield  # a part of the turn under way
            return
        try:
            self._waiting[thread] = None
            self._interrupt_running_view(thread)
            self._promises.wait_for_earlier(thread)
            with self.lock, held_until_end():
                self._waiting.pop(thread, None)
                self._promises.end_of(thread)
                try:
                    self._owner, self._this_turn = thread, object()
                    self._failed.clear()
                    try:
                        yield
                    except Exception:
                        self.run_late()
                        raise
                    self.run_late()
                finally:
                    self._owner = None
        finally:
            self._waiting.pop(thread, None)
            self.show_stale_views()

    def promise(self) -> Promise:
        """Promise the next turn; return the context in which this thread takes it."""
        return self._promises.make()

    def is_mine(self) -> bool:
        """Return whether this thread holds the turn that is under way."""
        # An interrupt may have kept an earlier turn from resetting `_owner`.
        is_owned: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]
        return self._owner == threading.get_ident() and is_owned()

    def mark(self, view: View) -> None:
        """Mark a view as late: it does not show the latest change yet."""
        self._marks += 1
        self._late[view] = self._marks
        self._failed.discard(view)
        self._stale.discard(view)

    def run_late(self) -> None:
        """Run the late views, unless a newer turn waits. The caller holds the lock."""
        if self._running_late is self._this_turn:
            return  # a view calls this: the loop that runs that view goes on with the late views
        try:
            self._running_late = self._this_turn
            for _ in range(MAX_PASSES):
                views = [view for view in self._late if view not in self._failed]
                for view in views:
                    if self._waiting:
                        return
                    if view in self._late:  # false if an earlier view has closed its widget
                        self._run(view)
                        send_if_late()
                if not views:
                    return
        finally:
            self._running_late = None

    def refresh(self, view: View) -> None:
        """Run a view now or, if a newer turn is waiting, in that turn."""
        try:
            with self.lock:
                self.mark(view)
                self._run(view)
        finally:
            if not self.is_mine():
                # A turn that ended meanwhile could not get the lock to tell its late views.
                self.show_stale_views()

    def on_stale(self, view: View, show: Callable[[str], None]) -> None:
        """Call `show` with the reason when `view` cannot be brought up to date."""
        self._show_stale[view] = show

    def is_late(self, view: View) -> bool:
        """Return whether a view does not show the latest change yet."""
        return view in self._late

    def is_postponed(self, view: View) -> bool:
        """Return whether a view is late and does not show that it is stale: it will run."""
        return view in self._late and view not in self._stale

    def is_awaited(self) -> bool:
        """Return whether another turn waits; it will run the late views."""
        return bool(self._waiting)

    def forget(self, view: View) -> None:
        """Forget that a view is late, because its widget was closed."""
        self._late.pop(view, None)
        self._show_stale.pop(view, None)
        self._failed.discard(view)
        self._stale.discard(view)

    def _interrupt_running_view(self, thread: int) -> None:
        """Interrupt the view that runs in another thread, again and again until the view ends."""
        # `_run` sets `_refreshing` before it looks at `_waiting`, and `turn` enters itself in
        # `_waiting` before it looks at `_refreshing`. So one of them always sees the other.
        while (other := self._refreshing) is not None and other != thread:
            try:
                self._interrupt(other)
            except Exception:
                _log.exception("cannot interrupt a query")
            self._no_view_runs.wait(INTERRUPT_SECONDS)

    def _run(self, view: View) -> None:
        before, mark = self._refreshing, self._late.get(view)
        try:
            self._no_view_runs.clear()
            self._refreshing = threading.get_ident()
            if self._waiting:
                return
            view()
            if self._late.get(view) == mark:  # otherwise, the view was marked again meanwhile
                self._late.pop(view, None)
            self._failed.discard(view)
            self._stale.discard(view)
        except QueryInterruptedError:
            pass
        except Exception as error:
            self._failed.add(view)
            self._report(error)
            self._call_stale(view, str(error) or type(error).__name__)
        finally:
            self._refreshing = before
            if before is None:
                self._no_view_runs.set()

    def show_stale_views(self) -> None:
        """Let late views show that they are stale, if no turn waits or is under way."""
        # Wait a moment: other threads hold the lock while they read the state.
        if self._late and not self._waiting and self.lock.acquire(timeout=INTERRUPT_SECONDS):
            try:
                for view in list(self._late):
                    if view not in self._stale:
                        self._call_stale(view, "it was interrupted")
            finally:
                self.lock.release()

    def _call_stale(self, view: View, reason: str) -> None:
        self._stale.add(view)
        show = self._show_stale.get(view)
        if show is not None:
            try:
                show(reason)
            except Exception:
                _log.exception("a view cannot show that it is not up to date")


def _set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
