"""The scheduler of the widgets: which thread may change the state, and when each view follows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import QueryInterruptedError

__all__ = ["Turns"]

#: How long a turn waits for the lock before it interrupts the running view again.
INTERRUPT_SECONDS = 0.02


class Turns:
    """Decides which thread may change a state, and when the views of the state follow.

    Three terms:

    - A *turn* is one action of a person, such as a click. A kernel may handle two clicks in two
      threads; `lock` makes one wait for the other, so no click is lost.
    - A *view* is a function without arguments that shows the state, such as the counts of the
      dropdowns or the rows of a grid. It may run a slow query.
    - A view is *late* if it does not show the latest change yet.

    A newer turn does not wait for the views of an older one. It interrupts the view that is
    running, and the views that are late then run once, at the end of the newer turn::

        older turn   Modality = CT │ counts ✓ │ rows ✗ interrupted: late
                                                ▲      │ releases the lock
        newer turn           waits ─ interrupts ┘      └▶ Sex = F │ counts ✓ │ rows ✓
        ───────────────────────────────────────────────────────────────────────▶ time

    The rules behind the picture:

    1. `turn` counts itself in `_waiting` until it has the lock.
    2. While it waits, it interrupts the thread in `_refreshing` again and again: a query that is
       only about to begin does not notice an interruption.
    3. While a turn waits, `refresh` does not start a view but makes it late.
    4. A view that is interrupted becomes late; this is not an error.
    5. Before a turn releases the lock, it runs the late views in the order in which they became
       late. If another turn is waiting by then, rule 3 leaves them to that turn.

    So the last turn of a series brings every view up to date. The lock is re-entrant, because
    views and observers may themselves change the state.

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
        #: The number of turns that wait for `lock`, and the lock that guards this number.
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
                    if view in self._late:  # not if the view before it closed its widget
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
        """Never run a late view, because its widget was closed."""
        self._late.pop(view, None)
