"""Values that are made once, by the thread that needs them first or by one that works ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..._util import fork_safe

__all__ = ["WORKER_NAME", "Once", "make_ahead"]

_Value = TypeVar("_Value")

#: The name of the threads that `make_ahead` starts.
WORKER_NAME = "idc_widgets: read the index"


class Once(Generic[_Value]):
    """A value that is made at its first use. Safe to use from any thread, and in forked children.

    If making it raises an error, the next use tries again.

    Args:
        make: Makes the value. It is freed afterwards, with all that it refers to.

    >>> answer = Once(lambda: 6 * 7)
    >>> answer.get()
    42
    """

    def __init__(self, make: Callable[[], _Value]) -> None:
        self._make: Callable[[], _Value] | None = make
        self._value: _Value | None = None
        self._lock = fork_safe(threading.Lock())

    def get(self) -> _Value:
        """Return the value; make it, or wait for the thread that makes it."""
        if self._make is not None:
            with self._lock:
                if self._make is not None:
                    self._value = self._make()
                    self._make = None
        return self._value  # type: ignore[return-value]


def make_ahead(values: Iterable[Once[Any]], at_the_end: Callable[[], None]) -> None:
    """Start a thread that makes values in this order, so that others need not wait for them.

    The thread ends early if a value cannot be made, or if the program ends: whoever needs a value
    then makes it, or gets the error.

    Args:
        values: The values.
        at_the_end: Called in the thread when it has ended its work.
    """

    def work() -> None:
        with suppress(Exception):
            for value in values:
                if not threading.main_thread().is_alive():
                    return
                value.get()
        at_the_end()

    with suppress(RuntimeError):  # the system starts no more threads
        threading.Thread(target=work, name=WORKER_NAME).start()
