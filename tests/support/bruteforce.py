"""A second, independent implementation of the queries of a cohort, on the table of series alone.

Nothing here uses the package, so that a mistake in the package does not affect both. A filter is a
list of steps that must all hold. A step is (keyword of `Cohort.where`, argument), or a pair such as
("of_series", UIDs). The arguments of "exclude", "having" and "any_of" are dicts or lists of dicts,
as for `Cohort.where`.
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
#: How to compute each column of the tables of patients and studies. "least" is the least value,
#: "count" is the number of distinct values, and the name of a column is the sum of that column. Any
#: other text is a separator, which joins the distinct values.
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
#: Keyword of a step → the column that the step filters, if they have different names.
FILTERED = {
    "program": "program_id",
    "of_series": "SeriesInstanceUID",
    "of_studies": "StudyInstanceUID",
    "of_uids": "uids",
    "of_patients": "patients",
}


@functools.cache
def data_folder() -> Path:
    """Return the folder of idc-index-data."""
    spec = importlib.util.find_spec("idc_index_data")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@functools.cache
def collections() -> pd.DataFrame:
    """Read the table of collections."""
    return pd.read_parquet(data_folder() / "collections_index.parquet")


@functools.cache
def whole_index() -> BruteForce:
    """Return the installed index as a `BruteForce`; it is read once."""
    return BruteForce(pd.read_parquet(data_folder() / "idc_index.parquet"))


def age_in_years(age: str | None) -> float | None:
    """Convert a DICOM Age String to years: up to 3 digits, then D, W, M, Y or nothing (years)."""
    if not age:
        return None
    digits, unit = (age[:-1], age[-1]) if age[-1] in "DWMYdwmy" else (age, "Y")
    if not 1 <= len(digits) <= 3 or any(digit not in "0123456789" for digit in digits):
        return None
    units_per_year = {
        "D": Fraction(1461, 4),
        "W": Fraction(1461, 28),
        "M": Fraction(12),
        "Y": Fraction(1),
    }
    return float(Fraction(int(digits)) / units_per_year[unit.upper()])


def single_steps(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with one "exclude" for each excluded filter."""
    return [
        single
        for name, wanted in steps
        for single in (
            [("exclude", {column: unwanted}) for column, unwanted in wanted.items()]
            if name == "exclude"
            else [(name, wanted)]
        )
    ]


def filtered_columns(steps: Sequence[Step]) -> set[str]:
    """Return the columns that steps filter on."""
    names = (
        column
        for name, wanted in single_steps(steps)
        for column in (wanted if name == "exclude" else [name])
    )
    return {FILTERED.get(name, name) for name in names}


def count_distinct(numbers: np.ndarray) -> int:
    """Return the number of distinct values in an array of non-negative integers."""
    return int(np.count_nonzero(np.bincount(numbers)))


def is_date(text: str) -> bool:
    """Return whether a text is a date as YYYY-MM-DD."""
    try:
        datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return False
    return len(text) == 10


