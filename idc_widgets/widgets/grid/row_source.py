"""Rows of a grid without the grid: how many, a window of them, their order, their keys.

A `RowSource` holds the rows of one cohort at one level in one order, and never changes: a sort or
another filter is another source. Only the order is held, as one number a row; what a window shows
is worked out when it is scrolled to. Of a database elsewhere, all rows are fetched at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import InvalidQueryError, unknown_message
from ...index import LEVELS
from ...query import Cohort, EncodedColumn, Engine, Matches, to_numpy
from ..on_disk import OnDisk

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

__all__ = [
    "COLUMNS",
    "ON_DISK",
    "Column",
    "GridView",
    "RowSource",
    "Sort",
    "Window",
    "WithStates",
    "row_source",
]

#: Above this many series, a source without a sort keeps the order of the file (collection,
#: patient, study), which costs nothing; fewer are put into an order for reading.
_READABLE = 10_000

#: Up to so many patients or studies, their series are looked for where they are.
_FEW = 1_000

_Array: TypeAlias = "npt.NDArray[Any]"

#: Some rows: the name of a column → its values, None for missing.
Window: TypeAlias = "dict[str, list[Any]]"


@dataclass(frozen=True)
class Column:
    """How a grid shows a column.

    Args:
        name: as in the source.
        title: the header.
        width: in pixels, wide enough for the header and its menu button.
        kind: "text"; "count", an integer; "size", MB shown in human units; "uid", text that is
            elided in the middle; "state", words with a mark before them.
    """

    name: str
    title: str
    width: int
    kind: str = "text"


@dataclass(frozen=True)
class Sort:
    """An order of rows: by one column, missing values last."""

    column: str
    descending: bool = False


#: Level → the columns of its grid.
COLUMNS: dict[str, tuple[Column, ...]] = {
    "patient": (
        Column("collection_id", "Collection", 130),
        Column("PatientID", "PatientID", 116),
        Column("PatientSex", "Sex", 54),
        Column("PatientAge", "Age", 58),
        Column("studies", "Studies", 74, "count"),
        Column("series", "Series", 68, "count"),
        Column("instances", "Files", 64, "count"),
        Column("size_MB", "Size", 76, "size"),
    ),
    "study": (
        Column("PatientID", "PatientID", 116),
        Column("StudyDate", "StudyDate", 94),
        Column("StudyDescription", "StudyDescription", 150),
        Column("Modality", "Modalities", 120),
        Column("series", "Series", 68, "count"),
        Column("instances", "Files", 64, "count"),
        Column("size_MB", "Size", 76, "size"),
        Column("StudyInstanceUID", "StudyInstanceUID", 190, "uid"),
    ),
    "series": (
        Column("collection_id", "Collection", 140),
        Column("PatientID", "PatientID", 116),
        Column("Modality", "Modality", 82),
        Column("SeriesDescription", "SeriesDescription", 240),
        Column("BodyPartExamined", "BodyPartExamined", 144),
        Column("instanceCount", "Files", 74, "count"),
        Column("series_size_MB", "Size", 84, "size"),
        Column("SeriesDate", "SeriesDate", 98),
        Column("SeriesNumber", "SeriesNumber", 124),
        Column("Manufacturer", "Manufacturer", 170),
        Column("license_short_name", "License", 100),
        Column("SeriesInstanceUID", "SeriesInstanceUID", 190, "uid"),
    ),
}


#: Where a series is on the disk, in words: a column that only a grid beside a download has.
ON_DISK = Column("on_disk", "On disk", 96, "state")


class RowSource(Protocol):
    """The rows that a grid shows."""

    level: str
    sort: Sort | None

    def __len__(self) -> int: ...

    def window(self, start: int, stop: int) -> Window:
        """The rows [start, stop), cut off at the end, with the level's `COLUMNS` by name."""
        ...

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        """The keys of the rows with these numbers."""
        ...

    def positions(self, keys: Sequence[Any]) -> list[int]:
        """The sorted numbers of the rows with these keys; keys that are not here are left out."""
        ...

    def sorted(self, sort: Sort | None) -> RowSource:
        """The same rows in another order; None for the first one.

        Raises:
            InvalidQueryError: the grid has no such column.
        """
        ...


