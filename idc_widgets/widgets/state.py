"""The state that the widgets share: people's choices, and the cohorts that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from traitlets import Instance, Tuple, observe

from .._util import as_list, plural
from ..client import IDCClient
from ..errors import InvalidQueryError, nearest_choice
from ..index import LEVELS
from ..query import Cohort, known_keys
from ..selection import Selection
from .dropdown_counts import DropdownCounts
from .error_reporting import ErrorReporting
from .turns import Turns

__all__ = ["BrowserState"]

#: Level → the trait with what is shown after the picks of this level narrow it.
_NARROWED_TRAITS = {"patient": "study_cohort", "study": "cohort"}


class BrowserState(ErrorReporting):
    """The filters, the picked rows, and the cohorts and selection that follow from them.

    Widgets write the four *choices* `filters`, `patients`, `studies` and `series`, and observe
    these and the *consequences* `study_cohort`, `cohort` and `selection`. No widget needs another
    widget. A change sets all choices and consequences before any observer is called, so observers
    always see a consistent state.

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

    filters = Instance(Cohort)
    """The filters; writable. Type: Cohort; default: every series of the index."""

    patients = Tuple()
    """The picked patients; writable. Type: tuple of (collection_id, PatientID); default: ()."""

    studies = Tuple()
    """The picked studies; writable. Type: tuple of StudyInstanceUIDs; default: ()."""

    series = Tuple()
    """The picked series; writable. Type: tuple of SeriesInstanceUIDs; default: ()."""

    study_cohort = Instance(Cohort, read_only=True)
    """`filters`, narrowed to the picked patients: the rows of the grid of studies. Type: Cohort."""

    cohort = Instance(Cohort, read_only=True)
    """`study_cohort`, narrowed to the picked studies: the rows of the grid of series.

    Type: Cohort.
    """

    selection = Instance(Selection, read_only=True)
    """The picked series or, if none is picked, all series of `cohort`. Type: Selection."""

    def __init__(self, client: IDCClient | None = None, **filters: object) -> None:
        if client is not None and not isinstance(client, IDCClient):
            raise TypeError(
                f"expected an IDCClient, not {client!r}; for a table of your own: "
                "IDCClient('my.csv')"
            )
        self.client = client if client is not None else IDCClient()
        #: Decides which thread may write, and when views follow.
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
            "study_cohort": everything,
            "cohort": everything,
            "selection": Selection(everything),
        }
        super().__init__()
        for name, value in self._settled.items():
            self.set_trait(name, value)

    # --- choices ---------------------------------------------------------------------------

    def filter_values(self, column: str, values: Iterable[str | None]) -> None:
        """Replace the filter on a column by "any of these values".

        Args:
            column: As for `Cohort.where`.
            values: The values; None is a missing value. If empty, the filter is removed.

        Raises:
            InvalidQueryError: The column or a value is unknown; nothing changes.
        """
        chosen = list(values)
        filters = self.filters.without(column)
        self.filters = filters.where(**{column: chosen}) if chosen else filters

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
        with self.lock:
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

    # --- consequences ----------------------------------------------------------------------

    @observe("filters", "patients", "studies", "series")
    def _on_choice(self, change: Any) -> None:
        if change["new"] == self._settled[change["name"]]:
            return
        try:
            self._update(**{change["name"]: change["new"]})
        except Exception:
            # traitlets has set the trait already, and an invalid choice must not stay.
            self.set_trait(change["name"], self._settled[change["name"]])
            raise

    def _update(self, **choices: Any) -> None:
        """Set choices and their consequences; observers are called once per trait, at the end."""
        with self.lock:
            self._settled = self._consequences(choices)
            with self.hold_trait_notifications():
                for name, value in self._settled.items():
                    self.set_trait(name, value)

    def _consequences(self, choices: dict[str, Any]) -> dict[str, Any]:
        """Return the values of all traits for new choices; those not given stay as they are."""
        filters = choices.get("filters", self.filters)
        if filters.engine is not self.client.engine:
            raise InvalidQueryError(
                "this cohort belongs to another client; make one with browser.client.cohort(...)"
            )
        result: dict[str, Any] = {"filters": filters}
        shown, has_changed = filters, "filters" in choices
        for level in LEVELS.values():
            keys = tuple(choices.get(level.plural, getattr(self, level.plural)))
            has_changed = has_changed or level.plural in choices
            if has_changed and keys:
                # The grid would not show such a pick, and yet it would narrow what follows.
                known = known_keys(shown.engine, shown.conditions, level.name, keys)
                keys = tuple(key for key in keys if key in known)
            result[level.plural] = keys
            shown = narrow(shown, level.name, keys)
            if level.name in _NARROWED_TRAITS:
                result[_NARROWED_TRAITS[level.name]] = shown
        result["selection"] = self.selection if shown == self.selection.cohort else Selection(shown)
        return result

    # --- turns -----------------------------------------------------------------------------

    def turn(self) -> AbstractContextManager[None]:
        """Hold the lock for one action of a person; see `Turns`."""
        return self.turns.turn()

    def refresh(self, view: Callable[[], None]) -> None:
        """Run a view now or, if a newer turn is waiting, at the end of that turn."""
        self.turns.refresh(view)

    def is_late(self, view: Callable[[], None]) -> bool:
        """Return whether a view does not show the latest change yet."""
        return self.turns.is_late(view)


def narrow(cohort: Cohort, level: str, keys: tuple[Any, ...]) -> Cohort:
    """Narrow a cohort to the picked rows of a level; without keys, return it unchanged."""
    if not keys:
        return cohort
    if level == "patient":
        return cohort.of_patients(keys)
    return cohort.of_studies(keys) if level == "study" else cohort.of_series(keys)


def _patient_keys(shown: Cohort, keys: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield (collection_id, PatientID) for each PatientID and each such pair in `keys`."""
    ids = [key for key in keys if isinstance(key, str)]
    pairs = [_pair(key) for key in keys if not isinstance(key, str)]
    if ids:
        condition, params = shown.predicate
        rows = shown.engine.rows(
            "SELECT DISTINCT collection_id, PatientID FROM index"
            f" WHERE {condition} AND PatientID IN (SELECT unnest(?))",
            [*params, ids],
        )
        known = {patient_id for _, patient_id in rows}
        for patient_id in ids:
            if patient_id not in known:
                raise InvalidQueryError(_not_shown(shown, "patient", patient_id))
        yield from rows
    _check_shown(shown, "patient", pairs)
    yield from pairs


def _pair(key: Any) -> tuple[str, str]:
    if isinstance(key, (tuple, list)) and [type(part) for part in key] == [str, str]:
        return (key[0], key[1])
    raise InvalidQueryError(
        f"{key!r} is not a PatientID or a pair (collection_id, PatientID), "
        "such as ('nsclc_radiomics', 'LUNG1-365')"
    )


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
    condition, params = shown.predicate
    rows = shown.engine.rows(f"SELECT DISTINCT {column} FROM index WHERE {condition}", params)
    value = key if isinstance(key, str) else key[-1]
    near = nearest_choice(value, (shown_value for (shown_value,) in rows))
    hint = f"; did you mean {near!r}?" if near and near != value else ""
    return f"{column} {value!r} is not among the {plural(len(rows), level)} shown{hint}"
