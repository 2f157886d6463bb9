"""Traits that read as the value of the last finished turn, even while a turn changes them."""

from __future__ import annotations

from typing import Any

from traitlets import Dict, Instance, TraitError, TraitType, Tuple

__all__ = ["SettledDict", "SettledInstance", "SettledTuple"]


class _Settled(TraitType):
    """A mixin for trait types: the owner decides what reading and assigning mean.

    The owner provides ``_read(name)`` and ``_choose(name, value)``.
    """

    def get(self, obj: Any, _cls: Any = None) -> Any:
        """Return the settled value; traitlets calls this for ``obj.name``."""
        return obj._read(self.name)

    def set(self, obj: Any, value: Any) -> None:
        """Pass a value to the owner; traitlets calls this for ``obj.name = value``."""
        if self.read_only:
            raise TraitError(f"{self.name} follows from the choices and cannot be set")
        obj._choose(self.name, self._validate(obj, value))


class SettledInstance(_Settled, Instance):
    """An `Instance` whose owner decides what reading and assigning mean."""


class SettledTuple(_Settled, Tuple):
    """A `Tuple` whose owner decides what reading and assigning mean."""


class SettledDict(_Settled, Dict):
    """A `Dict` whose owner decides what reading and assigning mean."""
