"""The grid on the screen: ipydatagrid's streaming grid, fed from a `RowSource`.

ipydatagrid asks for windows of rows as a person scrolls. What its 1.4.0 gets wrong is stepped
around here, each at its place, so that the rest of the package need not know.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pandas as pd
from ipydatagrid import StreamingDataGrid, TextRenderer, VegaExpr
from traitlets import observe

from ..._util import human_size
from ...errors import InvalidQueryError
from ...query import RowSource, Sort
from .columns import Column

__all__ = ["DataGridView"]

#: Rows sent with a new source, before the front end has asked: what a tall grid shows.
_FIRST_ROWS = 40
#: Rows that can be picked one by one; more is a matter for filters.
_MOST_PICKS = 100_000
#: Rows sent above and below what was asked for, so that a slow scroll shows no gaps.
_MARGIN = 20
#: Longest text sent for one cell; nothing wider can be read in a grid.
_LONGEST_TEXT = 300

_MISSING = "–"

#: A canvas knows no CSS variables, so Jupyter's own font stack is spelt out.
_FONT = "12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

#: Shows the two ends of a long UID: the start tells the organisation, the end tells it apart.
_ELIDED_UID = (
    "length(cell.value) > 30 ? slice(cell.value, 0, 13) + '…' + slice(cell.value, -12) : cell.value"
)


#: What has gone well, and what has not, in colours as far from white as from black.
_STATE_COLOR = (
    "slice(cell.value, 0, 1) == '✓' ? '#358a3a'"
    " : slice(cell.value, 0, 1) == '✕' ? '#dc4040' : default_value"
)


class DataGridView:
    """A `GridView` on ipydatagrid.

    Args:
        columns: what to show, in order.
        height: of the grid, as CSS.
        guard: what every callback runs in; see `BrowserState.reporting`.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        height: str = "240px",
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._columns = list(columns)
        self._guard = guard
        self._rows: RowSource | None = None
        #: The source that the front end has last asked for: what a person saw when clicking.
        self._seen: RowSource | None = None
        #: The rows that it asked for then.
        self._asked = (0, 0)
        #: No view has asked for rows further down since these rows came.
        self._at_top = True
        self._picked_callbacks: list[Callable[[tuple[Any, ...]], None]] = []
        self._sort_callbacks: list[Callable[[Sort | None], None]] = []
        self.widget = _Grid(self, self._columns, height)

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Shows these rows from the top, with the rows of these keys picked."""
        self._rows = rows
        self.widget.reset(len(rows), self._transforms(rows.sort), scroll=not self._at_top)
        self._at_top = True
        self._send(0, _FIRST_ROWS)
        self.pick(picked)
        self.widget.tick()

    def refresh(self) -> None:
        """Shows the rows that are seen again, as they are now."""
        if self._seen is self._rows:  # else they are asked for in a moment
            self._send(*self._asked)

    def pick(self, picked: Sequence[Any]) -> None:
        """Shows the rows of these keys as picked, and only them."""
        if self._rows is not None:
            rectangles = _rectangles(self._rows.positions(picked), len(self._columns))
            self.widget.set_selections(_apart(rectangles, len(self._rows)))

    def on_pick(self, callback: Callable[[tuple[Any, ...]], None]) -> None:
        """Calls back with all picked keys whenever a person picks."""
        self._picked_callbacks.append(callback)

    def on_sort(self, callback: Callable[[Sort | None], None]) -> None:
        """Calls back when a person asks for another order; None for the first one."""
        self._sort_callbacks.append(callback)

    # --- what the front end says -----------------------------------------------------------

    def requested(self, start: int, stop: int) -> None:
        """The front end shows rows [start, stop) and needs them."""
        with self._guard():
            self._seen = self._rows
            self._at_top = self._at_top and start == 0
            self._asked = (start - _MARGIN, stop + _MARGIN)
            self._send(*self._asked)

    def selected(self, rectangles: Iterable[dict[str, int]], before: list[dict[str, int]]) -> None:
        """A person picked these rectangles of rows; `before`, what was picked until then."""
        with self._guard():
            # A click may have been under way while the rows changed: it meant those it saw.
            rows = self._seen if self._seen is not None else self._rows
            if rows is None:
                return
            ranges = _ranges(rectangles, len(rows))
            count = sum(map(len, ranges))
            if count > _MOST_PICKS:
                self.widget.set_selections(before)
                raise InvalidQueryError(
                    f"{count:,} rows are too many to pick; with none picked, all {len(rows):,} "
                    "are meant, and filters choose among them"
                )
            keys = rows.keys(ranges)
            for callback in self._picked_callbacks:
                callback(keys)

    def header_clicked(self, title: str) -> None:
        """A person clicked a header: ascending, then descending, then the first order again."""
        column = self._name(title)
        sort = self._rows.sort if self._rows is not None else None
        if sort is None or sort.column != column:
            self.sort_asked(Sort(column))
        else:
            self.sort_asked(None if sort.descending else Sort(column, descending=True))

    def menu_sorted(self, title: str | None, descending: bool) -> None:
        """A person sorted with the menu of a header; None: its "no sort"."""
        self.sort_asked(None if title is None else Sort(self._name(title), descending))

    def sort_asked(self, sort: Sort | None) -> None:
        """A person asked for another order."""
        with self._guard():
            if self._rows is not None and sort != self._rows.sort:
                for callback in self._sort_callbacks:
                    callback(sort)

    def filter_asked(self) -> None:
        """A person used the filters of a header's menu, which know nothing of the state."""
        with self._guard():
            raise InvalidQueryError(
                "a grid's own menu can sort but not filter; filter with the dropdowns above, "
                "or with browser.filters in Python, so that everything follows"
            )

    def _name(self, title: str) -> str:
        return next(column.name for column in self._columns if column.title == title)

    def _transforms(self, sort: Sort | None) -> list[dict[str, Any]]:
        """An order as ipydatagrid says it, which draws the arrow in the header."""
        if sort is None:
            return []
        title = next(column.title for column in self._columns if column.name == sort.column)
        return [{"type": "sort", "column": title, "desc": sort.descending}]

    def _send(self, start: int, stop: int) -> None:
        if self._rows is None:
            return
        start, stop = max(0, start), min(len(self._rows), stop)
        if start < stop:
            rows = self._rows.window(start, stop)
            cells = {
                column.title: [_cell(column, value) for value in rows[column.name]]
                for column in self._columns
            }
            self.widget.send_rows(start, cells)


