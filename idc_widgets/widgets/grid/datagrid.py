"""A `GridView` on ipydatagrid's streaming grid, which requests windows of rows while scrolling.

This module works around the defects of ipydatagrid 1.4.0, with a comment at each place, so that no
other module needs to know them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from ipydatagrid import StreamingDataGrid, TextRenderer, VegaExpr
from ipywidgets import Box, VBox
from traitlets import Int, observe

from ...errors import InvalidQueryError
from ...query import RowSource, Sort
from ..cell_text import MISSING
from .columns import Column
from .datagrid_title import GridTitle
from .grid_view import GridOptions
from .rectangles import is_everything, ranges_of, rectangles_of, split_everything
from .view_of_rows import FIRST_ROWS, REPLACED, ViewOfRows, cell_texts

__all__ = ["DataGridView"]

#: Rows sent above and below those requested, so that slow scrolling shows no gaps.
_MARGIN_ROWS = 20

#: Jupyter's own font stack, in full because a canvas does not support CSS variables.
_FONT = "12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

#: Shows both ends of a long UID: its start identifies the organization, its end the object.
_ELIDED_UID = (
    "length(cell.value) > 30 ? slice(cell.value, 0, 13) + '…' + slice(cell.value, -12) : cell.value"
)


class DataGridView(ViewOfRows):
    """A `GridView` on ipydatagrid, with its title above it.

    Clicks carry the generation of the rows that the page shows; see `reportClicks` in clicks.js.

    Args:
        columns: The columns to show, in order.
        options: The options of every view of a grid.
    """

    def __init__(self, columns: Sequence[Column], options: GridOptions) -> None:
        super().__init__(columns, options)
        #: Whether all page views still show the top of the rows given to `show`.
        self._at_top = True
        self._empty = options.empty
        self.grid = _Grid(self, self._columns, options.height)
        self.heading = GridTitle(
            self.grid, self._columns, title=options.title, height=options.height
        )
        self.heading.on_msg(self._on_title_message)
        self._body = Box([self.grid], layout={"width": "100%"})
        self._body.add_class("idc-grid-body")
        self.widget = VBox([self.heading, self._body], layout=options.layout_of_widget())

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Show these rows from the top, with the rows of these keys picked."""
        self._rows = rows
        generation = self.grid.reset(
            len(rows), self._transforms(rows.sort), scroll=not self._at_top
        )
        self._shown.start(generation, rows)
        self._at_top = True
        self._send(0, FIRST_ROWS)
        self.pick(picked)
        self.grid.tick()
        with self.heading.hold_sync():
            self.heading._count = len(rows)
            self.heading._empty = self._empty
        self._body.layout.display = "" if len(rows) else "none"

    def set_columns(self, columns: Sequence[Column], choices: Sequence[Column]) -> None:
        """Do nothing: a grid of ipydatagrid keeps its columns."""

    def on_columns(self, callback: Callable[[tuple[str, ...]], None]) -> None:
        """Do nothing: no person can choose columns."""

    def on_row(self, callback: Callable[[Any], Any]) -> None:
        """Do nothing: rows have no menu."""

    def on_details(self, callback: Callable[[Any], None]) -> None:
        """Do nothing: rows have no menu."""

    def show_nothing(self, reason: str) -> None:
        """Hide the rows, and show why; until the next `show`."""
        with self.heading.hold_sync():
            self.heading._count = 0
            self.heading._empty = reason
        self._body.layout.display = "none"

    def refresh(self) -> None:
        """Show the visible rows of every page view again with their current values."""
        for start, stop in self._shown.windows():
            self._send(start, stop)

    def pick(self, picked: Sequence[Any]) -> None:
        """Show the rows of these keys as picked, and no others."""
        if self._rows is not None:
            rectangles = rectangles_of(self._rows.positions(picked), len(self._columns))
            self.grid.set_selections(split_everything(rectangles, len(self._rows)))
            self.heading._picked = len(picked)

    # --- messages from the front end --------------------------------------------------------

    def on_request(self, start: int, stop: int, content: Mapping[str, Any]) -> None:
        """Send the rows [start, stop), which a page view is about to show.

        Args:
            start: The first row.
            stop: The row after the last.
            content: The message. It names the page, the page view and the generation shown there,
                unless the front end has only ipydatagrid's own script.
        """
        with self._guard():
            self._shown.hear(content)
            if content.get("generation", self.grid.generation) != self.grid.generation:
                return  # the page view will request again when it has received newer rows
            window = (start - _MARGIN_ROWS, stop + _MARGIN_ROWS)
            self._shown.set_window(str(content.get("view", "")), *window)
            self._at_top = self._at_top and start == 0
            self._send(*window)

    def on_click(self, content: Mapping[str, Any]) -> None:
        """Handle a click that a page reports with the generation of its rows.

        Args:
            content: {kind, page, number, generation, ...}; see `reportClicks` in clicks.js.
        """
        selections = self.grid.selections
        try:
            if content["kind"] == "sort":
                self.on_header_click(str(content["column"]))
            elif content["kind"] == "menu":
                self.grid.on_menu(content["transforms"])
            elif self._requests.accept({**content, "view": content["page"]}) is not None:
                self.on_select(
                    content["selections"], content["before"], generation=content["generation"]
                )
        finally:
            # A page shows its own picks until the last one is answered. Then it shows the picks of
            # the kernel.
            self.grid.answer(content, is_new=self.grid.selections != selections)

    def on_select(
        self,
        rectangles: Iterable[dict[str, int]],
        before: Iterable[dict[str, int]],
        *,
        generation: int | None = None,
    ) -> None:
        """Report the rows that a person picked.

        Args:
            rectangles: The picked rows as rectangles of cells.
            before: The rectangles that were picked until then.
            generation: The generation of the rows that the page showed. None if the page does not
                know it: then the present generation, whose first rows have been sent.

        Raises:
            InvalidQueryError: Too many rows are picked, or the rows that the page showed have been
                forgotten. `turn` reports this error.
        """
        with self._turn():
            if self._rows is None:
                return
            rows = self._rows_of(generation)
            rectangles = list(rectangles)
            ranges = ranges_of(rectangles, len(rows))
            if rectangles and not ranges:
                raise InvalidQueryError(REPLACED)
            try:
                keys = self._picked_keys(rows, ranges, ranges_of(before, len(rows)))
            except InvalidQueryError:
                if generation is None:
                    self.grid.set_selections(list(before))
                raise
            self._report_picks(keys)

    def on_header_click(self, title: str) -> None:
        """Sort by a column: first ascending, then descending, then in the original order again."""
        self.request_next_sort(self._name(title))

    def on_menu_sort(self, title: str | None, descending: bool) -> None:
        """Sort as a person chose in the menu of a header; None stands for "no sort"."""
        self.request_sort(None if title is None else Sort(self._name(title), descending))

    def refuse_filter(self) -> None:
        """Refuse a filter that a person chose in the menu of a header, as the state lacks it."""
        with self._turn():
            raise InvalidQueryError(
                "the menu of a grid can sort but not filter; use a dropdown, or in Python assign "
                "to `filters` of the IDCBrowser or BrowserState"
            )

    def _on_title_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "clear":
            with self._turn():
                self._report_picks(())

    def _name(self, title: str) -> str:
        return next(column.name for column in self._columns if column.title == title)

    def _transforms(self, sort: Sort | None) -> list[dict[str, Any]]:
        """Return an order in the form that makes ipydatagrid draw the arrow in the header."""
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
            cells = {column.title: _cells(column, rows[column.name]) for column in self._columns}
            self.grid.send_rows(start, cells)


