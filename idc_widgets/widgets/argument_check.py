"""Misspelt keyword arguments: ipywidgets would take them in silence, ours name the nearest."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import nearest

__all__ = ["check_keywords"]


def check_keywords(owner: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuses keyword arguments that `owner` does not have.

    >>> check_keywords("FacetPanel", {"colums": ()}, ["columns", "layout"])
    Traceback (most recent call last):
    TypeError: FacetPanel has no argument 'colums'; did you mean 'columns'?

    Raises:
        TypeError: names the first unknown one and the nearest allowed one, else all allowed.
    """
    choices = sorted(allowed)
    for name in given:
        if name not in choices:
            near = nearest(name, choices)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(choices)}"
            raise TypeError(f"{owner} has no argument {name!r}; {hint}")
