"""Every question about a cohort, answered a second way, from the table of series alone.

Nothing here uses the package, so that what both say is right. A filter is given as steps, one
after the other, all of which must hold: (keyword of `Cohort.where`, its argument), or
("of_series", UIDs) and the like. The argument of "originals_of" and "derived_from" is a list of
steps instead of a cohort.
"""

from __future__ import annotations

import bisect
import datetime
import functools
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Step = tuple[str, Any]

NUMBERS = (
    "instanceCount",
    "series_init_idc_version",
    "series_revised_idc_version",
    "series_size_MB",
)
IN_COLLECTIONS = ("cancer_types", "tumor_locations", "species", "program_id")
TEXTS = (
    "collection_id",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
DERIVED = ("ANN", "KO", "M3D", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "RWV", "SEG", "SR")
#: The columns of a patient and of a study: the least value, a count of different ones, the sum of
#: a column, or all values, joined by what is given.
PATIENTS = {
    "collection_id": "least",
    "PatientID": "least",
    "PatientSex": ",",
    "PatientAge": ",",
    "studies": "count",
    "series": "count",
    "instances": "instanceCount",
    "size_MB": "series_size_MB",
}
STUDIES = {
    "collection_id": "least",
    "PatientID": "least",
    "StudyInstanceUID": "least",
    "StudyDate": "least",
    "StudyDescription": "least",
    "Modality": ", ",
    "series": "count",
    "instances": "instanceCount",
    "size_MB": "series_size_MB",
}
#: What a step filters on, where it is not its own name.
FILTERED = {
    "program": "program_id",
    "of_series": "SeriesInstanceUID",
    "of_studies": "StudyInstanceUID",
    "of_uids": "uids",
    "of_patients": "patients",
}


@functools.cache
def data_folder() -> Path:
    spec = importlib.util.find_spec("idc_index_data")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@functools.cache
def collections() -> pd.DataFrame:
    return pd.read_parquet(data_folder() / "collections_index.parquet")


@functools.cache
def whole_index() -> BruteForce:
    """Of the installed index, read once."""
    return BruteForce(pd.read_parquet(data_folder() / "idc_index.parquet"))


def age_in_years(age: str | None) -> float | None:
    """A DICOM Age String as years: digits and a unit of days, weeks, months or years (or none)."""
    if not age:
        return None
    digits, unit = (age[:-1], age[-1]) if age[-1] in "DWMYdwmy" else (age, "Y")
    if not 1 <= len(digits) <= 3 or any(digit not in "0123456789" for digit in digits):
        return None
    a_year = {"D": Fraction(1461, 4), "W": Fraction(1461, 28), "M": Fraction(12), "Y": Fraction(1)}
    return float(Fraction(int(digits)) / a_year[unit.upper()])


def different(numbers: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(numbers)))


def is_date(text: str) -> bool:
    try:
        datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return False
    return len(text) == 10


