"""What help and Tab show of the methods that take filters as keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from ..errors import InvalidQueryError
from .where_parser import KEYWORDS, Filtered

__all__ = ["refuse_positional", "takes_filters"]

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


def refuse_positional(name: str, given: Sequence[object]) -> None:
    """Refuse filters that are not keyword arguments.

    Args:
        name: The name of the method.
        given: The positional arguments.

    Raises:
        InvalidQueryError: There is one; the message says how to write it.
    """
    if given:
        _refuse(name, given[0])


def _refuse(name: str, given: object) -> NoReturn:
    shown = repr(given) if isinstance(given, (str, Mapping)) else type(given).__name__
    problem = f"{name}({shown[:200]}): filters are keyword arguments"
    if isinstance(given, Filtered):
        operator = "a - b" if name == "exclude" else "a & b"
        raise InvalidQueryError(f"{problem}; to combine two cohorts, write {operator}")
    if isinstance(given, Mapping):
        raise InvalidQueryError(f"{problem}; pass the dict with two stars: {name}(**filters)")
    raise InvalidQueryError(
        f"{problem}, such as {name}(Modality='CT', instanceCount=(100, None)); "
        "for a condition in SQL, call client.sql(...)"
    )