def day(value: Any) -> Any:
    """Convert a date to the form in the index, ISO 8601; return other values as they are."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str) and len(value) == 8 and all(digit in "0123456789" for digit in value):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value


@dataclass(frozen=True)
class Values:
    """A column, encoded: its sorted distinct values, and for each row the position of its value."""

    values: list[Any]
    #: Position in `values` per row; -1 for a missing value.
    codes: np.ndarray

    @classmethod
    def of(cls, column: pd.Series, convert: Callable[[Any], Any]) -> Values:
        """Encode a column, with each distinct value passed through `convert`."""
        codes, values = pd.factorize(column)
        values = [convert(value) for value in values]
        order = sorted(range(len(values)), key=values.__getitem__)
        position = np.empty(len(values) + 1, dtype=np.int32)
        position[order] = np.arange(len(values), dtype=np.int32)
        position[-1] = -1
        return cls([values[at] for at in order], position[codes])

    def at(self, row: int) -> Any:
        """Return the value of a row, None if it is missing."""
        code = self.codes[row]
        return None if code < 0 else self.values[code]

    def where(self, fits: Callable[[Any], bool]) -> np.ndarray:
        """Return the mask of rows for which `fits(value)` is true; a missing value is None."""
        return np.array([*map(fits, self.values), fits(None)], dtype=bool)[self.codes]

    def is_in(self, wanted: Sequence[Any]) -> np.ndarray:
        """Return the mask of rows whose value is in `wanted` (None for a missing value)."""
        flags = np.zeros(len(self.values) + 1, dtype=bool)
        for value in wanted:
            position = -1 if value is None else bisect.bisect_left(self.values, value)
            if value is None or (position < len(self.values) and self.values[position] == value):
                flags[position] = True
        return flags[self.codes]

    @functools.cached_property
    def objects(self) -> np.ndarray:
        """The values, followed by None, so that the code -1 selects None."""
        return np.array([*self.values, None], dtype=object)

    def take(self, rows: np.ndarray) -> list[Any]:
        """Return the values of these rows, None for missing ones."""
        return self.objects[self.codes[rows]].tolist()

    def rank(self, rows: np.ndarray) -> np.ndarray:
        """Return numbers that sort these rows by value, missing values last."""
        codes = self.codes[rows]
        return np.where(codes < 0, len(self.values), codes)


class BruteForce:
    """The queries on a table of series with all columns of the index."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._columns: dict[str, Values] = {}
        self._masks: dict[str, np.ndarray] = {}
        self._pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        collection, patient = self.column("collection_id"), self.column("PatientID")
        by_number = collection.codes.astype(np.int64) * len(patient.values) + patient.codes
        #: The number of each row's patient. Patients are numbered by collection_id and PatientID.
        self.patient = np.unique(by_number, return_inverse=True)[1].astype(np.int64)
        self.study = self.column("StudyInstanceUID").codes.astype(np.int64)

    # --- columns ---------------------------------------------------------------------------

    def column(self, name: str) -> Values:
        """Return a column of the table, or a computed column, as `Values`."""
        if name not in self._columns:
            if name == "commercial_use":
                license = self.column("license_short_name")
                codes = np.array([*("-NC" not in text for text in license.values), -1])
                self._columns[name] = Values([False, True], codes[license.codes])
            elif name == "original":
                original = self.column("Modality").where(lambda modality: modality not in DERIVED)
                original &= self.column("analysis_result_id").is_in([None])
                self._columns[name] = Values([False, True], original.astype(int))
            elif name in NUMBERS:
                whole = name != "series_size_MB"
                number = pd.Series(self.number(name))
                self._columns[name] = Values.of(number, int if whole else float)
            else:
                self._columns[name] = Values.of(self.rows[name], str)
        return self._columns[name]

    @functools.cache  # noqa: B019 (there are few tables)
    def number(self, name: str) -> np.ndarray:
        """Return a column of numbers, or ages in years, as floats; NaN for missing values."""
        if name == "PatientAge":
            ages = self.column(name)
            years = [age_in_years(age) for age in ages.values]
            return np.array([math.nan if age is None else age for age in [*years, None]])[
                ages.codes
            ]
        return self.rows[name].to_numpy(dtype="float64", na_value=math.nan)

    @functools.cache  # noqa: B019
    def facts_per_collection(self, name: str) -> list[set[str]]:
        """Return a column of the table of collections as sets, in the order of collection_id."""
        facts = dict(zip(collections().collection_id, collections()[name], strict=True))
        return [
            {fact.strip() for fact in (facts.get(collection) or "").split(",")} - {""}
            for collection in self.column("collection_id").values
        ]

    def collection_name(self, code: int) -> str:
        """Return the name of the collection with this code."""
        names = dict(zip(collections().collection_id, collections().collection_name, strict=True))
        return names.get(self.column("collection_id").values[code], "")

    @functools.cache  # noqa: B019
    def _lowered(self, name: str) -> tuple[list[str], set[str]]:
        texts = [text.lower() for text in self.column(name).values]
        return texts, set().union(*texts)

    # --- filters ---------------------------------------------------------------------------

    def matching(self, steps: Sequence[Step], ignoring: str | None = None) -> np.ndarray:
        """Return the mask of rows that fulfill all steps, except steps on the column `ignoring`."""
        mask = np.ones(len(self.rows), dtype=bool)
        for step in single_steps(steps):
            if step[0] == "exclude":
                [(name, unwanted)] = step[1].items()
                if FILTERED.get(name, name) != ignoring:
                    mask &= ~self._fulfilling((name, unwanted))
            elif FILTERED.get(step[0], step[0]) != ignoring:
                mask &= self._fulfilling(step)
        return mask

    def _fulfilling(self, step: Step) -> np.ndarray:
        key = repr(step)
        if key not in self._masks:
            if len(self._masks) > 100:
                self._masks.clear()
            self._masks[key] = self._mask(*step)
        return self._masks[key]

    def _mask(self, name: str, wanted: Any) -> np.ndarray:
        name = FILTERED.get(name, name)
        if name == "text":
            mask = np.ones(len(self.rows), dtype=bool)
            for word in wanted.lower().split():
                mask &= self._fulfilling(("word", word))
            return mask
        if name == "word":
            return self._word(wanted)
        if name == "uids":
            series, study = self.column("SeriesInstanceUID"), self.column("StudyInstanceUID")
            return series.is_in(wanted) | study.is_in(wanted)
        if name == "patients":
            pairs = {tuple(pair) for pair in wanted}
            rows = np.flatnonzero(self.column("PatientID").is_in([patient for _, patient in pairs]))
            mask = np.zeros(len(self.rows), dtype=bool)
            for row in rows:
                mask[row] = (
                    self.column("collection_id").at(row),
                    self.column("PatientID").at(row),
                ) in pairs
            return mask
        if name == "having":
            clauses = wanted if isinstance(wanted, list) else [wanted]
            return np.logical_and.reduce([self._having(**clause) for clause in clauses])
        if name == "any_of":
            masks = [self.matching(list(filters.items())) for filters in wanted]
            return np.logical_or.reduce([np.zeros(len(self.rows), dtype=bool), *masks])
        if isinstance(wanted, tuple):
            return self._between(name, *wanted)
        values = wanted if isinstance(wanted, list) else [wanted]
        if name in IN_COLLECTIONS:
            fits = [
                (None in values and not facts) or not facts.isdisjoint(values)
                for facts in self.facts_per_collection(name)
            ]
            return np.array(fits, dtype=bool)[self.column("collection_id").codes]
        return self.column(name).is_in([day(v) if "Date" in name else v for v in values])

    def _between(self, name: str, low: Any, high: Any) -> np.ndarray:
        if "Date" in name:
            low, high = day(low), day(high)
            return self.column(name).where(
                lambda date: (
                    date is not None
                    and (low is None or date >= low)
                    and (high is None or date <= high)
                )
            )
        if name == "PatientAge":
            low, high = (
                age_in_years(bound) if isinstance(bound, str) else bound for bound in (low, high)
            )
        numbers = self.number(name)
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        return (numbers >= low) & (numbers <= high)

    def _word(self, word: str) -> np.ndarray:
        codes = self.column("collection_id").codes
        names = [self.collection_name(code).lower() for code in range(codes.max(initial=-1) + 1)]
        mask = np.array([word in name for name in names], dtype=bool)[codes]
        for name in TEXTS:
            texts, letters = self._lowered(name)
            if letters.issuperset(word):
                flags = np.array([*(word in text for text in texts), False], dtype=bool)
                mask |= flags[self.column(name).codes]
        return mask

    def anywhere(self, group: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the mask of every row whose group has a row in `mask`."""
        flags = np.zeros(group.max(initial=0) + 1, dtype=bool)
        flags[group[mask]] = True
        return flags[group]

    def _having(self, *, level: str = "study", **filters: Any) -> np.ndarray:
        group = self.study if level == "study" else self.patient
        return self.anywhere(group, self.matching(list(filters.items())))

    # --- results ---------------------------------------------------------------------------

    def summary(self, mask: np.ndarray) -> dict[str, Any]:
        """Return the counts, size and licenses of the rows."""
        rows = np.flatnonzero(mask)
        licenses = [row for row in self.facet("license_short_name", mask) if row[0] is not None]
        return {
            "collections": count_distinct(self.column("collection_id").codes[rows]),
            "patients": count_distinct(self.patient[rows]),
            "studies": count_distinct(self.study[rows]),
            "series": len(rows),
            "instances": int(np.nansum(self.number("instanceCount")[rows])),
            "size_MB": float(np.nansum(self.number("series_size_MB")[rows])),
            "licenses": tuple(value for value, *_ in licenses),
        }

    def facet(self, name: str, mask: np.ndarray) -> list[tuple[Any, int, int]]:
        """Return (value, series, patients) per value.

        They are sorted by the number of series, largest first, then by value, missing values last.
        """
        name = FILTERED.get(name, name)
        in_collections = name in IN_COLLECTIONS
        column = self.column("collection_id" if in_collections else name)
        key, value_of_pair = self._with_patients("collection_id" if in_collections else name)
        seen = np.zeros(len(value_of_pair), dtype=bool)
        seen[key[mask]] = True
        count = len(column.values) + 1
        # The first position counts missing values.
        series = np.bincount(column.codes[mask] + 1, minlength=count).tolist()
        patients = np.bincount(value_of_pair[seen] + 1, minlength=count).tolist()
        counted = [
            (value, series[at], patients[at])
            for at, value in enumerate([None, *column.values])
            if series[at]
        ]
        if in_collections:
            facts = dict(zip(column.values, self.facts_per_collection(name), strict=True))
            totals: dict[Any, list[int]] = {}
            for collection, *counts in counted:
                for fact in facts[collection] or {None}:
                    total = totals.setdefault(fact, [0, 0])
                    total[:] = [sum(pair) for pair in zip(total, counts, strict=True)]
            counted = [(fact, *total) for fact, total in totals.items()]  # type: ignore[misc]
        present = sorted(row for row in counted if row[0] is not None)
        missing = [row for row in counted if row[0] is None]
        return sorted(present + missing, key=lambda row: -row[1])  # sorting is stable

    def _with_patients(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each row's pair (patient, value), and per pair its value code."""
        if name not in self._pairs:
            column = self.column(name)
            codes, pairs = pd.factorize(self.patient * (len(column.values) + 1) + column.codes + 1)
            self._pairs[name] = codes, pairs % (len(column.values) + 1) - 1
        return self._pairs[name]

    def histogram(
        self, name: str, mask: np.ndarray, edges: Sequence[Any]
    ) -> tuple[tuple[int, ...], int]:
        """Return the number of series per bin, and the number of series without a value.

        The first bin has no lower limit, and the last bin has no upper limit.
        """
        inner = list(edges[1:-1])
        if "Date" in name:
            column = self.column(name)
            bins = np.array([*(bisect.bisect_right(inner, date) for date in column.values), -1])
            bin_of_row = bins[column.codes[mask]]
        else:
            values = self.number(name)[mask]
            bin_of_row = np.searchsorted(np.array(inner, dtype=float), values, side="right")
            bin_of_row = np.where(np.isnan(values), -1, bin_of_row)
        counts = np.bincount(bin_of_row + 1, minlength=max(1, len(edges)))
        return tuple(counts[1 : len(edges)].tolist()), int(counts[0])

    # --- tables ----------------------------------------------------------------------------

    def patients(self, mask: np.ndarray) -> pd.DataFrame:
        """Return one row per patient, in the order of collection_id and PatientID."""
        groups = Groups(self, self.patient, mask)
        return _frame({name: groups.column(name) for name in PATIENTS})

    def studies(self, mask: np.ndarray) -> pd.DataFrame:
        """Return one row per study, in the order of collection, patient, date and UID."""
        groups = Groups(self, self.study, mask)
        names = ("collection_id", "PatientID", "StudyDate", "StudyDescription", "StudyInstanceUID")
        order = np.lexsort([groups.least(name) for name in reversed(names)])
        return _frame({name: groups.column(name) for name in STUDIES}, order)

    def series(self, mask: np.ndarray) -> pd.DataFrame:
        """Return one row per series with all columns, in the order of `Cohort.series`."""
        rows = np.flatnonzero(mask)
        study = ("StudyDate", "StudyDescription", "StudyInstanceUID")
        names = ("collection_id", "PatientID", *study, "Modality")
        ranks = [self.column(name).rank(rows) for name in names]
        ranks.append(self._series_numbers()[rows])
        names = ("SeriesDescription", "SeriesInstanceUID")
        ranks += [self.column(name).rank(rows) for name in names]
        ordered = rows[np.lexsort(ranks[::-1])]
        return _frame({name: self.cells(name, ordered) for name in self.rows})

    def cells(self, name: str, rows: np.ndarray) -> list[Any]:
        """Return the values of a column in these rows, None for missing ones."""
        if name not in ("crdc_series_uuid", "series_aws_url"):
            return self.column(name).take(rows)
        values = self.rows[name].iloc[rows].astype(object)
        return values.where(values.notna(), None).tolist()

    @functools.cache  # noqa: B019
    def numbers_of_keys(self, level: str) -> dict[Any, int]:
        """Return key → number, for each series, patient or study.

        The keys are those by which a grid identifies its rows.
        """
        if level == "series":
            keys = self.column("SeriesInstanceUID").take(np.arange(len(self.rows)))
            return {key: row for row, key in enumerate(keys)}
        numbers = self.patient if level == "patient" else self.study
        groups = Groups(self, numbers, np.ones(len(self.rows), dtype=bool))
        names = ["collection_id", "PatientID"] if level == "patient" else ["StudyInstanceUID"]
        return dict(zip(groups.keys(names), groups.numbers.tolist(), strict=True))

    @functools.cache  # noqa: B019
    def _series_numbers(self) -> np.ndarray:
        """Return numbers that sort rows by SeriesNumber. Texts that are not integers come last."""
        column = self.column("SeriesNumber")
        return np.array([*map(series_number, column.values), math.inf])[column.codes]


class Groups:
    """The patients or studies of matching rows, in the order of their numbers.

    Args:
        numbers: For each row of the table, the number of its patient or study.
        mask: The matching rows.
    """

    def __init__(self, table: BruteForce, numbers: np.ndarray, mask: np.ndarray) -> None:
        self.table, self._rows = table, np.flatnonzero(mask)
        self.numbers, first = np.unique(numbers[self._rows], return_index=True)
        self._first = self._rows[first]
        self._position = np.searchsorted(self.numbers, numbers[self._rows])

    def __len__(self) -> int:
        return len(self.numbers)

    def keys(self, names: Sequence[str]) -> list[Any]:
        """Return the key of each group: a tuple of its values, or its only value for one column."""
        columns = [self.table.column(name).take(self._first) for name in names]
        return list(zip(*columns, strict=True)) if len(names) > 1 else columns[0]

    def column(self, name: str) -> list[Any]:
        """Return a column of `PATIENTS` or `STUDIES`, None for missing values."""
        how = {**PATIENTS, **STUDIES}[name]
        if how == "least":
            return self.table.column(name).objects[self.least(name)].tolist()
        if how == "count":
            counted = "StudyInstanceUID" if name == "studies" else "SeriesInstanceUID"
            return np.bincount(self._pairs(counted)[0], minlength=len(self)).tolist()
        if how in NUMBERS:
            numbers = self.table.number(how)[self._rows]
            known = ~np.isnan(numbers)
            sums = np.bincount(self._position, np.where(known, numbers, 0), len(self)).tolist()
            some = np.bincount(self._position[known], minlength=len(self)).tolist()
            return [total if any_ else None for total, any_ in zip(sums, some, strict=True)]
        return self._joined(name, how)

    def least(self, name: str) -> np.ndarray:
        """Return the rank of the least value per group; without a value, `len(column.values)`."""
        column = self.table.column(name)
        least = np.full(len(self), len(column.values))
        np.minimum.at(least, self._position, column.rank(self._rows))
        return least

    def _pairs(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct pairs of group and value, sorted, without missing values."""
        column = self.table.column(name)
        codes = column.codes[self._rows]
        has = codes >= 0
        pairs = np.unique(self._position[has] * (len(column.values) + 1) + codes[has])
        return np.divmod(pairs, len(column.values) + 1)

    def _joined(self, name: str, separator: str) -> list[Any]:
        texts: list[Any] = [None] * len(self)
        values = self.table.column(name).values
        for group, code in zip(*(column.tolist() for column in self._pairs(name)), strict=True):
            text = texts[group]
            texts[group] = values[code] if text is None else f"{text}{separator}{values[code]}"
        return texts


def _frame(columns: dict[str, list[Any]], order: np.ndarray | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame if order is None else frame.iloc[order].reset_index(drop=True)


def series_number(text: str | None) -> float:
    """Convert a SeriesNumber to a number, or to infinity if it is not an integer."""
    digits = (text or "").removeprefix("-")
    return float(text or "") if digits.isascii() and digits.isdigit() else math.inf
