"""Traits that read as the value of the last finished turn, even while a turn changes them."""

from __future__ import annotations

from typing import Any

from traitlets import Dict, Instance, TraitError, TraitType, Tuple

__all__ = ["SettledDict", "SettledInstance", "SettledTuple"]


class _Settled(TraitType):
    """A mixin for traits whose values the owner keeps.

    Reading such a trait calls the owner's ``_read(name)``; assigning calls its
    ``_choose(name, value)``.
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
    """An `Instance` whose value the owner keeps; see `_Settled`."""


class SettledTuple(_Settled, Tuple):
    """A `Tuple` whose value the owner keeps; see `_Settled`."""


class SettledDict(_Settled, Dict):
    """A `Dict` whose value the owner keeps; see `_Settled`."""
