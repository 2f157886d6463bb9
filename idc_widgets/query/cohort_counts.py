"""The methods of a cohort that count its series."""

from __future__ import annotations

from collections.abc import Sequence

from .._util import as_list
from ..index import FACETS
from .cohort_base import CohortBase
from .condition import PATIENT_KEY_SQL
from .facet_counts import count_facets, count_values
from .histograms import count_bins
from .results import FacetValue, Histogram, Summary

__all__ = ["CohortCounts"]


class CohortCounts(CohortBase):
    """The counts of a `Cohort`."""

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
