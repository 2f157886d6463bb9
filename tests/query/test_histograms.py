"""Histograms: their bins, and the ranges between them."""

from __future__ import annotations

import pytest
from support.own_table import OwnTable

from idc_widgets import IDCClient
from idc_widgets.index import RANGES


@pytest.mark.parametrize("column", RANGES)
@pytest.mark.parametrize("bins", [1, 20, 33])
def test_a_range_between_bins_selects_the_series_of_the_bins(
    client: IDCClient, column: str, bins: int
) -> None:
    for cohort in (client.cohort(), client.cohort(Modality=["CT", "SM"], PatientSex=["F", None])):
        histogram = cohort.histogram(column, bins=bins)
        assert len(histogram.edges) == bins + 1
        assert sum(histogram.counts) + histogram.missing == cohort.summary().series
        for first, last in {(0, 0), (0, bins - 1), (bins // 3, bins // 2), (bins - 1, bins - 1)}:
            within = cohort.where(**{column: histogram.between(first, last)})
            assert within.summary().series == sum(histogram.counts[first : last + 1])
            inside = within.histogram(column, bins=bins)
            assert sum(inside.counts) == within.summary().series, "it respects the filter"
            assert within.without(column).histogram(column, bins=bins) == histogram
        assert histogram.between(0, bins - 1) == (None, None)
        missing = cohort.where(**{column: None})
        if column != "PatientAge":  # some of its values are not ages
            assert missing.summary().series == histogram.missing


def test_histogram_of_an_empty_cohort(client: IDCClient) -> None:
    for column in RANGES:
        histogram = client.cohort(Modality=[]).histogram(column, bins=7)
        assert histogram.counts == (0,) * 7
        assert histogram.missing == 0
        assert histogram.edges == client.cohort().histogram(column, bins=7).edges


def test_histogram_of_missing_values_only(own_table: OwnTable) -> None:
    cohort = own_table("Modality", "1,2,3,4,CT", "5,2,3,4,CT").cohort()
    for column in RANGES:
        histogram = cohort.histogram(column)
        assert (histogram.edges, histogram.counts, histogram.missing) == ((), (), 2)
        assert cohort.where(**{column: (None, None)}).summary().series == 0


def test_histogram_of_one_value(own_table: OwnTable) -> None:
    client = own_table(
        "PatientAge,StudyDate,SeriesDate,series_size_MB,instanceCount",
        "1,2,3,4,060Y,2010-04-01,20100401,1.5,7",
    )
    for column, bins in ((column, bins) for column in RANGES for bins in (1, 2, 20)):
        histogram = client.cohort().histogram(column, bins=bins)
        assert sum(histogram.counts) == 1
        assert sorted(set(histogram.edges)) == list(histogram.edges)
        at = histogram.counts.index(1)
        low, high = histogram.edges[at : at + 2]
        value = {"PatientAge": 60, "series_size_MB": 1.5, "instanceCount": 7}.get(column)
        assert low <= (value or "2010-04-01") < high


@pytest.mark.parametrize("year", ["0000", "0001", "1582", "9998", "9999"])
def test_histogram_of_unusual_years(own_table: OwnTable, year: str) -> None:
    cohort = own_table("StudyDate", f"1,2,3,4,{year}-12-31").cohort()
    histogram = cohort.histogram("StudyDate", bins=5)
    assert sum(histogram.counts) == 1
    assert sorted(histogram.edges) == list(histogram.edges)
    within = cohort.where(StudyDate=histogram.between(histogram.counts.index(1), 4))
    assert within.summary().series == 1


def test_histogram_of_zeros(own_table: OwnTable) -> None:
    for column in ("series_size_MB", "instanceCount"):
        histogram = own_table(column, "1,2,3,4,0", "5,2,3,4,0").cohort().histogram(column)
        assert histogram.missing == 0
