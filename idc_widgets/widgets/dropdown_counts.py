"""Counts for dropdowns: one query per change of the filters, however many dropdowns there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from ..query import Cohort, FacetValue
from .turns import Turns

__all__ = ["DropdownCounts"]


class FilteredState(Protocol):
    """The part of a `BrowserState` that counts depend on."""

    turns: Turns

    @property
    def filters(self) -> Cohort: ...

    def observe(self, handler: Callable[[Any], Any], names: Any) -> None: ...

    def unobserve(self, handler: Callable[[Any], Any], names: Any) -> None: ...


class Dropdown(Protocol):
    """What shows the counts of one column."""

    column: str

    def show(self, counted: Sequence[FacetValue]) -> None: ...

    def __hash__(self) -> int: ...


class DropdownCounts:
    """The counts of every column that a dropdown of one state shows.

    It observes the filters only while it has dropdowns.

    Args:
        state: The state whose filters the counts follow.
    """

    def __init__(self, state: FilteredState) -> None:
        self._state = state
        self._dropdowns: WeakSet[Dropdown] = WeakSet()
        self._is_following = False
        #: Column → its counts under the present filters; empty while nothing is followed.
        self._counted: dict[str, list[FacetValue]] = {}

    def count(self, columns: Iterable[str]) -> None:
        """Count the columns that have no counts yet, with one query.

        Call it before you add several dropdowns, each of which would need a query of its own.

        Raises:
            InvalidQueryError: A column is unknown.
        """
        uncounted = [column for column in dict.fromkeys(columns) if column not in self._counted]
        if uncounted:
            self._counted.update(self._state.filters.facets(uncounted))
            if not self._is_following:
                self._is_following = True
                self._state.observe(self._on_filters, "filters")

    def add(self, dropdown: Dropdown) -> None:
        """Show a dropdown its counts, now and after every change of the filters."""
        with self._state.turns.lock:
            self.count([dropdown.column])
            self._dropdowns.add(dropdown)
            dropdown.show(self._counted[dropdown.column])

    def discard(self, dropdown: Dropdown) -> None:
        """Leave a dropdown as it is from now on."""
        self._dropdowns.discard(dropdown)
        if not self._dropdowns and self._is_following:
            self._is_following = False
            self._state.unobserve(self._on_filters, "filters")
            self._state.turns.forget(self._recount)
            self._counted = {}

    def is_late(self) -> bool:
        """Return whether the counts do not follow the last change of the filters yet."""
        return self._state.turns.is_late(self._recount)

    def _on_filters(self, _change: Any) -> None:
        self._state.turns.refresh(self._recount)

    def _recount(self) -> None:
        self._counted = {}
        dropdowns = list(self._dropdowns)
        self.count(dropdown.column for dropdown in dropdowns)
        for dropdown in dropdowns:
            dropdown.show(self._counted[dropdown.column])
