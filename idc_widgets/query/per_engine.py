"""Values that are computed once per engine and kept for as long as the engine lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from .._util import fork_safe
from .engine import Engine

__all__ = ["PerEngine"]

_Engine = TypeVar("_Engine", bound=Engine)
_Value = TypeVar("_Value")


class PerEngine(Generic[_Engine, _Value]):
    """A value per engine, computed at the first access.

    The keys are weak, so that a value disappears together with its engine. So the value must not
    hold a strong reference to the engine. Safe to use from any thread.

    Args:
        make: Computes the value of an engine.

    >>> names = PerEngine(lambda engine: engine.data_version.upper())
    >>> class Example:
    ...     data_version = "v25"
    >>> engine = Example()
    >>> names.get(engine) is None
    True
    >>> names.of(engine)
    'V25'
    >>> names.get(engine)
    'V25'
    """

    def __init__(self, make: Callable[[_Engine], _Value]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[_Engine, _Value] = WeakKeyDictionary()
        self._lock = fork_safe(threading.Lock())

    def get(self, engine: _Engine) -> _Value | None:
        """Return the value of an engine, or None if it has not been computed yet."""
        return self._values.get(engine)

    def of(self, engine: _Engine) -> _Value:
        """Return the value of an engine; compute it if this is the first call.

        If several threads call this at once, one of them computes and the others wait.
        """
        value = self._values.get(engine)
        if value is None:
            with self._lock:
                value = self._values.get(engine)
                if value is None:
                    value = self._values[engine] = self._make(engine)
        return value
