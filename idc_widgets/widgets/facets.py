"""Dropdowns that filter by the values of a column and count what each value would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import ipywidgets
from traitlets import Int, List, Unicode

from ..errors import InvalidQueryError, unknown
from ..index import COLUMNS, FACETS, MORE_FACETS, column_info
from ..query import FacetValue
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .front_end_requests import FrontEndRequests
from .state import BrowserState

__all__ = ["FacetDropdown", "FacetPanel"]

#: A dropdown lists this many values at most: the most frequent, and those that are chosen.
MOST_VALUES = 1000

#: Columns whose values are listed from the highest on, rather than by frequency.
_HIGHEST_FIRST = ("series_init_idc_version",)


class FacetDropdown(Closable, anywidget.AnyWidget):
    """A button that opens a list of the values of a column, to tick the ones to filter by.

    Each value shows how many series and patients it has under the filters on all other columns.

    >>> state = BrowserState()
    >>> FacetDropdown(state, "Modality")

    Args:
        state: what the choice filters, and whose filters the counts follow.
        column: a column of the index, or one of `MORE_FACETS`.
        layout: as of every ipywidgets widget.

    Raises:
        InvalidQueryError: unknown column; the nearest is named.
    """

    _esm = script("popover", "facets")
    _css = style("popover", "facets")

    _label = Unicode().tag(sync=True)
    """What the button says. Type: str."""

    _column = Unicode().tag(sync=True)
    """Name of the column in filters: the DICOM keyword where there is one. A tooltip. Type: str."""

    _missing = Unicode().tag(sync=True)
    """What None is called. Type: str."""

    _values: List[list[Any]] = List().tag(sync=True)
    """The values and their counts, in order. Type: list of [value, series, patients]."""

    _distinct = Int().tag(sync=True)
    """How many values there are; more than `_values` has if they are too many. Type: int."""

    _chosen: List[Any] = List().tag(sync=True)
    """The values that are filtered by; None is "missing". Type: list of str, bool, number, None."""

    _answered = Unicode().tag(sync=True)
    """The last request of the front end that all of the above takes in. Type: view:number."""

    def __init__(self, state: BrowserState, column: str, **keywords: Any) -> None:
        check_keywords("FacetDropdown", keywords, ["column", "layout", "state"])
        known = [*COLUMNS, *MORE_FACETS]
        if column not in known:
            raise InvalidQueryError(unknown("column", column, known))
        keywords.setdefault("layout", {"margin": "0", "overflow": "visible"})
        shown = column_info(column)
        super().__init__(_label=shown.label, _column=column, _missing=shown.missing, **keywords)
        self.state = state
        self.column = column
        self._requests = FrontEndRequests()
        self._request = ""  # the last that was worked in
        self.on_msg(self._on_message)
        state.dropdown_counts.add(self)
        self._on_close(lambda: state.dropdown_counts.discard(self))

    def show(self, counted: Sequence[FacetValue]) -> None:
        """Shows these values and counts, and ticks what the state has chosen."""
        chosen = self.state.filters.values(self.column)
        shown = [*counted[:MOST_VALUES], *(v for v in counted[MOST_VALUES:] if v.value in chosen)]
        listed = {facet.value for facet in shown}
        # What is chosen stays in the list when nothing is left of it, or nobody could untick it.
        gone = [FacetValue(value, 0, 0) for value in chosen if value not in listed]
        listing = shown + gone
        if self.column in _HIGHEST_FIRST:
            listing.sort(key=lambda one: (one.value is not None, one.value), reverse=True)
        with self.hold_sync():
            self._distinct = len(counted) + len(gone)
            self._values = [[facet.value, facet.series, facet.patients] for facet in listing]
            self._chosen = list(chosen)
            self._answered = self._request

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") != "choose":
            return
        # One message takes the counts and the id back, so that no front end mixes two answers.
        with self.state.turn(), self.hold_sync():
            request = self._requests.accept(content)
            if request is not None:
                with self.state.reporting():
                    self.state.filter_values(self.column, content["values"])
                self._request = request
                if not self.state.dropdown_counts.is_late():
                    self._answered = self._request


class FacetPanel(Closable, ipywidgets.Box):
    """Several dropdowns side by side, in as many rows as they need.

    >>> FacetPanel(state, ["Modality", "BodyPartExamined"])

    Args:
        state: what the choices filter.
        columns: one dropdown each.
        layout: as of every ipywidgets widget.

    Raises:
        InvalidQueryError: unknown column; the nearest is named.
    """

    def __init__(
        self, state: BrowserState, columns: Sequence[str] = FACETS, **keywords: Any
    ) -> None:
        check_keywords("FacetPanel", keywords, ["columns", "layout", "state"])
        with state.lock:
            state.dropdown_counts.count(columns)
            #: The dropdown of each column.
            self.dropdowns = {column: FacetDropdown(state, column) for column in columns}
        # ipywidgets 7 knows the gap of a flex box by its older name only.
        keywords.setdefault(
            "layout", {"flex_flow": "row wrap", "grid_gap": "8px", "overflow": "visible"}
        )
        super().__init__(list(self.dropdowns.values()), **keywords)
