"""The grids of patients, studies and series: each shows one level of the state and its picks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ipywidgets import Layout, VBox

from ..._util import ended_context, plural
from ...errors import InvalidQueryError
from ...index import LEVELS
from ...query import RowSource, Sort, row_source
from ..argument_check import check_keywords
from ..closing import Closable
from ..details import RowDetails
from ..download import DownloadWidget
from ..front_end_requests import FrontEndRequests
from ..state import BrowserState
from ..static_view import StaticTable, StaticView, choices, first_rows
from ..turns import not_up_to_date
from .columns import ON_DISK, USUAL_COLUMNS, Column, chosen_columns, possible_columns
from .distributions import Distributions
from .dom_grid import DomGridView
from .grid_view import GridOptions, MakeGridView
from .on_disk_column import WithStates
from .row_facts import row_facts

__all__ = ["PatientGrid", "SeriesGrid", "StudyGrid"]


class _LevelGrid(Closable, VBox):
    """A grid of one level; without rows, it says why and what to do."""

    _level: str
    _title: str
    #: The name of the trait of `BrowserState` with the cohort that is shown.
    _rows_trait: str
    #: The text in place of a grid without rows.
    _empty: str

    def __init__(
        self,
        state: BrowserState,
        *,
        height: str = "246px",
        view: MakeGridView = DomGridView,
        layout: Layout | None = None,
        **unknown: Any,
    ) -> None:
        check_keywords(type(self).__name__, unknown, ["state", "height", "view", "layout"])
        self._state = state
        self._sort: Sort | None = state.sorts.get(self._level)
        self._shown_columns = self._columns()
        options = GridOptions(
            title=self._title,
            empty=self._empty,
            height=height,
            guard=state.reporting,
            turn=self._turn,
            requests=FrontEndRequests(state, self._turn, [self._refill, self._repick]),
            layout=layout,
        )
        self._view = view(self._shown_columns, options)
        self._view.set_columns(self._shown_columns, self._possible_columns())
        self._view.on_pick(self._pick)
        self._view.on_sort(self._resort)
        self._view.on_columns(self._choose_columns)
        self._view.on_row(partial(row_facts, state, self._level))
        self._view.on_details(self._show_details)
        #: Called with the level and the key when a person asks for everything about a row.
        self.details_callbacks: list[Callable[[str, Any], None]] = []
        self._details: RowDetails | None = None
        super().__init__([self._view.widget], layout=self._view.widget.layout)
        self._is_stale = False
        self._refill()
        self._show_state(state, self._refill, [self._rows_trait, "columns"], self._show_stale)
        self._show_state(state, self._repick, [self._picks_trait], self._show_stale)
        if isinstance(self._view, DomGridView):
            bars = Distributions(state, self._level, self._rows_trait, self._view)
            self._show_state(state, bars.show_choice, ["distributions"])
            self._on_close(bars.close)
            self._view.widget._widths = state.widths.get(self._level, {})
            self._follow(self._view.widget, self._keep_widths, "_widths")

    def _keep_widths(self, change: Any) -> None:
        self._state.widths = {**self._state.widths, self._level: change["new"]}

    @property
    def _has_states(self) -> bool:
        """Whether the grid has the column `ON_DISK`."""
        return False

    def _columns(self) -> Sequence[Column]:
        """Return the columns to show."""
        names = self._state.columns.get(self._level, ())
        return chosen_columns(self._level, names, has_states=self._has_states)

    def _possible_columns(self) -> Sequence[Column]:
        """Return the columns that a person can choose from."""
        return possible_columns(self._level, has_states=self._has_states)

    def on_details(self, callback: Callable[[str, Any], None]) -> Callable[[], None]:
        """Call back when a person asks for everything about a row.

        Without a callback, the grid shows a `RowDetails` below itself.

        Args:
            callback: Gets the level ("patient", "study" or "series") and the key of the row.

        Returns:
            A function that removes the callback.
        """
        self.details_callbacks.append(callback)
        return lambda: self.details_callbacks.remove(callback)

    def _show_details(self, key: Any) -> None:
        for callback in list(self.details_callbacks) or [self._details_below().show]:
            callback(self._level, key)

    def _details_below(self) -> RowDetails:
        """Return the panel below the grid; make it when a person first asks for it."""
        if self._details is None:
            layout = {"margin": "8px 0 0", "min_width": "0"}
            self._details = RowDetails(self._state, layout=layout)
            self.children = [self._view.widget, self._details]
        return self._details

    def _choose_columns(self, names: Sequence[str]) -> None:
        others = {level: of for level, of in self._state.columns.items() if level != self._level}
        self._state.columns = {**others, **({self._level: tuple(names)} if names else {})}

    def _source(self, rows: RowSource) -> RowSource:
        """Return the rows to show; a subclass may add a column."""
        return rows

    def _static_view(self) -> StaticView:
        return StaticView(f"IDC {self._title.lower()}", choices(self._state), [self.static_table()])

    def static_table(self) -> StaticTable:
        """Return the first rows, for a `StaticView`."""
        return first_rows(
            self._title, self._rows, [column.name for column in USUAL_COLUMNS[self._level]]
        )

    def _refill(self) -> None:
        cohort = getattr(self._state, self._rows_trait)
        shown = self._columns()
        if shown != self._shown_columns:
            self._shown_columns = shown
            self._view.set_columns(shown, self._possible_columns())
        columns = [column.name for column in self._view.columns if column != ON_DISK]
        columns = columns or [LEVELS[self._level].key[-1]]  # a window has at least one column
        if self._sort is not None and self._sort.column not in columns:
            self._sort = None  # the column is no longer shown
        rows = row_source(cohort, self._level, self._sort, columns=columns)
        self._rows = self._source(rows)
        self._view.show(self._rows, self._picked)
        if not len(rows) and not self._state.filters.filters:
            self._view.show_nothing(f"The index has no {LEVELS[self._level].plural}.")
        self._is_stale = False

    def _repick(self) -> None:
        if not self._is_stale:
            self._view.pick(self._picked)

    def _show_stale(self, reason: str) -> None:
        """Hide the rows, because they are not those of the state, and say why."""
        self._is_stale = True
        turns = self._state.turns
        if not turns.is_late(self._refill):  # the rows are right, only the picks are not shown
            turns.mark(self._refill)
        self._view.show_nothing(not_up_to_date(reason))

    @ended_context
    def _turn(self) -> Iterator[None]:
        """Hold a turn for an action in the grid; after an error, show the state again."""
        turns = self._state.turns
        try:
            with self._state.turn(reports=True):
                try:
                    yield
                except Exception:
                    turns.mark(self._repick)
                    raise
        except BaseException:
            turns.mark(self._refill)
            turns.show_stale_views()
            raise

    def _resort(self, sort: Sort | None) -> None:
        try:
            self._rows = self._rows.sorted(sort)
            self._sort = sort
            self._state.sorts = {**self._state.sorts, self._level: sort}
        finally:  # if sorting fails, the rows and the arrow in the header stay as they were
            self._view.show(self._rows, self._picked)

    def _pick(self, keys: Iterable[Any]) -> None:
        with self._turn():
            clicked, before = tuple(keys), self._picked
            self._state.pick_shown(self._level, clicked)
            picked = set(self._picked)
            hidden = [key for key in clicked if key not in picked]
            if hidden:
                if not picked:  # a click on rows that are no longer there changes nothing
                    self._state.pick_shown(self._level, before)
                raise InvalidQueryError(_no_longer_shown(self._level, hidden))

    @property
    def _picks_trait(self) -> str:
        return LEVELS[self._level].plural

    @property
    def _picked(self) -> tuple[Any, ...]:
        return tuple(getattr(self._state, self._picks_trait))


def _no_longer_shown(level: str, keys: Sequence[Any]) -> str:
    """Return the message for rows that were clicked while a filter was about to hide them."""
    first = keys[0] if isinstance(keys[0], str) else keys[0][-1]
    name = f"{LEVELS[level].key[-1]} {first!r}"
    if len(keys) == 1:
        return f"the row that you clicked is no longer shown: {name}; the filters hide it now"
    return (
        f"{plural(len(keys), 'row')} that you clicked are no longer shown, {name} among them; the "
        "filters hide them now"
    )


class PatientGrid(_LevelGrid):
    """A grid of the patients of `BrowserState.filters`. Picks narrow the studies and series.

    Args:
        state: The state, which has the cohort and receives the picks.
        height: The height of the grid without its title, as CSS.
        view: Makes the `GridView`; by default a `DomGridView`.
        layout: A `Layout` of ipywidgets, which widgets may share; by default, one of its own.

    >>> from idc_widgets import BrowserState, PatientGrid
    >>> grid = PatientGrid(BrowserState(collection_id="nsclc_radiomics"), height="400px")
    """

    _level = "patient"
    _title = "Patients"
    _rows_trait = "filters"
    _empty = "No patient matches all filters. Remove a filter to see patients again."


class StudyGrid(_LevelGrid):
    """A grid of the studies of the picked patients; without a pick, of all patients.

    Args:
        state: The state, which has the cohort and receives the picks.
        height: The height of the grid without its title, as CSS.
        view: Makes the `GridView`, as in `PatientGrid`.
        layout: As in `PatientGrid`.
    """

    _level = "study"
    _title = "Studies"
    _rows_trait = "study_cohort"
    _empty = "No study matches all filters. Remove a filter to see studies again."


class SeriesGrid(_LevelGrid):
    """A grid of the series of the picked studies; without a pick, of all studies.

    Args:
        state: The state, which has the cohort and receives the picks.
        height: The height of the grid without its title, as CSS.
        view: Makes the `GridView`, as in `PatientGrid`.
        layout: As in `PatientGrid`.
        download: A download widget. If given, a column shows which series are in its folder or
            being downloaded.
    """

    _level = "series"
    _title = "Series"
    _rows_trait = "cohort"
    _empty = "No series matches all filters. Remove a filter to see series again."

    def __init__(
        self, state: BrowserState, *, download: DownloadWidget | None = None, **keywords: Any
    ) -> None:
        self._download = download
        check_keywords("SeriesGrid", keywords, ["state", "height", "view", "layout", "download"])
        super().__init__(state, **keywords)
        if download is not None:
            turns, refresh = state.turns, self._view.refresh
            self._on_close(partial(turns.forget, refresh))
            self._on_close(download.on_disk.on_news(lambda: turns.refresh(refresh)))

    @property
    def _has_states(self) -> bool:
        return self._download is not None

    def _source(self, rows: RowSource) -> RowSource:
        if self._download is None or ON_DISK not in self._view.columns:
            return rows
        return WithStates(rows, self._download.on_disk)
