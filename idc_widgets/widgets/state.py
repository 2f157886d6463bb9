"""The one state that the widgets share: choices come in, what follows from them goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from traitlets import Instance, Tuple, observe

from .._util import plural
from ..client import IDCClient
from ..errors import InvalidQueryError, nearest
from ..index import LEVELS
from ..query import Cohort
from ..selection import Selection
from .error_reporting import ErrorReporting
from .facet_counts import FacetCounts
from .turns import Turns

__all__ = ["BrowserState"]


class BrowserState(ErrorReporting):
    """What is filtered, what is picked, and what follows from it. No widget knows another.

    Widgets write `filters`, `patients`, `studies` and `series`, and observe the rest, which
    follows from these four. All that one change changes is set before anyone is told.

    Args:
        client: the data to browse; by default ``IDCClient()``.
        **filters: the first filters, as of `IDCClient.cohort`.
    """

    filters = Instance(Cohort)
    """What the dropdowns chose. Type: Cohort; default: everything."""

    patients = Tuple()
    """Keys of the picked patients. Type: tuple of (collection_id, PatientID); default: ()."""

    studies = Tuple()
    """Keys of the picked studies. Type: tuple of StudyInstanceUID; default: ()."""

    series = Tuple()
    """Keys of the picked series. Type: tuple of SeriesInstanceUID; default: ()."""

    study_cohort = Instance(Cohort, read_only=True)
    """What the grid of studies shows: `filters`, narrowed to the picked patients."""

    cohort = Instance(Cohort, read_only=True)
    """What the grid of series shows: `study_cohort`, narrowed to the picked studies."""

    selection = Instance(Selection, read_only=True)
    """The picked series or, with none picked, all of `cohort`."""

    def __init__(self, client: IDCClient | None = None, **filters: object) -> None:
        if client is not None and not isinstance(client, IDCClient):
            raise TypeError(
                f"expected an IDCClient, not {client!r}; for a table of your own: "
                "IDCClient('my.csv')"
            )
        self.client = client if client is not None else IDCClient()
        #: Decides which thread may write, and when views follow.
        self.turns = Turns(interrupt=self.client.engine.interrupt, report=self.report)
        #: Held while a change is worked in: callbacks may come from several threads.
        self.lock = self.turns.lock
        #: The counts of the dropdowns.
        self.facet_counts = FacetCounts(self)
        everything = self.client.cohort(**filters)
        #: The choices and consequences that agree with each other.
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

    # --- choices in ------------------------------------------------------------------------

    def filter_values(self, column: str, values: Iterable[str | None]) -> None:
        """Replaces the filter on one column by "any of these values"; none of them: no filter."""
        chosen = list(values)
        filters = self.filters.without(column)
        self.filters = filters.where(**{column: chosen}) if chosen else filters

    def clear(self) -> None:
        """Takes back every filter and every pick."""
        self._update(filters=self.client.cohort(), patients=(), studies=(), series=())

    def pick(
        self,
        patients: Iterable[str | tuple[str, str]] | None = None,
        studies: Iterable[str] | None = None,
        series: Iterable[str] | None = None,
    ) -> None:
        """Picks rows by key, as a click on them would; an empty list unpicks, None leaves as is.

        Args:
            patients: PatientIDs, or (collection_id, PatientID) where a PatientID alone would
                name several.
            studies: StudyInstanceUIDs.
            series: SeriesInstanceUIDs.

        Raises:
            InvalidQueryError: a key is not among the rows shown; nothing is changed.
        """
        with self.lock:
            picks: dict[str, tuple[Any, ...]] = {}
            shown = self.filters
            if patients is not None:
                picks["patients"] = tuple(self._patient_keys(shown, _as_list(patients)))
            shown = narrow(shown, "patient", picks.get("patients", self.patients))
            if studies is not None:
                picks["studies"] = _shown_keys(shown, "study", _as_list(studies))
            shown = narrow(shown, "study", picks.get("studies", self.studies))
            if series is not None:
                picks["series"] = _shown_keys(shown, "series", _as_list(series))
            self._update(**picks)

    def _patient_keys(self, shown: Cohort, given: list[Any]) -> Iterator[tuple[str, str]]:
        ids = [key for key in given if isinstance(key, str)]
        pairs = [key if isinstance(key, str) else tuple(_as_list(key)) for key in given]
        pairs = [key for key in pairs if not isinstance(key, str)]
        if ids:
            where, params = shown.predicate
            found = shown.engine.rows(
                "SELECT DISTINCT collection_id, PatientID FROM index"
                f" WHERE {where} AND PatientID IN (SELECT unnest(?))",
                [*params, ids],
            )
            known = {patient for _, patient in found}
            for missing in (patient for patient in ids if patient not in known):
                raise InvalidQueryError(_not_shown(shown, "patient", missing))
            yield from found
        yield from _shown_keys(shown, "patient", pairs)

    # --- consequences out ------------------------------------------------------------------

    @observe("filters", "patients", "studies", "series")
    def _on_choice(self, change: Any) -> None:
        if change["new"] == self._settled[change["name"]]:
            return
        try:
            self._update(**{change["name"]: change["new"]})
        except Exception:
            # What cannot be worked in must not stay either.
            self.set_trait(change["name"], self._settled[change["name"]])
            raise

    def _update(self, **choices: Any) -> None:
        """Sets choices and all that follows, then tells of both: each trait at most once."""
        with self.lock:
            self._settled = self._work_out(choices)
            with self.hold_trait_notifications():
                for name, value in self._settled.items():
                    self.set_trait(name, value)

    def _work_out(self, choices: dict[str, Any]) -> dict[str, Any]:
        filters = choices.get("filters", self.filters)
        if filters.engine is not self.client.engine:
            raise InvalidQueryError(
                "this cohort is of another client; expected one made by browser.client.cohort(...)"
            )
        result: dict[str, Any] = {"filters": filters}
        shown, changed = filters, "filters" in choices
        for level, derived in (("patient", "study_cohort"), ("study", "cohort"), ("series", "")):
            trait = LEVELS[level].plural
            keys = tuple(choices.get(trait, getattr(self, trait)))
            changed = changed or trait in choices
            if changed and keys:
                # A pick that is not shown would narrow what follows, and nobody could see why.
                present = _present(shown, level, keys)
                keys = tuple(key for key in keys if key in present)
            result[trait] = keys
            shown = narrow(shown, level, keys)
            if derived:
                result[derived] = shown
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


def _as_list(keys: Any) -> list[Any]:
    """Keys as a list, each once.

    Raises:
        InvalidQueryError: these are no keys.
    """
    if isinstance(keys, str):
        return [keys]
    try:
        return list(dict.fromkeys(keys))
    except TypeError as error:
        raise InvalidQueryError(f"{keys!r} is no list of keys") from error


def narrow(cohort: Cohort, level: str, keys: tuple[Any, ...]) -> Cohort:
    """The cohort with only these rows of that level; with no keys, all of it."""
    if not keys:
        return cohort
    if level == "patient":
        return cohort.of_patients(keys)
    return cohort.of_studies(keys) if level == "study" else cohort.of_series(keys)


def _present(shown: Cohort, level: str, keys: tuple[Any, ...]) -> set[Any]:
    """Those of the keys that the cohort has."""
    if shown.matches is not None:
        return shown.matches.present(level, keys)
    where, params = narrow(shown, level, keys).predicate
    rows = shown.engine.rows(
        f"SELECT DISTINCT {', '.join(LEVELS[level].key)} FROM index WHERE {where}", params
    )
    return set(rows) if level == "patient" else {row[0] for row in rows}


def _shown_keys(shown: Cohort, level: str, keys: list[Any]) -> tuple[Any, ...]:
    for key in keys:
        if level != "patient" and not isinstance(key, str):
            raise InvalidQueryError(f"{key!r} is no {LEVELS[level].key[0]}")
    present = _present(shown, level, tuple(keys)) if keys else set()
    for key in keys:
        if key not in present:
            raise InvalidQueryError(_not_shown(shown, level, key))
    return tuple(keys)


def _not_shown(shown: Cohort, level: str, key: Any) -> str:
    column = LEVELS[level].key[-1]
    where, params = shown.predicate
    rows = shown.engine.rows(f"SELECT DISTINCT {column} FROM index WHERE {where}", params)
    name = key if isinstance(key, str) else key[-1]
    near = nearest(name, (value for (value,) in rows))
    hint = f"; did you mean {near!r}?" if near and near != name else ""
    return f"{column} {name!r} is not among the {plural(len(rows), level)} shown{hint}"
