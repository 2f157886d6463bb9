"""A cohort: an immutable set of filters on the index, and the queries on the series that match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..index import LEVELS
from .cohort_actions import CohortActions
from .cohort_choices import CohortChoices
from .cohort_counts import CohortCounts
from .cohort_filters import CohortFilters
from .dataframes import to_dataframe
from .engine import literal
from .filters import OneOf
from .joins import joined
from .key_lists import Patients
from .known_values import distinct_rows
from .level_sql import level_query
from .matching import conjunction, matches_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Cohort"]


@dataclass(frozen=True, repr=False)
class Cohort(CohortFilters, CohortChoices, CohortCounts, CohortActions):
    """An immutable set of filters on the index; each method that narrows it returns a new cohort.

    Cohorts are made by `IDCClient.cohort`, and combined by ``a | b`` (in either), ``a & b`` (in
    both), ``a - b`` (in the first only) and ``~a`` (all other series). Equal filters on the same
    engine make equal cohorts.

    >>> from idc_widgets import IDCClient
    >>> client = IDCClient()
    >>> cohort = client.cohort(collection_id="nlst", Modality=["CT", "SEG"])
    >>> cohort.where(series_size_MB=(None, 500)).filters
    {'Modality': ['CT', 'SEG'], 'collection_id': 'nlst', 'series_size_MB': (None, 500)}
    """

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

    def groupby(self, by: str) -> Iterator[tuple[Any, Cohort]]:
        """Yield each patient, study, series or value, with the cohort of its series.

        Args:
            by: "patient", "study", "series", or a column of the index, of `MORE_FACETS` or that
                `join` has added. The keys of patients are pairs (collection_id, PatientID).

        Raises:
            InvalidQueryError: There is no such level or column.

        >>> from idc_widgets import IDCClient
        >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
        >>> {value: group.summary().series for value, group in lung.groupby("PatientSex")}
        {'F': 1404, 'M': 3089, 'O': 11, None: 422}
        """
        if by not in LEVELS:
            values = self.unique(by)
            return ((value, self.where(**{by: value})) for value in values)
        keys = sorted(distinct_rows(self.engine, LEVELS[by].key, self.conditions))
        if by == "patient":
            return ((key, self._and(Patients((key,)))) for key in keys)
        [column] = LEVELS[by].key
        return ((key, self._and(OneOf(column, (key,)))) for (key,) in keys)

    def to_sql(self) -> str:
        """Return a query for the matching series, ready to run with ``client.sql(...)``."""
        rows = "index"
        if self.conditions:
            rows = f"index WHERE {conjunction(self.conditions, literal)}"
        if not self.joins:
            return f"SELECT * FROM {rows}"
        relation = f"(SELECT * FROM {rows}) AS matching"
        return f"SELECT * FROM {joined(relation, self.joins, by_name=True)}"
