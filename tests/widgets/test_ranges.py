"""Filters from - to: what the histogram shows, and what a range of it, or a typed one, does."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets.client import IDCClient
from idc_widgets.errors import InvalidQueryError
from idc_widgets.widgets.ranges import RangeFilter
from idc_widgets.widgets.state import BrowserState

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def state(client) -> BrowserState:
    return BrowserState(client, collection_id="nsclc_radiomics")


numbers = itertools.count(1)


def ask(one: RangeFilter, number: int | None = None, view: str = "view", **content) -> str:
    """What the front end sends; returns what it waits for."""
    number = number or next(numbers)
    one._handle_custom_msg({"view": view, "number": number, **content}, [])
    return f"{view}:{number}"


def type_in(one: RangeFilter, low: str, high: str) -> str:
    return ask(one, kind="range", low=low, high=high)


def count(one: RangeFilter) -> list[list]:
    """What the front end sends while the histogram is shown; returns the bars."""
    one._handle_custom_msg({"kind": "count"}, [])
    assert one._histogram["version"] == one._version
    return one._histogram["bars"]


@pytest.mark.parametrize(
    ("column", "label", "unit"),
    [
        ("PatientAge", "Age", "years"),
        ("StudyDate", "Study date", ""),
        ("SeriesDate", "Series date", ""),
        ("series_size_MB", "Size", "MB"),
        ("instanceCount", "Files", ""),
    ],
)
def test_shows_the_histogram_when_it_is_asked_for(state, column, label, unit):
    one = RangeFilter(state, column)
    assert (one._label, one._hints["unit"]) == (label, unit)
    assert one._histogram == {}  # nothing was counted for a closed one
    expected = state.filters.histogram(column)
    bars = count(one)
    assert tuple(series for series, *_ in bars) == expected.series
    assert one._histogram["missing"] == expected.missing
    assert bars[0][2] == bars[-1][3] == ""  # the outer bins are open
    assert len(one._histogram["axis"]) == 2


def test_bins_filter_and_are_answered(state):
    one = RangeFilter(state, "PatientAge")
    bars = count(one)
    answer = ask(one, kind="bins", first=12, last=15)
    assert one._answered == answer
    low, high = state.filters.filters["PatientAge"]
    assert low == 60 and 79 < high < 80
    assert one._filter == {"words": "60 – 79 years", "low": "60", "high": "79", "span": [12, 15]}
    assert len(state.selection) == sum(series for series, *_ in bars[12:16])
    assert count(one) == bars  # its own filter does not narrow it
    ask(one, kind="bins", first=12, last=len(bars) - 1)
    assert state.filters.filters["PatientAge"] == (60, None)
    assert one._filter["words"] == "≥ 60 years"
    ask(one, kind="bins", first=0, last=len(bars) - 1)
    assert "PatientAge" not in state.filters.filters  # all of it is no filter
    assert one._filter == {"words": "", "low": "", "high": "", "span": []}


@pytest.mark.parametrize(
    ("column", "low", "high", "expected", "words"),
    [
        ("PatientAge", "60", "80", (60, 80), "60 – 80 years"),
        ("PatientAge", " 018M ", "", (1.5, None), "≥ 1.5 years"),
        ("StudyDate", "20100101", "2011-12-31", ("2010-01-01", "2011-12-31"), None),
        ("SeriesDate", "", "2010-04-01", (None, "2010-04-01"), "≤ 2010-04-01"),
        ("series_size_MB", ".5", "1,000", (0.5, 1000), "0.5 – 1,000 MB"),
        ("instanceCount", "100", "100", (100, 100), "100"),
    ],
)
def test_typed_ranges(state, column, low, high, expected, words):
    one = RangeFilter(state, column)
    answer = type_in(one, low, high)
    assert one._problem == ""
    assert one._answered == answer
    assert state.filters.filters[column] == expected
    assert one._filter["words"] == words or words is None
    type_in(one, "", "")
    assert column not in state.filters.filters


@pytest.mark.parametrize(
    ("column", "low", "high", "problem"),
    [
        ("PatientAge", "80", "60", "upside down"),
        ("PatientAge", HOSTILE, "", HOSTILE),
        ("StudyDate", "2010-13-01", "", "expected YYYY-MM-DD"),
        ("series_size_MB", "much", "", "Size: 'much' is not a number; expected MB"),
        ("instanceCount", "nan", "", "Files: 'nan' is not a number; expected a count"),
    ],
)
def test_a_range_that_is_none_is_explained_and_changes_nothing(state, column, low, high, problem):
    one = RangeFilter(state, column)
    before = state.filters
    answer = type_in(one, low, high)
    assert problem in one._problem
    assert one._answered == answer
    assert state.filters is before
    assert state.message == ""  # said where it was typed, and only there
    type_in(one, "", "")
    assert one._problem == ""


def test_an_earlier_histogram_is_known_to_be_stale(state):
    one = RangeFilter(state, "series_size_MB")
    before = count(one)
    version = one._version
    state.filters = state.filters.where(series_size_MB=(1, 2))
    assert one._version == version  # its own filter changes nothing of it
    state.filters = state.filters.where(Modality="CT")
    assert one._version > version
    assert one._histogram["bars"] == before  # and nothing was counted unasked
    assert sum(series for series, *_ in count(one)) == 422


def test_a_closed_one_costs_no_query(state, monkeypatch):
    one = RangeFilter(state, "PatientAge")
    type(state.filters)  # every question about it would go through histogram
    monkeypatch.setattr(
        type(state.filters), "histogram", lambda *_: pytest.fail("a histogram was counted")
    )
    state.filters = state.filters.where(Modality="CT")
    type_in(one, "60", "")
    assert one._filter["words"] == "≥ 60 years"


def test_shows_filters_set_elsewhere(state):
    one = RangeFilter(state, "StudyDate")
    state.filters = state.filters.where(StudyDate=("2010-01-01", None))
    assert one._filter["words"] == "≥ 2010-01-01"
    state.filters = state.filters.without("StudyDate").where(StudyDate=["2010-04-01", None])
    assert one._filter["words"] == "2010-04-01, (missing)"
    state.filters = state.filters.without("StudyDate").where(StudyDate=(None, None))
    assert one._filter["words"] == "not missing"
    count(one)
    assert one._filter["span"] == [0, 19]
    state.clear()
    assert one._filter["words"] == ""


def test_a_later_request_wins_whatever_arrives_first(state):
    one = RangeFilter(state, "PatientAge")
    latest = ask(one, 9, kind="range", low="70", high="")
    ask(one, 8, kind="range", low="60", high="")
    assert state.filters.filters["PatientAge"] == (70, None)
    assert one._answered == latest
    ask(one, 1, "another", kind="range", low="50", high="")
    assert state.filters.filters["PatientAge"] == (50, None)


def test_a_column_without_any_value(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,PatientAge\n1.1,1,Ann,mine,\n"
    )
    one = RangeFilter(BrowserState(IDCClient(path)), "PatientAge")
    assert count(one) == []
    assert one._histogram["missing"] == 1
    type_in(one, "60", "")
    assert one._filter["span"] == []


def test_a_closed_one_no_longer_follows(state):
    one = RangeFilter(state, "PatientAge")
    one.close()
    state.filters = state.filters.where(PatientAge=(60, 80))
    assert one._filter["words"] == ""


def test_misspelt_names_are_refused(state):
    with pytest.raises(InvalidQueryError, match="'PatientAg'; did you mean 'PatientAge'"):
        RangeFilter(state, "PatientAg")
    with pytest.raises(TypeError, match="RangeFilter has no argument 'layuot'; did you mean 'la"):
        RangeFilter(state, "PatientAge", layuot={})
