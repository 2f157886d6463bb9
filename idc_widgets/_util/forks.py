"""Locks and callbacks that work in a forked child, such as a worker of a PyTorch DataLoader."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

__all__ = ["cached_property", "call_in_forked_children", "fork_safe", "never_free"]

_Lock = TypeVar("_Lock")
_Value = TypeVar("_Value")

_RLOCK = type(threading.RLock())


class _CalledInChildren(Protocol):
    """An object whose `after_fork` is called in forked children."""

    def after_fork(self) -> None:
        """Called at once in the child."""
        ...


_called_in_children: weakref.WeakSet[_CalledInChildren] = weakref.WeakSet()
_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_safe(lock: _Lock) -> _Lock:
    """Return a lock, and make it free in every forked child, even if a thread held it at the fork.

    That thread does not exist in the child, so nothing would ever release the lock. The lock stays
    an object of Python itself. A class of our own could be interrupted (KeyboardInterrupt) between
    two of its lines, and then stay locked for ever.

    Args:
        lock: A `Lock`, `RLock` or `Event` of `threading`. An RLock that is held by the thread that
            forks stays so.

    >>> lock = fork_safe(threading.Lock())
    >>> with lock:
    ...     pass
    """
    _locks.add(lock)
    return lock


class cached_property(functools.cached_property[_Value]):  # noqa: N801
    """A `functools.cached_property` that works in forked children.

    Until Python 3.11, each cached property has a lock.
    """

    def __init__(self, func: Callable[[Any], _Value]) -> None:
        super().__init__(func)
        if hasattr(self, "lock"):
            fork_safe(self.lock)


def call_in_forked_children(called: _CalledInChildren) -> None:
    """Call `after_fork` of an object in every child that is forked while the object lives."""
    _called_in_children.add(called)


def never_free(*objects: object) -> None:
    """Keep objects until the process ends, and do not free them even then."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _after_fork() -> None:
    for lock in list(_locks):
        if not (isinstance(lock, _RLOCK) and lock._is_owned()):  # type: ignore[attr-defined]
            lock._at_fork_reinit()
    for called in list(_called_in_children):
        called.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_after_fork)
