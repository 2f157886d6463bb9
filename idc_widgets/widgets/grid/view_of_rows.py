"""What all grid views have in common: which rows a click means, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...errors import InvalidQueryError
from ...query import RowSource, Sort
from ..cell_text import cell_text
from .columns import Column
from .grid_view import GridOptions
from .shown_rows import ShownRows

__all__ = ["FIRST_ROWS", "REPLACED", "ViewOfRows", "cell_texts"]

#: What a person is told about a click on rows that are not known any more.
REPLACED = "the rows that you clicked have been replaced since then; click again"

#: Rows sent with a new source before the front end requests any: as many as a tall grid shows.
FIRST_ROWS = 40
#: Limit of rows that a person can pick; filters are the way to choose more.
_MAX_PICKS = 100_000
#: Length of the longest text sent for a cell; a grid cannot show a wider one.
_MAX_TEXT_CHARACTERS = 300


class ViewOfRows:
    """The part of a `GridView` that knows rows, but not how they are shown.

    Each call of `show` starts a new generation of rows. A page reports every click with the
    generation that it had at that moment, and the click is resolved against the rows of that
    generation; see `ShownRows`.

    Args:
        columns: The columns to show, in order.
        options: The options of every view of a grid.
    """

    def __init__(self, columns: Sequence[Column], options: GridOptions) -> None:
        self._columns = list(columns)
        self._guard, self._turn = options.guard, options.turn
        self._rows: RowSource | None = None
        self._shown = ShownRows()
        self._requests = options.requests
        self._picked_callbacks: list[Callable[[tuple[Any, ...]], None]] = []
        self._sort_callbacks: list[Callable[[Sort | None], None]] = []

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that are shown, in order."""
        return self._columns

    def on_pick(self, callback: Callable[[tuple[Any, ...]], None]) -> None:
        """Call back with all picked keys when a person picks rows."""
        self._picked_callbacks.append(callback)

    def on_sort(self, callback: Callable[[Sort | None], None]) -> None:
        """Call back when a person requests another order; None is the original order."""
        self._sort_callbacks.append(callback)

    def close(self) -> None:
        """Forget all rows. Later clicks have no effect."""
        self._rows = None
        self._shown.clear()

    def _rows_of(self, generation: int | None) -> RowSource:
        """Return the rows of a generation; None stands for the present one.

        Raises:
            InvalidQueryError: They are not known any more.
        """
        rows = self._rows if generation is None else self._shown.rows(generation)
        if rows is None:
            raise InvalidQueryError(REPLACED)
        return rows

    def _picked_keys(
        self, rows: RowSource, ranges: Sequence[range], before: Sequence[range]
    ) -> tuple[Any, ...]:
        """Return the keys of the rows that a person picked.

        Args:
            rows: The rows that the page showed.
            ranges: The picked rows.
            before: The rows that were picked until then.

        Raises:
            InvalidQueryError: Too many rows are picked.
        """
        count = sum(map(len, ranges))
        if count > _MAX_PICKS:
            raise InvalidQueryError(
                f"{count:,} rows are too many to pick; expected at most {_MAX_PICKS:,}. With "
                f"no row picked, all {len(rows):,} are selected; narrow them with filters"
            )
        keys = rows.keys(ranges)
        return keys if rows is self._rows else self._without_hidden(keys, rows.keys(before))

    def _without_hidden(self, keys: tuple[Any, ...], before: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return `keys` without the keys in `before` whose rows are no longer shown.

        If no key is left, return all: then the click was on a row that is no longer shown, and has
        to be refused.
        """
        assert self._rows is not None
        positions = self._rows.positions(before)
        shown = set(self._rows.keys(range(position, position + 1) for position in positions))
        hidden = set(before) - shown
        return tuple(key for key in keys if key not in hidden) or keys

    def _report_picks(self, keys: tuple[Any, ...]) -> None:
        for callback in self._picked_callbacks:
            callback(keys)

    def request_next_sort(self, column: str) -> None:
        """Request the next order by a column: ascending, then descending, then the first one."""
        with self._turn():
            sort = self._rows.sort if self._rows is not None else None
            if sort is None or sort.column != column:
                self.request_sort(Sort(column))
            else:
                self.request_sort(None if sort.descending else Sort(column, descending=True))

    def request_sort(self, sort: Sort | None) -> None:
        """Report that a person requests another order."""
        with self._turn():
            if self._rows is not None and sort != self._rows.sort:
                self._report_sort(sort)

    def _report_sort(self, sort: Sort | None) -> None:
        for callback in self._sort_callbacks:
            callback(sort)


def cell_texts(column: Column, values: Iterable[Any]) -> list[str | None]:
    """Return the values of a column as they are shown, with None for missing ones."""
    kind = column.kind
    return [cell_text(kind, value, _MAX_TEXT_CHARACTERS) for value in values]
