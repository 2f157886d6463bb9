"""The distributions of what a grid shows: bars under the headers. A click on a bar filters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...errors import InvalidQueryError, QueryInterruptedError
from ...index import DATES, FACETS, MORE_FACETS, RANGES, Bound, column_info
from ...query import Cohort, FacetValue, listed_values
from ..filter_text import bound_text, range_text
from ..ranges import BINS, touched_bins, with_range
from ..state import BrowserState
from ..turns import not_up_to_date
from .columns import Column

__all__ = ["Distributions", "distributions_of", "kind_of_bars"]

#: Number of most frequent values that get a bar.
MAX_BARS = 12

#: The number of less frequent values that get a bar as well, because they are chosen.
_MAX_CHOSEN_BARS = 12
_MAX_TEXT_CHARACTERS = 200


class _Widget(Protocol):
    """The traits of a `DomGridView` that show distributions."""

    _bars: Any
    _shows_bars: Any


class _View(Protocol):
    """The part of a `DomGridView` that shows distributions.

    It is a protocol, because `dom_grid` imports this module.
    """

    handlers: dict[str, Callable[[Mapping[str, Any]], None]]

    @property
    def widget(self) -> _Widget:
        """The widget with the traits."""
        ...

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that are shown."""
        ...

    @property
    def generation(self) -> int:
        """The number of the present rows."""
        ...


def kind_of_bars(column: str) -> str:
    """Return "values" for a facet, "bins" for a column with a histogram, and "" for others.

    >>> kind_of_bars("Modality"), kind_of_bars("StudyDate"), kind_of_bars("PatientID")
    ('values', 'bins', '')
    """
    if column in RANGES:
        return "bins"
    return "values" if column in (*FACETS, *MORE_FACETS) else ""


@dataclass(frozen=True)
class _Request:
    """The request of a page for the distributions of the rows that it shows."""

    generation: int
    cohort: Cohort
    filters: Cohort
    columns: tuple[str, ...]


class Distributions:
    """The distributions of the columns of one grid.

    They are counted only when a page requests them. A page does so after it has shown the rows, and
    only while it shows distributions. A thread counts without the lock of the state, so no click
    waits for it. If the grid shows other rows by then, the counts are not shown.

    Args:
        state: The state, whose filters a click changes.
        level: The level of the grid.
        rows_trait: The trait of the state with the cohort that the grid shows.
        view: The view of the grid.
    """

    def __init__(self, state: BrowserState, level: str, rows_trait: str, view: _View) -> None:
        self._state, self._level, self._rows_trait, self._view = state, level, rows_trait, view
        #: The last request that the thread has not begun yet.
        self._wanted: _Request | None = None
        self._is_counting = False
        #: The last request that was counted, with its result.
        self._counted: tuple[_Request, dict[str, Any]] | None = None
        self._number = 0
        view.handlers.update(bars=self._on_request, choose=self._on_choice)
        self.show_choice()

    def show_choice(self) -> None:
        """Show or hide the distributions, as the state says."""
        shows = self._state.distributions.get(self._level, False)
        self._view.widget._shows_bars = shows
        if not shows and self._counted is not None:
            self._counted = None
            self._view.widget._bars = {}

    def close(self) -> None:
        """Stop counting. A thread that is counting now does not show its counts."""
        self._view.handlers.clear()
        self._wanted = self._counted = None

    # --- what it shows ---------------------------------------------------------------------

    def _on_request(self, content: Mapping[str, Any]) -> None:
        state, generation = self._state, self._view.generation
        with state.lock:
            if content.get("generation") != generation:
                return  # the page will receive newer rows, and request their distributions
            columns = tuple(column.name for column in self._view.columns)
            cohort: Cohort = getattr(state, self._rows_trait)
            self._wanted = _Request(generation, cohort, state.filters, columns)
            if not self._is_counting:
                self._is_counting = True
                name = "idc_widgets-distributions"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._state.lock:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._is_counting = False
                    return
            counted, problem = {}, ""
            try:
                counted = self._count(wanted)
            except QueryInterruptedError:
                continue  # the page will request it again
            except Exception as error:
                problem = not_up_to_date(str(error) or type(error).__name__)
                with self._state.reporting():
                    raise
            with self._state.lock:
                if self._view.handlers and wanted.generation == self._view.generation:
                    self._counted = None if problem else (wanted, counted)
                    self._show(counted, problem)

    def _count(self, wanted: _Request) -> dict[str, Any]:
        if (last := self._counted) is not None:
            before, counted = last
            if replace(before, generation=wanted.generation) == wanted:
                return counted  # the rows were only sorted
        return distributions_of(wanted.cohort, wanted.filters, self._level, wanted.columns)

    def _show(self, columns: dict[str, Any], problem: str) -> None:
        self._number += 1
        self._view.widget._bars = {
            "number": self._number,
            "generation": self._view.generation,
            "problem": problem,
            "columns": columns,
        }

    # --- what it does ----------------------------------------------------------------------

    def _on_choice(self, content: Mapping[str, Any]) -> None:
        """Carry out a choice of filters, or to show or hide the distributions; called in a turn."""
        filters = self._state.filters
        for name, choice in content.items():
            kind, _, column = name.partition(":")
            if kind == "filter" and isinstance(choice, list):
                filters = _with_choice(filters, column, choice)
        self._state.filters = filters
        if isinstance(shows := content.get("shows"), bool):
            self._state.distributions = {**self._state.distributions, self._level: shows}


