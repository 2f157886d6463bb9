"""The scheduler of the widgets: which thread may change the state, and when each view follows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import QueryInterruptedError

__all__ = ["Turns"]

#: Seconds that a turn waits for the lock before it interrupts the running view again.
INTERRUPT_SECONDS = 0.02


class Turns:
    """Decides who may write to a state, and when the views of the state follow.

    Three terms:

    - A *turn* is one action of a person, such as a click. Kernels may deliver two clicks in two
      threads, so turns are serialized by `lock`: each is worked in, none is lost.
    - A *view* is a function without arguments that shows the state: the counts of the dropdowns,
      the rows of a grid. It may run a slow query.
    - A view is *late* when it does not show the latest change yet.

    A newer turn does not wait for the views of an older one. It interrupts the query of the view
    that is running, and the views that were cut short run once, at the end of the newer turn::

        older turn   Modality = CT │ counts ✓ │ rows ✗ interrupted: late
                                                ▲      │ gives the lock up
        newer turn           waits ─ interrupts ┘      └▶ Sex = F │ counts ✓ │ rows ✓
        ───────────────────────────────────────────────────────────────────────▶ time

    The rules behind the picture:

    1. `turn` announces itself in `_waiting` before it takes the lock.
    2. While it waits, it interrupts the thread in `_refreshing` every 20 ms: a query may only be
       about to begin, so interrupting once would not be enough.
    3. `refresh` does not even start a view while a turn waits; the view becomes late at once.
    4. An interrupted view becomes late, which is no error.
    5. Before a turn releases the lock it runs the late views, in the order in which they became
       late. If yet another turn is waiting by then, they stay late for that one (rule 3).

    The last turn in a row therefore brings every view up to date.

    Args:
        interrupt: Ends the running queries of one thread, given its ident (`Engine.interrupt`).
        report: Shows an error that a view raised; the views after it still run.
    """

    def __init__(
        self, *, interrupt: Callable[[int], object], report: Callable[[Exception], object]
    ) -> None:
        self._interrupt = interrupt
        self._report = report
        #: Held while the state changes and while a view runs.
        self.lock = threading.RLock()
        #: Number of turns that wait for `lock`, and what guards this number.
        self._waiting = 0
        self._waiting_lock = threading.Lock()
        #: The thread in which a view runs, which a newer turn may interrupt.
        self._refreshing: int | None = None
        #: Late views, in order; a dict because it keeps the order and holds each view once.
        self._late: dict[Callable[[], None], None] = {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold `lock` for one action of a person; see the class for what that does to views."""
        with self._waiting_lock:
            self._waiting += 1
        while not self.lock.acquire(timeout=INTERRUPT_SECONDS):
            thread = self._refreshing
            if thread is not None:
                self._interrupt(thread)
        with self._waiting_lock:
            self._waiting -= 1
        try:
            yield
        finally:
            try:
                for view in list(self._late):
                    self.refresh(view)
            finally:
                self.lock.release()

    def refresh(self, view: Callable[[], None]) -> None:
        """Run a view now or, if a newer turn is waiting, at the end of that turn."""
        with self.lock:
            self._late.pop(view, None)
            if self._waiting:
                self._late[view] = None
                return
            self._refreshing = threading.get_ident()
            try:
                view()
            except QueryInterruptedError:
                self._late[view] = None
            except Exception as error:
                self._report(error)
            finally:
                self._refreshing = None

    def is_late(self, view: Callable[[], None]) -> bool:
        """Return whether a view does not show the latest change yet."""
        return view in self._late

    def forget(self, view: Callable[[], None]) -> None:
        """Drop a late view, because nothing shows it any more."""
        self._late.pop(view, None)