class GridView(Protocol):
    """A grid on the screen. It shows one `RowSource` and reports keys, never row numbers."""

    #: What to put into a layout.
    widget: DOMWidget

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Shows these rows from the top, with the rows of these keys picked."""
        ...

    def pick(self, picked: Sequence[Any]) -> None:
        """Shows the rows of these keys as picked, and only them."""
        ...

    def refresh(self) -> None:
        """Shows the rows that are seen again, as they are now."""
        ...

    def on_pick(self, callback: Callable[[tuple[Any, ...]], None]) -> None:
        """Calls back with all picked keys whenever a person picks."""
        ...

    def on_sort(self, callback: Callable[[Sort | None], None]) -> None:
        """Calls back when a person asks for another order; None for the first one."""
        ...


def row_source(cohort: Cohort, level: str, sort: Sort | None = None) -> RowSource:
    """The rows of a cohort at a level: "patient", "study" or "series".

    Raises:
        InvalidQueryError: unknown level, or a sort by a column that the grid does not have.
    """
    if level not in COLUMNS:
        raise InvalidQueryError(unknown_message("level", level, COLUMNS))
    matches = cohort.matches
    if matches is None:
        return _FetchedRows(level, cohort.engine.query(*cohort.level_sql(level)), sort)
    if level == "series":
        return _SeriesRows(cohort.engine, matches, sort)
    return _GroupRows(level, matches, sort)


class WithStates:
    """Series with one column more: what is on the disk of those that a window shows."""

    level = "series"

    def __init__(self, rows: RowSource, on_disk: OnDisk) -> None:
        self._rows, self._on_disk = rows, on_disk
        self.sort = rows.sort

    def __len__(self) -> int:
        return len(self._rows)

    def window(self, start: int, stop: int) -> Window:
        rows = self._rows.window(start, stop)
        return {ON_DISK.name: self._on_disk.states(rows["SeriesInstanceUID"]), **rows}

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        return self._rows.keys(rows)

    def positions(self, keys: Sequence[Any]) -> list[int]:
        return self._rows.positions(keys)

    def sorted(self, sort: Sort | None) -> WithStates:
        if sort is not None and sort.column == ON_DISK.name:
            raise InvalidQueryError("series cannot be sorted by what is on the disk")
        return WithStates(self._rows.sorted(sort), self._on_disk)


def _check_sort(level: str, sort: Sort | None) -> None:
    names = [column.name for column in COLUMNS[level]]
    if sort is not None and sort.column not in names:
        raise InvalidQueryError(unknown_message("column", sort.column, names))


class _SeriesRows:
    """Series, each the number of its row in the index."""

    level = "series"

    def __init__(self, engine: Engine, matches: Matches, sort: Sort | None) -> None:
        _check_sort(self.level, sort)
        self.sort, self._engine, self._matches = sort, engine, matches
        self._memory = matches.memory
        if sort is not None:
            self._rows = matches.rows[self._order(sort)]
        elif len(matches.rows) <= _READABLE:
            self._rows = matches.rows[self._reading_order()]
        else:
            self._rows = matches.rows

    def _order(self, sort: Sort) -> _Array:
        rows, memory = self._matches.rows, self._memory
        if sort.column == "SeriesInstanceUID":
            # Only the file has them.
            sorted_ = self._engine.query("SELECT _row FROM _rows ORDER BY SeriesInstanceUID")
            rank = np.empty(memory.series_count, dtype=np.int32)
            rank[to_numpy(sorted_.column(0).combine_chunks())] = np.arange(
                memory.series_count, dtype=np.int32
            )
            return _ordered(rank[rows], None, sort.descending)
        if sort.column in memory.series_numbers:
            numbers = memory.series_numbers[sort.column][rows]
            return _ordered(numbers, np.isnan(numbers), sort.descending)
        coded = self._coded(sort.column)
        codes = self._codes(sort.column, rows)
        if sort.column == "SeriesNumber":  # in the order of the numbers
            codes, missing = _numeric_rank(coded)[codes], len(coded.values)
        else:
            missing = coded.missing_code
        return _ordered(codes, codes == missing, sort.descending)

    def _reading_order(self) -> _Array:
        """By patient, date, study, modality, number and description."""
        rows = self._matches.rows
        number = self._memory.series_columns["SeriesNumber"]
        return np.lexsort(
            [
                self._codes("SeriesDescription", rows),
                number.number_of_code[self._codes("SeriesNumber", rows)],
                self._codes("Modality", rows),
                self._memory.study_of_series[rows],
                self._memory.patient_of_group[self._memory.group_of_series[rows]],
            ]
        )

    def _coded(self, column: str) -> EncodedColumn:
        memory = self._memory
        if column == "PatientID":
            return memory.patient_ids
        return memory.group_columns.get(column) or memory.series_columns[column]

    def _codes(self, column: str, rows: _Array) -> _Array:
        memory = self._memory
        if column in memory.series_columns:
            return memory.series_columns[column].codes[rows]
        groups = memory.group_of_series[rows]
        if column == "PatientID":
            return memory.patient_ids.codes[memory.patient_of_group[groups]]
        return memory.group_columns[column].codes[groups]

    def __len__(self) -> int:
        return len(self._rows)

    def window(self, start: int, stop: int) -> Window:
        rows = self._rows[start:stop]
        columns: Window = {}
        for name in (column.name for column in COLUMNS[self.level]):
            if name == "SeriesInstanceUID":
                columns[name] = self._memory.series_uids_of(rows)
            elif name in self._memory.series_numbers:
                columns[name] = _present(self._memory.series_numbers[name][rows], name)
            else:
                columns[name] = self._coded(name).decode(self._codes(name, rows))
        return columns

    def keys(self, rows: Iterable[range]) -> tuple[str, ...]:
        return tuple(self._memory.series_uids_of(_pick(self._rows, rows)))

    def positions(self, keys: Sequence[str]) -> list[int]:
        return _positions(self._rows, self._memory.number_by_key(self.level, keys))

    def sorted(self, sort: Sort | None) -> _SeriesRows:
        return _SeriesRows(self._engine, self._matches, sort)


class _GroupRows:
    """Patients or studies, each by its number."""

    def __init__(self, level: str, matches: Matches, sort: Sort | None) -> None:
        _check_sort(level, sort)
        self.level, self.sort, self._matches = level, sort, matches
        numbers = self._numbers = matches.numbers(level)
        if sort is not None:
            values = _Aggregate(level, matches, numbers).sortable(sort.column)
            self._numbers = numbers[_ordered(*values, sort.descending)]

    def __len__(self) -> int:
        return len(self._numbers)

    def window(self, start: int, stop: int) -> Window:
        numbers = self._numbers[start:stop]
        ascending = np.sort(numbers)
        aggregate = _Aggregate(self.level, self._matches, ascending)
        places = np.searchsorted(ascending, numbers).tolist()
        columns = {}
        for name in (one.name for one in COLUMNS[self.level]):
            values = aggregate.column(name)
            columns[name] = [values[place] for place in places]
        return columns

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        numbers = _pick(self._numbers, rows)
        return tuple(self._matches.memory.keys_of(self.level, numbers))

    def positions(self, keys: Sequence[Any]) -> list[int]:
        return _positions(self._numbers, self._matches.memory.number_by_key(self.level, keys))

    def sorted(self, sort: Sort | None) -> _GroupRows:
        return _GroupRows(self.level, self._matches, sort)


#: Columns of `_Aggregate` that are numbers.
_COUNTED = ("studies", "series", "instances", "size_MB")


class _Aggregate:
    """What the matching series of some patients or studies amount to.

    Args:
        level: "patient" or "study".
        matches: the series.
        numbers: the patients or studies, ascending.
    """

    def __init__(self, level: str, matches: Matches, numbers: _Array) -> None:
        memory = matches.memory
        self._memory, self._level, self._numbers = memory, level, numbers
        rows = matches.rows
        if 0 < len(numbers) <= _FEW:
            rows = matches.rows_around(level, numbers)
        count = memory.patient_count if level == "patient" else memory.study_count
        place = np.full(count, -1, dtype=np.int32)
        place[numbers] = np.arange(len(numbers), dtype=np.int32)
        if level == "patient":
            places = place[memory.patient_of_group[memory.group_of_series[rows]]]
        else:
            places = place[memory.study_of_series[rows]]
        chosen = places >= 0
        #: The series, and of each the place of its patient or study.
        self._rows, self._places = rows[chosen], places[chosen]

    def column(self, name: str) -> list[Any]:
        """A column of the grid, in the order of the numbers."""
        if name in _COUNTED:
            return _present(self._counts(name), name)
        if name == "StudyInstanceUID":
            return self._memory.keys_of("study", self._numbers)
        if name in ("PatientSex", "PatientAge", "Modality"):
            return list(self._joined(name, ", " if name == "Modality" else ","))
        coded, codes = self._codes(name)
        return coded.decode(self._lowest(coded, codes))

    def _counts(self, name: str) -> _Array:
        """A column of numbers; NaN for missing."""
        many = len(self._numbers)
        if name == "size_MB":
            return self._sum("series_size_MB")
        if name == "instances":
            return self._sum("instanceCount")
        if name == "series":
            return np.bincount(self._places, minlength=many)
        pairs = np.unique(
            self._places.astype(np.int64) << 32 | self._memory.study_of_series[self._rows]
        )
        return np.bincount(pairs >> 32, minlength=many)

    def sortable(self, name: str) -> tuple[_Array, _Array | None]:
        """A column as something to sort by, and where it is missing."""
        if name in ("PatientSex", "PatientAge", "Modality", "StudyInstanceUID"):
            texts = np.array(self.column(name), dtype=object)
            missing = np.array([text is None for text in texts], dtype=bool)
            return np.where(missing, "", texts), missing
        if name in _COUNTED:
            numbers = self._counts(name)
            return numbers, np.isnan(numbers)
        coded, codes = self._codes(name)
        lowest = self._lowest(coded, codes)
        return lowest, lowest == coded.missing_code

    def _codes(self, name: str) -> tuple[EncodedColumn, _Array]:
        """A column, and its codes of these series."""
        memory = self._memory
        if name in memory.series_columns:
            return memory.series_columns[name], memory.series_columns[name].codes[self._rows]
        groups = memory.group_of_series[self._rows]
        if name == "PatientID":
            return memory.patient_ids, memory.patient_ids.codes[memory.patient_of_group[groups]]
        return memory.group_columns[name], memory.group_columns[name].codes[groups]

    def _lowest(self, coded: EncodedColumn, codes: _Array) -> _Array:
        """The first value in order that a series of the patient or study has."""
        lowest = np.full(len(self._numbers), coded.missing_code, dtype=np.int32)
        np.minimum.at(lowest, self._places, codes.astype(np.int32))
        return lowest

    def _joined(self, name: str, separator: str) -> list[str | None]:
        """All values that the series have, in order."""
        coded, codes = self._codes(name)
        pairs = np.unique(self._places.astype(np.int64) << 32 | codes)
        pairs = pairs[(pairs & 0xFFFFFFFF) != coded.missing_code]
        texts: list[str | None] = [None] * len(self._numbers)
        for place, code in zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
            text, before = coded.value_of_code[code], texts[place]
            texts[place] = text if before is None else f"{before}{separator}{text}"
        return texts

    def _sum(self, name: str) -> _Array:
        """The sum of a number; NaN where no series has one."""
        numbers = self._memory.series_numbers[name][self._rows]
        values = np.nan_to_num(numbers)
        total = np.bincount(self._places, values, len(self._numbers)).astype(float)
        present = np.bincount(self._places[~np.isnan(numbers)], minlength=len(self._numbers))
        total[present == 0] = np.nan
        return total


class _FetchedRows:
    """All rows of a level, fetched at once from a database elsewhere."""

    def __init__(self, level: str, natural: pa.Table, sort: Sort | None = None) -> None:
        _check_sort(level, sort)
        self.level, self.sort, self._natural = level, sort, natural
        self._rows = natural
        if sort is not None:
            self._rows = natural.sort_by(
                [(sort.column, "descending" if sort.descending else "ascending")]
            )

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def window(self, start: int, stop: int) -> Window:
        rows = self._rows.slice(start, max(0, stop - start))
        return {
            name: list(rows.column(name).to_pylist())
            for name in (column.name for column in COLUMNS[self.level])
        }

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        return tuple(
            key
            for one in rows
            for key in _keys_of(self.level, self._rows.slice(one.start, len(one)))
        )

    def positions(self, keys: Sequence[Any]) -> list[int]:
        wanted = set(keys)
        every = enumerate(_keys_of(self.level, self._rows))
        return [row for row, key in every if key in wanted]

    def sorted(self, sort: Sort | None) -> _FetchedRows:
        return _FetchedRows(self.level, self._natural, sort)


def _keys_of(level: str, rows: pa.Table) -> Iterable[Any]:
    columns = [rows.column(name).to_pylist() for name in LEVELS[level].key]
    return zip(*columns, strict=True) if len(columns) > 1 else columns[0]


def _pick(numbers: _Array, rows: Iterable[range]) -> _Array:
    """The numbers of these rows."""
    parts = [numbers[one.start : one.stop] for one in rows]
    return np.concatenate(parts) if parts else numbers[:0]


def _positions(numbers: _Array, found: Mapping[Any, int]) -> list[int]:
    """The rows with the numbers that were found."""
    if not found:
        return []
    places: list[int] = np.flatnonzero(np.isin(numbers, list(found.values()))).tolist()
    return places


def _ordered(keys: _Array, missing: _Array | None, descending: bool) -> _Array:
    """The order of the keys, missing ones last; equal keys stay as they are."""
    if missing is None or not missing.any():
        return _argsort(keys, descending)
    present = np.flatnonzero(~missing)
    return np.concatenate([present[_argsort(keys[present], descending)], np.flatnonzero(missing)])


def _argsort(keys: _Array, descending: bool) -> _Array:
    if not descending:
        return np.argsort(keys, kind="stable")
    return len(keys) - 1 - np.argsort(keys[::-1], kind="stable")[::-1]


def _numeric_rank(coded: EncodedColumn) -> _Array:
    """Of each code, its place in the order of numbers, then of texts; missing stays last."""
    order = np.lexsort([np.arange(len(coded.values)), coded.number_of_code[:-1]])
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order] = np.arange(len(order))
    rank[-1] = len(order)
    return rank


def _present(numbers: _Array, name: str) -> list[Any]:
    """Numbers as Python values, sizes as float and counts as int; None for NaN."""
    kind = float if name in ("size_MB", "series_size_MB") else int
    return [None if value != value else kind(value) for value in numbers.tolist()]
