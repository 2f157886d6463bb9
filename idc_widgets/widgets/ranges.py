"""Filters from - to on a number or a date, with a histogram of what there is."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any

import anywidget
from traitlets import Dict, Int, Unicode

from ..errors import IDCError, InvalidQueryError, unknown
from ..index import DATES, RANGES, column_info
from ..query import Cohort, Histogram
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .filter_text import bound, in_words, range_in_words
from .front_end_requests import FrontEndRequests
from .state import BrowserState

__all__ = ["RangeFilter"]

BINS = 20

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", re.ASCII)


class RangeFilter(Closable, anywidget.AnyWidget):
    """A button that opens a histogram of a column, to filter by a range of its values.

    The histogram follows the filters on all other columns. It is counted only while it is open.

    >>> state = BrowserState()
    >>> RangeFilter(state, "StudyDate")

    Args:
        state: what the range filters, and whose filters the histogram follows.
        column: one of `RANGES`: PatientAge (in years), StudyDate, SeriesDate, series_size_MB or
            instanceCount.
        layout: as of every ipywidgets widget.

    Raises:
        InvalidQueryError: the column has no histogram; the nearest is named.
    """

    _esm = script("popover", "range")
    _css = style("popover", "range")

    _label = Unicode().tag(sync=True)
    """What the button says. Type: str."""

    _column = Unicode().tag(sync=True)
    """Name of the column in filters: the DICOM keyword where there is one. A tooltip. Type: str."""

    _hints = Dict().tag(sync=True)
    """How inputs are explained. Type: {unit, example}, either may be empty."""

    _filter = Dict().tag(sync=True)
    """What is filtered by. Type: {words, low, high, span}; words are empty without a filter,
    span is [first, last] bin, empty where the filter is no range.
    """

    _histogram = Dict().tag(sync=True)
    """What was counted last. Type: {version, bars, axis, missing}; a bar is [series, words, low,
    high]: its range in words, and what the inputs show of it.
    """

    _version = Int().tag(sync=True)
    """Counts up when the filters on other columns change: a histogram of an earlier version is of
    no use any more. The front end asks for a new one while it shows one. Type: int.
    """

    _problem = Unicode().tag(sync=True)
    """Why the last range could not be filtered by; empty when all is well. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last request of the front end that all of the above takes in. Type: view:number."""

    def __init__(self, state: BrowserState, column: str, **keywords: Any) -> None:
        check_keywords("RangeFilter", keywords, ["column", "layout", "state"])
        if column not in RANGES:
            raise InvalidQueryError(unknown("column of a histogram", column, RANGES))
        keywords.setdefault("layout", {"margin": "0", "overflow": "visible"})
        example = "YYYY-MM-DD" if column in DATES else ""
        hints = {"unit": column_info(column).unit, "example": example}
        super().__init__(_label=column_info(column).label, _column=column, _hints=hints, **keywords)
        self.state = state
        self.column = column
        self._requests = FrontEndRequests()
        self._counted: Histogram | None = None
        with state.lock:
            self._others = state.filters.without(column)
            self._version = 1
            self._show_filter()
            self._follow(state, self._on_filters, "filters")
        self.on_msg(self._on_message)

    # --- what it shows ---------------------------------------------------------------------

    def _on_filters(self, _change: Any) -> None:
        with self.state.reporting(clears=False):
            others = self.state.filters.without(self.column)
            with self.hold_sync():
                if others != self._others:
                    self._others = others
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
            words = range_in_words(self.column, *argument)
            low, high = (bound(self.column, one) for one in argument)
            self._filter = {"words": words, "low": low, "high": high, "span": self._span(argument)}
        else:
            words = in_words(self.column, argument).removeprefix(f"{self._label} = ")
            self._filter = {"words": words, "low": "", "high": "", "span": []}

    def _span(self, argument: tuple[Any, Any]) -> list[int]:
        """The first and the last bin that a range touches; empty before they are known."""
        if self._counted is None or not self._counted.series:
            return []
        (low, high), inner = argument, self._counted.edges[1:-1]
        first = 0 if low is None else bisect_right(inner, low)
        return [first, len(inner) if high is None else bisect_right(inner, high)]

    def _count(self) -> None:
        """Counts under the filters as they are, unless that was done."""
        if self._histogram.get("version") == self._version:
            return
        self._counted = counted = self._others.histogram(self.column, BINS)
        bars = []
        for at, series in enumerate(counted.series):
            low, high = counted.between(at, at)
            words = range_in_words(self.column, low, high)
            bars.append([series, words, bound(self.column, low), bound(self.column, high)])
        ends = (counted.edges[0], counted.edges[-1]) if bars else ()
        self._histogram = {
            "version": self._version,
            "bars": bars,
            "axis": [bound(self.column, edge) for edge in ends],
            "missing": counted.missing,
        }
        self._show_filter()

    # --- what it does ----------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"kind": "count"}:
                with self.state.reporting(clears=False), self.hold_sync():
                    self._count()
            case {"kind": "bins", "first": int(first), "last": int(last)}:
                self._choose(content, lambda: self._between(first, last))
            case {"kind": "range", "low": str(low), "high": str(high)}:
                self._choose(content, lambda: self._typed(low, high))

    def _choose(self, content: Any, narrowed: Any) -> None:
        # One message takes all of it back, so that no front end mixes two answers.
        with self.state.turn(), self.hold_sync():
            request = self._requests.accept(content)
            if request is None:
                return
            with self.state.reporting():
                try:
                    filters, self._problem = narrowed(), ""
                except IDCError as error:
                    self._problem = str(error)
                else:
                    self.state.filters = filters
            self._answered = request

    def _between(self, first: int, last: int) -> Cohort:
        self._count()
        assert self._counted is not None
        low, high = self._counted.between(min(first, last), max(first, last))
        return self._where(low, high)

    def _typed(self, low: str, high: str) -> Cohort:
        return self._where(_read(self.column, low), _read(self.column, high))

    def _where(self, low: Any, high: Any) -> Cohort:
        others = self.state.filters.without(self.column)
        # All of it is no filter: only who asks for it in Python wants to lose what is missing.
        if low is None and high is None:
            return others
        return others.where(**{self.column: (low, high)})


def _read(column: str, text: str) -> object:
    """What a person typed as one end of a range, for `Cohort.where`; nothing is an open end."""
    text = text.strip()
    if not text:
        return None
    if column in DATES:
        return text
    number = text.replace(",", "")
    if _NUMBER.fullmatch(number):
        value = float(number)
        return int(value) if value.is_integer() else value
    if column == "PatientAge":
        return text  # may be one as DICOM writes it, 018M
    expected = column_info(column).unit or "a count"
    raise InvalidQueryError(
        f"{column_info(column).label}: {text!r} is not a number; expected {expected}, such as 100"
    )
