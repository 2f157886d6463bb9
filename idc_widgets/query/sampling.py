"""Random parts of the patients, studies or series: the conditions behind `sample` and `split`.

A unit (patient, study or series) is in a part if the hash of its key lies in a range from 0 to 1.
The hash is the beginning of an MD5 digest, which every database computes alike. So parts are the
same everywhere, they stay the same when other units are added, and they take little SQL.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .condition import PATIENT_KEY_SQL, Conjunction, EveryClause
from .engine import Bind, Scalar
from .exclusion import filters_of
from .matching import conjunction

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["HASH_VALUES", "UNITS", "HashRange", "InPart", "StratumRanges", "short_hash_sql"]

#: Kind of unit → the SQL of its key. With "PatientID", the same PatientID in two collections is one
#: unit, as it may be the same person.
UNITS: Mapping[str, str] = {
    "patient": PATIENT_KEY_SQL,
    "PatientID": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
}

#: The number of hexadecimal digits of a digest that count.
_DIGITS = 13

#: The number of possible hashes. A hash divided by this number is a float without rounding error.
HASH_VALUES = 1 << 4 * _DIGITS


@dataclass(frozen=True)
class HashRange:
    """Units whose hash is in a half-open range.

    Args:
        by: One of `UNITS`.
        random_state: A number that is hashed together with the key; another number gives other
            hashes.
        low: The lower end, from 0 to 1, which is included.
        high: The upper end, which is excluded.
    """

    by: str
    random_state: int
    low: float
    high: float

    def sql(self, bind: Bind) -> str:
        """Return SQL that compares the digests as texts."""
        return _within_sql(UNITS[self.by], self.random_state, self.low, self.high, bind)

    def mask(self, memory: MemoryIndex) -> Mask | None:
        """Return the mask; None if the hashes of these units are not computed in memory."""
        if self.by == "series":
            return None
        from .memory import mask_of_hashes, unit_hashes

        hashes = unit_hashes(memory, self.by, self.random_state)
        is_wanted = (hashes >= _bound(self.low)) & (hashes < _bound(self.high))
        return mask_of_hashes(memory, self.by, is_wanted)

    def argument(self) -> dict[str, object]:
        """Return the range as `InPart.argument` has it."""
        range_ = (self.low, self.high)
        return {"by": self.by, "random_state": self.random_state, "range": range_}


@dataclass(frozen=True)
class StratumRanges:
    """Units whose hash is in the range of their stratum.

    The stratum of a unit is the lowest value of a column among its series; None if all are missing.

    Args:
        by: See `HashRange`.
        random_state: See `HashRange`.
        column: The column that divides the units into strata.
        source: The conditions of the series that are divided. Only these are in the part.
        ranges: For each stratum, its value and the ends of its range.
    """

    by: str
    random_state: int
    column: str
    source: Conjunction
    ranges: tuple[tuple[Scalar, float, float], ...]

    def sql(self, bind: Bind) -> str:
        """Return SQL with a subquery that groups the series by unit."""
        key = UNITS[self.by]
        source = conjunction(self.source, bind)
        parts = []
        rows = conjunction(self.source, bind)
        for value, low, high in self.ranges:
            is_stratum = f"stratum = {bind(value)}" if value is not None else "stratum IS NULL"
            within = _within_sql("unit", self.random_state, low, high, bind)
            parts.append(f"({is_stratum} AND {within})")
        units = f"SELECT {key} AS unit, min({self.column}) AS stratum FROM index WHERE {rows}"
        chosen = (
            f"SELECT unit FROM ({units} GROUP BY 1) AS units WHERE {' OR '.join(parts) or 'FALSE'}"
        )
        return f"({source}) AND {key} IN ({chosen})"

    def mask(self, memory: MemoryIndex) -> Mask | None:
        """Return None: the mask is made by SQL, and then kept."""

    def argument(self) -> dict[str, object]:
        """Return the ranges as `InPart.argument` has them."""
        return {
            "by": self.by,
            "random_state": self.random_state,
            "stratify": self.column,
            "ranges": list(self.ranges),
            "of": filters_of(self.source),
        }


@dataclass(frozen=True)
class InPart(EveryClause):
    """Series of the units that are in every one of some random parts.

    Args:
        clauses: The parts.
    """

    clauses: tuple[HashRange | StratumRanges, ...]
    column: str = field(default="part", init=False)

    def and_(self, other: InPart) -> InPart:
        """Return a condition with all parts. Ranges of the same hash are intersected."""
        ranges: dict[tuple[str, int], HashRange] = {}
        strata: set[StratumRanges] = set()
        for clause in (*self.clauses, *other.clauses):
            if isinstance(clause, StratumRanges):
                strata.add(clause)
                continue
            key = clause.by, clause.random_state
            earlier = ranges.get(key, clause)
            low = max(earlier.low, clause.low)
            ranges[key] = HashRange(*key, low, max(low, min(earlier.high, clause.high)))
        return InPart(tuple(sorted((*ranges.values(), *strata), key=repr)))


def short_hash_sql(key: str, random_state: int, bind: Bind) -> str:
    """Return the SQL of the hash of a key, as a text of hexadecimal digits."""
    return f"substr({_digest_sql(key, random_state, bind)}, 1, {_DIGITS})"


def _digest_sql(key: str, random_state: int, bind: Bind) -> str:
    return f"md5({bind(f'{random_state}/')} || {key})"


def _within_sql(key: str, random_state: int, low: float, high: float, bind: Bind) -> str:
    if low >= high:
        return "FALSE"
    # The ends 0 and 1 take no comparison; the digits of 1 would not sort like the number.
    parts = []
    if low > 0:
        parts.append(f"{_digest_sql(key, random_state, bind)} >= {bind(_digits(low))}")
    if high < 1:
        parts.append(f"{_digest_sql(key, random_state, bind)} < {bind(_digits(high))}")
    return " AND ".join(parts) or "TRUE"


def _bound(end: float) -> int:
    """Return the lowest hash, as an integer, that is not below an end of a range."""
    return math.ceil(end * HASH_VALUES)


def _digits(end: float) -> str:
    """Return the `_bound` of an end as hexadecimal digits, which sort like the numbers."""
    return f"{_bound(end):0{_DIGITS}x}"
