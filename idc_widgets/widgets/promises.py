"""Promised turns: clicks that come in several threads take the turn in their order."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

__all__ = ["Promise", "Promises"]

#: How long a turn waits for the turns that were promised before it.
PROMISE_SECONDS = 10

#: A waiting thread looks at the promises again after this time.
_STEP_SECONDS = 0.02


class Promises:
    """The promises that are not kept yet, in order.

    All changes are single operations on a deque or a dict, which need no lock. A `Condition` would
    keep its lock for ever if a KeyboardInterrupt came between the lines of its `__enter__`.
    """

    def __init__(self) -> None:
        self._queue: deque[Promise] = deque()
        #: Thread → the promise that it is about to keep.
        self._kept_by: dict[int, Promise] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def make(self) -> Promise:
        """Promise the next turn to this thread; return the context in which it takes the turn."""
        promise = Promise(self)
        try:
            self._queue.append(promise)
        except BaseException:  # an interrupt after the call
            self.end(promise)
            raise
        return promise

    def begin(self, promise: Promise, thread: int) -> Promise | None:
        """Let a thread keep a promise from now on; return the one that it kept before."""
        before = self._kept_by.get(thread)
        self._kept_by[thread] = promise
        return before

    def leave(self, promise: Promise, before: Promise | None, thread: int) -> None:
        """Undo `begin`, and end the promise."""
        try:
            self._kept_by.pop(thread, None)
            if before is not None:
                self._kept_by[thread] = before
        finally:
            self.end(promise)

    def end(self, promise: Promise) -> None:
        """Let later promises pass this one; a second call has no effect."""
        try:
            self._queue.remove(promise)
        except ValueError:
            return
        promise.pending.release()

    def end_of(self, thread: int) -> None:
        """End the promise that a thread is about to keep, if there is one."""
        promise = self._kept_by.get(thread)
        if promise is not None:
            self.end(promise)

    def wait_for_earlier(self, thread: int) -> None:
        """Wait until the promise that a thread is about to keep is the first one, if it has one."""
        promise = self._kept_by.get(thread)
        deadline = time.monotonic() + PROMISE_SECONDS
        while promise is not None and promise in self._queue:
            try:
                first = self._queue[0]
            except IndexError:
                return
            if first is promise:
                return
            # A thread keeps its promises in order: an earlier one of this thread was interrupted.
            # Another thread may have ended, or wait for what this thread holds.
            is_broken = first.maker is threading.current_thread() or not first.maker.is_alive()
            if is_broken or time.monotonic() > deadline:
                self.end(first)
            elif first.pending.acquire(timeout=_STEP_SECONDS):
                first.pending.release()

    def after_fork(self) -> None:
        """Forget the promises of other threads, which do not exist in a forked child."""
        mine = threading.get_ident()
        self._queue.clear()
        self._kept_by = {key: kept for key, kept in self._kept_by.items() if key == mine}


class Promise:
    """A promised turn, as a context manager.

    Inside ``with promise:``, the next turn of the thread waits until all earlier promises have
    ended.
    """

    def __init__(self, promises: Promises) -> None:
        self._promises = promises
        self._before: Promise | None = None
        self.maker = threading.current_thread()
        #: Held until the promise ends.
        self.pending = threading.Lock()
        self.pending.acquire()

    def __enter__(self) -> None:
        self._before = self._promises.begin(self, threading.get_ident())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._promises.leave(self, self._before, threading.get_ident())

    def end(self) -> None:
        """Let later promises pass this one, whether it was kept or not."""
        self._promises.end(self)
