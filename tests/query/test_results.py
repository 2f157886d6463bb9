"""The order of facet values, and the ranges of the bins of a histogram."""

from __future__ import annotations

from typing import Any

import pytest

from idc_widgets.index import Bound
from idc_widgets.query import FacetValue, Histogram
from idc_widgets.query.results import most_series_first


def test_facet_values_are_sorted_by_series_then_value_with_missing_last() -> None:
    values = [
        FacetValue(None, 5, 1),
        FacetValue("b", 5, 1),
        FacetValue("c", 9, 1),
        FacetValue("a", 5, 2),
    ]
    assert [facet.value for facet in most_series_first(values)] == ["c", "a", "b", None]


@pytest.mark.parametrize(
    ("column", "edges", "expected"),
    [
        ("instanceCount", (1, 5, 10, 20), (5, 9)),
        ("StudyDate", ("2010-01-01", "2011-01-01", "2012-01-01", "2013-01-01"), None),
        ("PatientAge", (0, 30, 60, 90), None),
        ("series_size_MB", (0.1, 1.0, 10.0, 100.0), None),
    ],
)
def test_the_range_of_a_bin_excludes_its_upper_edge(
    column: str, edges: tuple[Bound, ...], expected: Any
) -> None:
    histogram = Histogram(column, edges, (1, 2, 3), missing=0)
    low, high = histogram.between(1, 1)
    assert low == edges[1]
    assert high is not None and high < edges[2]  # type: ignore[operator]
    if expected is not None:
        assert (low, high) == expected
    assert histogram.between(0, 2) == (None, None)
    assert histogram.between(0, 0)[0] is None
    assert histogram.between(2, 2) == (edges[2], None)
