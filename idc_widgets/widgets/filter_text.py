"""Filters in words, as chips and buttons show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._util import plural
from ..index import column_info

__all__ = ["bound", "in_words", "range_in_words"]

#: So many values of a filter are named.
_NAMED = 3

#: Operators of one series with others of its study, see `Cohort.originals_of`.
_OF_OTHERS = {"originals_of": "Originals of", "derived_from": "Derived from"}


def in_words(column: str, argument: object) -> str:
    """A filter as a person would write it; `argument` as in `Cohort.filters`.

    >>> in_words("series_size_MB", (None, 500)), in_words("Modality", ["CT", None])
    ('Size ≤ 500 MB', 'Modality = CT, (missing)')
    """
    name = column_info(column).label
    if column == "text":
        return f"Text “{argument}”"
    if column == "patients":
        return plural(len(argument), "patient")  # type: ignore[arg-type]
    if column == "uids":
        return _uids(argument)
    if column == "having":
        return "; ".join(map(_having, _each(argument)))
    if column in _OF_OTHERS:
        return f"{_OF_OTHERS[column]}: {' and of '.join(map(_conditions, _each(argument)))}"
    if column == "commercial_use" and isinstance(argument, bool):
        return f"Commercial use {'allowed' if argument else 'not allowed'}"
    if isinstance(argument, tuple):
        if argument == (None, None):
            return f"{name} is not missing"
        return f"{name} {range_in_words(column, *argument)}"
    if _is_lists(argument):  # narrowed more than once: one of each list
        return " and ".join(in_words(column, one) for one in argument)  # type: ignore[attr-defined]
    values = argument if isinstance(argument, list) else [argument]
    if not values:
        return f"{name} = none of its values"
    if column == "analysis_result_id" and values == [None]:
        return "Original images"
    return f"{name} = {_few(column, values)}"


def range_in_words(column: str, low: Any, high: Any) -> str:
    """A range without the name of its column.

    >>> range_in_words("PatientAge", 60, 80), range_in_words("instanceCount", 1000, None)
    ('60 – 80 years', '≥ 1,000')
    """
    first, last = bound(column, low), bound(column, high)
    unit = column_info(column).unit
    unit = unit and f" {unit}"
    if not (first or last):
        return "not missing"
    if first and last:
        return f"{first if first == last else f'{first} – {last}'}{unit}"
    return f"≥ {first}{unit}" if first else f"≤ {last}{unit}"


def bound(column: str, value: Any) -> str:
    """One end of a range, without a unit; an open one is empty."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return _value(column, value)
    if column == "PatientAge" and math.nextafter(value, math.inf).is_integer():
        # Up to, not including, a birthday: one is that old until then.
        value = math.floor(value)
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def _few(column: str, values: list[Any]) -> str:
    named = ", ".join(_value(column, value) for value in values[:_NAMED])
    more = f" and {len(values) - _NAMED:,} more" if len(values) > _NAMED else ""
    return f"{named}{more}"


def _value(column: str, value: object) -> str:
    if value is None:
        return column_info(column).missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


def _uids(argument: object) -> str:
    lists = argument if _is_lists(argument) else [argument]
    words = [
        plural(len(one) if isinstance(one, list) else 1, "UID")
        for one in lists  # type: ignore[attr-defined]
    ]
    return " and ".join(words)


def _having(argument: Mapping[str, Any]) -> str:
    """Studies with CT and SEG."""
    level = {"study": "Studies", "patient": "Patients"}[argument.get("level", "study")]
    parts = []
    for column, values in argument.items():
        if column != "level":
            named = [_value(column, one) for one in _each(values)]
            prefix = "" if column == "Modality" else f"{column_info(column).label} "
            parts.append(prefix + " and ".join(named))
    return f"{level} with {' and '.join(parts)}"


def _conditions(filters: Mapping[str, Any]) -> str:
    return "; ".join(in_words(column, one) for column, one in filters.items()) or "everything"


def _each(argument: Any) -> list[Any]:
    return argument if isinstance(argument, list) else [argument]


def _is_lists(argument: object) -> bool:
    return isinstance(argument, list) and bool(argument) and isinstance(argument[0], list)
