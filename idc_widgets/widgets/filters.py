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

__all__ = ["FilterPanel"]

#: What the second row filters by.
_MORE = (*MORE_FACETS, *RANGES)

# ipywidgets 7 knows the gap of a flex box by its older name only.
_ROW = {"flex_flow": "row wrap", "grid_gap": "8px", "overflow": "visible"}


class _Toggle(anywidget.AnyWidget):
    """The button "More filters", with how many of them are active."""

    _esm = script("toggle")
    _css = style("toggle")

    _text = Unicode().tag(sync=True)
    _count = Int().tag(sync=True)
    _expanded = Bool().tag(sync=True)


class FilterPanel(Closable, VBox):
    """A search box, dropdowns for the usual columns, and a button that shows a row of more.

    The row is made when it is first shown, and costs no time while it is hidden.

    >>> FilterPanel(state)

    Args:
        state: what the choices filter.
        layout: as of every ipywidgets widget.
    """

    expanded = Bool()
    """Whether the second row is shown; can be set. Type: bool; default: False."""

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("FilterPanel", keywords, ["expanded", "layout", "state"])
        self.state = state
        self.search = SearchBox(state)
        self._toggle = _Toggle(_text="More filters", layout={"margin": "0"})
        self._toggle.on_msg(self._on_message)
        self._usual = FacetPanel(state)
        self._usual.children = (*self._usual.children, self._toggle)
        self._more: Box | None = None
        expanded = keywords.pop("expanded", False)
        keywords.setdefault("layout", {"width": "100%", "grid_gap": "8px", "overflow": "visible"})
        super().__init__([self.search, self._usual], **keywords)
        self._follow(state, self._on_filters, "filters")
        self._on_filters()
        self.expanded = expanded

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose filters can be seen here now; "text" and "uids" among them."""
        return ("text", "uids", *FACETS, *(_MORE if self.expanded else ()))

    def _on_filters(self, _change: Any = None) -> None:
        self._toggle._count = sum(column in _MORE for column in self.state.filters.filters)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "toggle":
            with self.state.reporting(clears=False):
                self.expanded = not self.expanded

    @observe("expanded")
    def _on_expanded(self, _change: Any) -> None:
        with self.state.lock:
            counts = self.state.dropdown_counts
            if self.expanded:
                counts.count(MORE_FACETS)  # one query for all
                if self._more is None:
                    self._make_more()
                else:
                    for dropdown in self._more_dropdowns():
                        counts.add(dropdown)
            else:
                for dropdown in self._more_dropdowns():
                    counts.discard(dropdown)
            if self._more is not None:
                self._more.layout.display = "" if self.expanded else "none"
            self._toggle._expanded = self.expanded

    def _make_more(self) -> None:
        more = [
            *(FacetDropdown(self.state, column) for column in MORE_FACETS),
            *(RangeFilter(self.state, column) for column in RANGES),
        ]
        self._more = Box(more, layout=_ROW)
        self.children = (self.search, self._usual, self._more)

    def _more_dropdowns(self) -> list[FacetDropdown]:
        children = self._more.children if self._more is not None else ()
        return [one for one in children if isinstance(one, FacetDropdown)]
