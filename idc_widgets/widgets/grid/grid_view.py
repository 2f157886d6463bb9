"""The contract between the grids and the widget that shows rows on the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...query import RowSource, Sort

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

__all__ = ["GridView"]


class GridView(Protocol):
    """A grid on the screen. It shows one `RowSource` and reports keys, never row numbers."""

    #: The widget to put into a layout.
    widget: DOMWidget

    def show(self, rows: RowSource, picked: Sequence[Any]) -> None:
        """Show these rows from the top, with the rows of these keys picked."""
        ...

    def pick(self, picked: Sequence[Any]) -> None:
        """Show the rows of these keys as picked, and no others."""
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
