"""One line that says what is selected, and everything that can be taken back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import anywidget
from traitlets import Bool, List, Unicode

from .._util import human_size, plural
from ..index import FACETS, RANGES
from ..query import Cohort
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .filter_text import in_words
from .state import BrowserState

__all__ = ["SummaryBar"]

#: Level → what one of its rows is called.
_NOUNS = {"patients": "patient", "studies": "study", "series": "series"}

#: What the selection follows from.
_CHOICES = ["filters", *_NOUNS]


class SummaryBar(Closable, anywidget.AnyWidget):
    """What Download would get, which filters and picks lead to it, and what went wrong last.

    >>> SummaryBar(state)

    Args:
        state: what it tells of.
        columns: filters on these need no chip, because another widget shows them.
        layout: as of every ipywidgets widget.
    """

    _esm = script("summary")
    _css = style("summary")

    _counts: List[list[str]] = List().tag(sync=True)
    """The line. Type: list of [number, noun]; empty if nothing is selected."""

    _licenses: List[list[Any]] = List().tag(sync=True)
    """Licences of the selection, the most series first. Type: list of [name, non_commercial]."""

    _chips: List[dict[str, str]] = List().tag(sync=True)
    """What can be taken back. Type: list of {kind, name, text, hint}."""

    _clearable = Bool().tag(sync=True)
    """Whether anything is filtered or picked, so that "Clear all" would do something."""

    _problem = Unicode().tag(sync=True)
    """Why nothing is selected; empty if something is. Type: str."""

    _message = Unicode().tag(sync=True)
    """What went wrong last, see `BrowserState.message`. Type: str."""

    def __init__(
        self, state: BrowserState, *, columns: Collection[str] = FACETS, **keywords: Any
    ) -> None:
        check_keywords("SummaryBar", keywords, ["columns", "layout", "state"])
        keywords.setdefault("layout", {"margin": "0", "width": "auto"})
        super().__init__(**keywords)
        self.state = state
        self._columns = frozenset(columns)
        self.on_msg(self._on_message)
        self._shown: tuple[Any, ...] = ()
        self._follow(state, self._on_choice, _CHOICES)
        self._follow(state, self._on_state_message, "message")
        self._on_close(lambda: state.turns.forget(self._show))
        self._on_choice()

    # --- what it says ----------------------------------------------------------------------

    @property
    def columns(self) -> frozenset[str]:
        """Filters on these need no chip; can be set."""
        return self._columns

    @columns.setter
    def columns(self, columns: Collection[str]) -> None:
        self._columns = frozenset(columns)
        with self.state.reporting(clears=False):
            if not self._problem:  # then all filters have a chip
                self._chips = [*self._filter_chips(), *self._pick_chips()]

    def _on_choice(self, _change: Any = None) -> None:
        # One change of the state may be told as several, of which the first says all.
        choices = tuple(getattr(self.state, name) for name in _CHOICES)
        if choices != self._shown:
            self._shown = choices
            self.state.refresh(self._show)

    def _on_state_message(self, change: Any) -> None:
        self._message = change["new"]

    def _show(self) -> None:
        selection = self.state.selection
        summary = selection.summary()
        with self.hold_sync():
            self._message = self.state.message
            self._clearable = bool(self.state.filters.filters) or any(
                getattr(self.state, level) for level in _NOUNS
            )
            if summary.series:
                self._problem = ""
                self._counts = [
                    words.split(" ", 1)
                    for words in (
                        plural(summary.collections, "collection"),
                        plural(summary.patients, "patient"),
                        plural(summary.studies, "study"),
                        plural(summary.series, "series"),
                        plural(summary.instances, "file"),
                        human_size(summary.size_MB * 1e6),
                    )
                ]
                self._licenses = [[one.name, one.non_commercial] for one in selection.licenses]
                self._chips = [*self._filter_chips(), *self._pick_chips()]
            else:
                self._counts, self._licenses = [], []
                self._chips = self._ways_out()
                self._problem = (
                    "No series match all filters. Remove one of:"
                    if self._chips
                    else "The index has no series."
                )

    def _filter_chips(self) -> list[dict[str, str]]:
        filters = self.state.filters
        return [
            _chip("filter", column, in_words(column, argument))
            for column, argument in filters.filters.items()
            if column not in self._columns
            # A dropdown cannot show a range, nor "one of these and one of those".
            or (column not in RANGES and not filters.values(column))
        ]

    def _pick_chips(self) -> list[dict[str, str]]:
        picked = {level: len(getattr(self.state, level)) for level in _NOUNS}
        return [
            _chip("pick", level, f"{plural(picked[level], noun)} picked")
            for level, noun in _NOUNS.items()
            if picked[level]
        ]

    def _ways_out(self) -> list[dict[str, str]]:
        """All filters; first those without which there are series again, and how many."""
        filters = self.state.filters
        found = {column: _count(filters.without(column)) for column in filters.filters}
        return [
            _chip(
                "filter",
                column,
                in_words(column, filters.filters[column]),
                f"→ {plural(count, 'series')}" if count else "",
            )
            for column, count in sorted(found.items(), key=lambda item: -item[1])
        ]

    # --- what it does ----------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        state = self.state
        match content:
            case {"kind": "filter", "name": str(column)}:
                with state.turn(), state.reporting():
                    state.filters = state.filters.without(column)
            case {"kind": "pick", "name": "patients" | "studies" | "series" as level}:
                with state.turn(), state.reporting():
                    state.pick(**{level: []})
            case {"kind": "clear"}:
                with state.turn(), state.reporting():
                    state.clear()
            case {"kind": "dismiss"}:
                state.message = ""


def _chip(kind: str, name: str, text: str, hint: str = "") -> dict[str, str]:
    return {"kind": kind, "name": name, "text": text, "hint": hint}


def _count(cohort: Cohort) -> int:
    return cohort.summary().series
