"""The contract between the grids and what shows their rows on the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...query import RowSource, Sort
from ..front_end_requests import FrontEndRequests
from .columns import Column
from .row_facts import RowFacts

if TYPE_CHECKING:
    from ipywidgets import DOMWidget, Layout

__all__ = ["GridOptions", "GridView", "MakeGridView"]


@dataclass(frozen=True)
class GridOptions:
    """The options of every view of a grid.

    Args:
        title: What the rows are, such as "Patients".
        empty: The text in place of rows when there are none: why, and what to do.
        height: The height of the rows and their header, as CSS.
        guard: Makes the context in which rows are sent; see `BrowserState.reporting`.
        turn: Makes the context of an action of a person; see `BrowserState.turn`.
        requests: The order of the requests of the front end.
        layout: The layout of the widget; by default, one that takes the whole width.
    """

    title: str
    empty: str
    height: str
    guard: Callable[[], AbstractContextManager[None]]
    turn: Callable[[], AbstractContextManager[None]]
    requests: FrontEndRequests
    layout: Layout | None = None

    def layout_of_widget(self) -> Layout | dict[str, str]:
        """Return the layout of the widget."""
        return self.layout or {"width": "100%", "min_width": "0"}


class GridView(Protocol):
    """A grid on the screen: a title with counts, and rows.

    It shows one `RowSource` and reports keys, never row numbers. `DomGridView` is ours;
    `DataGridView` stands on ipydatagrid.
    """

    #: The widget to put into a layout.
    widget: DOMWidget

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that are shown, in order."""
        ...

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Show these rows, with the rows of these keys picked.

        Without rows, show the text that says why. After a person has sorted, and without a pick,
        the first row is in sight. Otherwise, a view that can scroll brings the first pick in sight.
        """
        ...

    def set_columns(self, columns: Sequence[Column], choices: Sequence[Column]) -> None:
        """Show these columns from the next `show` on, and offer `choices` to a person.

        A view that cannot change its columns ignores this.
        """
        ...

    def show_nothing(self, reason: str) -> None:
        """Hide the rows, and show why; until the next `show`."""
        ...

    def pick(self, picked: Sequence[Any]) -> None:
        """Show the rows of these keys as picked, and no others.

        A view that can scroll brings the first one in sight, unless a person has just clicked it.
        """
        ...

    def refresh(self) -> None:
        """Show the visible rows again with their current values."""
        ...

    def on_pick(self, callback: Callable[[tuple[Any, ...]], None]) -> None:
        """Call back with all picked keys when a person picks rows."""
        ...

    def on_sort(self, callback: Callable[[Sort | None], None]) -> None:
        """Call back when a person requests another order; None is the original order."""
        ...

    def on_columns(self, callback: Callable[[tuple[str, ...]], None]) -> None:
        """Call back with names when a person chooses columns; without names for the usual ones."""
        ...

    def on_row(self, callback: Callable[[Any], RowFacts]) -> None:
        """Call back with a key when a person opens the menu of a row; the result describes it."""
        ...

    def on_details(self, callback: Callable[[Any], None]) -> None:
        """Call back with a key when a person asks for everything about a row."""
        ...


#: Makes a view that shows these columns and, at first, no rows.
MakeGridView = Callable[[Sequence[Column], GridOptions], GridView]
