"""Dropdowns that filter by the values of a column and count what each value would give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

import anywidget
import ipywidgets
from traitlets import Int, List, Unicode

from ..errors import InvalidQueryError, unknown
from ..index import COLUMNS, FACETS, MORE_FACETS, column_info
from ..query import FacetValue
from .argument_check import check_keywords
from .assets import script, style
from .front_end_requests import FrontEndRequests
from .state import BrowserState

__all__ = ["FacetDropdown", "FacetPanel", "Facets"]

#: A dropdown lists this many values at most: the most frequent, and those that are chosen.
MOST_VALUES = 1000

#: Columns whose values are listed from the highest on, rather than by frequency.
_HIGHEST_FIRST = ("series_init_idc_version",)


class FacetDropdown(anywidget.AnyWidget):
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
        super().__init__(_label=shown.label, _missing=shown.missing, **keywords)
        self.state = state
        self.column = column
        self._requests = FrontEndRequests()
        self._request = ""  # the last that was worked in
        self.on_msg(self._on_message)
        Facets.of(state).add(self)

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
                if not Facets.of(self.state).is_late(self.state):
                    self._answered = self._request

    def close(self) -> None:
        """Removes the widget from every page, and stops counting for it."""
        if self.comm is not None:  # open, and not broken off in __init__
            Facets.of(self.state).discard(self)
        super().close()


class Facets:
    """Counts for all dropdowns of one state: one query a change, however many there are.

    Dropdowns come here by themselves, see `of`.
    """

    # The state keeps its Facets alive, by observing; it must not be the other way round too.
    _of_state: ClassVar[WeakKeyDictionary[BrowserState, Facets]] = WeakKeyDictionary()

    def __init__(self, state: BrowserState) -> None:
        self._dropdowns: WeakSet[FacetDropdown] = WeakSet()
        self._counted: dict[str, list[FacetValue]] = {}  # under the filters as they are
        state.observe(self._on_filters, "filters")

    @classmethod
    def of(cls, state: BrowserState) -> Facets:
        """The one of this state, made when first asked for."""
        with state.lock:
            if state not in cls._of_state:
                cls._of_state[state] = cls(state)
            return cls._of_state[state]

    def count(self, state: BrowserState, columns: Iterable[str]) -> None:
        """Counts those of the columns that were not counted yet, with one query."""
        missing = [column for column in dict.fromkeys(columns) if column not in self._counted]
        if missing:
            self._counted.update(state.filters.facets(missing))

    def add(self, dropdown: FacetDropdown) -> None:
        """Shows the dropdown its values, now and after every change of the filters."""
        with dropdown.state.lock:
            self.count(dropdown.state, [dropdown.column])
            self._dropdowns.add(dropdown)
            dropdown.show(self._counted[dropdown.column])

    def discard(self, dropdown: FacetDropdown) -> None:
        """Leaves the dropdown as it is from now on."""
        self._dropdowns.discard(dropdown)

    def _on_filters(self, change: Any) -> None:
        change["owner"].refresh(self._recount)

    def _recount(self) -> None:
        self._counted = {}
        dropdowns = list(self._dropdowns)
        if dropdowns:
            self.count(dropdowns[0].state, [dropdown.column for dropdown in dropdowns])
        for dropdown in dropdowns:
            dropdown.show(self._counted[dropdown.column])

    def is_late(self, state: BrowserState) -> bool:
        """Whether the counts do not follow the last change of the filters yet."""
        return state.is_late(self._recount)


class FacetPanel(ipywidgets.Box):
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
            Facets.of(state).count(state, columns)
            #: The dropdown of each column.
            self.dropdowns = {column: FacetDropdown(state, column) for column in columns}
        # ipywidgets 7 knows the gap of a flex box by its older name only.
        keywords.setdefault(
            "layout", {"flex_flow": "row wrap", "grid_gap": "8px", "overflow": "visible"}
        )
        super().__init__(list(self.dropdowns.values()), **keywords)

    def close(self) -> None:
        """Removes the panel and its dropdowns from every page."""
        for child in self.children:
            child.close()
        super().close()