def day(value: Any) -> Any:
    """A date as the index has it: ISO 8601."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str) and len(value) == 8 and all(one in "0123456789" for one in value):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value


@dataclass(frozen=True)
class Values:
    """A column of few or many different values: those, sorted, and which of them each row has."""

    values: list[Any]
    #: Place in `values`; -1 where there is none.
    codes: np.ndarray

    @classmethod
    def of(cls, column: pd.Series, plain: Callable[[Any], Any]) -> Values:
        codes, found = pd.factorize(column)
        found = [plain(value) for value in found]
        order = sorted(range(len(found)), key=found.__getitem__)
        place = np.empty(len(found) + 1, dtype=np.int32)
        place[order] = np.arange(len(found), dtype=np.int32)
        place[-1] = -1
        return cls([found[at] for at in order], place[codes])

    def at(self, row: int) -> Any:
        code = self.codes[row]
        return None if code < 0 else self.values[code]

    def where(self, fits: Callable[[Any], bool]) -> np.ndarray:
        """Which rows have a value that fits, missing (None) being a value here."""
        return np.array([*map(fits, self.values), fits(None)], dtype=bool)[self.codes]

    def one_of(self, wanted: Sequence[Any]) -> np.ndarray:
        flags = np.zeros(len(self.values) + 1, dtype=bool)
        for value in wanted:
            place = -1 if value is None else bisect.bisect_left(self.values, value)
            if value is None or (place < len(self.values) and self.values[place] == value):
                flags[place] = True
        return flags[self.codes]

    @functools.cached_property
    def objects(self) -> np.ndarray:
        """The values, and None in the last place, where a code of -1 finds it."""
        return np.array([*self.values, None], dtype=object)

    def column(self, rows: np.ndarray) -> list[Any]:
        return self.objects[self.codes[rows]].tolist()

    def rank(self, rows: np.ndarray) -> np.ndarray:
        """Numbers in the order of the values, missing last."""
        codes = self.codes[rows]
        return np.where(codes < 0, len(self.values), codes)


class BruteForce:
    """The answers about one table of series, with all columns of the index."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._columns: dict[str, Values] = {}
        self._masks: dict[str, np.ndarray] = {}
        self._pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        collection, patient = self.column("collection_id"), self.column("PatientID")
        by_number = collection.codes.astype(np.int64) * len(patient.values) + patient.codes
        #: The patients, numbered by collection_id and PatientID.
        self.patient = np.unique(by_number, return_inverse=True)[1].astype(np.int64)
        self.study = self.column("StudyInstanceUID").codes.astype(np.int64)

    # --- columns ---------------------------------------------------------------------------

    def column(self, name: str) -> Values:
        if name not in self._columns:
            if name == "commercial_use":
                licence = self.column("license_short_name")
                codes = np.array([*("-NC" not in one for one in licence.values), -1])
                self._columns[name] = Values([False, True], codes[licence.codes])
            elif name in NUMBERS:
                whole = name != "series_size_MB"
                number = pd.Series(self.number(name))
                self._columns[name] = Values.of(number, int if whole else float)
            else:
                self._columns[name] = Values.of(self.rows[name], str)
        return self._columns[name]

    @functools.cache  # noqa: B019 (one for each table, and few)
    def number(self, name: str) -> np.ndarray:
        """A column of numbers, or ages in years, as floats; NaN where there is none."""
        if name == "PatientAge":
            ages = self.column(name)
            years = [age_in_years(age) for age in ages.values]
            return np.array([math.nan if age is None else age for age in [*years, None]])[
                ages.codes
            ]
        return self.rows[name].to_numpy(dtype="float64", na_value=math.nan)

    @functools.cache  # noqa: B019
    def of_collections(self, name: str) -> list[set[str]]:
        """The facts of each of the collections, in their order."""
        facts = dict(zip(collections().collection_id, collections()[name], strict=True))
        return [
            {one.strip() for one in (facts.get(collection) or "").split(",")} - {""}
            for collection in self.column("collection_id").values
        ]

    def collection_name(self, code: int) -> str:
        names = dict(zip(collections().collection_id, collections().collection_name, strict=True))
        return names.get(self.column("collection_id").values[code], "")

    @functools.cache  # noqa: B019
    def _lowered(self, name: str) -> tuple[list[str], set[str]]:
        texts = [text.lower() for text in self.column(name).values]
        return texts, set().union(*texts)

    # --- filters ---------------------------------------------------------------------------

    def matching(self, steps: Sequence[Step], ignoring: str | None = None) -> np.ndarray:
        """Which rows fulfil all steps but those on one column."""
        mask = np.ones(len(self.rows), dtype=bool)
        for step in steps:
            if FILTERED.get(step[0], step[0]) != ignoring:
                mask &= self._fulfilling(step)
        return mask

    def _fulfilling(self, step: Step) -> np.ndarray:
        known = repr(step)
        if known not in self._masks:
            if len(self._masks) > 100:
                self._masks.clear()
            self._masks[known] = self._mask(*step)
        return self._masks[known]

    def _mask(self, name: str, wanted: Any) -> np.ndarray:
        name = FILTERED.get(name, name)
        if name == "text":
            found = np.ones(len(self.rows), dtype=bool)
            for word in wanted.lower().split():
                found &= self._fulfilling(("word", word))
            return found
        if name == "word":
            return self._word(wanted)
        if name == "uids":
            series, study = self.column("SeriesInstanceUID"), self.column("StudyInstanceUID")
            return series.one_of(wanted) | study.one_of(wanted)
        if name == "patients":
            pairs = {tuple(pair) for pair in wanted}
            rows = np.flatnonzero(self.column("PatientID").one_of([two for _, two in pairs]))
            found = np.zeros(len(self.rows), dtype=bool)
            for row in rows:
                found[row] = (
                    self.column("collection_id").at(row),
                    self.column("PatientID").at(row),
                ) in pairs
            return found
        if name == "having":
            return self._having(**wanted)
        if name in ("originals_of", "derived_from"):
            original = self.column("Modality").where(lambda one: one not in DERIVED)
            original &= self.column("analysis_result_id").one_of([None])
            studies = self._anywhere(self.study, self.matching(wanted))
            return studies & (original if name == "originals_of" else ~original)
        if isinstance(wanted, tuple):
            return self._between(name, *wanted)
        values = wanted if isinstance(wanted, list) else [wanted]
        if name in IN_COLLECTIONS:
            fits = [
                (None in values and not facts) or not facts.isdisjoint(values)
                for facts in self.of_collections(name)
            ]
            return np.array(fits, dtype=bool)[self.column("collection_id").codes]
        return self.column(name).one_of([day(v) if "Date" in name else v for v in values])

    def _between(self, name: str, low: Any, high: Any) -> np.ndarray:
        if "Date" in name:
            low, high = day(low), day(high)
            return self.column(name).where(
                lambda one: (
                    one is not None
                    and (low is None or one >= low)
                    and (high is None or one <= high)
                )
            )
        if name == "PatientAge":
            low, high = (age_in_years(one) if isinstance(one, str) else one for one in (low, high))
        numbers = self.number(name)
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        return (numbers >= low) & (numbers <= high)

    def _word(self, word: str) -> np.ndarray:
        codes = self.column("collection_id").codes
        names = [self.collection_name(code).lower() for code in range(codes.max(initial=-1) + 1)]
        found = np.array([word in name for name in names], dtype=bool)[codes]
        for name in TEXTS:
            texts, letters = self._lowered(name)
            if letters.issuperset(word):
                flags = np.array([*(word in text for text in texts), False], dtype=bool)
                found |= flags[self.column(name).codes]
        return found

    def _anywhere(self, group: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The rows of all groups that have one of the rows."""
        flags = np.zeros(group.max(initial=0) + 1, dtype=bool)
        flags[group[mask]] = True
        return flags[group]

    def _having(self, *, level: str = "study", **columns: Any) -> np.ndarray:
        group = self.study if level == "study" else self.patient
        found = np.ones(len(self.rows), dtype=bool)
        for name, values in columns.items():
            for value in values if isinstance(values, list) else [values]:
                found &= self._anywhere(group, self._fulfilling((name, [value])))
        return found

    # --- answers ---------------------------------------------------------------------------

    def summary(self, mask: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(mask)
        licences = [one for one in self.facet("license_short_name", mask) if one[0] is not None]
        return {
            "collections": different(self.column("collection_id").codes[rows]),
            "patients": different(self.patient[rows]),
            "studies": different(self.study[rows]),
            "series": len(rows),
            "instances": int(np.nansum(self.number("instanceCount")[rows])),
            "size_MB": float(np.nansum(self.number("series_size_MB")[rows])),
            "licenses": tuple(value for value, *_ in licences),
        }

    def facet(self, name: str, mask: np.ndarray) -> list[tuple[Any, int, int]]:
        """(value, series, patients): most series first, then by value, what is missing last."""
        name = FILTERED.get(name, name)
        in_collections = name in IN_COLLECTIONS
        column = self.column("collection_id" if in_collections else name)
        key, value_of_pair = self._with_patients("collection_id" if in_collections else name)
        seen = np.zeros(len(value_of_pair), dtype=bool)
        seen[key[mask]] = True
        count = len(column.values) + 1
        # Missing is counted in the first place.
        series = np.bincount(column.codes[mask] + 1, minlength=count).tolist()
        patients = np.bincount(value_of_pair[seen] + 1, minlength=count).tolist()
        counted = [
            (value, series[at], patients[at])
            for at, value in enumerate([None, *column.values])
            if series[at]
        ]
        if in_collections:
            facts = dict(zip(column.values, self.of_collections(name), strict=True))
            totals: dict[Any, list[int]] = {}
            for collection, *two in counted:
                for fact in facts[collection] or {None}:
                    total = totals.setdefault(fact, [0, 0])
                    total[:] = [one + more for one, more in zip(total, two, strict=True)]
            counted = [(fact, *two) for fact, two in totals.items()]  # type: ignore[misc]
        present = sorted(one for one in counted if one[0] is not None)
        missing = [one for one in counted if one[0] is None]
        return sorted(present + missing, key=lambda one: -one[1])  # stable

    def _with_patients(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The different pairs of patient and value: which each row has, and each pair's value."""
        if name not in self._pairs:
            column = self.column(name)
            codes, pairs = pd.factorize(self.patient * (len(column.values) + 1) + column.codes + 1)
            self._pairs[name] = codes, pairs % (len(column.values) + 1) - 1
        return self._pairs[name]

    def histogram(
        self, name: str, mask: np.ndarray, edges: Sequence[Any]
    ) -> tuple[tuple[int, ...], int]:
        """The series in each bin, the outer ones open, and those without a value."""
        inner = list(edges[1:-1])
        if "Date" in name:
            column = self.column(name)
            bins = np.array([*(bisect.bisect_right(inner, one) for one in column.values), -1])
            found = bins[column.codes[mask]]
        else:
            values = self.number(name)[mask]
            found = np.searchsorted(np.array(inner, dtype=float), values, side="right")
            found = np.where(np.isnan(values), -1, found)
        counts = np.bincount(found + 1, minlength=max(1, len(edges)))
        return tuple(counts[1 : len(edges)].tolist()), int(counts[0])

    # --- tables ----------------------------------------------------------------------------

    def patients(self, mask: np.ndarray) -> pd.DataFrame:
        """One row a patient, in the order of collection_id and PatientID."""
        groups = Groups(self, self.patient, mask)
        return _frame({name: groups.column(name) for name in PATIENTS})

    def studies(self, mask: np.ndarray) -> pd.DataFrame:
        """One row a study, in the order of collection, patient, date and UID."""
        groups = Groups(self, self.study, mask)
        order = np.lexsort(
            [
                groups.least(name)
                for name in ("StudyInstanceUID", "StudyDate", "PatientID", "collection_id")
            ]
        )
        return _frame({name: groups.column(name) for name in STUDIES}, order)

    def series(self, mask: np.ndarray) -> pd.DataFrame:
        """One row a series, every column, in the order of reading."""
        rows = np.flatnonzero(mask)
        names = ("collection_id", "PatientID", "StudyDate", "StudyInstanceUID", "Modality")
        ranks = [self.column(name).rank(rows) for name in names]
        ranks.append(self._series_numbers()[rows])
        ranks.append(self.column("SeriesInstanceUID").rank(rows))
        ordered = rows[np.lexsort(ranks[::-1])]
        return _frame({name: self.cells(name, ordered) for name in self.rows})

    def cells(self, name: str, rows: np.ndarray) -> list[Any]:
        """The values of a column in these rows, None where there is none."""
        if name not in ("crdc_series_uuid", "series_aws_url"):
            return self.column(name).column(rows)
        found = self.rows[name].iloc[rows].astype(object)
        return found.where(found.notna(), None).tolist()

    @functools.cache  # noqa: B019
    def numbers_of_keys(self, level: str) -> dict[Any, int]:
        """The rows, patients or studies by the keys that a grid has for them."""
        if level == "series":
            keys = self.column("SeriesInstanceUID").column(np.arange(len(self.rows)))
            return {key: row for row, key in enumerate(keys)}
        numbers = self.patient if level == "patient" else self.study
        groups = Groups(self, numbers, np.ones(len(self.rows), dtype=bool))
        names = ["collection_id", "PatientID"] if level == "patient" else ["StudyInstanceUID"]
        return dict(zip(groups.keys(names), groups.numbers.tolist(), strict=True))

    @functools.cache  # noqa: B019
    def _series_numbers(self) -> np.ndarray:
        """SeriesNumber as a number, for sorting: anything else comes last."""
        column = self.column("SeriesNumber")
        return np.array([*map(series_number, column.values), math.inf])[column.codes]


class Groups:
    """The patients or studies of matching rows, in the order of their numbers.

    Args:
        numbers: of every row of the table, that of its patient or study.
        mask: the rows that match.
    """

    def __init__(self, table: BruteForce, numbers: np.ndarray, mask: np.ndarray) -> None:
        self.table, self._rows = table, np.flatnonzero(mask)
        self.numbers, first = np.unique(numbers[self._rows], return_index=True)
        self._first = self._rows[first]
        self._place = np.searchsorted(self.numbers, numbers[self._rows])

    def __len__(self) -> int:
        return len(self.numbers)

    def keys(self, names: Sequence[str]) -> list[Any]:
        columns = [self.table.column(name).column(self._first) for name in names]
        return list(zip(*columns, strict=True)) if len(names) > 1 else columns[0]

    def column(self, name: str) -> list[Any]:
        """One of `PATIENTS` or `STUDIES`, None where there is none."""
        how = {**PATIENTS, **STUDIES}[name]
        if how == "least":
            return self.table.column(name).objects[self.least(name)].tolist()
        if how == "count":
            of = "StudyInstanceUID" if name == "studies" else "SeriesInstanceUID"
            return np.bincount(self._pairs(of)[0], minlength=len(self)).tolist()
        if how in NUMBERS:
            numbers = self.table.number(how)[self._rows]
            known = ~np.isnan(numbers)
            sums = np.bincount(self._place, np.where(known, numbers, 0), len(self)).tolist()
            some = np.bincount(self._place[known], minlength=len(self)).tolist()
            return [total if any_ else None for total, any_ in zip(sums, some, strict=True)]
        return self._joined(name, how)

    def least(self, name: str) -> np.ndarray:
        """Of each group the place of the least value of a column; past the last if none."""
        column = self.table.column(name)
        found = np.full(len(self), len(column.values))
        np.minimum.at(found, self._place, column.rank(self._rows))
        return found

    def _pairs(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Every group with every different value that it has: both in order, nothing missing."""
        column = self.table.column(name)
        codes = column.codes[self._rows]
        has = codes >= 0
        pairs = np.unique(self._place[has] * (len(column.values) + 1) + codes[has])
        return np.divmod(pairs, len(column.values) + 1)

    def _joined(self, name: str, comma: str) -> list[Any]:
        found: list[Any] = [None] * len(self)
        values = self.table.column(name).values
        for group, code in zip(*(one.tolist() for one in self._pairs(name)), strict=True):
            one = found[group]
            found[group] = values[code] if one is None else f"{one}{comma}{values[code]}"
        return found


def _frame(columns: dict[str, list[Any]], order: np.ndarray | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame if order is None else frame.iloc[order].reset_index(drop=True)


def series_number(text: str | None) -> float:
    digits = (text or "").removeprefix("-")
    return float(text or "") if digits.isascii() and digits.isdigit() else math.inf
