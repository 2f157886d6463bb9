"""The choice of what draws the grids."""

from __future__ import annotations

from ...errors import nearest_choice
from .dom_grid import DomGridView
from .grid_view import MakeGridView

__all__ = ["choose_view"]

_NAMES = ("dom", "ipydatagrid")


def choose_view(name: str) -> MakeGridView:
    """Return the function that makes the view of a grid.

    Args:
        name: "dom" or "ipydatagrid".

    Raises:
        ValueError: There is no such view.
        ImportError: ipydatagrid is not installed.
    """
    if name == "dom":
        return DomGridView
    if name != "ipydatagrid":
        near = nearest_choice(str(name), _NAMES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"{name!r} is not a grid; expected 'dom' or 'ipydatagrid'{hint}")
    try:
        from .datagrid import DataGridView
    except ModuleNotFoundError as error:
        if error.name != "ipydatagrid":
            raise
        raise ImportError(
            "grid='ipydatagrid' needs a package that is not installed: "
            'pip install "idc-widgets[ipydatagrid]"; or leave out `grid`'
        ) from error
    return DataGridView
