"""Filters on a range of numbers or dates, chosen in a histogram or typed."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import Any

import anywidget
from traitlets import Dict, Int, Unicode

from ..errors import IDCError, InvalidQueryError
from ..index import DATES, RANGES, column_info
from ..query import Cohort, Histogram, checked_column
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .error_reporting import with_label
from .filter_text import bound_text, filter_text, range_text
from .front_end_requests import FrontEndRequests
from .state import BrowserState
from .static_view import StaticView, choices
from .turns import not_up_to_date

__all__ = ["BINS", "RangeFilter", "touched_bins", "with_range"]

#: The number of bars of a histogram.
BINS = 20

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", re.ASCII)

#: A number whose commas can only separate thousands. (In many countries, a comma is a decimal
#: point.)
_WITH_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?", re.ASCII)


class RangeFilter(Closable, anywidget.AnyWidget):
    """A button that opens a histogram of a column, to choose a range of values.

    The histogram follows the filters on all other columns. It is computed only while it is open.

    Args:
        state: The state to filter, whose filters the histogram follows.
        column: One of `RANGES`: PatientAge (in years), StudyDate, SeriesDate, series_size_MB or
            instanceCount.
        layout: As for every ipywidgets widget.

    Raises:
        InvalidQueryError: The column has no histogram; the message names the nearest one with a
            histogram.

    >>> state = BrowserState()
    >>> age = RangeFilter(state, "PatientAge")
    """

    _esm = script("requests", "popover", "range")
    _css = style("popover", "range")

    _label = Unicode().tag(sync=True)
    """The text of the button. Type: str."""

    _column = Unicode().tag(sync=True)
    """The DICOM keyword of the column or, if it has none, its name in filters. Type: str."""

    _hints = Dict().tag(sync=True)
    """What the inputs expect. Type: {unit, example}, both str and possibly empty."""

    _filter = Dict().tag(sync=True)
    """The filter. Type: {words, low, high, span}: the filter and its ends as text, and the first
    and last bin that it touches. `words` is empty without a filter; `span` is empty if the filter
    is not a range or the bins are not known yet.
    """

    _histogram = Dict().tag(sync=True)
    """The last histogram; default: {}. Type: {version, bars, axis, missing}. A bar is [series,
    words, low, high]: the number of series, the range in words, and the texts that the inputs show
    for its ends. `missing` is the number of series without a value.
    """

    _version = Int().tag(sync=True)
    """The version of the filters on other columns. Type: int.

    It increases when these filters change. Histograms of an earlier version are then out of date,
    and the front end requests a new one if it shows one.
    """

    _problem = Unicode().tag(sync=True)
    """Why the last range is not a valid filter; empty if it is valid. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last request whose answer the other traits show. Type: str, "view:number"."""

    def __init__(self, state: BrowserState, column: str, **keywords: Any) -> None:
        check_keywords("RangeFilter", keywords, ["column", "layout", "state"])
        column = checked_column(state.client.engine, column, RANGES, "column of a histogram")
        keywords.setdefault("layout", {"margin": "0", "overflow": "visible"})
        info = column_info(column)
        hints = {"unit": info.unit, "example": "YYYY-MM-DD" if column in DATES else ""}
        super().__init__(_label=info.label, _column=column, _hints=hints, **keywords)
        self.state = state
        self.column = column
        self._requests = FrontEndRequests(state)
        self._bins: Histogram | None = None
        #: The version of the filters that `_bins` belongs to.
        self._counted_version = 0
        #: Whether `_problem` says that the histogram is not up to date.
        self._is_stale = False
        with state.lock:
            self._other_filters = state.filters.without(column)
            self._version = 1
            self._show_filter()
            self._show_state(state, self._show_filters, ["filters"])
        state.turns.on_stale(self._count, self._show_stale)
        self._on_close(lambda: state.turns.forget(self._count))
        self.on_msg(self._on_message)

    # --- what it shows ---------------------------------------------------------------------

    def _show_filters(self) -> None:
        other_filters = self.state.filters.without(self.column)
        with self.hold_sync():
            if other_filters != self._other_filters:
                self._other_filters = other_filters
                self._version += 1
            self._problem = ""
            self._show_filter()

    def _show_filter(self) -> None:
        filters = self.state.filters.filters
        if self.column not in filters:
            self._filter = {"words": "", "low": "", "high": "", "span": []}
            return
        argument = filters[self.column]
        if isinstance(argument, tuple):
            words = range_text(self.column, *argument)
            low, high = (bound_text(self.column, bound) for bound in argument)
            self._filter = {"words": words, "low": low, "high": high, "span": self._span(argument)}
        else:
            words = filter_text(self.column, argument).removeprefix(f"{self._label} = ")
            self._filter = {"words": words, "low": "", "high": "", "span": []}

    def _span(self, argument: tuple[Any, Any]) -> list[int]:
        """Return the first and last bin that a range touches; empty if the bins are not known."""
        return [] if self._bins is None else touched_bins(self._bins, *argument)

    def _count(self) -> None:
        """Compute the histogram under the present filters, unless it is up to date."""
        if self._counted_version == self._version:
            return
        self._bins = bins = self._other_filters.histogram(self.column, bins=BINS)
        bars = []
        for index, series in enumerate(bins.counts):
            low, high = bins.between(index, index)
            ends = (bound_text(self.column, low), bound_text(self.column, high))
            bars.append([series, range_text(self.column, low, high), *ends])
        axis = (bins.edges[0], bins.edges[-1]) if bars else ()
        with self.hold_sync():
            self._histogram = {
                "version": self._version,
                "bars": bars,
                "axis": [bound_text(self.column, edge) for edge in axis],
                "missing": bins.missing,
            }
            self._counted_version = self._version
            if self._is_stale:
                self._is_stale, self._problem = False, ""
            self._show_filter()

    def _show_stale(self, reason: str) -> None:
        """Show why there is no histogram, so that the page does not wait for it."""
        with self.hold_sync():
            self._histogram = {"version": self._version, "bars": [], "axis": [], "missing": 0}
            self._is_stale = True
            self._problem = not_up_to_date(reason)

    # --- what it does ----------------------------------------------------------------------

    def _static_view(self) -> StaticView:
        return StaticView(f"IDC filter {self._label}", choices(self.state))

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"kind": "count"}:
                if self._counted_version == self._version:
                    self.send_state("_histogram")  # the page asks again, so the answer was lost
                self.state.turns.refresh(self._count)
            case {"kind": "bins", "first": int(first), "last": int(last)}:
                self._choose(content, lambda: self._filters_of_bins(first, last))
            case {"kind": "range", "low": str(low), "high": str(high)}:
                self._choose(content, lambda: self._filters_of_text(low, high))

    def _choose(self, content: Any, make_filters: Callable[[], Cohort]) -> None:
        work = partial(self._set_range, make_filters)
        self._requests.carry_out(self, content, work, self._answer)

    def _answer(self, request: str) -> None:
        self._answered = request

    def _set_range(self, make_filters: Callable[[], Cohort], request: str) -> None:
        # All traits go back in one message, so that no page view mixes two answers.
        with self.hold_sync():
            try:
                self._problem = ""
                self.state.filters = make_filters()
            except InvalidQueryError as error:
                self._problem = str(with_label(error, self.column))
            except IDCError as error:
                self._problem = str(error)
            finally:
                self._answered = request

    def _filters_of_bins(self, first: int, last: int) -> Cohort:
        self._count()
        assert self._bins is not None
        low, high = self._bins.between(min(first, last), max(first, last))
        return self._filters_of_range(low, high)

    def _filters_of_text(self, low: str, high: str) -> Cohort:
        return self._filters_of_range(_parse(self.column, low), _parse(self.column, high))

    def _filters_of_range(self, low: Any, high: Any) -> Cohort:
        return with_range(self.state.filters, self.column, low, high)


def touched_bins(bins: Histogram, low: Any, high: Any) -> list[int]:
    """Return the first and last bin that a range touches; empty if there are no bins."""
    inner_edges = bins.edges[1:-1]
    if not bins.counts:
        return []
    return [
        0 if low is None else bisect_right(inner_edges, low),
        len(inner_edges) if high is None else bisect_right(inner_edges, high),
    ]


def with_range(filters: Cohort, column: str, low: Any, high: Any) -> Cohort:
    """Return filters after a range of a column has replaced the earlier filter on the column."""
    others = filters.without(column)
    # In a widget, the whole range means no filter. In Python, (None, None) means any value that is
    # not missing.
    if low is None and high is None:
        return others
    return others.where(**{column: (low, high)})


def _parse(column: str, text: str) -> object:
    """Return one end of a typed range as `Cohort.where` expects it; None for an open end.

    Raises:
        InvalidQueryError: The text is not a number and the column has numbers.
    """
    text = text.strip()
    if not text:
        return None
    if column in DATES:
        return text
    number = text.replace(",", "") if _WITH_THOUSANDS.fullmatch(text) else text
    if _NUMBER.fullmatch(number):
        value = float(number)
        if value < 0:
            raise InvalidQueryError(f"{column_info(column).label}: {text!r} is less than 0")
        return int(value) if value.is_integer() else value
    info = column_info(column)
    if "," in text and (readings := _readings(text)):
        raise InvalidQueryError(
            f"{info.label}: {text!r} can mean {' or '.join(readings)}; type one of them"
            if len(readings) > 1
            else f"{info.label}: {text!r} is not clear; type {readings[0]} if you mean that"
        )
    if column == "PatientAge":
        return text  # it may be a DICOM Age String, such as 018M
    raise InvalidQueryError(
        f"{info.label}: {text!r} is not a number; expected {info.unit or 'a count'}, such as 100"
    )


def _readings(text: str) -> list[str]:
    """Return what a number with a comma can mean: as a decimal point, then as a separator.

    >>> _readings("0,5"), _readings("1.000,5"), _readings("much, more")
    (['0.5', '5'], ['1000.5', '1.0005'], [])
    """
    spellings = (text.replace(".", "").replace(",", "."), text.replace(",", ""))
    numbers = [float(spelling) for spelling in spellings if _NUMBER.fullmatch(spelling)]
    return list(dict.fromkeys(f"{number:.12g}" for number in numbers))
