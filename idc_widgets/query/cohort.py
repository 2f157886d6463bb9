"""A cohort: an immutable set of filters on the index, and the queries on the series that match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._util import as_keys, as_list
from ..index import FACETS, LEVELS
from .dataframes import to_dataframe
from .engine import Engine, Parameters, Scalar, literal
from .exclusion import Excluded, filters_of
from .facet_counts import count_facets, count_values
from .filters import PATIENT_KEY_SQL, Condition, OneOf, Uids, sorted_unique
from .histograms import count_bins
from .joins import Join, joined, parse_join
from .level_sql import level_query
from .matching import conjunction, matches_of, merge_conditions
from .results import FacetValue, Histogram, Summary
from .where_parser import parse_filters, parse_patients, resolve_column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..selection import Selection
    from .memory import Matches

__all__ = ["Cohort"]

#: The repr of a cohort shortens a list with more values than this.
_MAX_LISTED_VALUES = 6


@dataclass(frozen=True, repr=False)
class Cohort:
    """An immutable set of filters on the index; each method that narrows it returns a new cohort.

    Cohorts are made by `IDCClient.cohort`. Equal filters on the same engine make equal cohorts.

    Args:
        engine: The engine that runs the queries.
        conditions: The filters as conditions, sorted by column. A column has at most two: one that
            series fulfill, and one (`exclude`) that they do not.
        joins: The tables whose columns `join` has added to those of `series`.

    >>> from idc_widgets import IDCClient
    >>> client = IDCClient()
    >>> cohort = client.cohort(collection_id="nlst", Modality=["CT", "SEG"])
    >>> cohort.where(series_size_MB=(None, 500)).filters
    {'Modality': ['CT', 'SEG'], 'collection_id': 'nlst', 'series_size_MB': (None, 500)}
    """

    # This class has no slots: with them, Python 3.11 raises an unhelpful TypeError about super()
    # when an unknown attribute is assigned.

    engine: Engine
    conditions: tuple[Condition, ...] = ()
    joins: tuple[Join, ...] = ()

    def __repr__(self) -> str:
        arguments = (
            f"{column}={_shortened(argument)}" for column, argument in self.filters.items()
        )
        return f"Cohort({', '.join(arguments)})"

    # --- narrowing -------------------------------------------------------------------------

    def where(self, /, **filters: object) -> Cohort:
        """Narrow the cohort: all filters, old and new, must hold.

        Args:
            **filters: Column and value. A single value means equality, a list any of its values,
                and a pair (low, high) a closed range. Ranges are for columns of numbers and dates,
                and for PatientAge in years; an end that is None leaves the range open. Elsewhere,
                None means a missing value. The columns are those of the index; the facts of
                collections ``cancer_types``, ``tumor_locations``, ``species`` and ``program_id``,
                of which a collection may have several values; and ``commercial_use``, which is
                True or False. These keywords are special:

                - ``text="lung kernel"``: every word must be a substring, in any letter case, of
                  a description, an identifier or the name of the collection (`TEXT_COLUMNS`);
                - ``uids=[...]``: UIDs of series and studies, all of which must be known;
                - ``patients=[...]``: as for `of_patients`;
                - ``having={"Modality": [...], "level": "study"}``: as for `having`;
                - ``originals_of=``, ``derived_from=`` a cohort: as for `originals_of`;
                - ``exclude={"Modality": "SR"}``: as for `exclude`.

        Returns:
            The narrowed cohort.

        Raises:
            InvalidQueryError: A column or value is unknown (the message names the nearest), a
                range is upside down or on a column of text, or a value has the wrong type.
        """
        return self._and(*parse_filters(self.engine, filters))

    def exclude(self, /, **filters: object) -> Cohort:
        """Leave out the series that a filter matches; each filter excludes by itself.

        ``exclude(Modality="SR", BodyPartExamined="CHEST")`` leaves out all reports and all series
        of the chest. A series without a value is kept, unless the filter lists None: a series of
        unknown age is not excluded by ``exclude(PatientAge=(0, 18))``.

        Args:
            **filters: Column and value, as for `where`: a list excludes any of its values, a pair
                (low, high) a closed range. An empty list excludes nothing.

        Raises:
            InvalidQueryError: As for `where`.

        >>> from idc_widgets import IDCClient
        >>> IDCClient().cohort().exclude(Modality=["SR", "SEG"], PatientAge=(0, 18)).filters
        {'exclude': {'Modality': ['SEG', 'SR'], 'PatientAge': (0, 18)}}
        """
        return self.where(exclude=filters)

    def without(self, *columns: str) -> Cohort:
        """Return the cohort without its filters on these columns, those of `exclude` included.

        Args:
            *columns: Columns or special keywords of `where`, such as ``"text"``. ``"exclude"``
                stands for everything that is excluded.

        Raises:
            InvalidQueryError: There is no such column.
        """
        names = {resolve_column(name) for name in columns}
        kept = tuple(
            condition
            for condition in self.conditions
            if condition.column not in names
            and not ("exclude" in names and isinstance(condition, Excluded))
        )
        return replace(self, conditions=kept)

    def having(self, *, level: str = "study", **columns: object) -> Cohort:
        """Narrow the cohort to studies or patients that have *all* of these values.

        The values may belong to different series of the study or patient, inside or outside the
        cohort: ``cohort(Modality="CT").having(Modality=["CT", "SEG"])`` has the CT series of the
        studies that also have segmentations.

        Args:
            level: "study" or "patient".
            **columns: Column of the index, and the value or list of values that must exist.

        Raises:
            InvalidQueryError: The level, a column or a value is unknown.
        """
        return self.where(having={"level": level, **columns})

    def originals_of(self) -> Cohort:
        """Return the original images in the studies of this cohort.

        A series is original if it is not an analysis result (``analysis_result_id``) and its
        modality is not one that describes images, such as SEG, SR or RTSTRUCT
        (`DERIVED_MODALITIES`).
        """
        return Cohort(self.engine).where(originals_of=self)

    def derived_from(self) -> Cohort:
        """Return the series derived from images (segmentations, reports ...) in these studies."""
        return Cohort(self.engine).where(derived_from=self)

    def of_patients(self, keys: Iterable[tuple[str, str]]) -> Cohort:
        """Narrow the cohort to these patients; unlike `where`, do not look them up.

        Args:
            keys: Pairs (collection_id, PatientID).

        Raises:
            InvalidQueryError: A key is not such a pair.
        """
        return self._and(parse_patients(self.engine, keys))

    def of_studies(self, uids: str | Iterable[str]) -> Cohort:
        """Narrow the cohort to these StudyInstanceUIDs; unlike `where`, do not look them up."""
        return self._and(OneOf("StudyInstanceUID", sorted_unique(as_keys(uids))))

    def of_series(self, uids: str | Iterable[str]) -> Cohort:
        """Narrow the cohort to these SeriesInstanceUIDs; unlike `where`, do not look them up."""
        return self._and(OneOf("SeriesInstanceUID", sorted_unique(as_keys(uids))))

    def of_uids(self, uids: str | Iterable[str]) -> Cohort:
        """Narrow the cohort to these UIDs of series or studies; do not look them up."""
        return self._and(Uids((sorted_unique(as_keys(uids)),)))

    def _and(self, *conditions: Condition) -> Cohort:
        return replace(self, conditions=merge_conditions((*self.conditions, *conditions)))

    def join(self, table: str, columns: Sequence[str] | None = None) -> Cohort:
        """Add columns of another table, such as ct_index, to the data frame of `series`.

        The tables are joined by the first of SeriesInstanceUID, StudyInstanceUID and collection_id
        that the table has. If the table has several rows per series, the added values are lists. If
        the series already have a column of the same name, the new one is ``<table>_<column>``.

        Args:
            table: A table that is available; see ``client.tables()`` and `IDCClient.fetch`.
            columns: The columns to add; by default all.

        Raises:
            InvalidQueryError: There is no such table or column, or no column to join by.
        """
        return replace(self, joins=(*self.joins, parse_join(self.engine, table, columns)))

    @property
    def filters(self) -> dict[str, object]:
        """The filters as keyword arguments of `where`."""
        return filters_of(self.conditions)

    def values(self, column: str) -> tuple[Scalar, ...]:
        """Return the values that the filter on a column lists.

        The result is empty if the column has no filter, or a filter without a list, such as a
        range.
        """
        return _listed(self._argument(column, is_excluded=False))

    def excluded_values(self, column: str) -> tuple[Scalar, ...]:
        """Return the values of a column that `exclude` lists; empty as described for `values`."""
        return _listed(self._argument(column, is_excluded=True))

    def _argument(self, column: str, *, is_excluded: bool) -> object:
        for condition in self.conditions:
            if condition.column == column and isinstance(condition, Excluded) == is_excluded:
                return condition.argument()
        return ()

    # --- queries ---------------------------------------------------------------------------

    def summary(self) -> Summary:
        """Return the numbers of collections, patients, studies, series and files, and the size."""
        licenses = tuple(str(facet.value) for facet in self.licenses())
        matches = self.matches
        if matches is not None:
            files, size_MB = matches.files_and_size_MB()
            return Summary(
                matches.collection_count(),
                len(matches.patients),
                len(matches.studies),
                len(matches),
                files,
                size_MB,
                licenses,
            )
        condition, params = self.predicate
        [(collections, patients, studies, series, instances, size_MB)] = self.engine.rows(
            f"SELECT count(DISTINCT collection_id), count(DISTINCT {PATIENT_KEY_SQL}),"
            " count(DISTINCT StudyInstanceUID), count(*),"
            " CAST(coalesce(sum(instanceCount), 0) AS BIGINT), coalesce(sum(series_size_MB), 0)"
            f" FROM index WHERE {condition}",
            params,
        )
        return Summary(collections, patients, studies, series, instances, size_MB, licenses)

    def licenses(self) -> list[FacetValue]:
        """Count the licenses of these series, most series first.

        Unlike `facets`, this respects the cohort's own filter on licenses.
        """
        counted = count_values(self.engine, self.conditions, "license_short_name")
        return [facet for facet in counted if facet.value is not None]

    def facets(
        self, columns: Sequence[str] = FACETS, *, own_filters: bool = False
    ) -> dict[str, list[FacetValue]]:
        """Count the values of each column, most series first.

        By default, each facet ignores the cohort's own filter on its column (a cross-filter), so
        that the other values of the column remain visible and can be chosen.

        Args:
            columns: Columns of the index or of `MORE_FACETS`. Those of `FACETS` and `MORE_FACETS`
                are the fastest.
            own_filters: Whether the filter on a column also narrows the counts of that column.

        Returns:
            Column → its values with their counts.

        Raises:
            InvalidQueryError: A column is unknown.
        """
        return count_facets(self.engine, self.conditions, as_list(columns), own_filters=own_filters)

    def histogram(self, column: str, bins: int = 20, *, own_filters: bool = False) -> Histogram:
        """Count the series per bin of a column.

        Like `facets`, this ignores the cohort's own filter on the column by default.

        Args:
            column: One of `RANGES`.
            bins: The number of bins.
            own_filters: Whether the filter on the column also narrows the counts.

        Returns:
            The edges of the bins, the series per bin, and the number of series without a value.

        Raises:
            InvalidQueryError: The column has no histogram, or there are no bins.
        """
        return count_bins(self.engine, self.conditions, column, bins, own_filters=own_filters)

    @property
    def matches(self) -> Matches | None:
        """The matching series in memory; None if the index is in another database."""
        return matches_of(self.engine, self.conditions)

    def patients(self) -> pd.DataFrame:
        """Return one row per patient: (collection_id, PatientID), sex, age, counts, size in MB."""
        return to_dataframe(self._level_table("patient"))

    def studies(self) -> pd.DataFrame:
        """Return one row per study: patient, date, description, modalities, counts, size in MB."""
        return to_dataframe(self._level_table("study"))

    def series(self) -> pd.DataFrame:
        """Return one row per series, with all columns of the index and those added by `join`."""
        return to_dataframe(self.engine.query(*self.level_sql("series")))

    def _level_table(self, level: str) -> pa.Table:
        """Return patients or studies, from memory if the index is there, else by SQL."""
        matches = matches_of(self.engine, self.conditions, make=False)
        if matches is None:
            return self.engine.query(*self.level_sql(level))
        from .memory import level_table

        return level_table(level, matches, LEVELS[level].columns)

    def level_sql(self, level: str) -> tuple[str, list[object]]:
        """Return the SQL (with ``?``) of `patients`, `studies` or `series`, and its parameters.

        Args:
            level: "patient", "study" or "series".

        Raises:
            InvalidQueryError: The level is unknown.
        """
        condition, params = self.predicate
        relation = f"(SELECT * FROM index WHERE {condition}) AS matching"
        if level == "series":
            relation = joined(relation, self.joins)
        return level_query(level, relation), params

    @property
    def predicate(self) -> tuple[str, Parameters]:
        """The condition on a row of the index, as SQL with ``?``, and its parameters."""
        params = Parameters()
        return conjunction(self.conditions, params.bind), params

    @property
    def sql(self) -> str:
        """A query for the matching series, ready to run with ``client.sql(...)``."""
        rows = "index"
        if self.conditions:
            rows = f"index WHERE {conjunction(self.conditions, literal)}"
        if not self.joins:
            return f"SELECT * FROM {rows}"
        return f"SELECT * FROM {joined(f'(SELECT * FROM {rows}) AS matching', self.joins)}"

    def select(self) -> Selection:
        """Return all series of this cohort as a `Selection`, to be downloaded or saved."""
        from ..selection import Selection

        return Selection(self)


def _listed(argument: object) -> tuple[Scalar, ...]:
    """Return the values that an argument of `Cohort.where` lists, if it is a list of values."""
    values = argument if isinstance(argument, list) else [argument]
    if any(isinstance(value, (tuple, list, dict)) for value in values):
        return ()  # a range, several lists, or a special keyword
    return tuple(values)


def _shortened(argument: object) -> str:
    """Return the repr of an argument of `Cohort.where`; leave out the middle of long lists."""
    if isinstance(argument, dict):
        items = (f"{name!r}: {_shortened(value)}" for name, value in argument.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(argument, list) and len(argument) > _MAX_LISTED_VALUES:
        return f"[{', '.join(map(repr, argument[:3]))}, ... {len(argument):,} in all]"
    return repr(argument)