class _Grid(StreamingDataGrid):
    """ipydatagrid's grid without a DataFrame behind it: it shows what a `DataGridView` sends."""

    _data: Any
    _transforms: Any

    def __init__(self, view: DataGridView, columns: Sequence[Column], height: str) -> None:
        self._view = view
        self._columns = columns
        self._generation = itertools.count()
        self._shown_transforms: list[dict[str, Any]] = []
        self._header_clicked: str | None = None
        #: What the kernel set last; anything else in `selections` came from a person.
        self._known_selections: list[dict[str, int]] = []
        super().__init__(
            pd.DataFrame({column.title: [] for column in columns}),
            selection_mode="row",
            header_visibility="column",
            base_row_size=24,
            base_column_header_size=28,
            column_widths={column.title: column.width for column in columns},
            renderers={column.title: _renderer(column) for column in columns},
            header_renderer=TextRenderer(font=_FONT),
            default_renderer=TextRenderer(font=_FONT),
            debounce_delay=60,
            layout={"height": height, "width": "100%"},
        )
        # The base class fails with a KeyError on every message that is not about a cell.
        self.on_msg(self._DataGrid__handle_custom_msg, remove=True)

    def reset(self, row_count: int, transforms: list[dict[str, Any]], *, scroll: bool) -> None:
        """Drops all rows that the front end holds and, with `scroll`, scrolls to the top."""
        # First the selection: the front end would report the loss of it as a person's choice.
        self.set_selections([])
        # Empty columns rather than none: without their names a header shows no arrow, and a
        # click on a cell is a TypeError in the front end.
        names = [field["name"] for field in self._data["schema"]["fields"]]
        empty = {name: pd.Series([], dtype="int64") for name in names}
        schema = {**self._data["schema"], "generation": next(self._generation)}
        # A person may have set `_transforms` to these already, with the menu of a header, or to
        # others that could not be had.
        resorted = transforms != self._shown_transforms or transforms != self._transforms
        self._shown_transforms = transforms
        # Each message is a painting, so there is one unless there must be more.
        with self.hold_sync():
            self._data = {"data": empty, "schema": schema, "fields": self._data["fields"]}
            # A grid keeps its place, and nobody can tell it to scroll; without rows it must.
            self._row_count = 0 if scroll else row_count
            self._transforms = transforms
        self._row_count = row_count
        if resorted:
            # Headers are not painted again for a new sort, but they are for a new default size;
            # that of row headers is seen nowhere.
            self.base_row_header_size = 64 + schema["generation"] % 2

    def set_selections(self, rectangles: list[dict[str, int]]) -> None:
        """Shows a selection that no person made."""
        self._known_selections = rectangles
        self.selections = [dict(one) for one in rectangles]

    def send_rows(self, start: int, cells: dict[str, list[str]]) -> None:
        """Sends the cells of rows from `start` on, column by column."""
        count = len(next(iter(cells.values())))
        numbers = list(range(start, start + count))
        # In the order of the schema: the front end finds the sorted column by its place.
        data = {"key": numbers, **cells, "ipydguuid": numbers}
        self.send(
            {
                "event_type": "data-reply",
                "value": {
                    "data": {name: {"type": "raw", "value": cell} for name, cell in data.items()},
                    "schema": self._data["schema"],
                    "fields": self._data["fields"],
                },
                "r1": start,
                "r2": start + count - 1,
                "c1": 0,
                "c2": len(self._columns) - 1,
            }
        )

    def _handle_comm_msg(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "data-request":
            self._view.requested(_int(content.get("r1")), _int(content.get("r2")) + 1)
        elif content.get("type") == "unique-values-request":
            # The menu's filter by value: values live in the dropdowns, with their counts.
            self.send(
                {
                    "event_type": "unique-values-reply",
                    "column": content.get("column"),
                    "value": {"data": {str(content.get("column")): []}, "schema": {}, "fields": []},
                }
            )
        elif content.get("event_type") == "cell-click":
            # Comes before the selection that the same click makes, and also when a column is
            # dragged wider or the menu is opened, which make none.
            in_header = content.get("region") == "column-header"
            self._header_clicked = str(content.get("column")) if in_header else None

    @observe("selections")
    def _on_selections(self, change: Any) -> None:
        rectangles = list(change["new"])
        if rectangles == self._known_selections:
            return
        column, self._header_clicked = self._header_clicked, None
        if column is not None and _is_everything(rectangles, self._row_count):
            # A click on a header selects every row; people mean to sort.
            self.set_selections(self._known_selections)
            self._view.header_clicked(column)
            return
        before, self._known_selections = self._known_selections, rectangles
        self._view.selected(rectangles, before)

    @observe("_transforms")
    def _on_transforms_changed(self, change: Any) -> None:
        sorts = [one for one in change["new"] if one.get("type") == "sort"]
        if len(sorts) < len(change["new"]):
            self._transforms = sorts
            self._view.filter_asked()
            return
        title = str(sorts[-1]["column"]) if sorts else None
        self._view.menu_sorted(title, bool(sorts and sorts[-1].get("desc")))


def _renderer(column: Column) -> TextRenderer:
    right = column.kind in ("count", "size")
    return TextRenderer(
        font=_FONT,
        horizontal_alignment="right" if right else "left",
        text_value=VegaExpr(_ELIDED_UID) if column.kind == "uid" else None,
        **({"text_color": VegaExpr(_STATE_COLOR)} if column.kind == "state" else {}),
    )


def _cell(column: Column, value: Any) -> str:
    if value is None or value == "":
        return "" if column.kind == "state" else _MISSING
    if column.kind == "count":
        return f"{value:,}"
    if column.kind == "size":
        return human_size(value * 1e6)
    return str(value)[:_LONGEST_TEXT]


def _rectangles(positions: Sequence[int], columns: int) -> list[dict[str, int]]:
    """Row numbers as rectangles of neighbouring rows."""
    rectangles: list[dict[str, int]] = []
    for row in positions:
        if rectangles and rectangles[-1]["r2"] == row - 1:
            rectangles[-1]["r2"] = row
        else:
            rectangles.append({"r1": row, "r2": row, "c1": 0, "c2": columns - 1})
    return rectangles


def _apart(rectangles: list[dict[str, int]], count: int) -> list[dict[str, int]]:
    """Never one rectangle of all rows: a click on a header would change nothing, and go unheard."""
    if count > 1 and _is_everything(rectangles, count):
        return [{**rectangles[0], "r2": 0}, {**rectangles[0], "r1": 1}]
    return rectangles


def _ranges(rectangles: Iterable[dict[str, int]], count: int) -> list[range]:
    """Rectangles as ranges of rows that neither overlap nor leave the grid."""
    spans = sorted((min(one["r1"], one["r2"]), max(one["r1"], one["r2"])) for one in rectangles)
    ranges: list[range] = []
    done = 0
    for first, last in spans:
        start, stop = max(first, done), min(last + 1, count)
        if start < stop:
            ranges.append(range(start, stop))
            done = stop
    return ranges


def _is_everything(rectangles: Sequence[dict[str, int]], count: int) -> bool:
    return len(rectangles) == 1 and rectangles[0]["r1"] == 0 and rectangles[0]["r2"] >= count - 1


def _int(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
