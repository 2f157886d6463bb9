"""Refuses to assign attributes, and to observe traits, to which nothing listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from traitlets import All, HasTraits

from ..errors import nearest_choice
from ..query import KEYWORDS

__all__ = ["StrictAttributes"]


class StrictAttributes:
    """A mixin for objects whose attributes are fixed once they are made.

    Python would accept ``browser.collection_id = "nlst"``, and nothing would happen. A subclass may
    add attributes in its class and in its ``__init__``, and private ones (``_name``) at any time.

    The mixin comes before the base class: ``class SearchBox(StrictAttributes, AnyWidget)``.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in vars(cls):
            cls.__init__ = _strict_afterwards(cls.__init__)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        Raises:
            AttributeError: The object has no such attribute; the message names the nearest.
        """
        if not (
            name.startswith("_")
            or hasattr(type(self), name)
            or not vars(self).get("_is_strict", False)
            or name in vars(self)
        ):
            raise AttributeError(self._no_such("attribute", name))
        super().__setattr__(name, value)

    def observe(
        self,
        handler: Callable[[Any], object],
        names: Any = All,
        type: Any = "change",  # noqa: A002
    ) -> None:
        """Call `handler` after each change of these traits; see `HasTraits.observe`.

        Raises:
            AttributeError: The object has no such trait; the message names the nearest.
        """
        listed: Any = [names] if isinstance(names, str) or names is All else names
        for name in listed:
            if name is not All and not self.has_trait(name):  # type: ignore[attr-defined]
                raise AttributeError(self._no_such("trait", name))
        super().observe(handler, names, type)  # type: ignore[misc]

    def _no_such(self, kind: str, name: str) -> str:
        """Return the message for an attribute or a trait that the object lacks."""
        message = f"{type(self).__name__} has no {kind} {name!r}"
        state = vars(self).get("state")
        if kind == "trait" and isinstance(state, HasTraits) and state.has_trait(name):
            return f"{message}; its state has: use .state.observe(..., {name!r})"
        if hasattr(type(self), name):
            return f"{message}: {name} is an attribute that cannot be observed"
        choices = sorted(_assignable(type(self)) if kind == "attribute" else self._public_traits())
        if name in KEYWORDS and "filters" in choices:
            return f"{message}; to filter, assign .filters = .filters.where({name}=...)"
        near = nearest_choice(name, choices)
        if near is not None:
            return f"{message}; did you mean {near!r}?"
        return f"{message}; it has {', '.join(choices)}"

    def _public_traits(self) -> Iterator[str]:
        """Yield the public traits that our classes define."""
        return (name for name in _assignable(type(self)) if self.has_trait(name))  # type: ignore[attr-defined]


def _assignable(cls: type) -> Iterator[str]:
    """Yield the public traits and properties that our classes define."""
    for base in cls.__mro__:
        if base.__module__.startswith(__package__):
            for name, member in vars(base).items():
                if not name.startswith("_") and hasattr(member, "__set__"):
                    yield name


def _strict_afterwards(init: Callable[..., None]) -> Callable[..., None]:
    """Make an object strict when its outermost `__init__` has ended."""

    @wraps(init)
    def made(self: Any, *args: Any, **keywords: Any) -> None:
        attributes = vars(self)
        if "_is_strict" in attributes:  # called by the __init__ of a subclass
            init(self, *args, **keywords)
            return
        attributes["_is_strict"] = False
        init(self, *args, **keywords)
        attributes["_is_strict"] = True

    return made