def _with_choice(filters: Cohort, column: str, choice: list[Any]) -> Cohort:
    """Return filters after a choice in the distribution of a column.

    Args:
        filters: The filters before the choice.
        column: The column.
        choice: All chosen values, or the first and the last bin; empty for no filter.

    Raises:
        InvalidQueryError: There is no such column or value.
    """
    if kind_of_bars(column) == "values":
        others = filters.without(column)
        return others.where(**{column: choice}) if choice else others
    if column not in RANGES or not all(isinstance(bin_, int) for bin_ in choice):
        raise InvalidQueryError(f"{column[:200]!r} has no distribution; click again")
    if not choice:
        return filters.without(column)
    bins = filters.histogram(column, bins=BINS)
    last = len(bins.counts) - 1
    low, high = bins.between(min(max(min(choice), 0), last), min(max(choice), last))
    return with_range(filters, column, low, high)


def distributions_of(
    cohort: Cohort, filters: Cohort, level: str, columns: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Count what a grid shows, by column.

    A bar has two counts: one of what the grid shows, and one of what it would show without the
    filter on the column, because people can choose all of that.

    Args:
        cohort: What the grid shows.
        filters: The filters that people see; `cohort` may be narrower, because of picks.
        level: The level of the grid. At the level of patients, values are counted by patient.
            Otherwise, and in all histograms, series are counted.
        columns: The columns of the grid. Those without a distribution are left out.

    Returns:
        Column → {unit, total, bars, chosen, others, edges, edge_unit}. `unit` has the words for one
        and for several of the counted things. `total` is the number of these things in the grid;
        None if it is the number of rows. A bar is [text, shown, possible, value]; a bin has its
        number in place of a value. `chosen` has the chosen values, or the first and last bin of the
        chosen range. `others` is the number of values without a bar. `edges` has the edges of the
        bins as short texts, and `edge_unit` their unit.
    """
    filtered = {condition.column for condition in filters.conditions}
    arguments = filters.filters
    values = [column for column in columns if kind_of_bars(column) == "values"]
    possible = cohort.facets(values) if values else {}
    narrowed = [column for column in values if column in filtered]
    shown = {**possible, **(cohort.facets(narrowed, own_filters=True) if narrowed else {})}
    result: dict[str, dict[str, Any]] = {}
    for column in columns:
        if column in possible:
            chosen = listed_values(filters.conditions, column)
            result[column] = _of_values(column, level, chosen, possible[column], shown[column])
        elif column in RANGES:
            result[column] = _of_bins(cohort, column, column in filtered, arguments.get(column))
    return result


def _of_values(
    column: str,
    level: str,
    chosen: Sequence[Any],
    possible: Sequence[FacetValue],
    shown: Sequence[FacetValue],
) -> dict[str, Any]:
    is_patient = level == "patient"

    def number(facet: FacetValue) -> int:
        return facet.patients if is_patient else facet.series

    counts = {facet.value: number(facet) for facet in shown}
    ordered = sorted(possible, key=number, reverse=True)
    listed = {facet.value: number(facet) for facet in ordered[:MAX_BARS]}
    can_choose = {facet.value: number(facet) for facet in possible}
    more = [value for value in chosen if value not in listed][:_MAX_CHOSEN_BARS]
    listed |= {value: can_choose.get(value, 0) for value in more}
    return {
        "unit": ["patient", "patients"] if is_patient else ["series", "series"],
        # The counts do not add up: a patient may have series of several values.
        "total": None if is_patient else sum(counts.values()),
        "bars": [
            [_text(column, value), counts.get(value, 0), count, value]
            for value, count in listed.items()
        ],
        "chosen": list(chosen),
        "others": len(possible) - len([value for value in listed if value in can_choose]),
        "edges": [],
        "edge_unit": "",
    }


def _of_bins(cohort: Cohort, column: str, is_filtered: bool, argument: Any) -> dict[str, Any]:
    shown = cohort.histogram(column, bins=BINS)
    possible = cohort.without(column).histogram(column, bins=BINS) if is_filtered else shown
    is_range = isinstance(argument, tuple)
    return {
        "unit": ["series", "series"],
        "total": sum(shown.counts) + shown.missing,
        "bars": [
            [range_text(column, *possible.between(bin_, bin_)), count, possible.counts[bin_], bin_]
            for bin_, count in enumerate(shown.counts)
        ],
        "chosen": touched_bins(possible, *argument) if is_range else [],
        "others": 0,
        "edges": _edge_texts(column, possible.edges),
        "edge_unit": column_info(column).unit,
    }


def _edge_texts(column: str, edges: Sequence[Bound]) -> list[str]:
    """Return edges of bins as short texts.

    Dates become years. The first and the last bin of dates are open: "≤ 1999" and "≥ 2020".
    """
    if column not in DATES or not edges:
        return [bound_text(column, edge) for edge in edges]
    years = [str(edge)[:4] for edge in edges]
    return [f"≤ {years[1]}", *years[1:-1], f"≥ {years[-2]}"]


def _text(column: str, value: Any) -> str:
    text = column_info(column).missing if value is None else str(value)
    return text if len(text) <= _MAX_TEXT_CHARACTERS else text[: _MAX_TEXT_CHARACTERS - 1] + "…"
