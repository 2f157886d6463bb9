"""The counts that dropdowns show: one query per change, however many dropdowns there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol
from weakref import WeakSet

from ..query import Cohort, FacetValue
from .turns import Turns, View

__all__ = ["DropdownCounts"]


class FilteredState(Protocol):
    """The part of a `BrowserState` on which the counts depend.

    A protocol, because `state` imports this module.
    """

    turns: Turns

    @property
    def filters(self) -> Cohort:
        """The filters under which values are counted."""
        ...

    def add_view(
        self, view: View, names: Sequence[str], on_stale: Callable[[str], None] | None = None
    ) -> None:
        """Run a view when one of the traits changes."""
        ...

    def remove_view(self, view: View) -> None:
        """Undo `add_view`."""
        ...


class Dropdown(Protocol):
    """A widget that shows the counts of one column.

    A protocol, because this module cannot import the widget: `facets` imports `state`, and `state`
    imports this module.
    """

    column: str

    def show(self, counts: Sequence[FacetValue]) -> None:
        """Show the values of the column with these counts."""
        ...

    def show_stale(self, reason: str) -> None:
        """Show that the counts are not up to date."""
        ...

    def __hash__(self) -> int: ...


class DropdownCounts:
    """The counts of all columns for which one state has dropdowns.

    It observes the filters only while there are dropdowns.

    Args:
        state: The state whose filters the counts follow.
    """

    def __init__(self, state: FilteredState) -> None:
        self._state = state
        self._dropdowns: WeakSet[Dropdown] = WeakSet()
        self._is_observing = False
        #: Column → its counts under the present filters; empty while there are no dropdowns.
        self._counts: dict[str, list[FacetValue]] = {}

    def count(self, columns: Iterable[str]) -> None:
        """Count the values of those columns that have no counts yet, with one query.

        Call this before you add several dropdowns: otherwise each of them runs its own query.

        Raises:
            InvalidQueryError: A column is unknown.
        """
        missing = [column for column in dict.fromkeys(columns) if column not in self._counts]
        if missing:
            self._counts.update(self._state.filters.facets(missing))
            if not self._is_observing:
                self._is_observing = True
                self._state.add_view(self._recount, ["filters"], self._show_stale)

    def add(self, dropdown: Dropdown) -> None:
        """Give a dropdown its counts, now and after every change of the filters."""
        with self._state.turns.lock:
            self.count([dropdown.column])
            self._dropdowns.add(dropdown)
            dropdown.show(self._counts[dropdown.column])

    def discard(self, dropdown: Dropdown) -> None:
        """Stop updating a dropdown; it keeps what it shows."""
        self._dropdowns.discard(dropdown)
        if not self._dropdowns and self._is_observing:
            self._is_observing = False
            self._state.remove_view(self._recount)
            self._counts = {}

    def is_late(self) -> bool:
        """Return whether the counts do not reflect the latest filters yet."""
        return self._state.turns.is_late(self._recount)

    def is_postponed(self) -> bool:
        """Return whether the counts are late, and a waiting turn will bring them up to date."""
        return self.is_late() and self._state.turns.is_awaited()

    def _recount(self) -> None:
        self._counts = {}
        dropdowns = list(self._dropdowns)
        self.count(dropdown.column for dropdown in dropdowns)
        for dropdown in dropdowns:
            dropdown.show(self._counts[dropdown.column])

    def _show_stale(self, reason: str) -> None:
        for dropdown in list(self._dropdowns):
            dropdown.show_stale(reason)
