"""The state that the widgets share: people's choices, and the cohorts that follow from them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .._util import Callbacks, as_list, ended_context, plural
from ..client import IDCClient
from ..errors import InvalidQueryError, nearest_choice, unknown_message
from ..index import LEVELS
from ..query import Cohort, Sort, known_keys, patient_key, patient_keys, similar_texts
from ..selection import Selection
from .dropdown_counts import DropdownCounts
from .error_reporting import ErrorReporting
from .public_widget_names import PublicWidgetNames
from .settled_traits import SettledDict, SettledInstance, SettledTuple
from .turns import Turns, View

__all__ = ["BrowserState"]

_log = logging.getLogger(__name__)

#: Level → the trait whose cohort is narrowed to the picks of this level.
_NARROWED_TRAITS = {"patient": "study_cohort", "study": "cohort"}

#: Level → columns that only grids have, in addition to those of `LEVELS`.
_GRID_COLUMNS = {"series": ("on_disk",)}

#: The traits with the picked rows of a level.
_PICKS = frozenset(level.plural for level in LEVELS.values())


class BrowserState(PublicWidgetNames, ErrorReporting):
    """The filters, the picked rows, and the cohorts and selection that follow from them.

    Widgets write the four *choices* `filters`, `patients`, `studies` and `series`, and show these
    and the *consequences* `study_cohort`, `cohort` and `selection`. No widget needs another widget.

    Every change is a *turn* (see `Turns`). First it sets all choices and consequences together,
    then it runs the views, and last it calls the observers that users have registered with
    `observe`. So observers see a consistent state, and may change it. If an observer raises, the
    views and the other observers still follow. The assignment raises the error; after a click,
    `message` shows it.

    If a turn is under way in another thread, reading a trait waits until that turn ends.

    Args:
        client: The data to browse; by default ``IDCClient()``.
        **filters: The initial filters, as for `IDCClient.cohort`.

    Raises:
        TypeError: `client` is not an `IDCClient`.
        InvalidQueryError: A filter is not valid.

    >>> state = BrowserState(collection_id="nsclc_radiomics")
    >>> state.pick(patients=["LUNG1-365"])
    >>> state.selection
    Selection(12 series, 115.9 MB)
    """

    _not_listed = frozenset(
        (
            *("add_view", "dropdown_counts", "is_changing", "is_late", "lock", "on_message"),
            *(
                "on_settled",
                "pick_shown",
                "remove_view",
                "report",
                "reporting",
                "teller",
                "turn",
                "turns",
            ),
        )
    )

    filters = SettledInstance(
        Cohort, help="The filters; writable. Type: Cohort; default: every series of the index."
    )

    patients = SettledTuple(
        help="The picked patients; writable. Type: tuple of (collection_id, PatientID); "
        "default: (). Assigning picks is the same as `pick`: a row that is not shown "
        "raises an error."
    )

    studies = SettledTuple(
        help="The picked studies; writable. Type: tuple of StudyInstanceUIDs; default: ()."
    )

    series = SettledTuple(
        help="The picked series; writable. Type: tuple of SeriesInstanceUIDs; default: ()."
    )

    columns = SettledDict(
        help='The columns of the grids, in order; writable. Type: {"patient", "study" or '
        '"series": tuple of names of columns}; default: {}, which stands for the usual '
        "columns of every level."
    )

    distributions = SettledDict(
        help="Level → whether the grid shows distributions under the headers; writable. Type: "
        '{"patient", "study" or "series": bool}; default: {}, so no grid shows them.'
    )

    study_cohort = SettledInstance(
        Cohort,
        read_only=True,
        help="`filters`, narrowed to the picked patients: the rows of the grid of studies. "
        "Type: Cohort.",
    )

    cohort = SettledInstance(
        Cohort,
        read_only=True,
        help="`study_cohort`, narrowed to the picked studies: the rows of the grid of series. "
        "Type: Cohort.",
    )

    selection = SettledInstance(
        Selection,
        read_only=True,
        help="The picked series or, if none is picked, all series of `cohort`. Type: Selection.",
    )

    def __init__(self, client: IDCClient | None = None, **filters: object) -> None:
        if client is not None and not isinstance(client, IDCClient):
            raise TypeError(
                f"expected an IDCClient, not {client!r}; for a table of your own: "
                "IDCClient('my.csv')"
            )
        self.client = client if client is not None else IDCClient()
        #: Decides which thread may write, and when views run.
        self.turns = Turns(interrupt=self.client.engine.interrupt, report=self.report)
        #: Held during a change, because callbacks may come from several threads.
        self.lock = self.turns.lock
        #: The counts that the dropdowns show.
        self.dropdown_counts = DropdownCounts(self)
        everything = self.client.cohort(**filters)
        #: The last consistent choices and consequences, by trait.
        self._settled: dict[str, Any] = {
            "filters": everything,
            "patients": (),
            "studies": (),
            "series": (),
            "columns": {},
            "distributions": {},
            "study_cohort": everything,
            "cohort": everything,
            "selection": Selection(everything),
        }
        #: Called with (name, old, new) of each trait that changed, in the turn.
        self.on_settled = Callbacks(_log, "a change of the state cannot be passed on")
        #: Trait → the views to run when it changes.
        self._views: dict[str, dict[View, None]] = {name: {} for name in self._settled}
        #: How a person has divided the browser, for the next `IDCBrowser` on this state.
        self.sizes: dict[str, float] = {}
        #: Level → the widths of columns that a person has set, for the next grid on this state.
        self.widths: dict[str, dict[str, int]] = {}
        #: Level → the order of rows that a person has chosen, for the next grid on this state.
        self.sorts: dict[str, Sort | None] = {}
        super().__init__()

    # --- choices ---------------------------------------------------------------------------

    def filter_values(self, column: str, values: object, *, exclude: bool = False) -> None:
        """Replace the filters on a column by "any of these values", or by "all but these values".

        Args:
            column: As for `Cohort.where`.
            values: A value or a list of values; None is a missing value. An empty list removes the
                filters.
            exclude: Whether to leave out the series that have the values, and keep all others.

        Raises:
            InvalidQueryError: The column or a value is unknown; nothing changes.
        """
        chosen = as_list(values)
        with self.turn():
            filters = self.filters.without(column)
            if chosen:
                narrow_to = filters.exclude if exclude else filters.where
                filters = narrow_to(**{column: chosen})
            self._update(filters=filters)

    def clear(self) -> None:
        """Remove every filter and every pick."""
        self._update(filters=self.client.cohort(), patients=(), studies=(), series=())

    def pick(
        self,
        patients: Iterable[str | tuple[str, str]] | None = None,
        studies: Iterable[str] | None = None,
        series: Iterable[str] | None = None,
    ) -> None:
        """Pick rows by key, as clicks on them would.

        For each level, an empty list removes the picks and None leaves them as they are.

        Args:
            patients: PatientIDs, or pairs (collection_id, PatientID) where several collections
                have the same PatientID.
            studies: StudyInstanceUIDs.
            series: SeriesInstanceUIDs.

        Raises:
            InvalidQueryError: A key is not among the rows shown; nothing changes.
        """
        with self.turn():
            picks: dict[str, tuple[Any, ...]] = {}
            shown = self.filters
            if patients is not None:
                picks["patients"] = tuple(dict.fromkeys(_patient_keys(shown, as_list(patients))))
            shown = narrow(shown, "patient", picks.get("patients", self.patients))
            if studies is not None:
                picks["studies"] = _uid_keys(shown, "study", as_list(studies))
            shown = narrow(shown, "study", picks.get("studies", self.studies))
            if series is not None:
                picks["series"] = _uid_keys(shown, "series", as_list(series))
            self._update(**picks)

    def pick_shown(self, level: str, keys: tuple[Any, ...]) -> None:
        """Pick those of these rows of a level that are shown; ignore the others."""
        self._update(**{LEVELS[level].plural: keys})

    # --- consequences ----------------------------------------------------------------------

    def _read(self, name: str) -> Any:
        """Return the settled value of a trait; wait for a turn under way in another thread."""
        with self.lock:
            return self._settled[name]

    def _choose(self, name: str, value: Any) -> None:
        """Change the state in a turn, because a choice was assigned."""
        with self.turn():
            if value == self._settled[name]:
                return
            if name in _PICKS:
                self.pick(**{name: value})
            else:
                self._update(**{name: value})

    def _update(self, **choices: Any) -> None:
        """Set choices and their consequences together, and run the views that show them."""
        with self.turn():
            before, settled = self._settled, self._consequences(choices)
            changed = [name for name, value in settled.items() if value != before[name]]
            for name in changed:
                for view in self._views[name]:
                    self.turns.mark(view)
            try:
                self._settled = settled
            finally:
                for name in changed:
                    self.teller.add(self, name, before[name], settled[name])
                    self.on_settled.call(name, before[name], settled[name])
            self.turns.run_late()

    def _consequences(self, choices: dict[str, Any]) -> dict[str, Any]:
        """Return the values of all traits after new choices; choices that are not given stay."""
        filters = choices.get("filters", self._settled["filters"])
        if filters.engine is not self.client.engine:
            raise InvalidQueryError(
                "this cohort belongs to another client; make it with the `client` of the "
                "IDCBrowser or BrowserState: client.cohort(...)"
            )
        grids = {
            name: choices.get(name, self._settled[name]) for name in ("columns", "distributions")
        }
        grids["columns"] = _checked_columns(grids["columns"])
        _check_levels(grids["distributions"])
        result: dict[str, Any] = {"filters": filters, **grids}
        shown, has_changed = filters, "filters" in choices
        for level in LEVELS.values():
            keys = tuple(choices.get(level.plural, self._settled[level.plural]))
            has_changed = has_changed or level.plural in choices
            if has_changed and keys:
                # Drop picks that the grid does not show: they would still narrow the next level.
                known = known_keys(shown.engine, shown.conditions, level.name, keys)
                keys = tuple(key for key in keys if key in known)
            result[level.plural] = keys
            shown = narrow(shown, level.name, keys)
            if level.name in _NARROWED_TRAITS:
                result[_NARROWED_TRAITS[level.name]] = shown
        selection = self._settled["selection"]
        result["selection"] = selection if shown == selection.cohort else Selection(shown)
        return result

    # --- turns -----------------------------------------------------------------------------

    @ended_context
    def turn(self, *, reports: bool = False) -> Iterator[None]:
        """Hold the lock for one action of a person or of Python code; see `Turns`.

        The last error is cleared at the beginning. Users' observers are called at the end.

        Args:
            reports: Whether to show an error in `message` instead of raising it. True for
                requests of the front end.
        """
        if self.turns.is_mine():
            with self._reported(reports):
                yield
            return
        try:
            with self.turns.turn():
                self.message = ""
                with self._reported(reports):
                    yield
        except Exception:
            self._tell(reports=True)  # the error that is raised here came first
            raise
        except BaseException:  # the next turn may be in another thread
            self.teller.leave()
            raise
        self._tell(reports)

    @contextmanager
    def _reported(self, reports: bool) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not reports:
                raise
            self.report(error)

    def _tell(self, reports: bool) -> None:
        """Call the users' observers; report or raise the first error."""
        error = self.teller.tell()
        if error is not None:
            if not reports:
                raise error
            self.report(error)

    def is_changing(self) -> bool:
        """Return whether a turn of this thread is under way."""
        return self.turns.is_mine()

    def add_view(
        self, view: View, names: Sequence[str], on_stale: Callable[[str], None] | None = None
    ) -> None:
        """Run a view in every turn that changes one of the traits `names`.

        Args:
            view: Shows the state. A turn runs it once, even if several traits changed.
            names: Traits of this class.
            on_stale: Makes the view show that it is not up to date, given the reason.
        """
        for name in names:
            self._views[name][view] = None
        if on_stale is not None:
            self.turns.on_stale(view, on_stale)

    def remove_view(self, view: View) -> None:
        """Undo `add_view`."""
        for views in self._views.values():
            views.pop(view, None)
        self.turns.forget(view)


