"""Functions that are called when something happens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

__all__ = ["Callbacks"]


class Callbacks:
    """Functions that are called when something happens, in the order in which they were added.

    If one raises an exception, it is logged, and the next is called.

    Args:
        log: The log for exceptions.
        problem: What the log says about an exception, such as "cannot show the progress".

    >>> callbacks = Callbacks(logging.getLogger(), "cannot print")
    >>> remove = callbacks.add(print)
    >>> callbacks.call("a", "b")
    a b
    >>> remove()
    >>> len(callbacks)
    0
    """

    def __init__(self, log: logging.Logger, problem: str) -> None:
        self._log, self._problem = log, problem
        self._functions: list[Callable[..., object]] = []

    def add(self, function: Callable[..., object]) -> Callable[[], None]:
        """Add a function; return another function, which removes it."""
        self._functions.append(function)

        def remove() -> None:
            with suppress(ValueError):  # removed already
                self._functions.remove(function)

        return remove

    def call(self, *arguments: object) -> None:
        """Call the functions that are there at the beginning of the call."""
        for function in list(self._functions):
            try:
                function(*arguments)
            except Exception:
                self._log.exception(self._problem)

    def clear(self) -> None:
        """Remove all functions."""
        self._functions.clear()

    def __iter__(self) -> Iterator[Callable[..., object]]:
        return iter(list(self._functions))

    def __len__(self) -> int:
        return len(self._functions)
