"""The methods of a cohort that count its series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._util import as_list
from ..index import FACETS
from .cohort_base import CohortBase
from .condition import PATIENT_KEY_SQL
from .engine import Scalar
from .facet_counts import count_facets, count_values
from .filter_keywords import KEYWORDS
from .flow import flow_steps, left_out, why_empty
from .histograms import count_bins
from .licenses import License
from .results import FacetValue, Histogram, Summary
from .table_filters import TableColumn, table_column
from .units import Unit
from .value_counts import count_by_values, distinct_values, to_series

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CohortCounts"]


class CohortCounts(CohortBase):
    """The counts of a `Cohort`."""

    def summary(self) -> Summary:
        """Return the numbers of collections, patients, studies, series and files, and the size."""
        licenses = tuple(license_.name for license_ in self.licenses())
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

    def licenses(self) -> tuple[License, ...]:
        """Return the licenses of these series, the one with the most series first.

        >>> from idc_widgets import IDCClient
        >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
        >>> [(one.name, one.series) for one in lung.licenses()]
        [('CC BY 4.0', 3661), ('CC BY-NC 3.0', 1265)]
        """
        counted = count_values(self.engine, self.conditions, "license_short_name")
        return tuple(
            License(str(facet.value), facet.series) for facet in counted if facet.value is not None
        )

    def facets(
        self, columns: Sequence[str] = FACETS, *, own_filters: bool = False
    ) -> dict[str, list[FacetValue]]:
        """Count the values of each column outside of the cohort's filter on it, for dropdowns.

        By default, each facet ignores the cohort's own filter on its column (a cross-filter), so
        that the other values of the column remain visible and can be chosen. To count only what is
        in the cohort, use `value_counts`.

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

    def histogram(self, column: str, *, bins: int = 20, unit: Unit = "series") -> Histogram:
        """Count the series, studies or patients of this cohort per bin of a column.

        To see what lies outside of the cohort's own filter on the column, remove the filter first:
        ``cohort.without(column).histogram(column)``. The edges are those of the whole index.

        Args:
            column: One of `RANGES`, or a column of numbers that `join` has added.
            bins: The number of bins.
            unit: "series", "studies" or "patients". A patient counts in each bin with a series.

        Returns:
            The edges of the bins, the counts, and the count without a value. It can `plot` itself.

        Raises:
            InvalidQueryError: The column has no histogram, there are no bins, or the unit is
                unknown.

        >>> from idc_widgets import IDCClient
        >>> old = IDCClient().cohort(PatientAge=(60, None), collection_id="nsclc_radiomics")
        >>> ages = old.histogram("PatientAge", bins=4, unit="patients")
        >>> ages.to_frame()
           low  high  patients
        0    0    23         0
        1   23    46         0
        2   46    69       109
        3   69    92       148
        """
        return count_bins(self.engine, self.conditions, self._counted(column), bins, unit)

    def value_counts(self, *columns: str, unit: Unit = "series") -> pd.Series[Any]:
        """Count the series, studies or patients per value, the most frequent first.

        Unlike `facets`, this counts only what is in the cohort. Missing values are counted, too.

        Args:
            *columns: Columns of the index, of `MORE_FACETS`, or that `join` has added. For several
                columns, combinations of their values are counted.
            unit: "series", "studies" or "patients". A patient counts for each of its values.

        Raises:
            InvalidQueryError: A column or the unit is unknown, or there is no column.

        >>> from idc_widgets import IDCClient
        >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
        >>> lung.value_counts("Modality").to_dict()
        {'SR': 2419, 'SEG': 1663, 'CT': 422, 'RTSTRUCT': 422}
        """
        counted = [self._counted(column) for column in columns]
        counts = count_by_values(self.engine, self.conditions, counted, unit)
        return to_series(counts, columns, unit)

    def unique(self, column: str) -> list[Scalar]:
        """Return the values of a column in ascending order; the last is None if some are missing.

        Args:
            column: A column of the index, of `MORE_FACETS`, or that `join` has added.

        Raises:
            InvalidQueryError: The column is unknown.
        """
        return distinct_values(self.engine, self.conditions, self._counted(column))

    def _counted(self, column: str) -> str | TableColumn:
        """Return a column as it is given, or the column of another table that it stands for."""
        return column if column in KEYWORDS else table_column(self, column) or column

    def flow(self) -> pd.DataFrame:
        """Return how many series and patients are left after each filter, and why others fell.

        Returns:
            One row per filter, after a first row for the whole index: filter, series and patients
            (those that are left), fell (the series that the filter removed) and missing (those of
            them that lack the value that the filter asks for).

        >>> from idc_widgets import IDCClient
        >>> cohort = IDCClient().cohort(Modality="MR", PatientAge=(60, None))
        >>> bool(cohort.flow().missing.iloc[-1] > 0)
        True
        """
        import pandas as pd

        return pd.DataFrame(flow_steps(self.engine, self.conditions))

    def left_out(self) -> dict[str, int]:
        """Return, for each filter, how many series fail only it, because they lack a value.

        A filter for a value or a range leaves out all series without a value. The preview of a
        plan says so, too. To keep them, list None: ``where(PatientSex=["F", None])``, or exclude
        the other values: ``exclude(PatientAge=(0, 59))``.

        Returns:
            Keyword of the filter → number of series; without the filters that leave out no such
            series.

        >>> from idc_widgets import IDCClient
        >>> women = IDCClient().cohort(collection_id="nsclc_radiomics", PatientSex="F")
        >>> women.left_out()
        {'PatientSex': 422}
        """
        return left_out(self.engine, self.conditions)

    def why_empty(self) -> str | None:
        """Return which filter leaves nothing, as a sentence; None if the cohort has series.

        >>> from idc_widgets import IDCClient
        >>> women = IDCClient().cohort(collection_id="nsclc_radiomics", PatientSex="F")
        >>> women.where(PatientSex="M").why_empty()
        'No value of PatientSex fulfills all filters on it.'
        """
        return why_empty(self.engine, self.conditions)
