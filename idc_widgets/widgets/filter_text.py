"""Filters as text, as chips and buttons show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._util import and_more, as_list, plural
from ..index import LEVELS, column_info

__all__ = ["bound_text", "filter_text", "filter_texts", "range_text"]

#: The number of values that are spelled out before "and N more".
MAX_NAMED_VALUES = 3

#: Special keywords of `Cohort.where`. If one is excluded, the text is not "all but these values".
_SPECIAL = ("text", "uids", "patients", "having", "any_of", "part", "ranked")

#: Keyword of a fact that is true or false → the text if it is true, and the text if it is false.
_FACTS = {
    "commercial_use": ("Commercial use allowed", "Commercial use not allowed"),
    "original": (column_info("original").label, "Derived from images"),
}


def filter_text(column: str, argument: object) -> str:
    """Return a filter as a person would write it.

    Args:
        column: A column or special keyword of `Cohort.where`.
        argument: The argument, as in `Cohort.filters`.

    >>> filter_text("series_size_MB", (None, 500))
    'Size ≤ 500 MB'
    >>> filter_text("Modality", ["CT", None])
    'Modality = CT, (missing)'
    """
    if column == "exclude":
        return "; ".join(filter_texts({column: argument}).values())
    if column == "text":
        return f"Text “{argument}”"
    if column == "patients":
        return plural(len(argument), "patient")  # type: ignore[arg-type]
    if column == "uids":
        return _uids_text(argument)
    if column == "having":
        return _having_text(as_list(argument))
    if column == "any_of":
        return _any_of_text(argument)
    if column == "part":
        return " and ".join(map(_part_text, as_list(argument)))
    if column == "ranked":
        return " and ".join(map(_ranked_text, as_list(argument)))
    if column in _FACTS and isinstance(argument, bool):
        return _FACTS[column][not argument]
    label = column_info(column).label
    if isinstance(argument, tuple):
        if argument == (None, None):
            return f"{label} is not missing"
        return f"{label} {range_text(column, *argument)}"
    if _is_list_of_lists(argument):  # the cohort was narrowed more than once
        return " and ".join(filter_text(column, values) for values in argument)  # type: ignore[attr-defined]
    values = as_list(argument)
    if not values:
        return f"{label} = none of its values"
    return f"{label} = {_values_text(column, values)}"


def filter_texts(filters: Mapping[str, Any]) -> dict[str, str]:
    """Return column or special keyword → its filter as text.

    Args:
        filters: The filters, as in `Cohort.filters`. What ``exclude`` has about a column belongs
            to that column.

    >>> filter_texts({"Modality": "CT", "exclude": {"species": "Human"}})
    {'Modality': 'Modality = CT', 'species': 'Species: all but Human'}
    """
    parts = {
        column: [filter_text(column, argument)]
        for column, argument in filters.items()
        if column != "exclude"
    }
    for excluded in as_list(filters.get("exclude", [])):
        for column, argument in excluded.items():
            parts.setdefault(column, []).append(_excluded_text(column, argument))
    return {column: " and ".join(texts) for column, texts in parts.items()}


def range_text(column: str, low: Any, high: Any) -> str:
    """Return a range without the name of its column; None is an open end.

    >>> range_text("PatientAge", 60, 80), range_text("instanceCount", 1000, None)
    ('60 – 80 years', '≥ 1,000')
    """
    first, last = bound_text(column, low), bound_text(column, high)
    unit = column_info(column).unit
    unit = unit and f" {unit}"
    if not (first or last):
        return "not missing"
    if first and last:
        return f"{first if first == last else f'{first} – {last}'}{unit}"
    return f"≥ {first}{unit}" if first else f"≤ {last}{unit}"


def bound_text(column: str, value: Any) -> str:
    """Return one end of a range as text, without a unit; empty if the end is open.

    >>> bound_text("series_size_MB", 1234.5), bound_text("StudyDate", "2010-04-01")
    ('1,234.5', '2010-04-01')
    """
    if value is None:
        return ""
    if not isinstance(value, float):
        return _value_text(column, value)
    if column == "PatientAge" and math.nextafter(value, math.inf).is_integer():
        # The range ends just before a birthday; until then, the age is one year less.
        value = math.floor(value)
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def _excluded_text(column: str, argument: object) -> str:
    """Return what is excluded as text, such as "Modality: all but SR, SEG"."""
    values = as_list(argument)
    if column in _SPECIAL or _is_list_of_lists(argument):
        return f"Not: {filter_text(column, argument)}"
    label = column_info(column).label
    if argument == (None, None):
        return f"{label} is missing"
    if isinstance(argument, tuple):
        return f"{label}: all but {range_text(column, *argument)}"
    return f"{label}: all but {_values_text(column, values)}"


def _values_text(column: str, values: list[Any], separator: str = ", ") -> str:
    named = separator.join(_value_text(column, value) for value in values[:MAX_NAMED_VALUES])
    more = len(values) - MAX_NAMED_VALUES
    return named + and_more(more, " and {} more")


def _value_text(column: str, value: object) -> str:
    if value is None:
        return column_info(column).missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


def _uids_text(argument: object) -> str:
    lists = argument if _is_list_of_lists(argument) else [as_list(argument)]
    return " and ".join(plural(len(uids), "UID") for uids in lists)  # type: ignore[attr-defined]


def _having_text(clauses: list[Mapping[str, Any]]) -> str:
    """Return the series that studies or patients must have, such as "Studies with CT and SEG"."""
    parts: dict[str, list[str]] = {}
    for clause in clauses:
        filters = {column: argument for column, argument in clause.items() if column != "level"}
        rows = LEVELS[clause.get("level", "study")].plural.capitalize()
        parts.setdefault(rows, []).append(_series_text(filters))
    return "; ".join(f"{rows} with {' and '.join(texts)}" for rows, texts in parts.items())


def _series_text(filters: Mapping[str, Any]) -> str:
    """Return filters that describe one series, such as "SEG or RTSTRUCT"."""
    modality = filters.get("Modality")
    if list(filters) == ["Modality"] and not isinstance(modality, tuple):
        return _values_text("Modality", as_list(modality), " or ")
    return f"a series ({_filters_text(filters)})"


def _any_of_text(argument: Any) -> str:
    if _is_list_of_lists(argument):  # the cohort was narrowed more than once
        return " and ".join(f"({_any_of_text(alternatives)})" for alternatives in argument)
    named = [
        text if len(filters) == 1 else f"({text})"
        for filters in argument[:MAX_NAMED_VALUES]
        for text in [_filters_text(filters)]
    ]
    more = len(argument) - MAX_NAMED_VALUES
    return " or ".join([*named, f"{more:,} more"] if more > 0 else named) or "No series"


def _part_text(part: Mapping[str, Any]) -> str:
    """Return a random part, such as "Random part of the patients (0 – 80 %)"."""
    rows = LEVELS.get(part["by"], LEVELS["patient"]).plural
    if "range" in part:
        low, high = (f"{100 * end:.4g}" for end in part["range"])
        return f"Random part of the {rows} ({low} – {high} %)"
    label = column_info(part["stratify"]).label
    return f"Random part of the {rows} per {label} ({_filters_text(part['of'])})"


def _ranked_text(ranking: Mapping[str, Any]) -> str:
    """Return a ranking, such as "Latest study per patient (Modality = CT)"."""
    order, count = ranking["order"].capitalize(), ranking["n"]
    rows = plural(count, "series" if order == "Largest" else "study")
    by = f" by {column_info(ranking['by']).label}" if order == "Largest" else ""
    return f"{order} {rows} per {ranking['per']}{by} ({_filters_text(ranking['of'])})"


def _filters_text(filters: Mapping[str, Any]) -> str:
    return "; ".join(filter_texts(filters).values()) or "everything"


def _is_list_of_lists(argument: object) -> bool:
    return isinstance(argument, list) and bool(argument) and isinstance(argument[0], list)
