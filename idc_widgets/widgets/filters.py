"""All filters of the browser: the search box, the usual dropdowns, and more on demand."""

from __future__ import annotations

from typing import Any

import anywidget
from ipywidgets import Box, VBox
from traitlets import Bool, Int, Unicode, observe

from ..index import FACETS, MORE_FACETS, RANGES
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .facets import FacetDropdown, FacetPanel
from .ranges import RangeFilter
from .search import SearchBox
from .state import BrowserState
from .static_view import StaticView, choices

__all__ = ["FilterPanel"]

#: The columns that the second row filters by.
_MORE_COLUMNS = (*MORE_FACETS, *RANGES)

# ipywidgets 7 has only the older name for the gap of a flex box.
_ROW_LAYOUT = {"flex_flow": "row wrap", "grid_gap": "8px", "overflow": "visible"}


class _Toggle(anywidget.AnyWidget):
    """The button "More filters", with the number of active filters in the second row."""

    _esm = script("toggle")
    _css = style("toggle")

    _text = Unicode().tag(sync=True)
    """The text of the button. Type: str."""

    _count = Int().tag(sync=True)
    """The number of active filters in the second row. Type: int."""

    _expanded = Bool().tag(sync=True)
    """Whether the second row is shown. Type: bool."""


class FilterPanel(Closable, VBox):
    """A search box, dropdowns for the usual columns, and a button that shows a second row.

    The second row is made when it is first shown. While it is hidden, it runs no query.

    Args:
        state: The state to filter.
        expanded: Whether the second row is shown at first.
        layout: As for every ipywidgets widget.

    >>> panel = FilterPanel(BrowserState())
    """

    expanded = Bool()
    """Whether the second row is shown; writable. Type: bool; default: False."""

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("FilterPanel", keywords, ["expanded", "layout", "state"])
        self.state = state
        self.search = SearchBox(state)
        self._toggle = _Toggle(_text="More filters", layout={"margin": "0"})
        self._toggle.on_msg(self._on_message)
        self._usual_filters = FacetPanel(state)
        self._usual_filters.children = (*self._usual_filters.children, self._toggle)
        self._more_filters: Box | None = None
        expanded = keywords.pop("expanded", False)
        keywords.setdefault("layout", {"width": "100%", "grid_gap": "8px", "overflow": "visible"})
        super().__init__([self.search, self._usual_filters], **keywords)
        self._show_state(state, self._show_count, ["filters"])
        self._show_count()
        self.expanded = expanded

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose filters the panel shows now, together with "text" and "uids"."""
        return ("text", "uids", *FACETS, *(_MORE_COLUMNS if self.expanded else ()))

    def _static_view(self) -> StaticView:
        return StaticView("IDC filters", choices(self.state))

    def _show_count(self) -> None:
        filters = self.state.filters.filters
        self._toggle._count = sum(column in _MORE_COLUMNS for column in filters)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "toggle":
            with self.state.turn(reports=True):
                self.expanded = not self.expanded

    @observe("expanded")
    def _on_expanded(self, _change: Any) -> None:
        with self.state.lock:
            counts = self.state.dropdown_counts
            if self.expanded:
                counts.count(MORE_FACETS)  # one query for all of them
                if self._more_filters is None:
                    self._make_more_filters()
                else:
                    for dropdown in self._more_dropdowns():
                        counts.add(dropdown)
            else:
                for dropdown in self._more_dropdowns():
                    counts.discard(dropdown)
            if self._more_filters is not None:
                self._more_filters.layout.display = "" if self.expanded else "none"
            self._toggle._expanded = self.expanded

    def _make_more_filters(self) -> None:
        filters = [
            *(FacetDropdown(self.state, column) for column in MORE_FACETS),
            *(RangeFilter(self.state, column) for column in RANGES),
        ]
        self._more_filters = Box(filters, layout=_ROW_LAYOUT)
        self.children = (self.search, self._usual_filters, self._more_filters)

    def _more_dropdowns(self) -> list[FacetDropdown]:
        children = self._more_filters.children if self._more_filters is not None else ()
        return [child for child in children if isinstance(child, FacetDropdown)]
