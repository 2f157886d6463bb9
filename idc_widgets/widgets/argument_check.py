"""Refuses misspelled keyword arguments, which ipywidgets would ignore."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import nearest_choice

__all__ = ["check_keywords"]


def check_keywords(owner: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Check that a class has all the keyword arguments that it was given.

    Args:
        owner: The class that got the arguments.
        given: The names of the arguments.
        allowed: The names that the class has.

    Raises:
        TypeError: A name is not allowed; the message has the nearest allowed name, or all of them.

    >>> check_keywords("FacetPanel", {"colums": ()}, ["columns", "layout"])
    Traceback (most recent call last):
    TypeError: FacetPanel has no argument 'colums'; did you mean 'columns'?
    """
    choices = sorted(allowed)
    for name in given:
        if name not in choices:
            near = nearest_choice(name, choices)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(choices)}"
            raise TypeError(f"{owner} has no argument {name!r}; {hint}")
