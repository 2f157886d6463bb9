"""Dropdowns that filter by the values of a column and show how many series each value has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import anywidget
import ipywidgets
from traitlets import Bool, Dict, Int, List, Unicode

from .._util import as_list
from ..errors import IDCError, InvalidQueryError
from ..index import COLUMNS, FACETS, MORE_FACETS, column_info
from ..query import NOTED_COLUMNS, FacetValue, checked_column, listed_values, value_notes
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .error_reporting import with_label
from .front_end_requests import FrontEndRequests
from .state import BrowserState
from .static_view import MAX_ROWS, StaticTable, StaticView, choices
from .turns import not_up_to_date

__all__ = ["FacetDropdown", "FacetPanel"]

#: How many of the most frequent values a dropdown lists, besides the picked ones.
MAX_LISTED_VALUES = 1000

#: Columns whose values are listed in descending order instead of by frequency.
_DESCENDING_COLUMNS = ("series_init_idc_version",)

#: The columns that a dropdown can show.
_FACETS = (*COLUMNS, *MORE_FACETS)


class FacetDropdown(Closable, anywidget.AnyWidget):
    """A button that opens a list of the values of a column. The ticked values are the filter.

    Each value is shown with the number of series and patients that have it under the filters on
    all other columns. With the switch "All but", the ticked values are excluded. Collections and
    analysis results have their titles and descriptions.

    Args:
        state: The state to filter, whose filters the counts follow.
        column: A column of the index, or one of `MORE_FACETS`.
        layout: As for every ipywidgets widget.

    Raises:
        InvalidQueryError: The column is unknown; the message names the nearest.

    >>> state = BrowserState()
    >>> dropdown = FacetDropdown(state, "Modality")
    """

    _not_listed = Closable._not_listed | {"show"}
    _esm = script("requests", "popover", "facet_rows", "facets")
    _css = style("popover", "facets")

    _shown_later = frozenset({"_values", "_distinct"})  # a closed dropdown does not show them

    _label = Unicode().tag(sync=True)
    """The text of the button. Type: str."""

    _column = Unicode().tag(sync=True)
    """The DICOM keyword of the column or, if it has none, its name in filters. Type: str."""

    _missing = Unicode().tag(sync=True)
    """The text for a missing value (None). Type: str."""

    _values: List[list[Any]] = List().tag(sync=True)
    """The listed values and their counts, in order. Type: list of [value, series, patients]."""

    _distinct = Int().tag(sync=True)
    """The number of values; `_values` has fewer if there are too many to list. Type: int."""

    _chosen: List[Any] = List().tag(sync=True)
    """The values of the filter; None is a missing value. Type: list of str, bool, int or None."""

    _excludes = Bool().tag(sync=True)
    """Whether the filter keeps all series but those with the values in `_chosen`. Type: bool."""

    _order = Unicode("count").tag(sync=True)
    """The order of `_values`: "count" or "name". Type: str."""

    _has_notes = Bool().tag(sync=True)
    """Whether the values have titles and descriptions. Type: bool."""

    _notes: Dict[str, list[str]] = Dict().tag(sync=True)
    """Value → [title, description]; empty until the list is opened. Type: dict of list of str."""

    _stale = Unicode().tag(sync=True)
    """Why the counts are not up to date; empty if they are. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last request whose answer the other traits show. Type: str, "view:number"."""

    def __init__(self, state: BrowserState, column: str, **keywords: Any) -> None:
        check_keywords("FacetDropdown", keywords, ["column", "layout", "state"])
        column = checked_column(state.client.engine, column, _FACETS)
        keywords.setdefault("layout", {"margin": "0", "overflow": "visible"})
        info = column_info(column)
        super().__init__(
            _label=info.label,
            _column=column,
            _missing=info.missing,
            _order="name" if column in _DESCENDING_COLUMNS else "count",
            _has_notes=column in NOTED_COLUMNS,
            **keywords,
        )
        self.state = state
        self.column = column
        self._requests = FrontEndRequests(state)
        self._last_request = ""  # the last request that was accepted
        self.on_msg(self._on_message)
        self._on_close(lambda: state.dropdown_counts.discard(self))
        state.dropdown_counts.add(self)

    def show(self, counts: Sequence[FacetValue]) -> None:
        """Show the values of the column with these counts, and tick those of the filter.

        Args:
            counts: All values of the column, most series first.
        """
        chosen, excludes = self._choice()
        listed = [
            *counts[:MAX_LISTED_VALUES],
            *(counted for counted in counts[MAX_LISTED_VALUES:] if counted.value in chosen),
        ]
        listed_values = {counted.value for counted in listed}
        # A ticked value stays listed when no series has it any more, so that it can be unticked.
        without_series = [FacetValue(value, 0, 0) for value in chosen if value not in listed_values]
        listed += without_series
        if self.column in _DESCENDING_COLUMNS:
            listed.sort(key=_rank, reverse=True)
        with self.hold_sync():
            self._distinct = len(counts) + len(without_series)
            self._values = [[counted.value, counted.series, counted.patients] for counted in listed]
            self._chosen, self._excludes = list(chosen), excludes
            self._stale = ""
            self._answered = self._last_request

    def show_stale(self, reason: str) -> None:
        """Show the filter without counts, and say why they are not up to date."""
        chosen, excludes = self._choice()
        with self.hold_sync():
            # The ticked values stay listed, so that they can be unticked.
            self._values = [[value, 0, 0] for value in chosen]
            self._distinct = len(chosen)
            self._chosen, self._excludes = list(chosen), excludes
            self._stale = not_up_to_date(reason)
            self._answered = self._last_request

    def _choice(self) -> tuple[tuple[Any, ...], bool]:
        """Return the ticked values, and whether they are excluded."""
        filters = self.state.filters
        chosen = listed_values(filters.conditions, self.column)
        excluded = listed_values(filters.conditions, self.column, excluded=True)
        # If some values are chosen and others excluded, the list shows the chosen ones, and a chip
        # shows both.
        return (excluded, True) if excluded and not chosen else (chosen, False)

    def _static_view(self) -> StaticView:
        return StaticView(f"IDC filter {self._label}", choices(self.state), [self._static_table()])

    def _static_table(self) -> StaticTable:
        """Return the first values that are listed."""
        rows = [
            [self._missing if value is None else str(value), f"{series:,}", f"{patients:,}"]
            for value, series, patients in self._values[:MAX_ROWS]
        ]
        return StaticTable(self._label, self._distinct, ["Value", "Series", "Patients"], rows)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "notes":
            self._show_notes()
        if content.get("kind") != "choose":
            return
        work = partial(self._choose, content)
        self._requests.carry_out(self, content, work, self._answer)

    def _choose(self, content: Any, request: str) -> None:
        # The counts and the answered request go back in one message, so that no page view mixes
        # two answers.
        with self.hold_sync():
            self._last_request = request
            exclude = content.get("exclude") is True
            try:
                self.state.filter_values(self.column, content["values"], exclude=exclude)
            except InvalidQueryError as error:
                raise with_label(error, self.column) from error

    def _show_notes(self) -> None:
        """Send the titles and descriptions; they are optional, so no error is shown."""
        with suppress(IDCError):
            notes = value_notes(self.state.client.engine, self.column)
            self._notes = {value: list(note) for value, note in notes.items()}

    def _answer(self, request: str) -> None:
        # Set the request again: if the turn was interrupted early, `_choose` has not run.
        self._last_request = request
        if not self.state.dropdown_counts.is_postponed():
            self._answered = request


def _rank(counted: FacetValue) -> tuple[bool, Any]:
    """Return the key that sorts values in ascending order, a missing value first."""
    return counted.value is not None, counted.value


class FacetPanel(Closable, ipywidgets.Box):
    """Several dropdowns side by side, in as many rows as they need.

    Args:
        state: The state to filter.
        columns: The columns, one per dropdown.
        layout: As for every ipywidgets widget.

    Raises:
        InvalidQueryError: A column is unknown; the message names the nearest.

    >>> panel = FacetPanel(BrowserState(), ["Modality", "BodyPartExamined"])
    >>> panel.dropdowns["Modality"].column
    'Modality'
    """

    def __init__(
        self, state: BrowserState, columns: Sequence[str] = FACETS, **keywords: Any
    ) -> None:
        check_keywords("FacetPanel", keywords, ["columns", "layout", "state"])
        engine = state.client.engine
        columns = [checked_column(engine, column, _FACETS) for column in as_list(columns)]
        with state.lock:
            state.dropdown_counts.count(columns)
            #: Column → its dropdown.
            self.dropdowns = {column: FacetDropdown(state, column) for column in columns}
        # ipywidgets 7 has only the older name for the gap of a flex box.
        keywords.setdefault(
            "layout", {"flex_flow": "row wrap", "grid_gap": "8px", "overflow": "visible"}
        )
        super().__init__(list(self.dropdowns.values()), **keywords)
        self.state = state

    def _static_view(self) -> StaticView:
        return StaticView("IDC filters", choices(self.state))
