"""Traits whose value is that of the last finished turn, even while a new turn changes it."""

from __future__ import annotations

from typing import Any

from traitlets import Dict, Instance, TraitError, TraitType, Tuple

__all__ = ["SettledDict", "SettledInstance", "SettledTuple"]


class _Settled(TraitType):
    """A mixin for traits whose value is stored by the object that has the trait.

    Reading such a trait calls ``_read(name)`` of the object; assigning calls its
    ``_choose(name, value)``.
    """

    def get(self, obj: Any, _cls: Any = None) -> Any:
        """Return the settled value; traitlets calls this for ``obj.name``."""
        return obj._read(self.name)

    def set(self, obj: Any, value: Any) -> None:
        """Pass a value to the object; traitlets calls this for ``obj.name = value``."""
        if self.read_only:
            raise TraitError(f"{self.name} follows from the choices and cannot be set")
        obj._choose(self.name, self._validate(obj, value))


class SettledInstance(_Settled, Instance):
    """An `Instance` whose value is stored by the object that has the trait; see `_Settled`."""


class SettledTuple(_Settled, Tuple):
    """A `Tuple` whose value is stored by the object that has the trait; see `_Settled`."""


class SettledDict(_Settled, Dict):
    """A `Dict` whose value is stored by the object that has the trait; see `_Settled`."""