class _Grid(StreamingDataGrid):
    """The grid of ipydatagrid without a DataFrame: a `DataGridView` sends its cells."""

    _data: Any
    _transforms: Any

    #: The number of the present generation of rows, which clicks report; see `DataGridView`.
    generation = Int(-1).tag(sync=True)

    def __init__(self, view: DataGridView, columns: Sequence[Column], height: str) -> None:
        self._view = view
        self._columns = columns
        self._shown_transforms: list[dict[str, Any]] = []
        self._header_clicked: str | None = None
        #: The selection that the kernel set last. If the selection differs, a person made it.
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
        #: The columns are empty but named: without names a header shows no arrow, and a click on a
        #: cell raises a TypeError in the front end.
        self._empty = {
            field["name"]: pd.Series([], dtype="int64") for field in self._data["schema"]["fields"]
        }
        # The handler of the base class raises KeyError on messages that are not about a cell.
        self.on_msg(self._DataGrid__handle_custom_msg, remove=True)

    def reset(self, row_count: int, transforms: list[dict[str, Any]], *, scroll: bool) -> int:
        """Make the front end forget all rows and, with `scroll`, scroll to the top.

        Returns:
            The number of the new generation of rows.
        """
        generation = self.generation + 1
        # Empty the selection first: otherwise the front end reports its loss as a person's choice.
        self.set_selections([])
        schema = {**self._data["schema"], "generation": generation}
        # The menu of a header may already have set `_transforms`, either to this order or to one
        # that failed.
        resorted = transforms != self._shown_transforms or transforms != self._transforms
        self._shown_transforms = transforms
        # The front end paints once per message, so the changes go into one message.
        with self.hold_sync():
            self.generation = generation
            self._data = {**self._data, "data": self._empty, "schema": schema}
            # There is no message for scrolling, but a grid without rows scrolls to the top.
            self._row_count = 0 if scroll else row_count
            self._transforms = transforms
        self._row_count = row_count
        if resorted:
            # A new order does not repaint the headers, but a new default size does. The size of
            # row headers is not visible, because the grid has no row headers.
            self.base_row_header_size = 64 + generation % 2
        return generation

    def set_selections(self, rectangles: list[dict[str, int]]) -> None:
        """Show a selection without reporting it as a person's choice."""
        self._known_selections = rectangles
        self.selections = [dict(rectangle) for rectangle in rectangles]

    def answer(self, content: Mapping[str, Any], *, is_new: bool) -> None:
        """Tell a page that its click has been handled, after sending the selection.

        Args:
            content: The message of the page.
            is_new: Whether the click changed the selection, so that it has been sent already.
        """
        if not is_new:
            self.send_state("selections")
        self.send({"event_type": "answer", "page": content["page"], "number": content["number"]})

    def send_rows(self, start: int, cells: dict[str, list[str]]) -> None:
        """Send the cells of the rows from `start` on, given by column."""
        count = len(next(iter(cells.values())))
        numbers = list(range(start, start + count))
        # In the order of the schema: the front end finds the sorted column by its position.
        data = {"key": numbers, **cells, "ipydguuid": numbers}
        self.send(
            {
                "event_type": "data-reply",
                "generation": self.generation,
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
            self._view.on_request(_int(content.get("r1")), _int(content.get("r2")) + 1, content)
        elif content.get("type") == "click":
            self._view.on_click(content)
        elif content.get("type") == "unique-values-request":
            # The menu wants to list values to filter by. The dropdowns do that, with counts.
            self.send(
                {
                    "event_type": "unique-values-reply",
                    "column": content.get("column"),
                    "value": {"data": {str(content.get("column")): []}, "schema": {}, "fields": []},
                }
            )
        elif content.get("event_type") == "cell-click":
            # This message precedes the selection that the same click makes. It also comes, without
            # a selection, when a column is resized or the menu is opened.
            in_header = content.get("region") == "column-header"
            self._header_clicked = str(content.get("column")) if in_header else None

    def close(self) -> None:
        """Close the widget, and free the rows."""
        super().close()
        self._view.close()

    @observe("selections")
    def _on_selections(self, change: Any) -> None:
        rectangles = list(change["new"])
        if rectangles == self._known_selections:
            return
        column, self._header_clicked = self._header_clicked, None
        if column is not None and is_everything(rectangles, self._row_count):
            # A click on a header selects all rows, but people intend to sort.
            self.set_selections(self._known_selections)
            self._view.on_header_click(column)
            return
        before, self._known_selections = self._known_selections, rectangles
        self._view.on_select(rectangles, before)

    @observe("_transforms")
    def _on_transforms_changed(self, change: Any) -> None:
        self.on_menu(change["new"])

    def on_menu(self, transforms: Sequence[Mapping[str, Any]]) -> None:
        """Sort as a person chose in the menu of a header."""
        sorts = [transform for transform in transforms if transform.get("type") == "sort"]
        if len(sorts) < len(transforms):
            self._transforms = sorts
            self._view.refuse_filter()
            return
        title = str(sorts[-1]["column"]) if sorts else None
        self._view.on_menu_sort(title, bool(sorts and sorts[-1].get("desc")))


def _renderer(column: Column) -> TextRenderer:
    right = column.kind in ("count", "size")
    return TextRenderer(
        font=_FONT,
        horizontal_alignment="right" if right else "left",
        text_value=VegaExpr(_ELIDED_UID) if column.kind == "uid" else None,
    )


def _cells(column: Column, values: Iterable[Any]) -> list[str]:
    """Return the texts of the cells of a column."""
    missing = "" if column.kind == "state" else MISSING
    return [missing if text is None else text for text in cell_texts(column, values)]


def _int(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
