"""Calls users' observers after a change: last, without a lock, and independently of each other."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from traitlets import All, Bunch, HasTraits
from traitlets.traitlets import EventHandler

from .._util import fork_safe

__all__ = ["Teller"]

#: How many changes one call of `Teller.tell` reports before it assumes an endless loop.
MAX_CHANGES = 100

_log = logging.getLogger(__name__)


class Teller:
    """Calls the observers that users have registered with `observe`.

    traitlets calls observers inside the assignment, and stops when one of them raises. Here,
    changes are queued while the state is being changed, and reported afterwards. An observer may
    change the state again; these changes are queued, too. If an observer raises, the others are
    still called.

    Each thread reports the changes that it made. If a KeyboardInterrupt leaves changes unreported,
    the next call in any thread reports them.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._left: deque[_Report] = deque()
        self._number = 0
        self._lock = fork_safe(threading.Lock())
        #: (owner, trait) → the number of the last change that was reported.
        self._reported: dict[tuple[int, str], int] = {}

    def add(self, owner: HasTraits, name: str, old: Any, new: Any) -> None:
        """Queue a change of a trait; merge it with an earlier change that is still in the queue."""
        self._number += 1
        queue = self._queue()
        for report in queue:
            if report.owner is owner and report.change["name"] == name and report.left is None:
                report.change["new"], report.number = new, self._number
                return
        change = Bunch(name=name, old=old, new=new, owner=owner, type="change")
        queue.append(_Report(owner, change, self._number))

    def tell(self) -> Exception | None:
        """Report the queued changes, and return the first error of an observer.

        An observer may change the state, which calls this method again. That inner call does
        nothing: the outer call reports the changes when the observer has returned.
        """
        queue = self._queue()
        if getattr(self._local, "is_telling", False) or not (queue or self._left):
            return None
        errors: list[Exception] = []
        reports = 0
        try:
            self._local.is_telling = True
            while self._left:
                queue.appendleft(self._left.pop())
            while queue:
                reports += 1
                if reports > MAX_CHANGES:
                    queue.clear()
                    errors.append(RuntimeError("observers change the state again and again"))
                    break
                if self._record_number(queue[0]):
                    queue[0].call(errors)
                    later = self._later(queue[0])
                    if later is not None:
                        queue[0] = later
                        continue
                queue.popleft()
        finally:
            self._local.is_telling = False
            self._left.extend(queue)  # empty, except after a KeyboardInterrupt
            queue.clear()
        for error in errors[1:]:
            _log.error("an observer failed", exc_info=error)
        return errors[0] if errors else None

    def leave(self) -> None:
        """Leave the queued changes of this thread to the next call of `tell` in any thread."""
        if not getattr(self._local, "is_telling", False):  # otherwise, `tell` does so at its end
            queue = self._queue()
            self._left.extend(queue)
            queue.clear()

    def _record_number(self, report: _Report) -> bool:
        """Record the number of a report, unless the report is outdated.

        A report is outdated if another thread has reported a later change of the trait.

        Returns:
            Whether the number was recorded. If not, the observers must not be called.
        """
        with self._lock:
            if self._reported.get(report.key, 0) > report.number:
                return False
            self._reported[report.key] = report.number
            return True

    def _later(self, report: _Report) -> _Report | None:
        """Return a report of the current value if another thread has reported a later change.

        In that case, observers may have got the later change before this one. So they are called
        again, and the last value that they get is the current value.
        """
        with self._lock:
            number = self._reported[report.key]
        if number <= report.number:
            return None
        name = report.change["name"]
        change = Bunch(report.change, old=report.change["new"], new=getattr(report.owner, name))
        return _Report(report.owner, change, number)

    def _queue(self) -> deque[_Report]:
        try:
            queue: deque[_Report] = self._local.queue
        except AttributeError:
            queue = self._local.queue = deque()
        return queue


class _Report:
    """A change, and the observers that are still to be called.

    Before the first call, these observers are not known, and `left` is None.
    """

    def __init__(self, owner: HasTraits, change: Bunch, number: int) -> None:
        self.owner, self.change, self.number = owner, change, number
        self.key = (id(owner), change["name"])
        self.left: list[Callable[[Bunch], object]] | None = None

    def call(self, errors: list[Exception]) -> None:
        """Call the observers, and add what they raise to `errors`."""
        change = self.change
        if self.left is None:
            self.left = [] if change["old"] is change["new"] else _observers(self.owner, change)
        while self.left:
            # Remove it first: an observer that is interrupted counts as called.
            observer = self.left.pop(0)
            try:
                observer(change)
            except Exception as error:
                errors.append(error)


def _observers(owner: HasTraits, change: Bunch) -> list[Callable[[Bunch], object]]:
    """Return the observers of a change, as `HasTraits` would call them."""
    notifiers = owner._trait_notifiers
    handlers: list[Any] = []
    for name in (change["name"], All):
        for kind in (change["type"], All):
            handlers += notifiers.get(name, {}).get(kind, [])
    return [
        getattr(owner, handler.name)
        if isinstance(handler, EventHandler) and handler.name is not None
        else handler
        for handler in handlers
    ]
