"""What series can be asked by, beside the plain columns of the index: facets and ranges.

Some are columns of the index, some are worked out from one, some are facts of a series' collection.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "ALIASES",
    "COLLECTION_FACETS",
    "DERIVED_MODALITIES",
    "FACETS",
    "MORE_FACETS",
    "RANGES",
    "TEXT_COLUMNS",
    "Bound",
    "Range",
    "years",
]

Bound: TypeAlias = "str | int | float"

#: Columns that `Cohort.facets` counts by default, in the order they are shown.
FACETS = (
    "collection_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "Manufacturer",
    "license_short_name",
)

#: Columns of the table collections_index, of comma-joined values: each value counts by itself.
COLLECTION_FACETS = ("cancer_types", "tumor_locations", "species", "program_id")

#: The other columns that are counted as quickly as `FACETS`. ``commercial_use`` is worked out:
#: True, or False where the licence has the NonCommercial clause, or missing as the licence is.
MORE_FACETS = (
    *COLLECTION_FACETS,
    "analysis_result_id",
    "commercial_use",
    "ManufacturerModelName",
    "sop_class_name",
    "transfer_syntax_name",
    "series_init_idc_version",
)

#: Other names that people know a column by.
ALIASES = {"program": "program_id"}

#: Columns that the filter ``text`` looks into, beside the names of collections.
TEXT_COLUMNS = (
    "collection_id",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)

#: Modalities of objects that are made from images, and tell something about them (DICOM PS3.3,
#: C.7.3.1.1.1): whatever collection they are in, they are no originals.
DERIVED_MODALITIES = (
    "ANN",
    "KO",
    "M3D",
    "PR",
    "REG",
    "RTDOSE",
    "RTPLAN",
    "RTSTRUCT",
    "RWV",
    "SEG",
    "SR",
)

_AGE = re.compile(r"([0-9]{1,3})([DWMYdwmy]?)", re.ASCII)
#: Unit → days, months or years in one of it, and in a year.
_UNITS = {"D": (1, 365.25), "W": (7, 365.25), "M": (1, 12.0), "Y": (1, 1.0), "": (1, 1.0)}


def years(age: str | None) -> float | None:
    """A DICOM Age String (PS3.5, 6.2: "080Y", "150M", "003W", "012D") in years; else None.

    A number without a unit, of which IDC has some, is read as years.
    """
    match = _AGE.fullmatch(age or "")
    if match is None:
        return None
    in_one, in_a_year = _UNITS[match[2].upper()]
    return int(match[1]) * in_one / in_a_year


@dataclass(frozen=True)
class Range:
    """A column that is asked by from - to, with a histogram.

    Args:
        column: its name.
        sql: its value, as something with an order.
        coarse: the same as an integer of few values, from which bins are chosen.
        edges: bins from the lowest to the highest coarse value (of most series).
    """

    column: str
    sql: str
    coarse: str
    edges: Callable[[int, int, int], list[Bound]]

    def bins(self, counted: Iterable[tuple[int, int]], count: int) -> tuple[Bound, ...]:
        """The edges of `count` bins, from coarse values and how many series have each.

        One series in 200 at each end is left out of view: a date of 1880, a file of 195 GB.
        """
        ordered = sorted(counted)
        margin = sum(series for _, series in ordered) / 200
        if not ordered:
            return ()
        low = _reached(ordered, margin)
        return tuple(self.edges(low, max(low, _reached(ordered[::-1], margin)), count))


def _reached(counted: Iterable[tuple[int, int]], margin: float) -> int:
    """The first value at which more than `margin` series were passed."""
    total = 0
    for value, series in counted:
        total += series
        if total > margin:
            return value
    raise AssertionError("the margin is less than all series")


def _year_edges(low: int, high: int, count: int) -> list[Bound]:
    step = max(1, math.ceil((high + 1 - low) / count))
    return [low + at * step for at in range(count + 1)]


def _date_edges(low: int, high: int, count: int) -> list[Bound]:
    step = max(1, math.ceil((high + 1 - low) * 12 / count))  # in months
    first, last = 12, 9999 * 12 + 11  # there is no date before year 1, nor after year 9999
    months = [min(max(low * 12 + at * step, first), last) for at in range(count + 1)]
    return [datetime.date(month // 12, month % 12 + 1, 1).isoformat() for month in months]


def _geometric(low: int, high: int, count: int) -> list[float]:
    """From 10^(low/10) to 10^((high+1)/10), by equal factors."""
    return [10 ** ((low + (high + 1 - low) * at / count) / 10) for at in range(count + 1)]


def _size_edges(low: int, high: int, count: int) -> list[Bound]:
    digits = 2 if high - low >= count else 6  # enough to tell neighbours apart
    return [float(f"{edge:.{digits}g}") for edge in _geometric(low, high, count)]


def _count_edges(low: int, high: int, count: int) -> list[Bound]:
    edges: list[Bound] = []
    for edge in _geometric(low, high, count):
        rounded = float(f"{edge:.2g}")
        edges.append(max(math.ceil(rounded), int(edges[-1]) + 1) if edges else int(rounded))
    return edges


def _coarse_log(column: str) -> str:
    return f"CAST(CASE WHEN {column} > 0 THEN floor(log10({column}) * 10) END AS BIGINT)"


# For every database: Java's $ takes a line's end as well, and numbers without an exponent may be
# decimals, of which a seventh is rounded.
_AGE_SQL = (
    "CASE WHEN regexp_matches(PatientAge, '^[0-9]{1,3}[DWMYdwmy]?\\z') THEN"
    " CAST(rtrim(upper(PatientAge), 'DWMY') AS DOUBLE)"
    " * CASE upper(right(PatientAge, 1)) WHEN 'W' THEN 7e0 ELSE 1e0 END"
    " / CASE upper(right(PatientAge, 1))"
    " WHEN 'D' THEN 365.25e0 WHEN 'W' THEN 365.25e0 WHEN 'M' THEN 12e0 ELSE 1e0 END END"
)


def _dates(column: str) -> Range:
    # 1900 is what de-identification puts where it takes a date away: 18,000 series of IDC v25.
    year = f"TRY_CAST(substr({column}, 1, 4) AS BIGINT)"
    return Range(column, column, f"CASE WHEN {year} <> 1900 THEN {year} END", _date_edges)


#: The columns with a histogram. An age is in years, a size in MB, a date ISO 8601.
RANGES: Mapping[str, Range] = {
    "PatientAge": Range("PatientAge", _AGE_SQL, f"CAST(floor({_AGE_SQL}) AS BIGINT)", _year_edges),
    "StudyDate": _dates("StudyDate"),
    "SeriesDate": _dates("SeriesDate"),
    "series_size_MB": Range(
        "series_size_MB", "series_size_MB", _coarse_log("series_size_MB"), _size_edges
    ),
    "instanceCount": Range(
        "instanceCount", "instanceCount", _coarse_log("instanceCount"), _count_edges
    ),
}