def _checked_columns(columns: Mapping[str, str | Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return level → its columns.

    Raises:
        InvalidQueryError: There is no such level, or its table lacks a column.
    """
    _check_levels(columns)
    checked = {level: tuple(as_list(names)) for level, names in columns.items()}
    for level, names in checked.items():
        known = (*LEVELS[level].columns, *_GRID_COLUMNS.get(level, ()))
        for name in names:
            if name not in known:
                raise InvalidQueryError(unknown_message("column", name, known))
    return checked


def _check_levels(levels: Iterable[str]) -> None:
    """Raise InvalidQueryError if there is no such level."""
    for level in levels:
        if level not in LEVELS:
            raise InvalidQueryError(unknown_message("level", level, LEVELS))


def narrow(cohort: Cohort, level: str, keys: tuple[Any, ...]) -> Cohort:
    """Narrow a cohort to the picked rows of a level; without keys, return it unchanged."""
    if not keys:
        return cohort
    if level == "patient":
        return cohort.of_patients(keys)
    return cohort.of_studies(keys) if level == "study" else cohort.of_series(keys)


def _patient_keys(shown: Cohort, keys: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs (collection_id, PatientID) for `keys`, which are PatientIDs or such pairs."""
    ids = [key for key in keys if isinstance(key, str)]
    expected = "a PatientID or a pair (collection_id, PatientID)"
    pairs = [patient_key(key, expected) for key in keys if not isinstance(key, str)]
    if ids:
        found = patient_keys(shown.engine, shown.conditions, ids)
        known = {patient_id for _, patient_id in found}
        for patient_id in ids:
            if patient_id not in known:
                raise InvalidQueryError(_not_shown(shown, "patient", patient_id))
        yield from found
    _check_shown(shown, "patient", pairs)
    yield from pairs


def _uid_keys(shown: Cohort, level: str, keys: list[Any]) -> tuple[str, ...]:
    """Return the UIDs of studies or series without repetitions."""
    for key in keys:
        if not isinstance(key, str):
            raise InvalidQueryError(f"{key!r} is not a {LEVELS[level].key[0]}; expected text")
    _check_shown(shown, level, keys)
    return tuple(dict.fromkeys(keys))


def _check_shown(shown: Cohort, level: str, keys: list[Any]) -> None:
    """Raise InvalidQueryError unless the rows of all keys are in the cohort."""
    known = known_keys(shown.engine, shown.conditions, level, keys)
    for key in keys:
        if key not in known:
            raise InvalidQueryError(_not_shown(shown, level, key))


def _not_shown(shown: Cohort, level: str, key: Any) -> str:
    """Return the message for a key that is not among the rows shown."""
    column = LEVELS[level].key[-1]
    value = key if isinstance(key, str) else key[-1]
    near = nearest_choice(value, similar_texts(shown.engine, column, value, shown.conditions))
    hint = f"; did you mean {near!r}?" if near and near != value else ""
    return f"{column} {value[:200]!r} is not among the {_rows_shown(shown, level)} shown{hint}"


def _rows_shown(shown: Cohort, level: str) -> str:
    counts = shown.summary()
    numbers = {"patient": counts.patients, "study": counts.studies, "series": counts.series}
    return plural(numbers[level], level)
