"""Sorted rows of a cohort at a level: their number, their keys, and windows of them.

A grid on the screen shows them. A `RowSource` never changes: for another order or filter, make
another source. In memory, it holds only the order and computes a window when it is needed. It can
also free the order, and computes it again at the next use. From another database, it fetches all
rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from .._util import as_list
from ..errors import InvalidQueryError, unknown_message
from ..index import LEVELS
from .memory import AggregateRows, Matches, SeriesRows, Sort

if TYPE_CHECKING:
    import pyarrow as pa

    from .cohort import Cohort

__all__ = ["RowSource", "Window", "row_source"]

#: Some rows: column → its values, with None for missing ones.
Window: TypeAlias = dict[str, list[Any]]


class _Ordered(NamedTuple):
    """The matching series of a source, and its rows in order."""

    matches: Matches
    rows: SeriesRows | AggregateRows


class RowSource(Protocol):
    """The rows of a cohort at a level, in a certain order.

    A key is a SeriesInstanceUID, a StudyInstanceUID or a pair (collection_id, PatientID).
    """

    @property
    def sort(self) -> Sort | None:
        """The order; None for that of `Cohort.patients`, `Cohort.studies` or `Cohort.series`."""
        ...

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def window(self, start: int, stop: int) -> Window:
        """Return the rows at the positions [start, stop), as far as there are any."""
        ...

    def values(self, ranges: Iterable[range]) -> Window:
        """Return the rows at these positions."""
        ...

    def keys(self, ranges: Iterable[range]) -> tuple[Any, ...]:
        """Return the keys of the rows at these positions."""
        ...

    def positions(self, keys: Sequence[Any]) -> list[int]:
        """Return the ascending positions of the rows with these keys; skip unknown keys."""
        ...

    def free(self) -> None:
        """Free the memory of the order; the source computes the order again when it is used."""
        ...

    def sorted(self, sort: Sort | None) -> RowSource:
        """Return the same rows in another order.

        Raises:
            InvalidQueryError: The source does not have the column.
        """
        ...


def row_source(
    cohort: Cohort, level: str, sort: Sort | None = None, *, columns: Sequence[str] | None = None
) -> RowSource:
    """Return the rows of a cohort at a level.

    Args:
        cohort: The cohort.
        level: "patient", "study" or "series".
        sort: The order; None for that of `Cohort.patients`, `Cohort.studies` or `Cohort.series`.
        columns: The columns of a window, and those to sort by; by default all.

    Raises:
        InvalidQueryError: The level is unknown, or the column of `sort` is not in `columns`.
    """
    if level not in LEVELS:
        raise InvalidQueryError(unknown_message("level", level, LEVELS))
    names = tuple(LEVELS[level].columns if columns is None else as_list(columns))
    matches = cohort.matches
    if matches is None:
        return _FetchedRows(level, names, cohort.engine.query(*cohort.level_sql(level)), sort)
    return _RowsInMemory(cohort, level, names, matches, sort)


def _check_sort(columns: Sequence[str], sort: Sort | None) -> None:
    if sort is not None and sort.column not in columns:
        raise InvalidQueryError(unknown_message("column", sort.column, columns))


class _RowsInMemory:
    """The rows of a cohort whose index is in memory.

    Args:
        cohort: The cohort. It keeps the engine alive, because windows are read from it.
        level: The level.
        columns: The columns of a window.
        matches: The matching series of the cohort.
        sort: The order; None for that of `Cohort.patients`, `Cohort.studies` or `Cohort.series`.
    """

    def __init__(
        self,
        cohort: Cohort,
        level: str,
        columns: Sequence[str],
        matches: Matches,
        sort: Sort | None,
    ) -> None:
        _check_sort(columns, sort)
        self.sort, self._cohort, self._level, self._columns = sort, cohort, level, columns
        ordered = self._order(matches)
        self._count = len(ordered.rows.order)
        #: None after `free`, until the rows are needed again.
        self._ordered: _Ordered | None = ordered

    def __len__(self) -> int:
        return self._count

    def window(self, start: int, stop: int) -> Window:
        return self.values([range(start, stop)])

    def values(self, ranges: Iterable[range]) -> Window:
        rows = self._matches_and_rows().rows
        return rows.values(self._numbers(rows, ranges), self._columns)

    def keys(self, ranges: Iterable[range]) -> tuple[Any, ...]:
        matches, rows = self._matches_and_rows()
        return tuple(matches.memory.keys_of(self._level, self._numbers(rows, ranges)))

    def positions(self, keys: Sequence[Any]) -> list[int]:
        if not keys:
            return []
        matches, rows = self._matches_and_rows()
        numbers = matches.memory.number_by_key(self._level, keys)
        wanted = np.array(list(numbers.values()), dtype=np.int64)
        positions: list[int] = rows.order.positions_of(wanted).tolist()
        return positions

    def sorted(self, sort: Sort | None) -> _RowsInMemory:
        matches = self._matches_and_rows().matches
        return _RowsInMemory(self._cohort, self._level, self._columns, matches, sort)

    def free(self) -> None:
        self._ordered = None

    def _order(self, matches: Matches) -> _Ordered:
        if self._level == "series":
            return _Ordered(matches, SeriesRows(matches, self.sort))
        return _Ordered(matches, AggregateRows(self._level, matches, self.sort))

    def _matches_and_rows(self) -> _Ordered:
        ordered = self._ordered
        if ordered is None:
            matches = self._cohort.matches
            assert matches is not None, "an index in memory stays there"
            self._ordered = ordered = self._order(matches)
        return ordered

    def _numbers(self, rows: SeriesRows | AggregateRows, ranges: Iterable[range]) -> Any:
        """Return the numbers of the rows at these positions."""
        count = len(self)
        parts = [np.arange(max(part.start, 0), min(part.stop, count)) for part in ranges]
        return rows.order.at(np.concatenate([*parts, np.zeros(0, dtype=np.int64)]))


class _FetchedRows:
    """All rows of a level, fetched at once from another database.

    Args:
        level: The level.
        columns: The columns of a window.
        natural: The rows in the order of `Cohort.level_sql`.
        sort: The order; None for that of `natural`.
    """

    def __init__(
        self, level: str, columns: Sequence[str], natural: pa.Table, sort: Sort | None
    ) -> None:
        _check_sort(columns, sort)
        self.sort, self._level, self._columns, self._natural = sort, level, columns, natural
        self._rows = natural
        if sort is not None:
            self._rows = natural.sort_by(
                [(sort.column, "descending" if sort.descending else "ascending")]
            )

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def window(self, start: int, stop: int) -> Window:
        return self.values([range(start, stop)])

    def values(self, ranges: Iterable[range]) -> Window:
        count = len(self)
        parts = [range(max(0, part.start), min(part.stop, count)) for part in ranges]
        rows = self._rows.take([number for part in parts for number in part])
        return {name: list(rows.column(name).to_pylist()) for name in self._columns}

    def keys(self, ranges: Iterable[range]) -> tuple[Any, ...]:
        return tuple(
            key
            for part in ranges
            for key in _keys_of(self._level, self._rows.slice(part.start, len(part)))
        )

    def positions(self, keys: Sequence[Any]) -> list[int]:
        wanted = set(keys)
        all_keys = enumerate(_keys_of(self._level, self._rows))
        return [position for position, key in all_keys if key in wanted]

    def sorted(self, sort: Sort | None) -> _FetchedRows:
        return _FetchedRows(self._level, self._columns, self._natural, sort)

    def free(self) -> None:
        """Keep the rows: the database may return others when it is queried again."""


def _keys_of(level: str, rows: pa.Table) -> Iterable[Any]:
    columns = [rows.column(name).to_pylist() for name in LEVELS[level].key]
    return zip(*columns, strict=True) if len(columns) > 1 else columns[0]
