"""Static views: what is shown in place of a widget where no kernel draws it, such as on GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from .._util import plural
from ..index import LEVELS, column_info
from ..query import DuckDBEngine, RowSource
from .cell_text import cell_text
from .filter_text import filter_texts

if TYPE_CHECKING:
    from ..client import IDCClient
    from .state import BrowserState

__all__ = ["StaticTable", "StaticView", "choices", "data_name", "first_rows"]

#: A static view stays in the notebook file, so it is small.
MAX_ROWS = 5
MAX_CELL_CHARACTERS = 200

_NOTE = "This is how it was when the cell ran. To use it, run the cell."

#: The style of each cell: JupyterLab and nbconvert align the cells of tables to the right.
_TO_THE_LEFT = ' style="text-align:left"'


@dataclass(frozen=True)
class StaticTable:
    """The first rows of a table.

    Args:
        title: What the rows are.
        total: The number of rows of the whole table.
        header: The names of the columns.
        rows: The cells of the first rows.
    """

    title: str
    total: int
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class StaticView:
    """A sentence and tables that describe a widget at the time when it is shown.

    Args:
        title: What the widget is.
        facts: Names and values, such as ("Filters", "Modality = CT").
        tables: The first rows of what the widget lists.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[StaticTable] = ()

    def to_text(self) -> str:
        """Return one sentence.

        >>> StaticView("IDC search", [("Text", "liver")]).to_text()
        'IDC search. Text: liver.'
        """
        facts = "; ".join(f"{name}: {value}" for name, value in self.facts)
        return f"{self.title}. {facts}." if facts else f"{self.title}."

    def to_html(self) -> str:
        """Return tables as HTML without scripts, in which all text is escaped."""
        facts = [(name, value) for name, value in self.facts if value]
        parts = [
            f"<p><b>{escape(self.title)}</b>. {_NOTE}</p>",
            _table_html([], facts),
            *(
                f"<p>{escape(_caption(table))}</p>{_table_html(table.header, table.rows)}"
                for table in self.tables
                if table.rows
            ),
        ]
        return f"<div>{''.join(parts)}</div>"


def choices(state: BrowserState) -> list[tuple[str, str]]:
    """Return the data, the filters and the picks of a state, as facts of a `StaticView`."""
    filters = filter_texts(state.filters.filters).values()
    picks = [
        plural(len(getattr(state, level.plural)), level.name)
        for level in LEVELS.values()
        if getattr(state, level.plural)
    ]
    facts = [
        ("Data", data_name(state.client)),
        ("Filters", "; ".join(filters) or "none"),
    ]
    return [*facts, ("Picked", ", ".join(picks))] if picks else facts


def first_rows(title: str, rows: RowSource, columns: Iterable[str]) -> StaticTable:
    """Return the first rows of a grid.

    Args:
        title: What the rows are.
        rows: The rows of the grid.
        columns: Columns of `rows`.
    """
    window = rows.window(0, MAX_ROWS)
    names = [name for name in columns if name in window]
    kinds = [column_info(name).kind for name in names]
    values = zip(*(window[name] for name in names), strict=True)
    return StaticTable(
        title,
        len(rows),
        [column_info(name).label for name in names],
        [
            [
                cell_text(kind, value, MAX_CELL_CHARACTERS) or ""
                for value, kind in zip(row, kinds, strict=True)
            ]
            for row in values
        ],
    )


def data_name(client: IDCClient) -> str:
    """Return how people call the data of a client, such as "IDC v25"."""
    engine = client.engine
    return engine.index.label if isinstance(engine, DuckDBEngine) else engine.data_version


def _caption(table: StaticTable) -> str:
    shown = len(table.rows)
    if shown == table.total:
        return f"{table.title}: {table.total:,}"
    return f"{table.title}: the first {shown:,} of {table.total:,}"


def _table_html(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th{_TO_THE_LEFT}>{_cell_html(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td{_TO_THE_LEFT}>{_cell_html(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>{head and f'<tr>{head}</tr>'}{body}</table>" if head or body else ""


def _cell_html(text: str) -> str:
    is_long = len(text) > MAX_CELL_CHARACTERS
    return escape(f"{text[: MAX_CELL_CHARACTERS - 1]}…" if is_long else text)
