"""The small results that cohorts return: a summary, values of a facet, a histogram."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..index import DATES, Bound
from .engine import Scalar

__all__ = ["FacetValue", "Histogram", "Summary", "most_series_first"]


@dataclass(frozen=True)
class Summary:
    """Counts and total size of a cohort or a selection.

    Args:
        collections: Number of collections.
        patients: Number of patients. The same PatientID in two collections counts as two.
        studies: Number of studies.
        series: Number of series.
        instances: Number of instances, each of which is a file.
        size_MB: Total size of the files in MB (10^6 bytes).
        licenses: Short names of the licenses, the one with the most series first.
    """

    collections: int
    patients: int
    studies: int
    series: int
    instances: int
    size_MB: float
    licenses: tuple[str, ...]


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet with its counts in a cohort.

    Args:
        value: The value; None for series without one.
        series: Number of series that have the value.
        patients: Number of patients who have such a series.
    """

    value: Scalar
    series: int
    patients: int


@dataclass(frozen=True)
class Histogram:
    """Number of series per bin of a column.

    A bin includes its lower edge and excludes its upper edge. The edges depend only on the whole
    index, so that filters do not change them. The first and the last bin also count the series
    beyond them. Ages are in years, sizes in MB (10^6 bytes), dates in ISO 8601.

    Args:
        column: The column.
        edges: The edges, one more than there are bins; empty if the index has no value.
        series: Number of series per bin.
        missing: Number of series without a value.
    """

    column: str
    edges: tuple[Bound, ...]
    series: tuple[int, ...]
    missing: int

    def between(self, first: int, last: int) -> tuple[Bound | None, Bound | None]:
        """Return the range of values of consecutive bins, as `Cohort.where` takes it.

        Args:
            first: Number of the first bin, from 0.
            last: Number of the last bin, which is included.

        Returns:
            The closed range (low, high), open where it reaches an end of the histogram.

        >>> ages = Histogram("PatientAge", (0, 50, 100), (3, 4), missing=0)
        >>> ages.between(1, 1)
        (50, None)
        >>> dates = ("2010-01-01", "2011-01-01", "2012-01-01", "2013-01-01")
        >>> Histogram("StudyDate", dates, (1, 2, 3), missing=0).between(1, 1)
        ('2011-01-01', '2011-12-31')
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


def most_series_first(values: Iterable[FacetValue]) -> list[FacetValue]:
    """Return the values in the order of a facet: most series first, ties by value, None last."""
    return sorted(values, key=lambda facet: (-facet.series, facet.value is None, facet.value))
