"""Ranges: the columns that can be filtered by a range, and the bins of their histograms."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["RANGES", "Bound", "Range", "age_in_years"]

Bound: TypeAlias = "str | int | float"

_AGE = re.compile(r"([0-9]{1,3})([DWMYdwmy]?)", re.ASCII)
#: Unit of an age → the length of the unit, and the length of a year. Both are in days for "D" and
#: "W", in months for "M", and in years for "Y" and "" (no unit).
_AGE_UNITS = {"D": (1, 365.25), "W": (7, 365.25), "M": (1, 12.0), "Y": (1, 1.0), "": (1, 1.0)}


def age_in_years(age: str | None) -> float | None:
    """Return a DICOM Age String (PS3.5, 6.2, such as "080Y" or "003W") in years.

    A number without a unit, as some series of IDC have it, is read as years. Other texts give None.

    >>> age_in_years("018M"), age_in_years("60"), age_in_years("unknown")
    (1.5, 60.0, None)
    """
    match = _AGE.fullmatch(age or "")
    if match is None:
        return None
    per_unit, per_year = _AGE_UNITS[match[2].upper()]
    return int(match[1]) * per_unit / per_year


@dataclass(frozen=True)
class Range:
    """A column that can be filtered by a range and has a histogram.

    Args:
        column: Its name.
        sql: The SQL expression of its value in a form that can be ordered.
        coarse: The SQL expression of its value as an integer with few distinct values. The bins are
            computed from these integers.
        edges: A function that takes the lowest and the highest coarse value and the number of bins,
            and returns the edges of the bins.
        ends: A function that takes pairs (coarse value, number of series) in ascending order, and
            returns the lowest and the highest coarse value to pass to `edges`. Values beyond these
            two are counted in the outer bins.
    """

    column: str
    sql: str
    coarse: str
    edges: Callable[[int, int, int], list[Bound]]
    ends: Callable[[list[tuple[int, int]]], tuple[int, int]]

    def bins(self, counted: Iterable[tuple[int, int]], count: int) -> tuple[Bound, ...]:
        """Return the ``count + 1`` edges of the bins; none if there are no values.

        Some values may be outside of all bins, such as an age of 999 years.

        Args:
            counted: Pairs of a coarse value and the number of its series.
            count: The number of bins.
        """
        ordered = sorted(counted)
        return tuple(self.edges(*self.ends(ordered), count)) if ordered else ()


def _without_extremes(counted: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the lowest and highest value without the extremes: one series in 200 at each end."""
    margin = sum(series for _, series in counted) / 200
    low = _first_beyond(counted, margin)
    return low, max(low, _first_beyond(counted[::-1], margin))


def _first_beyond(counted: Iterable[tuple[int, int]], margin: float) -> int:
    """Return the first value at which the running total of series exceeds `margin`."""
    total = 0
    for value, series in counted:
        total += series
        if total > margin:
            return value
    raise AssertionError("the margin is smaller than the number of all series")


def _shortest_with_most(counted: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the lowest and highest value of the shortest range that has nine series in ten.

    De-identification moves dates by decades, so equal bins for all dates would be 75 months wide.

    >>> _shortest_with_most([(1901, 9), (1999, 50), (2001, 40), (2026, 1)])
    (1999, 2001)
    """
    least = 0.9 * sum(series for _, series in counted)
    first, held, best = 0, 0, (counted[0][0], counted[-1][0])
    for value, series in counted:
        held += series
        while held - counted[first][1] >= least:
            held -= counted[first][1]
            first += 1
        low = counted[first][0]
        if held >= least and value - low < best[1] - best[0]:
            best = (low, value)
    return best


def _year_edges(low: int, high: int, count: int) -> list[Bound]:
    step = max(1, math.ceil((high + 1 - low) / count))
    return [low + number * step for number in range(count + 1)]


def _date_edges(low: int, high: int, count: int) -> list[Bound]:
    step = max(1, math.ceil((high + 1 - low) * 12 / count))  # in months
    first, last = 12, 9999 * 12 + 11  # Python has no date before year 1 or after year 9999
    months = [min(max(low * 12 + number * step, first), last) for number in range(count + 1)]
    return [datetime.date(month // 12, month % 12 + 1, 1).isoformat() for month in months]


def _geometric(low: int, high: int, count: int) -> list[float]:
    """Return edges from 10^(low/10) to 10^((high+1)/10) by equal factors."""
    return [10 ** ((low + (high + 1 - low) * number / count) / 10) for number in range(count + 1)]


def _size_edges(low: int, high: int, count: int) -> list[Bound]:
    digits = 2 if high - low >= count else 6  # enough to distinguish neighbors
    return [float(f"{edge:.{digits}g}") for edge in _geometric(low, high, count)]


def _count_edges(low: int, high: int, count: int) -> list[Bound]:
    edges: list[Bound] = []
    for edge in _geometric(low, high, count):
        rounded = float(f"{edge:.2g}")
        edges.append(max(math.ceil(rounded), int(edges[-1]) + 1) if edges else int(rounded))
    return edges


def _coarse_log(column: str) -> str:
    return f"CAST(CASE WHEN {column} > 0 THEN floor(log10({column}) * 10) END AS BIGINT)"


# This SQL runs on every database. It has "\z" because "$" also matches before a final line end in
# Java's regular expressions, and "7e0" because 7 may be a decimal, whose quotients are rounded.
_AGE_SQL = (
    "CASE WHEN regexp_matches(PatientAge, '^[0-9]{1,3}[DWMYdwmy]?\\z') THEN"
    " CAST(rtrim(upper(PatientAge), 'DWMY') AS DOUBLE)"
    " * CASE upper(right(PatientAge, 1)) WHEN 'W' THEN 7e0 ELSE 1e0 END"
    " / CASE upper(right(PatientAge, 1))"
    " WHEN 'D' THEN 365.25e0 WHEN 'W' THEN 365.25e0 WHEN 'M' THEN 12e0 ELSE 1e0 END END"
)


def _date_range(column: str) -> Range:
    # De-identification replaces dates with the year 1900: 18,000 series of IDC v25.
    year = f"TRY_CAST(substr({column}, 1, 4) AS BIGINT)"
    return Range(
        column,
        column,
        f"CASE WHEN {year} <> 1900 THEN {year} END",
        _date_edges,
        _shortest_with_most,
    )


#: The columns with a histogram. Ages are in years, sizes in MB, dates in ISO 8601.
RANGES: Mapping[str, Range] = {
    "PatientAge": Range(
        "PatientAge",
        _AGE_SQL,
        f"CAST(floor({_AGE_SQL}) AS BIGINT)",
        _year_edges,
        _without_extremes,
    ),
    "StudyDate": _date_range("StudyDate"),
    "SeriesDate": _date_range("SeriesDate"),
    "series_size_MB": Range(
        "series_size_MB",
        "series_size_MB",
        _coarse_log("series_size_MB"),
        _size_edges,
        _without_extremes,
    ),
    "instanceCount": Range(
        "instanceCount",
        "instanceCount",
        _coarse_log("instanceCount"),
        _count_edges,
        _without_extremes,
    ),
}
