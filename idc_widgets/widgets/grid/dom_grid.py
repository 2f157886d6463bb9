"""Our own grid: a `GridView` whose front end draws rows as elements of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anywidget
from traitlets import Bool, Dict, List, Unicode

from ...errors import InvalidQueryError
from ...index import column_info
from ...query import RowSource, Sort
from ..assets import script, style
from ..sent_together import SentTogether
from .columns import Column
from .distributions import kind_of_bars
from .grid_view import GridOptions
from .row_facts import RowFacts
from .row_ranges import merged_ranges, ranges_of_rows
from .tsv import tsv
from .view_of_rows import FIRST_ROWS, REPLACED, ViewOfRows, cell_texts

__all__ = ["DomGridView"]

#: Limit of rows in one reply; a page requests what it is about to show.
_MAX_SENT_ROWS = 500
#: Limit of rows that are copied at once.
_MAX_COPIED_ROWS = 10_000


class DomGridView(ViewOfRows):
    """A `GridView` of our own, which can scroll a million rows.

    A new source, its first rows and the picks go to the page in one message, and new picks in one.

    Args:
        columns: The columns to show, in order.
        options: The options of every view of a grid.
    """

    def __init__(self, columns: Sequence[Column], options: GridOptions) -> None:
        super().__init__(columns, options)
        self._generation = -1
        #: Increases with each message about picks, so that the page hears of equal ones.
        self._pick_number = 0
        self._taken = ""  # the last clicks that were taken; see `FrontEndRequests.note`
        #: The keys that a person picked last; the page shows their rows already.
        self._clicked: frozenset[Any] = frozenset()
        self._is_sorting = False
        #: The traits that the next `show` sets, so that columns change together with the cells.
        self._new_columns: dict[str, Any] = {}
        self._describe_row: Callable[[Any], RowFacts] | None = None
        self._details_callbacks: list[Callable[[Any], None]] = []
        self._columns_callbacks: list[Callable[[tuple[str, ...]], None]] = []
        #: Kind of message → its handler, for kinds that another class handles. Messages of the kind
        #: "choose" are clicks.
        self.handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        self.widget = _DomGrid(
            self,
            _title=options.title,
            _empty=options.empty,
            _height=options.height,
            _columns=[_described(column) for column in self._columns],
            layout=options.layout_of_widget(),
        )

    @property
    def generation(self) -> int:
        """The number of times that `show` has replaced the rows. Clicks name it."""
        return self._generation

    # --- what it shows ---------------------------------------------------------------------

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Show these rows; see `GridView`."""
        positions = rows.positions(picked)
        reveal = positions[0] if positions and not self._is_sorting else -1
        start = max(0, min(reveal - FIRST_ROWS // 2, len(rows) - FIRST_ROWS))
        cells = self._cells(rows, start, start + FIRST_ROWS)
        self._generation += 1
        self._rows = rows
        self._shown.start(self._generation, rows)
        # Until a page tells what it shows, `refresh` has to send these rows again.
        self._shown.set_window("", start, start + FIRST_ROWS)
        with self.widget.hold_sync():
            self.widget._reason = ""
            for name, value in self._new_columns.items():
                setattr(self.widget, name, value)
            self.widget._source = {
                "generation": self._generation,
                "count": len(rows),
                "start": start,
                "rows": cells,
                "sort": None if rows.sort is None else [rows.sort.column, rows.sort.descending],
            }
            self._show_picks(positions, reveal)

    def set_columns(self, columns: Sequence[Column], choices: Sequence[Column]) -> None:
        """Show these columns from the next `show` on, and offer `choices` to a person."""
        self._columns = list(columns)
        self._new_columns = {
            "_columns": [_described(column) for column in columns],
            "_choices": [_described(column) for column in choices],
        }

    def show_nothing(self, reason: str) -> None:
        """Hide the rows, and show why; until the next `show`."""
        with self.widget.hold_sync():
            self.widget._reason = reason
            self.widget._answered = self._taken

    def pick(self, picked: Sequence[Any]) -> None:
        """Show the rows of these keys as picked, and no others; see `GridView`."""
        if self._rows is not None:
            positions = self._rows.positions(picked)
            was_clicked = self._clicked.issuperset(picked)
            self._show_picks(positions, -1 if was_clicked or not positions else positions[0])

    def refresh(self) -> None:
        """Show the visible rows of every page view again with their current values."""
        for start, stop in self._shown.windows():
            self._send_rows(start, stop)

    def _show_picks(self, positions: list[int], reveal: int = -1) -> None:
        self._pick_number += 1
        with self.widget.hold_sync():
            self.widget._picks = {
                "number": self._pick_number,
                "generation": self._generation,
                "ranges": ranges_of_rows(positions),
                "reveal": reveal,
            }
            self.widget._answered = self._taken

    def _send_rows(self, start: int, stop: int) -> None:
        if self._rows is not None:
            start = max(0, start)
            stop = min(stop, start + _MAX_SENT_ROWS)
            rows = self._cells(self._rows, start, stop)
            message = {"kind": "rows", "generation": self._generation, "start": start}
            self.widget.send({**message, "rows": rows})

    def _cells(self, rows: RowSource, start: int, stop: int) -> list[list[str | None]]:
        """Return some rows as they are shown, with None for a missing value."""
        window = rows.window(start, min(stop, len(rows)))
        by_column = [cell_texts(column, window[column.name]) for column in self._columns]
        return [list(row) for row in zip(*by_column, strict=True)]

    def on_row(self, callback: Callable[[Any], RowFacts]) -> None:
        """Call back with a key when a person opens the menu of a row; the result describes it."""
        self._describe_row = callback

    def on_details(self, callback: Callable[[Any], None]) -> None:
        """Call back with a key when a person asks for everything about a row."""
        self._details_callbacks.append(callback)

    def on_columns(self, callback: Callable[[tuple[str, ...]], None]) -> None:
        """Call back with names when a person chooses columns; without names for the usual ones."""
        self._columns_callbacks.append(callback)

    # --- messages from the front end --------------------------------------------------------

    def on_message(self, content: Mapping[str, Any]) -> None:
        """Handle a message of a page view; see domgrid.js for what it may be."""
        kind = str(content.get("kind"))
        if kind in ("pick", "sort", "clear", "choose", "columns"):
            work = partial(self._take_click, content)
            self._requests.carry_out(self.widget, content, work, self._answer)
            return
        does = {
            "window": self._on_window,
            "copy": self._on_copy,
            "row": self._on_row,
            "details": self._on_details,
            **self.handlers,
        }.get(kind)
        if does is not None:
            does(content)

    def _on_window(self, content: Mapping[str, Any]) -> None:
        """Remember which rows a page view shows, and send them if it does not have them."""
        with self._guard():
            view, generation = str(content.get("view", "")), content.get("generation")
            # Clicks on the rows of earlier generations may still come, in another thread.
            self._shown.hear({"page": view, "generation": content.get("needed", generation)})
            if generation != self._generation:
                return  # the view has not yet received newer rows, and will request again
            start, stop = _int(content.get("start")), _int(content.get("stop"))
            self._shown.set_window("", 0, 0)
            self._shown.set_window(view, start, stop)
            if content.get("fetch"):
                self._send_rows(start, stop)

    def _take_click(self, content: Mapping[str, Any], request: str) -> None:
        """Report what a person picked, how the rows are to be sorted, or which columns to show."""
        self._taken = self._requests.note(request)
        if self._rows is None:
            return
        match content:
            case {"kind": "clear"}:
                self._report_picks(())
            case {"kind": "pick", "generation": int(generation)}:
                rows = self._rows_of(generation)
                picked = _ranges(content.get("ranges"), len(rows))
                if content.get("ranges") and not picked:
                    raise InvalidQueryError(REPLACED)
                keys = self._picked_keys(rows, picked, _ranges(content.get("before"), len(rows)))
                self._clicked = frozenset(keys)
                self._report_picks(keys)
            case {"kind": "choose"} if "choose" in self.handlers:
                self.handlers["choose"](content)
            case {"kind": "sort", "sort": None}:
                self.request_sort(None)
            case {"kind": "sort", "sort": [str(column), bool(descending)]}:
                if any(column == known.name for known in self._columns):
                    self.request_sort(Sort(column, descending))
            case {"kind": "columns", "names": [*names]}:
                for callback in self._columns_callbacks:
                    callback(tuple(str(name) for name in names))

    def _answer(self, request: str) -> None:
        # Until the answer, the page shows what its clicks should do; then it shows the state. If a
        # view is late, it sends the answer itself.
        self._taken = self._requests.note(request)
        if self._requests.is_shown():
            self.widget._answered = self._taken

    def _report_sort(self, sort: Sort | None) -> None:
        self._is_sorting = True  # the first rows of the new order will be in sight
        try:
            super()._report_sort(sort)
        finally:
            self._is_sorting = False

    def _on_row(self, content: Mapping[str, Any]) -> None:
        """Send what the menu of a row needs."""
        with self._guard():
            facts = self._describe_row(self._key_of(content)) if self._describe_row else None
            answer = {"view": content.get("view"), "number": content.get("number")}
            self.widget.send({"kind": "row", **answer, "facts": facts})

    def _on_details(self, content: Mapping[str, Any]) -> None:
        with self._turn():
            key = self._key_of(content)
            for callback in self._details_callbacks:
                callback(key)

    def _key_of(self, content: Mapping[str, Any]) -> Any:
        """Return the key of the row that a message names.

        Raises:
            InvalidQueryError: The rows that the page showed have been forgotten.
        """
        rows = self._rows_of(_int(content.get("generation")))
        row = _int(content.get("row"))
        keys = rows.keys([range(row, row + 1)]) if 0 <= row < len(rows) else ()
        if not keys:
            raise InvalidQueryError("the row that you clicked is not there any more; click again")
        return keys[0]

    def _on_copy(self, content: Mapping[str, Any]) -> None:
        """Send rows as text for the clipboard, or report why not."""
        answer = {"kind": "copied", "view": content.get("view"), "number": content.get("number")}
        text, count, problem = "", 0, "the rows cannot be copied: see the message below"
        try:
            with self._guard():
                try:
                    rows = self._rows_of(_int(content.get("generation")))
                    ranges = _ranges(content.get("ranges"), len(rows))
                    count = sum(map(len, ranges))
                    if count > _MAX_COPIED_ROWS:
                        raise InvalidQueryError(
                            f"{count:,} rows are too many to copy; expected at most "
                            f"{_MAX_COPIED_ROWS:,}. In Python, the attribute `selection` has all "
                            "series, and `selection.series()` is their table"
                        )
                    names = [column.name for column in self._columns]
                    text, problem = tsv(names, rows.values(ranges)), ""
                except InvalidQueryError as error:
                    problem = str(error)
                    raise
        finally:
            self.widget.send({**answer, "text": text, "count": count, "problem": problem})


class _DomGrid(SentTogether, anywidget.AnyWidget):
    """The widget of a `DomGridView`."""

    _esm = script(
        "requests",
        "domgrid_scroll",
        "domgrid_rows",
        "domgrid_picks",
        "domgrid_columns",
        "domgrid_cells",
        "domgrid_keys",
        "domgrid_pointer",
        "domgrid_menu",
        "domgrid_copy",
        "domgrid_sight",
        "domgrid_chooser",
        "domgrid_bar_drawing",
        "domgrid_bars",
        "domgrid_parts",
        "domgrid_view",
        "domgrid_draw",
        "domgrid_moves",
        "domgrid_picking",
        "domgrid_news",
        "domgrid_actions",
        "domgrid",
    )
    _css = style("grid", "domgrid", "domgrid_chooser", "domgrid_bars")

    _title = Unicode().tag(sync=True)
    """What the rows are. Type: str."""

    _empty = Unicode().tag(sync=True)
    """The text in place of rows when there are none. Type: str."""

    _reason = Unicode().tag(sync=True)
    """Why the rows cannot be shown; empty if they can. Type: str."""

    _height = Unicode().tag(sync=True)
    """The height of the header and the rows, as CSS. Type: str."""

    _columns: List[dict[str, Any]] = List().tag(sync=True)
    """The columns, from the left. Type: list of {name, label, hint, kind, bars, width}; `bars` is
    "values" or "bins", or "" for a column without a distribution.
    """

    _choices: List[dict[str, Any]] = List().tag(sync=True)
    """The columns that can be shown; empty if they cannot be chosen. Type: as `_columns`."""

    _widths: Dict[str, int] = Dict().tag(sync=True)
    """The widths in pixels that a person has set. Type: {name of a column: width}; default: {}."""

    _source = Dict().tag(sync=True)
    """The rows that are shown, with a window of them. Type: {generation, count, start, rows, sort},
    where `sort` is [column, descending] or None.
    """

    _picks = Dict().tag(sync=True)
    """The picked rows. Type: {number, generation, ranges, reveal}: [start, stop) of the picked
    rows, and the row to bring in sight or -1.
    """

    _answered = Unicode().tag(sync=True)
    """The last clicks whose effect the other traits show. Type: str; see
    `FrontEndRequests.note`.
    """

    _bars = Dict().tag(sync=True)
    """The distributions of the columns; see `Distributions`. Type: {number, generation, problem,
    columns}; default: {}.
    """

    _shows_bars = Bool().tag(sync=True)
    """Whether the distributions are shown. Type: bool."""

    def __init__(self, view: DomGridView, **traits: Any) -> None:
        self._view = view
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._view.on_message(content)

    def close(self) -> None:
        """Close the widget, and free the rows."""
        super().close()
        self._view.close()


def _described(column: Column) -> dict[str, Any]:
    info = column_info(column.name)
    hint = f"{info.name}: {info.description}" if info.description else info.name
    return {
        "name": column.name,
        "label": column.title,
        "hint": hint,
        "kind": column.kind,
        "bars": kind_of_bars(column.name),
        "width": column.width,
    }


def _int(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def _ranges(spans: Any, count: int) -> list[range]:
    """Return ranges that a page sent as [[start, stop], ...]."""
    spans = spans if isinstance(spans, list) else []
    return merged_ranges([(_int(start), _int(stop)) for start, stop in spans], count)
