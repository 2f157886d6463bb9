"""A cohort: an immutable filter on the index, and every question about what it matches."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from ..errors import InvalidQueryError, unknown
from ..index import (
    ALIASES,
    COLLECTION_FACETS,
    COLUMNS,
    DATES,
    FACETS,
    LEVELS,
    MORE_FACETS,
    RANGES,
    TEXT_COLUMNS,
    Bound,
)
from .engine import Engine, Parameters, Scalar, literal
from .filters import PATIENT, PATIENT_KEY, Condition, IsCommercial, OneOf, Uids, unique, where
from .where_parser import check_column, collection_values, condition, patients

if TYPE_CHECKING:
    import pandas as pd

    from ..selection import Selection
    from .memory import Matches

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

__all__ = [
    "FACETS",
    "MORE_FACETS",
    "PATIENT_KEY",
    "RANGES",
    "TEXT_COLUMNS",
    "Cohort",
    "FacetValue",
    "Histogram",
    "Summary",
]

#: Level → the SQL of its table, with one row per patient, study or series; {rows} is a relation.
_LEVEL_SQL = {
    "patient": (
        "SELECT collection_id, PatientID,"
        " string_agg(DISTINCT PatientSex, ',' ORDER BY PatientSex) AS PatientSex,"
        " string_agg(DISTINCT PatientAge, ',' ORDER BY PatientAge) AS PatientAge,"
        " count(DISTINCT StudyInstanceUID) AS studies, count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM {rows} GROUP BY collection_id, PatientID"
        " ORDER BY collection_id, PatientID"
    ),
    # One study of IDC v25 has two patients, so the patient is an attribute here, not a key.
    "study": (
        "SELECT min(collection_id) AS collection_id, min(PatientID) AS PatientID,"
        " StudyInstanceUID, min(StudyDate) AS StudyDate, min(StudyDescription)"
        " AS StudyDescription, string_agg(DISTINCT Modality, ', ' ORDER BY Modality) AS Modality,"
        " count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM {rows} GROUP BY StudyInstanceUID"
        " ORDER BY 1, 2, 4, 3"
    ),
    "series": (
        "SELECT * FROM {rows} ORDER BY collection_id, PatientID, StudyDate,"
        " StudyInstanceUID, Modality, TRY_CAST(SeriesNumber AS BIGINT), SeriesInstanceUID"
    ),
}


@dataclass(frozen=True)
class Summary:
    """What a cohort or a selection amounts to. Sizes are in MB (10^6 bytes)."""

    collections: int
    patients: int
    studies: int
    series: int
    instances: int
    size_MB: float
    #: Short names of the licences, the most series first.
    licenses: tuple[str, ...]


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet, and how many series and patients of the cohort have it."""

    value: Scalar
    series: int
    patients: int


@dataclass(frozen=True)
class Histogram:
    """How many series of a cohort are in each bin of a column's range.

    A bin reaches from its edge up to the next one, which belongs to the next bin. The edges are
    those of the whole index, whatever the filters; the first and the last bin also count what lies
    beyond. Ages are in years, sizes in MB (10^6 bytes), dates ISO 8601.
    """

    column: str
    #: One more than there are bins; empty if the index has no value of the column.
    edges: tuple[Bound, ...]
    series: tuple[int, ...]
    #: Series without a value.
    missing: int

    def between(self, first: int, last: int) -> tuple[Bound | None, Bound | None]:
        """The range that `Cohort.where` takes for the bins from `first` to `last`, both included.

        Open at an end of the histogram.
        """
        low = None if first <= 0 else self.edges[first]
        if last >= len(self.series) - 1:
            return low, None
        high = self.edges[last + 1]
        if self.column in DATES:
            day = datetime.date.fromisoformat(str(high)) - datetime.timedelta(days=1)
            return low, day.isoformat()
        if isinstance(high, int) and self.column == "instanceCount":
            return low, high - 1
        return low, math.nextafter(float(high), -math.inf)


