"""Rows of series with a column that shows whether their files are on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import InvalidQueryError
from ...query import RowSource, Sort, Window
from ..on_disk import OnDisk
from .columns import ON_DISK

__all__ = ["WithStates"]


class WithStates:
    """A `RowSource` of series with the column `ON_DISK`.

    Args:
        rows: The series.
        on_disk: Examines the disk for the series of each window.
    """

    def __init__(self, rows: RowSource, on_disk: OnDisk) -> None:
        self._rows, self._on_disk = rows, on_disk
        self.sort = rows.sort

    def __len__(self) -> int:
        return len(self._rows)

    def window(self, start: int, stop: int) -> Window:
        """Return the rows at the positions [start, stop), with the column `ON_DISK`."""
        rows = self._rows.window(start, stop)
        count = len(next(iter(rows.values()), []))  # `stop` may be after the last row
        uids = self._uids(rows, [range(start, start + count)])
        return {ON_DISK.name: self._on_disk.states(uids), **rows}

    def values(self, ranges: Iterable[range]) -> Window:
        """Return the rows at these positions, with the column `ON_DISK`."""
        ranges = list(ranges)
        rows = self._rows.values(ranges)
        return {ON_DISK.name: self._on_disk.known_states(self._uids(rows, ranges)), **rows}

    def _uids(self, rows: Window, ranges: Iterable[range]) -> Sequence[str]:
        """Return the SeriesInstanceUIDs of rows, which may be without this column."""
        return rows["SeriesInstanceUID"] if "SeriesInstanceUID" in rows else self.keys(ranges)

    def keys(self, ranges: Iterable[range]) -> tuple[Any, ...]:
        """Return the SeriesInstanceUIDs of the rows at these positions."""
        return self._rows.keys(ranges)

    def positions(self, keys: Sequence[Any]) -> list[int]:
        """Return the positions of these SeriesInstanceUIDs in ascending order; skip absent ones."""
        return self._rows.positions(keys)

    def sorted(self, sort: Sort | None) -> WithStates:
        """Return the same rows in another order.

        Raises:
            InvalidQueryError: The order is by `ON_DISK`, which changes while a job runs.
        """
        if sort is not None and sort.column == ON_DISK.name:
            raise InvalidQueryError(
                f"series cannot be sorted by {ON_DISK.title!r}; sort by another column"
            )
        return WithStates(self._rows.sorted(sort), self._on_disk)

    def free(self) -> None:
        """Free what the rows can compute again."""
        self._rows.free()
