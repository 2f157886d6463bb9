"""Locks and callbacks that work in a forked child, such as a worker of a PyTorch DataLoader."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from types import TracebackType
from typing import Protocol

__all__ = ["ForkSafeLock", "call_in_forked_children", "never_free"]


class _CalledInChildren(Protocol):
    """An object whose `after_fork` is called in forked children."""

    def after_fork(self) -> None:
        """Called at once in the child."""
        ...


_called_in_children: weakref.WeakSet[_CalledInChildren] = weakref.WeakSet()


def call_in_forked_children(called: _CalledInChildren) -> None:
    """Call `after_fork` of an object in every child that is forked while the object lives."""
    _called_in_children.add(called)


def never_free(*objects: object) -> None:
    """Keep objects until the process ends, and do not free them even then."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _after_fork() -> None:
    for called in list(_called_in_children):
        called.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_after_fork)


class ForkSafeLock:
    """A lock that is free in a forked child, even if another thread held it at the fork.

    That thread does not exist in the child, so nothing would ever release the lock.

    >>> lock = ForkSafeLock()
    >>> with lock:
    ...     pass
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.Lock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # a new child has only this thread
            self._lock, self._process = threading.Lock(), os.getpid()
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
