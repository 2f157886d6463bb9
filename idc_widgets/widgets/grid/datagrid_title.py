"""The line above a grid of ipydatagrid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
from ipywidgets import DOMWidget, widget_serialization
from traitlets import Instance, Int, List, Unicode

from ...index import COLUMNS as INDEX_COLUMNS
from ..assets import script, style
from .columns import Column

__all__ = ["GridTitle"]


class GridTitle(anywidget.AnyWidget):
    """The title, the numbers of rows and picks, and why there are no rows.

    Its front end also improves the grid below; see datagrid.js.

    Args:
        grid: The grid below.
        columns: The columns of the grid.
        title: What the rows are, such as "Patients".
        height: The height of the grid, as CSS.
    """

    _esm = script("clicks", "datagrid", "grid")
    _css = style("grid")

    _title = Unicode().tag(sync=True)
    _count = Int().tag(sync=True)
    _picked = Int().tag(sync=True)
    #: Shown instead of the grid if it has no rows.
    _empty = Unicode().tag(sync=True)
    _height = Unicode().tag(sync=True)
    #: Names of the columns that the index has, shown as tooltips of the headers; others are empty.
    _columns: List[str] = List().tag(sync=True)
    #: The grid below.
    _grid = Instance(DOMWidget).tag(sync=True, **widget_serialization)

    def __init__(
        self, grid: DOMWidget, columns: Sequence[Column], *, title: str, height: str
    ) -> None:
        names = [column.name for column in columns]
        traits: dict[str, Any] = {
            "_title": title,
            "_height": height,
            "_columns": [name if name in INDEX_COLUMNS else "" for name in names],
            "_grid": grid,
        }
        super().__init__(**traits)
