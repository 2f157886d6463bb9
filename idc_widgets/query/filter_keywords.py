"""The keywords that filters have, and what help and Tab show of the methods that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ..index import ALIASES, COLLECTION_FACETS, COLUMNS

__all__ = ["FILTER_NAMES", "KEYWORDS", "takes_filters"]

#: The keywords of `Cohort.where` that are not columns. `query/where_parser.py` has a parser for
#: each. They are listed here, so that opening a client need not import the parsers.
_SPECIAL_NAMES = (
    *("text", "uids", "patients", "commercial_use", "original"),
    *("having", "any_of", "part", "ranked", "exclude"),
)

#: The keywords that `Cohort.where` takes, without aliases.
FILTER_NAMES = (*COLUMNS, *COLLECTION_FACETS, *_SPECIAL_NAMES)

#: The keywords that `Cohort.where` takes.
KEYWORDS = (*FILTER_NAMES, *ALIASES)

_Method = TypeVar("_Method", bound=Callable[..., Any])


class _NotGiven:
    """The default of a filter in a signature. None would stand for a missing value."""

    def __repr__(self) -> str:
        return "..."


_NOT_GIVEN = _NotGiven()


def takes_filters(method: _Method) -> _Method:
    """Give a method a signature that names every filter, so that Tab offers them.

    The signature hides ``*_given``, which only catches filters that are not keywords.
    """
    signature = inspect.signature(method)
    *own, others = (
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    )
    taken = [parameter.name for parameter in own]
    filters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_NOT_GIVEN)
        for name in KEYWORDS
        if name not in taken
    ]
    method.__signature__ = signature.replace(parameters=[*own, *filters, others])  # type: ignore[attr-defined]
    return method
