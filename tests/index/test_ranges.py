"""Ages in years, and the bins of histograms."""

from __future__ import annotations

import pytest
from support import bruteforce

from idc_widgets import IDCClient
from idc_widgets.index import RANGES, age_in_years


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("080Y", 80),
        ("000Y", 0),
        ("8Y", 8),
        ("60", 60),
        ("042y", 42),
        ("018M", 1.5),
        ("012m", 1),
        ("001Y", 1),
        ("999D", 999 / 365.25),
        ("021d", 21 / 365.25),
        ("003W", 21 / 365.25),
        ("052w", 364 / 365.25),
        ("", None),
        (None, None),
        ("N-A", None),
        ("0060Y", None),
        ("Y", None),
        ("-10Y", None),
        ("+10Y", None),
        (" 60Y", None),
        ("60Y\n", None),
        ("6.5Y", None),
        ("60YY", None),
        ("60X", None),
        ("٣Y", None),
        ("1e2", None),
    ],
)
def test_ages_are_converted_to_years(age: str | None, expected: float | None) -> None:
    assert age_in_years(age) == (
        expected if expected is None else pytest.approx(expected, rel=1e-12)
    )


def test_every_age_of_the_index_is_converted_to_years(client: IDCClient) -> None:
    distinct = client.sql("SELECT DISTINCT PatientAge AS age FROM index").age
    ages = [age for age in distinct if isinstance(age, str)]
    assert len(ages) > 900
    for age in ages:
        expected = bruteforce.age_in_years(age)
        assert age_in_years(age) == (expected and pytest.approx(expected, rel=1e-12)), age


@pytest.mark.parametrize("column", RANGES)
@pytest.mark.parametrize("count", [1, 7, 20])
def test_bins_cover_the_values_in_rising_order(column: str, count: int) -> None:
    first = {"StudyDate": 1990, "SeriesDate": 1990}.get(column, 0)
    edges = RANGES[column].bins([(first + step, 100) for step in range(30)], count)
    assert len(edges) == count + 1
    assert sorted(set(edges)) == list(edges)


def test_extreme_values_are_out_of_view() -> None:
    assert RANGES["PatientAge"].bins([(0, 1), (50, 400), (999, 1)], 2) == (50, 51, 52)
    assert RANGES["PatientAge"].bins([], 2) == ()


def test_the_bins_of_dates_cover_the_years_of_most_series() -> None:
    counted = [(1901, 6), (1959, 3), (1999, 50), (2000, 40), (2026, 1)]
    edges = RANGES["StudyDate"].bins(counted, 4)
    assert edges == ("1999-01-01", "1999-07-01", "2000-01-01", "2000-07-01", "2001-01-01")
    assert RANGES["StudyDate"].bins([(2026, 1)], 1) == ("2026-01-01", "2027-01-01")
