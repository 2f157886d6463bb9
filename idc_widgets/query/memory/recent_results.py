"""A small cache of the most recently used results."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from ..._util import fork_safe

__all__ = ["Recent"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """A cache of the most recently used results. Safe to use from any thread.

    Keys must be hashable.

    Args:
        limit: The number of results to keep.

    >>> squares = Recent(limit=2)
    >>> squares.get(3, lambda: 9), squares.get(3, lambda: 0)
    (9, 9)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = fork_safe(threading.Lock())

    def get(self, key: _Key, make: Callable[[], _Value]) -> _Value:
        """Return the result for a key; make it if it is not kept.

        If several threads need the same result at the same time, each of them may make it.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all results."""
        with self._lock:
            self._values.clear()
