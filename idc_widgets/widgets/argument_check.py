"""A check of keyword arguments: ipywidgets ignores misspelled ones, ours raise."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import nearest_choice

__all__ = ["check_keywords"]


def check_keywords(owner: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise TypeError if there is a keyword argument that the owner does not have.

    Args:
        owner: The class that got the arguments.
        given: The names of the arguments.
        allowed: The names that the class has.

    Raises:
        TypeError: A name is not allowed; the message has the nearest allowed one, or all.

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