class Cohort:
    """An immutable filter on the index; every method that narrows returns a new cohort.

    Made by ``client.cohort(...)``. Equal filters on the same engine are equal cohorts.

    >>> cohort = client.cohort(collection_id="nlst", Modality=["CT", "SEG"])
    >>> cohort.where(series_size_MB=(None, 500)).summary().series
    """

    __slots__ = ("_conditions", "_joins", "engine")

    engine: Engine
    _conditions: tuple[Condition, ...]
    _joins: tuple[_Join, ...]

    def __init__(self, engine: Engine, /, **filters: object) -> None:
        narrowed = Cohort._of(engine, ()).where(**filters)
        object.__setattr__(self, "engine", engine)
        object.__setattr__(self, "_conditions", narrowed._conditions)
        object.__setattr__(self, "_joins", ())

    @classmethod
    def _of(
        cls, engine: Engine, conditions: Iterable[Condition], joins: tuple[_Join, ...] = ()
    ) -> Cohort:
        """A cohort of checked conditions; those on one column become one (AND)."""
        merged: dict[str, Condition] = {}
        for one in conditions:
            earlier = merged.get(one.column)
            merged[one.column] = one if earlier is None else earlier.and_(one)
        cohort = object.__new__(cls)
        object.__setattr__(cohort, "engine", engine)
        object.__setattr__(cohort, "_conditions", tuple(merged[key] for key in sorted(merged)))
        object.__setattr__(cohort, "_joins", joins)
        return cohort

    def _and(self, *conditions: Condition) -> Cohort:
        return Cohort._of(self.engine, (*self._conditions, *conditions), self._joins)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Cohort is immutable; use where({name}=...) to make a new one")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cohort):
            return NotImplemented
        return (
            self.engine is other.engine
            and self._conditions == other._conditions
            and self._joins == other._joins
        )

    def __hash__(self) -> int:
        return hash((id(self.engine), self._conditions))

    def __repr__(self) -> str:
        described = (
            f"{column}={_shortened(argument)}" for column, argument in self.filters.items()
        )
        return f"Cohort({', '.join(described)})"

    # --- narrowing -------------------------------------------------------------------------

    def where(self, /, **filters: object) -> Cohort:
        """This cohort narrowed further: all filters, old and new, must hold.

        Args:
            **filters: column = a value (equality), a list (any of), a 2-tuple (closed range,
                None for open, on number and date columns, and years of PatientAge); None, alone or
                in a list, is "is missing". Columns are those of the index; of collections,
                ``cancer_types``, ``tumor_locations``, ``species`` and ``program_id``, whose
                comma-joined values are looked at one by one; and ``commercial_use``, True or
                False. Further:

                - ``text="lung kernel"``: every word, as a substring in any letter case, of a
                  description, an identifier or the collection's name (`TEXT_COLUMNS`);
                - ``uids=[...]``: UIDs of series and studies, all of which must be known;
                - ``patients=[...]``: as `of_patients`;
                - ``having={"Modality": [...], "level": "study"}``: as `having`;
                - ``originals_of=``, ``derived_from=`` a cohort: as `originals_of`.

        Raises:
            InvalidQueryError: unknown column or value (the nearest is named), a range upside
                down or on a text column, a date that is none, a value of the wrong type.
        """
        return self._and(*(condition(self.engine, name, one) for name, one in filters.items()))

    def without(self, *columns: str) -> Cohort:
        """This cohort without its filters on these columns (``"text"`` for the text filter).

        Raises:
            InvalidQueryError: no such column.
        """
        names = {check_column(name) for name in columns}
        kept = (one for one in self._conditions if one.column not in names)
        return Cohort._of(self.engine, kept, self._joins)

    def having(self, *, level: str = "study", **columns: object) -> Cohort:
        """This cohort narrowed to studies, or patients, that have *all* of these values.

        Each value may be that of another series of the study or patient, in this cohort or not:
        ``cohort(Modality="CT").having(Modality=["CT", "SEG"])`` are the CT series of the studies
        that have segmentations as well.

        Args:
            level: "study" or "patient".
            **columns: column of the index = a value or a list, all of which must be there.

        Raises:
            InvalidQueryError: unknown level, column or value.
        """
        return self.where(having={"level": level, **columns})

    def originals_of(self) -> Cohort:
        """The original images in the studies of this cohort's series.

        Original is what is no analysis result (``analysis_result_id``) and of no modality that
        tells about images, such as SEG, SR or RTSTRUCT (`DERIVED_MODALITIES`).
        """
        return Cohort(self.engine, originals_of=self)

    def derived_from(self) -> Cohort:
        """What was derived (segmentations, reports, plans ...) in the studies of these series."""
        return Cohort(self.engine, derived_from=self)

    def of_patients(self, keys: Iterable[tuple[str, str]]) -> Cohort:
        """This cohort narrowed to these patients, each a (collection_id, PatientID).

        Raises:
            InvalidQueryError: a key is not such a pair.
        """
        return self._and(patients(self.engine, keys))

    def of_studies(self, uids: Iterable[str]) -> Cohort:
        """This cohort narrowed to these StudyInstanceUIDs; unlike `where`, none is looked up."""
        return self._and(OneOf("StudyInstanceUID", unique(uids)))

    def of_series(self, uids: Iterable[str]) -> Cohort:
        """This cohort narrowed to these SeriesInstanceUIDs; unlike `where`, none is looked up."""
        return self._and(OneOf("SeriesInstanceUID", unique(uids)))

    def of_uids(self, uids: Iterable[str]) -> Cohort:
        """This cohort narrowed to these UIDs of series or studies; none is looked up."""
        return self._and(Uids((unique(uids),)))

    def join(self, table: str, columns: Sequence[str] | None = None) -> Cohort:
        """This cohort with columns of another table in `series`, such as ct_index.

        The tables are joined by SeriesInstanceUID, else by StudyInstanceUID, else by
        collection_id. Where the table has several rows a series, the values are lists. A column
        that the series have already is called ``table_column``.

        Args:
            table: one of ``client.tables()`` that is available; see `IDCClient.fetch`.
            columns: which; by default all.

        Raises:
            InvalidQueryError: no such table or column, or nothing to join by.
        """
        return Cohort._of(
            self.engine, self._conditions, (*self._joins, _join(self.engine, table, columns))
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The filters as conditions, sorted by column."""
        return self._conditions

    @property
    def filters(self) -> dict[str, object]:
        """The filters as keyword arguments of `where` (``patients`` as of `of_patients`)."""
        return {one.column: one.argument() for one in self._conditions}

    def values(self, column: str) -> tuple[Scalar, ...]:
        """The values that this cohort allows of a column by equality or list; empty: any."""
        argument = self.filters.get(column, ())
        values = argument if isinstance(argument, list) else [argument]
        if any(isinstance(value, (tuple, list, dict)) for value in values):
            return ()  # a range, several lists, or what is no column
        return tuple(values)

    # --- questions -------------------------------------------------------------------------

    def summary(self) -> Summary:
        """How many collections, patients, studies, series and instances, and how much."""
        licenses = tuple(str(one.value) for one in self.licenses())
        if self.matches is not None:
            found = self.matches
            files, size_MB = found.files_and_size()
            return Summary(
                found.collections(),
                len(found.patients),
                len(found.studies),
                len(found),
                files,
                size_MB,
                licenses,
            )
        condition, params = self.predicate
        [(collections, patients, studies, series, instances, size_MB)] = self.engine.rows(
            f"SELECT count(DISTINCT collection_id), count(DISTINCT {PATIENT}),"
            " count(DISTINCT StudyInstanceUID), count(*),"
            " CAST(coalesce(sum(instanceCount), 0) AS BIGINT), coalesce(sum(series_size_MB), 0)"
            f" FROM index WHERE {condition}",
            params,
        )
        return Summary(collections, patients, studies, series, instances, size_MB, licenses)

    def licenses(self) -> list[FacetValue]:
        """The licences of these series, most series first; unlike a facet, of these only."""
        counted = self._count("license_short_name")
        return [one for one in counted if one.value is not None]

    def facets(self, columns: Sequence[str] = FACETS) -> dict[str, list[FacetValue]]:
        """The values of each column with their counts, most series first.

        Each facet ignores this cohort's own filter on its column (cross-filter), so that the
        other values of the column can still be seen and chosen. Quickest are `FACETS` and
        `MORE_FACETS`; any column of the index can be counted.

        Raises:
            InvalidQueryError: unknown column.
        """
        known = [*COLUMNS, *MORE_FACETS, *ALIASES]
        columns = [columns] if isinstance(columns, str) else columns
        names = {column: ALIASES.get(column, column) for column in columns}
        counted: dict[str, list[FacetValue]] = {}
        in_memory: dict[str, tuple[Matches, str]] = {}
        for column, name in names.items():
            if column not in known:
                raise InvalidQueryError(unknown("column", column, known))
            others = self.without(name)
            if name in COLLECTION_FACETS:
                name = "collection_id"
            matches = others.matches
            if matches is not None and name in matches.memory.facets:
                _ = matches.groups  # in this thread, where a query for it can be interrupted
                in_memory[column] = matches, name
            else:
                counted[column] = others._count(name)
        found = _side_by_side(lambda one: _values(*one), list(in_memory.values()))
        counted |= zip(in_memory, found, strict=True)
        return {
            column: _by_collection(collection_values(self.engine, name), counted[column])
            if name in COLLECTION_FACETS
            else counted[column]
            for column, name in names.items()
        }

    def _count(self, column: str) -> list[FacetValue]:
        """The values of a column in this cohort, its own filter included."""
        if self.matches is not None and column in self.matches.memory.facets:
            return _values(self.matches, column)
        condition, params = self.predicate
        value = IsCommercial.SQL if column == "commercial_use" else column
        rows = self.engine.rows(
            f"SELECT {value} AS value, count(*) AS series, count(DISTINCT {PATIENT}) AS patients"
            f" FROM index WHERE {condition} GROUP BY 1",
            params,
        )
        return most_series_first(FacetValue(*row) for row in rows)

    def histogram(self, column: str, bins: int = 20) -> Histogram:
        """How many series are in each bin of a column of `RANGES`.

        Like a facet, it ignores this cohort's own filter on the column.

        Raises:
            InvalidQueryError: the column has no histogram, or there are no bins.
        """
        if not isinstance(column, str) or column not in RANGES:
            raise InvalidQueryError(unknown("column of a histogram", column, RANGES))
        if not isinstance(bins, int) or bins < 1:
            raise InvalidQueryError(f"bins={bins!r}: expected 1 or more")
        edges = _edges(self.engine, column, bins)
        return self.without(column)._histogram(column, edges)

    def _histogram(self, column: str, edges: tuple[Bound, ...]) -> Histogram:
        if self.matches is not None:
            series, missing = self.matches.binned(column, edges)
            return Histogram(column, edges, tuple(series), missing)
        value = RANGES[column].sql
        inner = edges[1:-1]
        steps = "".join(
            f" WHEN {value} < {literal(edge)} THEN {at}" for at, edge in enumerate(inner)
        )
        condition, params = self.predicate
        rows = self.engine.rows(
            f"SELECT CASE WHEN {value} IS NULL THEN -1{steps} ELSE {len(inner)} END AS bin,"
            f" count(*) FROM index WHERE {condition} GROUP BY 1",
            params,
        )
        counts = dict(rows)
        by_bin = tuple(counts.get(at, 0) for at in range(len(edges) - 1))
        return Histogram(column, edges, by_bin, missing=counts.get(-1, 0))

    @property
    def matches(self) -> Matches | None:
        """What matches, in memory; None where the index is in a database elsewhere."""
        from .memory import (
            memory_index_of,  # here, so that opening a client does not wait for Arrow
        )

        memory = memory_index_of(self.engine)
        return None if memory is None else memory.matches(self._conditions)

    def patients(self) -> pd.DataFrame:
        """One row a patient: (collection_id, PatientID), sex, age, counts and size in MB."""
        return self._frame("patient")

    def studies(self) -> pd.DataFrame:
        """One row a study: patient, date, description, its modalities, counts and size in MB."""
        return self._frame("study")

    def series(self) -> pd.DataFrame:
        """One row a series, with every column of the index, and those of `join`."""
        return self._frame("series")

    def _frame(self, level: str) -> pd.DataFrame:
        return self.engine.query(*self.level_sql(level)).to_pandas()

    def level_sql(self, level: str) -> tuple[str, list[object]]:
        """Return the SQL, with ``?``, and the parameters of `patients`, `studies` or `series`.

        Args:
            level: "patient", "study" or "series".

        Raises:
            InvalidQueryError: the level is unknown.
        """
        if level not in LEVELS:
            raise InvalidQueryError(unknown("level", level, LEVELS))
        condition, params = self.predicate
        rows = f"(SELECT * FROM index WHERE {condition}) AS matching"
        if level == "series":
            rows = _joined(rows, self._joins)
        return _LEVEL_SQL[level].format(rows=rows), params

    @property
    def predicate(self) -> tuple[str, Parameters]:
        """What a row of the index must fulfil, as SQL with ``?``, and its parameters."""
        params = Parameters()
        return where(self._conditions, params.bind), params

    @property
    def sql(self) -> str:
        """The SQL of what this cohort matches, runnable as it stands in ``client.sql(...)``."""
        rows = "index"
        if self._conditions:
            rows = f"index WHERE {where(self._conditions, literal)}"
        if not self._joins:
            return f"SELECT * FROM {rows}"
        return f"SELECT * FROM {_joined(f'(SELECT * FROM {rows}) AS matching', self._joins)}"

    def select(self) -> Selection:
        """All series of this cohort as a `Selection`, which can be downloaded or saved."""
        from ..selection import Selection

        return Selection(self)


def most_series_first(counted: Iterable[FacetValue]) -> list[FacetValue]:
    """In the order of a facet: by series, then by value, what is missing last."""
    return sorted(counted, key=lambda one: (-one.series, one.value is None, one.value))


def _values(matches: Matches, column: str) -> list[FacetValue]:
    """The values of a facet that is held in memory."""
    return most_series_first(FacetValue(*one) for one in matches.counted(column))


def _by_collection(
    values: Mapping[str, Sequence[str]], collections: Iterable[FacetValue]
) -> list[FacetValue]:
    """Of the collections' counts: a series and a patient are in one collection each."""
    counts: dict[Scalar, list[int]] = {}
    for collection in collections:
        for value in values.get(str(collection.value)) or (None,):
            total = counts.setdefault(value, [0, 0])
            total[0] += collection.series
            total[1] += collection.patients
    return most_series_first(FacetValue(value, *two) for value, two in counts.items())


def _side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Works on the items in as many threads as there are cores: numpy lets others work meanwhile.

    The threads end with it: those that stayed would be missing in a forked process.
    """
    if len(items) > 1:
        with (
            suppress(RuntimeError),  # the interpreter ends, and starts no threads any more
            ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="idc_widgets") as threads,
        ):
            return list(threads.map(work, items))
    return [work(one) for one in items]


def _shortened(argument: object) -> str:
    if isinstance(argument, list) and len(argument) > 6:
        return f"[{', '.join(map(repr, argument[:3]))}, ... {len(argument):,} in all]"
    return repr(argument)


# --- edges of histograms: those of the whole index, so that they stay when filters change ---

_known_edges: WeakKeyDictionary[Engine, dict[tuple[str, int], tuple[Bound, ...]]] = (
    WeakKeyDictionary()
)


def _edges(engine: Engine, column: str, bins: int) -> tuple[Bound, ...]:
    known = _known_edges.setdefault(engine, {})
    found = known.get((column, bins))
    if found is None:
        coarse = RANGES[column].coarse
        counted = engine.rows(
            f"SELECT * FROM (SELECT {coarse} AS value, count(*) AS series FROM index GROUP BY 1)"
            " AS counted WHERE value IS NOT NULL"
        )
        found = known[column, bins] = RANGES[column].bins(counted, bins)
    return found


# --- columns of other tables ---------------------------------------------------------------


@dataclass(frozen=True)
class _Join:
    table: str
    key: str
    columns: tuple[str, ...]
    #: Whether it may have several rows a key, so that values are lists.
    is_many: bool


#: What a table may be joined by, the closest first.
_JOIN_KEYS = ("SeriesInstanceUID", "StudyInstanceUID", "collection_id")


def _join(engine: Engine, table: str, columns: Sequence[str] | None) -> _Join:
    tables = engine.tables()
    columns = [columns] if isinstance(columns, str) else columns
    if columns is not None and not all(isinstance(one, str) for one in list(columns)):
        raise InvalidQueryError(f"columns={columns!r}: expected names of columns")
    if not isinstance(table, str) or table not in tables:
        raise InvalidQueryError(
            f"{unknown('table', table, tables)}; client.tables() lists those that "
            "client.fetch(...) could get"
        )
    present = tables[table]
    key = next((name for name in _JOIN_KEYS if name in present), None)
    if key is None or table == "index":
        raise InvalidQueryError(
            f"the table {table!r} cannot be joined to series: expected another table with a column "
            f"{' or '.join(_JOIN_KEYS)}"
        )
    for name in columns or ():
        if name not in present:
            raise InvalidQueryError(unknown(f"column of {table}", name, present))
    chosen = tuple(name for name in (present if columns is None else columns) if name != key)
    [(rows, keys)] = engine.rows(f'SELECT count({key}), count(DISTINCT {key}) FROM "{table}"')
    return _Join(table, key, chosen, is_many=rows != keys)


def _joined(rows: str, joins: Sequence[_Join]) -> str:
    """A relation with the columns of other tables."""
    taken = {name.casefold() for name in COLUMNS}  # SQL does not tell letter case apart
    for join in joins:
        columns = []
        for name in join.columns:
            shown = name if name.casefold() not in taken else f"{join.table}_{name}"
            taken.add(shown.casefold())
            value = f"list({_quoted(name)})" if join.is_many else _quoted(name)
            columns.append(f"{value} AS {_quoted(shown)}")
        grouped = f" GROUP BY {join.key}" if join.is_many else ""
        other = ", ".join([join.key, *columns])
        rows += (
            f" LEFT JOIN (SELECT {other} FROM {_quoted(join.table)}{grouped}) AS"
            f" {_quoted('of_' + join.table)} USING ({join.key})"
        )
    return rows


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
