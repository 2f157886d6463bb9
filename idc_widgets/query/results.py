"""The small results that cohorts return: a summary, values of a facet, a histogram."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._util import html_facts, human_size, plural
from ..index import DATES, Bound, column_info
from .engine import Scalar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["FacetValue", "Histogram", "Summary", "most_series_first"]

#: A plot of a histogram names the edge of every so many bins.
_BINS_PER_TICK = 4


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Summary({', '.join(self._counts())})"

    def _repr_html_(self) -> str:
        return html_facts("Summary", [("", count) for count in self._counts()])

    def _counts(self) -> list[str]:
        counts = (
            (self.collections, "collection"),
            (self.patients, "patient"),
            (self.studies, "study"),
            (self.series, "series"),
            (self.instances, "file"),
        )
        size, licenses = human_size(self.size_MB * 1e6), " and ".join(self.licenses)
        return [*(plural(*count) for count in counts), size, *([licenses] if licenses else [])]


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
    """Number of series, studies or patients per bin of a column.

    A bin includes its lower edge and excludes its upper edge. The edges depend only on the whole
    index, so that filters do not change them. The first and the last bin also count what is
    beyond them. Ages are in years, sizes in MB (10^6 bytes), dates in ISO 8601.

    Args:
        column: The column.
        edges: The edges, one more than there are bins; empty if the index has no value.
        counts: Count per bin.
        missing: Count without a value.
        unit: What is counted: "series", "studies" or "patients".
    """

    column: str
    edges: tuple[Bound, ...]
    counts: tuple[int, ...]
    missing: int
    unit: str = "series"

    def to_frame(self) -> pd.DataFrame:
        """Return one row per bin: its edges ``low`` and ``high``, and its count."""
        import pandas as pd

        low, high = list(self.edges[:-1]), list(self.edges[1:])
        return pd.DataFrame({"low": low, "high": high, self.unit: list(self.counts)})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the bins as bars with matplotlib, and return the axes.

        Args:
            ax: The axes to draw in; by default, those of a new figure.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "plot() needs matplotlib; run: pip install matplotlib", name=error.name
            ) from error
        if ax is None:
            _, ax = pyplot.subplots()
        info = column_info(self.column)
        places = range(len(self.counts))
        ax.bar(places, self.counts, width=1.0, align="edge", edgecolor="white", linewidth=0.5)
        ticks = [place for place in range(len(self.edges)) if place % _BINS_PER_TICK == 0]
        names = [f"{edge:,}" if isinstance(edge, int) else str(edge) for edge in self.edges]
        ax.set_xticks(ticks, [names[place] for place in ticks])
        ax.set_xlabel(f"{info.label} ({info.unit})" if info.unit else info.label)
        missing = f"; {self.missing:,} without a value" if self.missing else ""
        ax.set_ylabel(f"{self.unit.capitalize()}{missing}")
        return ax

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
        if last >= len(self.counts) - 1:
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
