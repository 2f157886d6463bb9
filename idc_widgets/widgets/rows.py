"""Rows of a grid without the grid: how many, a window of them, their order, their keys.

A `RowSource` holds the rows of one cohort at one level in one order, and never changes: a sort or
another filter is another source. Where rows are very many, only their order is held, as one row id
each, and every window is a query by row id; fewer patients and studies are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..cohort import Cohort
from ..engine import INDEX, Engine
from ..errors import InvalidQueryError, unknown
from .state import KEYS, narrow

if TYPE_CHECKING:
    import pyarrow as pa
    from ipywidgets import DOMWidget

__all__ = ["COLUMNS", "Column", "GridView", "RowSource", "Sort", "row_source"]

#: Above this many rows, a source without a sort keeps the order of the file (collection,
#: patient, study), which costs nothing; fewer are put into an order for reading.
_READABLE = 10_000

_READING_ORDER = (
    "collection_id, PatientID, StudyDate, StudyInstanceUID, Modality,"
    " TRY_CAST(SeriesNumber AS BIGINT), SeriesDescription, _row"
)


@dataclass(frozen=True)
class Column:
    """How a grid shows a column.

    Args:
        name: as in the source.
        title: the header.
        width: in pixels, wide enough for the header and its menu button.
        kind: "text"; "count", an integer; "size", MB shown in human units; "uid", text that is
            elided in the middle.
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
    "patients": (
        Column("collection_id", "Collection", 130),
        Column("PatientID", "PatientID", 116),
        Column("PatientSex", "Sex", 54),
        Column("PatientAge", "Age", 58),
        Column("studies", "Studies", 74, "count"),
        Column("series", "Series", 68, "count"),
        Column("instances", "Files", 64, "count"),
        Column("size_MB", "Size", 76, "size"),
    ),
    "studies": (
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


class RowSource(Protocol):
    """The rows that a grid shows."""

    level: str
    sort: Sort | None

    def __len__(self) -> int: ...

    def window(self, start: int, stop: int) -> pa.Table:
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

    def on_pick(self, callback: Callable[[tuple[Any, ...]], None]) -> None:
        """Calls back with all picked keys whenever a person picks."""
        ...

    def on_sort(self, callback: Callable[[Sort | None], None]) -> None:
        """Calls back when a person asks for another order; None for the first one."""
        ...


def row_source(cohort: Cohort, level: str, sort: Sort | None = None) -> RowSource:
    """The rows of a cohort at a level: "patients", "studies" or "series".

    Raises:
        InvalidQueryError: unknown level, or a sort by a column that the grid does not have.
    """
    if level not in COLUMNS:
        raise InvalidQueryError(unknown("level", level, COLUMNS))
    if level == "series":
        return _SeriesRows(cohort, sort)
    if sort is None and cohort.source is not INDEX:
        many = _GroupRows(cohort, level)
        if len(many) > _READABLE:
            return many
    rows = _AggregateRows(level, cohort.engine.query(*cohort.level_sql(level)))
    return rows if sort is None else rows.sorted(sort)


def _check_sort(level: str, sort: Sort | None) -> None:
    names = [column.name for column in COLUMNS[level]]
    if sort is not None and sort.column not in names:
        raise InvalidQueryError(unknown("column", sort.column, names))


class _SeriesRows:
    """Series: their order as row ids; a window is read from the index when asked for."""

    level = "series"

    def __init__(self, cohort: Cohort, sort: Sort | None) -> None:
        _check_sort(self.level, sort)
        self.sort, self._cohort = sort, cohort
        self._engine = cohort.engine
        self._table, self._id = self._engine.row_id
        self._ids = self._order()

    def _order(self) -> Any:
        if self.sort is not None:
            return self._query_ids(f"{_by(self.sort)}, {self._id}")
        ids = self._query_ids(self._id)
        return self._query_ids(_READING_ORDER) if 1 < len(ids) <= _READABLE else ids

    def _query_ids(self, order: str) -> Any:
        where, params = self._cohort.predicate
        table = self._engine.query(
            f"SELECT CAST({self._id} AS INTEGER) FROM {self._table} WHERE {where} ORDER BY {order}",
            params,
        )
        return table.column(0).to_numpy()

    def __len__(self) -> int:
        return len(self._ids)

    def window(self, start: int, stop: int) -> pa.Table:
        names = [column.name for column in COLUMNS[self.level]]
        return _read(self._engine, names, self._ids[start:stop])

    def keys(self, rows: Iterable[range]) -> tuple[str, ...]:
        ids = _pick(self._ids, rows)
        return tuple(_keys_of(self.level, _read(self._engine, ["SeriesInstanceUID"], ids)))

    def positions(self, keys: Sequence[str]) -> list[int]:
        if not keys:
            return []
        where, params = self._cohort.of_series(keys).predicate
        return _where(
            self._ids,
            self._engine.query(f"SELECT {self._id} FROM {self._table} WHERE {where}", params),
        )

    def sorted(self, sort: Sort | None) -> _SeriesRows:
        return _SeriesRows(self._cohort, sort)


class _GroupRows:
    """Very many patients or studies, in the order of the file.

    Only their numbers are held (see `CODES`), which are the row ids of their first series; a
    window is computed when asked for.
    """

    def __init__(self, cohort: Cohort, level: str) -> None:
        self.sort: Sort | None = None
        self.level, self._cohort, self._engine = level, cohort, cohort.engine
        self._number = cohort.source.patient if level == "patients" else cohort.source.study
        where, params = cohort.predicate
        rows = self._engine.query(
            f"SELECT DISTINCT {self._number} AS number FROM {cohort.source.table} WHERE {where}"
            " ORDER BY number",
            params,
        )
        self._numbers = rows.column(0).to_numpy()

    def __len__(self) -> int:
        return len(self._numbers)

    def window(self, start: int, stop: int) -> pa.Table:
        import numpy as np

        keys = self.keys([range(start, min(stop, len(self)))])
        of = self._cohort.of_patients if self.level == "patients" else self._cohort.of_studies
        rows = _AggregateRows(self.level, self._engine.query(*of(keys).level_sql(self.level)))
        places = [rows.positions([key])[0] for key in keys]
        return rows.window(0, len(rows)).take(np.asarray(places, dtype="int64"))

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        numbers = _pick(self._numbers, rows)
        return tuple(_keys_of(self.level, _read(self._engine, KEYS[self.level], numbers)))

    def positions(self, keys: Sequence[Any]) -> list[int]:
        if not keys:
            return []
        table, row_id = self._engine.row_id
        where, params = narrow(self._cohort, self.level, tuple(keys)).predicate
        return _where(
            self._numbers,
            self._engine.query(
                f"SELECT DISTINCT {self._number} FROM {self._cohort.source.table} WHERE _row IN"
                f" (SELECT {row_id} FROM {table} WHERE {where})",
                params,
            ),
        )

    def sorted(self, sort: Sort | None) -> RowSource:
        return self if sort is None else row_source(self._cohort, self.level, sort)


class _AggregateRows:
    """Patients or studies: computed once, then cut into windows."""

    def __init__(self, level: str, natural: pa.Table, sort: Sort | None = None) -> None:
        _check_sort(level, sort)
        self.level, self.sort, self._natural = level, sort, natural
        if sort is None:
            self._rows = natural
        else:
            self._rows = natural.sort_by(
                [(sort.column, "descending" if sort.descending else "ascending")]
            )

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def window(self, start: int, stop: int) -> pa.Table:
        names = [column.name for column in COLUMNS[self.level]]
        return self._rows.select(names).slice(start, max(0, stop - start))

    def keys(self, rows: Iterable[range]) -> tuple[Any, ...]:
        return tuple(
            key
            for one in rows
            for key in _keys_of(self.level, self._rows.slice(one.start, len(one)))
        )

    def positions(self, keys: Sequence[Any]) -> list[int]:
        return sorted(self._position[key] for key in keys if key in self._position)

    def sorted(self, sort: Sort | None) -> _AggregateRows:
        return _AggregateRows(self.level, self._natural, sort)

    @cached_property
    def _position(self) -> dict[Any, int]:
        return {key: row for row, key in enumerate(_keys_of(self.level, self._rows))}


def _read(engine: Engine, columns: Sequence[str], ids: Any) -> pa.Table:
    """The rows of the index with these row ids, in their order."""
    table, row_id = engine.row_id
    return engine.query(
        f"SELECT {', '.join(columns)} FROM {table} JOIN"
        " (SELECT unnest(?) AS id, unnest(?) AS position) AS wanted"
        f" ON {row_id} = wanted.id ORDER BY position",
        [ids.tolist(), list(range(len(ids)))],
    )


def _keys_of(level: str, rows: pa.Table) -> Iterable[Any]:
    columns = [rows.column(name).to_pylist() for name in KEYS[level]]
    return zip(*columns, strict=True) if len(columns) > 1 else columns[0]


def _pick(ids: Any, rows: Iterable[range]) -> Any:
    """The row ids of these rows."""
    import numpy as np

    parts = [ids[one.start : one.stop] for one in rows]
    return np.concatenate(parts) if parts else ids[:0]


def _where(ids: Any, found: pa.Table) -> list[int]:
    """The rows whose row ids were found."""
    import numpy as np

    return [int(row) for row in np.flatnonzero(np.isin(ids, found.column(0).to_numpy()))]


def _by(sort: Sort) -> str:
    # Numbers written as text are put in the order of the numbers.
    number = f"TRY_CAST({sort.column} AS DOUBLE), " if sort.column == "SeriesNumber" else ""
    direction = "DESC" if sort.descending else "ASC"
    return ", ".join(
        f"{part} {direction} NULLS LAST" for part in f"{number}{sort.column}".split(", ")
    )
