"""The attributes that an object shows to Tab, and the message about one that it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import nearest_choice

__all__ = ["PublicNames"]


class PublicNames:
    """A mixin: `dir` lists what users need, and an unknown attribute raises a helpful error.

    Attributes that are not listed work like all others. Those with two underscores are listed,
    because tools look for them.
    """

    #: Public attributes that only this package uses, or that only experts need.
    _not_listed: ClassVar[frozenset[str]] = frozenset()

    #: Name of an attribute in another library → the call of ours that does the same.
    _names_elsewhere: ClassVar[Mapping[str, str]] = {}

    def __dir__(self) -> Iterable[str]:
        return [
            name
            for name in self._all_names()
            if name.startswith("__") or not (name.startswith("_") or name in self._not_listed)
        ]

    def _all_names(self) -> Iterable[str]:
        return object.__dir__(self)

    if not TYPE_CHECKING:  # a type checker would accept any attribute

        def __getattr__(self, name: str) -> Any:
            """Raise an AttributeError: Python calls this for attributes that do not exist."""
            if hasattr(type(self), name):  # a property raised the AttributeError: raise it again
                return object.__getattribute__(self, name)
            raise AttributeError(_unknown(self, name))


def _unknown(owner: PublicNames, name: str) -> str:
    """Return the message about an unknown attribute."""
    message = f"{type(owner).__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):  # a tool asks whether there is such a method
        return message
    ours = owner._names_elsewhere.get(name)
    if ours is not None:
        return f"{message}; here, it is {ours}"
    nearest = nearest_choice(name, (known for known in dir(owner) if not known.startswith("_")))
    return f"{message}; did you mean {nearest!r}?" if nearest else message
