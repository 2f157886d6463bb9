"""A cohort: an immutable set of filters on the index, and the queries on the series that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..index import LEVELS
from .cohort_choices import CohortChoices
from .cohort_counts import CohortCounts
from .cohort_filters import CohortFilters
from .dataframes import to_dataframe
from .engine import literal
from .joins import joined
from .level_sql import level_query
from .matching import conjunction, matches_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..selection import Selection

__all__ = ["Cohort"]


@dataclass(frozen=True, repr=False)
class Cohort(CohortFilters, CohortChoices, CohortCounts):
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

    def to_sql(self) -> str:
        """Return a query for the matching series, ready to run with ``client.sql(...)``."""
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
