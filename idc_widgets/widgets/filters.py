"""All filters of the browser: the search box, the usual dropdowns, and more on demand."""

from __future__ import annotations

from functools import partial
from typing import Any

import anywidget
from ipywidgets import Box, Layout
from traitlets import Bool, Int, Unicode, observe

from ..index import FACETS, MORE_FACETS, RANGES
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .facets import FacetDropdown
from .filter_text import filter_texts
from .front_end_requests import FrontEndRequests
from .ranges import RangeFilter
from .search import SearchBox
from .state import BrowserState
from .static_view import StaticView, choices

__all__ = ["FilterPanel"]

#: The columns that the second row filters by.
_MORE_COLUMNS = (*MORE_FACETS, *RANGES)


class _Toggle(anywidget.AnyWidget):
    """The button "More filters", with the number of active filters in the second row."""

    _esm = script("requests", "toggle")
    _css = style("toggle", "filters")

    _text = Unicode().tag(sync=True)
    """The text of the button. Type: str."""

    _count = Int().tag(sync=True)
    """The number of columns in the second row that have a filter. Type: int."""

    _expanded = Bool().tag(sync=True)
    """Whether the second row is shown. Type: bool."""

    _answered = Unicode().tag(sync=True)
    """The last request whose answer the other traits show. Type: str, "view:number"."""


class FilterPanel(Closable, Box):
    """A search box, dropdowns for the usual columns, and a button that shows a second row.

    The second row is made when it is first shown. While it is hidden, it runs no query.

    Args:
        state: The state to filter.
        expanded: Whether the second row is shown at first.
        layout: As for every ipywidgets widget.

    >>> panel = FilterPanel(BrowserState())
    """

    expanded = Bool(help="Whether the second row is shown; writable. Type: bool; default: False.")

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("FilterPanel", keywords, ["expanded", "layout", "state"])
        self.state = state
        #: One layout that all filters share: each further model takes a slow front end some time.
        self._layout_of_filters = Layout(overflow="visible")
        self._on_close(self._layout_of_filters.close)
        self.search = SearchBox(state, layout=self._layout_of_filters)
        with state.lock:
            state.dropdown_counts.count(FACETS)  # one query for all of them
            #: Column → its dropdown in the first row.
            self.dropdowns = {column: self._dropdown(column) for column in FACETS}
        self._toggle = _Toggle(_text="More filters", layout=self._layout_of_filters)
        self._toggle.on_msg(self._on_message)
        self._requests = FrontEndRequests(state)
        self._more_filters: Box | None = None
        expanded = keywords.pop("expanded", False)
        keywords.setdefault("layout", {"width": "100%", "overflow": "visible"})
        self._first_row = (self.search, *self.dropdowns.values(), self._toggle)
        super().__init__(self._first_row, **keywords)
        self.add_class("idc-filters")
        self._show_state(state, self._show_count, ["filters"])
        self._show_count()
        self.expanded = expanded

    def _static_view(self) -> StaticView:
        return StaticView("IDC filters", choices(self.state))

    def _show_count(self) -> None:
        texts = filter_texts(self.state.filters.filters)  # what is excluded has a text, too
        self._toggle._count = sum(column in _MORE_COLUMNS for column in texts)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "expand":
            work = partial(self._expand, content)
            self._requests.carry_out(self._toggle, content, work, self._answer)

    def _expand(self, content: Any, _request: str) -> None:
        self.expanded = bool(content.get("expanded"))

    def _answer(self, request: str) -> None:
        self._toggle._answered = request

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
            *map(self._dropdown, MORE_FACETS),
            *(RangeFilter(self.state, column, layout=self._layout_of_filters) for column in RANGES),
        ]
        self._more_filters = Box(filters)
        self._more_filters.add_class("idc-filters-more")
        self.children = (*self._first_row, self._more_filters)

    def _dropdown(self, column: str) -> FacetDropdown:
        return FacetDropdown(self.state, column, layout=self._layout_of_filters)

    def _more_dropdowns(self) -> list[FacetDropdown]:
        children = self._more_filters.children if self._more_filters is not None else ()
        return [child for child in children if isinstance(child, FacetDropdown)]
