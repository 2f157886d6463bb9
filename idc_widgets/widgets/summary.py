"""What is selected, and a chip for each filter and pick that narrows it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import anywidget
from traitlets import Bool, List, Unicode

from .._util import as_list, human_size, plural
from ..index import FACETS, LEVELS, MORE_FACETS, RANGES
from ..query import Cohort, listed_values
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .examples import Examples, example_cohorts, patient_count
from .filter_text import filter_texts
from .front_end_requests import FrontEndRequests
from .state import BrowserState
from .static_view import StaticView, choices, data_name
from .turns import not_up_to_date

__all__ = ["SummaryBar"]

#: Trait of the state with picked rows → the noun for one of these rows.
_PICKS = {level.plural: level.name for level in LEVELS.values()}

#: The traits of the state that determine the selection.
_CHOICES = ["filters", *_PICKS]

_PARTS = ("counts", "choices")


class SummaryBar(Closable, anywidget.AnyWidget):
    """What Download would fetch, the filters and picks that lead to it, and the last error.

    A filter or pick is shown as a chip, whose × removes it. With ``parts=["choices"]``, the chips
    form a sentence.

    Args:
        state: The state to sum up.
        columns: Columns whose filters need no chip, because another widget shows them.
        parts: What to show: "counts" for the size of the selection, its licenses and the last
            error; "choices" for the chips; both by default.
        examples: The cohorts to offer while nothing is chosen, as for `IDCBrowser`; by default,
            none. The bar offers them only if `parts` is ["choices"].
        layout: As for every ipywidgets widget.

    >>> bar = SummaryBar(BrowserState())
    """

    _esm = script("requests", "summary")
    _css = style("summary")

    _parts: List[str] = List().tag(sync=True)
    """What is shown: "counts", "choices" or both. Type: list of str."""

    _lead = Unicode().tag(sync=True)
    """The words before the chips of a sentence. Type: str."""

    _counts: List[list[str]] = List().tag(sync=True)
    """The size of the selection; [] for an empty selection. Type: list of [number, noun]."""

    _licenses: List[list[Any]] = List().tag(sync=True)
    """The licenses of the selection, most series first. Type: list of [name, non_commercial]."""

    _chips: List[dict[str, str]] = List().tag(sync=True)
    """The filters and picks that can be removed. Type: list of {kind, name, text, hint,
    before}: `before` is the word that joins the chip to the sentence.
    """

    _examples: List[dict[str, str]] = List().tag(sync=True)
    """The example cohorts, which a click chooses; [] until they are first needed.

    Type: list of {name, count, hint}.
    """

    _clearable = Bool().tag(sync=True)
    """Whether there is a filter or pick for "Clear all" to remove. Type: bool."""

    _problem = Unicode().tag(sync=True)
    """Why the selection is empty, or "". Type: str."""

    _message = Unicode().tag(sync=True)
    """The last error: `BrowserState.message`. Type: str."""

    _note = Unicode().tag(sync=True)
    """What is done in the background, or "". Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last requests whose answers the other traits show. Type: str; see
    `FrontEndRequests.note`.
    """

    def __init__(
        self,
        state: BrowserState,
        *,
        columns: Collection[str] = FACETS,
        parts: Collection[str] = _PARTS,
        examples: Examples = False,
        **keywords: Any,
    ) -> None:
        check_keywords("SummaryBar", keywords, ["columns", "examples", "layout", "parts", "state"])
        if not parts or not set(parts) <= set(_PARTS):
            raise ValueError(f"expected 'counts', 'choices' or both as `parts`, not {parts!r}")
        keywords.setdefault("layout", {"margin": "0", "width": "auto"})
        super().__init__(_parts=list(parts), **keywords)
        self.state = state
        self._columns = frozenset(as_list(columns))
        self._example_cohorts = example_cohorts(state.client, examples)
        self._requests = FrontEndRequests(state, views=[self._show])
        self._taken = ""  # the last requests that were taken; see `FrontEndRequests.note`
        self.on_msg(self._on_message)
        self._show_state(state, self._show, _CHOICES, self._show_stale)
        self._on_close(state.on_message(self._show_message))
        state.turns.refresh(self._show)

    # --- what it shows ---------------------------------------------------------------------

    def _show_message(self) -> None:
        self._message = self.state.message

    def show_note(self, note: str) -> None:
        """Show what is done in the background; "" to show nothing. May be called in any thread."""
        with self.state.lock:
            self._note = note

    def _static_view(self) -> StaticView:
        return StaticView("IDC selection", [*choices(self.state), self.static_fact()])

    def static_fact(self) -> tuple[str, str]:
        """Return the size of the selection, as a fact of a `StaticView`."""
        counts = ", ".join(" ".join(count) for count in self._counts)
        return "Selected", counts or self._problem

    def _show_stale(self, reason: str) -> None:
        """Show what narrows the selection, and why its size is unknown; run no query."""
        with self.hold_sync():
            self._clearable = self._has_choices()
            self._counts, self._licenses = [], []
            self._chips = [*self._filter_chips(), *self._pick_chips()]
            self._lead = self._sentence_lead()
            self._problem = not_up_to_date(reason)
            self._answered = self._taken

    def _has_choices(self) -> bool:
        return bool(self.state.filters.filters) or any(
            getattr(self.state, trait) for trait in _PICKS
        )

    def _show(self) -> None:
        selection = self.state.selection
        summary = selection.summary()
        has_choices = self._has_choices()
        examples = self._examples if has_choices else self._counted_examples()
        with self.hold_sync():
            self._examples = examples
            self._message = self.state.message
            self._answered = self._taken
            self._clearable = has_choices
            if summary.series:
                self._problem = ""
                self._counts = [
                    text.split(" ", 1)
                    for text in (
                        plural(summary.collections, "collection"),
                        plural(summary.patients, "patient"),
                        plural(summary.studies, "study"),
                        plural(summary.series, "series"),
                        plural(summary.instances, "file"),
                        human_size(summary.size_MB * 1e6),
                    )
                ]
                self._licenses = [
                    [license_.name, license_.non_commercial] for license_ in selection.licenses()
                ]
                self._chips = [*self._filter_chips(), *self._pick_chips()]
                self._lead = self._sentence_lead()
            else:
                self._counts, self._licenses = [], []
                self._chips = self._chips_of_empty_selection()
                self._lead = "To see series again, remove one of:" if self._chips else ""
                self._problem = (
                    "The index has no series."
                    if not self._chips
                    else "No series matches all filters. Remove one of:"
                    if "choices" in self._parts
                    else "No series matches all filters."
                )

    def _counted_examples(self) -> list[dict[str, str]]:
        """Return the examples that have series, with their numbers of patients."""
        if self._examples:
            return self._examples
        counted = []
        for name, cohort in self._example_cohorts.items():
            if patients := patient_count(cohort):
                hint = " and ".join(filter_texts(cohort.filters).values())
                counted.append({"name": name, "count": plural(patients, "patient"), "hint": hint})
        return counted

    def _sentence_lead(self) -> str:
        if self._chips:
            return "Series"
        return f"All series of {data_name(self.state.client)}"

    def _filter_chips(self) -> list[dict[str, str]]:
        filters = self.state.filters
        return [
            _chip("filter", column, text, before="and" if index else "where")
            for index, (column, text) in enumerate(
                (column, text)
                for column, text in filter_texts(filters.filters).items()
                if column not in self._columns or not _is_shown_whole(filters, column)
            )
        ]

    def _pick_chips(self) -> list[dict[str, str]]:
        counts = {trait: len(getattr(self.state, trait)) for trait in _PICKS}
        picked = [(trait, noun) for trait, noun in _PICKS.items() if counts[trait]]
        return [
            _chip(
                "pick",
                trait,
                f"{plural(counts[trait], noun)} picked",
                before="and" if index else "of",
            )
            for index, (trait, noun) in enumerate(picked)
        ]

    def _chips_of_empty_selection(self) -> list[dict[str, str]]:
        """Return a chip per filter; the filter whose removal leaves the most series comes first."""
        filters = self.state.filters
        texts = filter_texts(filters.filters)
        left = {column: _series_count(filters.without(column)) for column in texts}
        return [
            _chip(
                "filter",
                column,
                texts[column],
                f"→ {plural(series, 'series')}" if series else "",
            )
            for column, series in sorted(left.items(), key=lambda item: -item[1])
        ]

    # --- what it does ----------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._requests.carry_out(self, content, partial(self._remove, content), self._answer)

    def _remove(self, content: Any, request: str) -> None:
        self._taken = self._requests.note(request)
        match content:
            case {"kind": "filter", "name": str(column)}:
                self.state.filters = self.state.filters.without(column)
            case {"kind": "pick", "name": str(trait)} if trait in _PICKS:
                self.state.pick(**{trait: []})
            case {"kind": "example", "name": str(name)} if name in self._example_cohorts:
                self.state.filters = self._example_cohorts[name]
            case {"kind": "clear"}:
                self.state.clear()
            case {"kind": "dismiss"}:
                pass  # the turn itself clears the message

    def _answer(self, request: str) -> None:
        self._taken = self._requests.note(request)
        if self._requests.is_shown():  # otherwise, the view will answer
            self._answered = self._taken


def _chip(kind: str, name: str, text: str, hint: str = "", before: str = "") -> dict[str, str]:
    return {"kind": kind, "name": name, "text": text, "hint": hint, "before": before}


def _is_shown_whole(filters: Cohort, column: str) -> bool:
    """Return whether the widget of a column shows everything that the filters say about it."""
    if any(column in excluded for excluded in as_list(filters.filters.get("exclude", []))):
        is_dropdown = column in (*FACETS, *MORE_FACETS) and column not in filters.filters
        return is_dropdown and bool(listed_values(filters.conditions, column, excluded=True))
    # A dropdown can show neither a range nor "one of these and one of those".
    return column in RANGES or bool(listed_values(filters.conditions, column))


def _series_count(cohort: Cohort) -> int:
    return cohort.summary().series
