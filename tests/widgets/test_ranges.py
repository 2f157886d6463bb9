"""Range filters: what the histogram shows, and the effect of a chosen or typed range."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets.client import IDCClient
from idc_widgets.errors import InvalidQueryError
from idc_widgets.widgets.ranges import RangeFilter
from idc_widgets.widgets.state import BrowserState

HOSTILE = "<img src=x onerror=alert(1)>"


numbers = itertools.count(1)


def send(widget: RangeFilter, number: int | None = None, view: str = "view", **content) -> str:
    """Send a request of the front end; return the answer that it waits for."""
    number = number or next(numbers)
    widget._handle_custom_msg({"view": view, "number": number, **content}, [])
    return f"{view}:{number}"


def type_in(widget: RangeFilter, low: str, high: str) -> str:
    return send(widget, kind="range", low=low, high=high)


def count(widget: RangeFilter) -> list[list]:
    """Request the histogram as an open popover does; return the bars."""
    widget._handle_custom_msg({"kind": "count"}, [])
    assert widget._histogram["version"] == widget._version
    return widget._histogram["bars"]


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
def test_the_histogram_is_computed_on_request(state, column, label, unit):
    widget = RangeFilter(state, column)
    assert (widget._label, widget._hints["unit"]) == (label, unit)
    assert widget._column == column
    assert widget._histogram == {}  # while the popover is closed, nothing is counted
    expected = state.filters.histogram(column)
    bars = count(widget)
    assert tuple(series for series, *_ in bars) == expected.counts
    assert widget._histogram["missing"] == expected.missing
    # The first bin has no lower limit, and the last bin has no upper limit.
    assert bars[0][2] == bars[-1][3] == ""
    assert len(widget._histogram["axis"]) == 2


def test_a_click_on_bins_filters_and_is_answered(state):
    widget = RangeFilter(state, "PatientAge")
    bars = count(widget)
    answer = send(widget, kind="bins", first=12, last=15)
    assert widget._answered == answer
    low, high = state.filters.filters["PatientAge"]
    assert low == 60 and 79 < high < 80
    assert widget._filter == {
        "words": "60 – 79 years",
        "low": "60",
        "high": "79",
        "span": [12, 15],
    }
    assert len(state.selection) == sum(series for series, *_ in bars[12:16])
    assert count(widget) == bars  # a histogram ignores the filter on its own column
    send(widget, kind="bins", first=12, last=len(bars) - 1)
    assert state.filters.filters["PatientAge"] == (60, None)
    assert widget._filter["words"] == "≥ 60 years"
    send(widget, kind="bins", first=0, last=len(bars) - 1)
    assert "PatientAge" not in state.filters.filters  # the whole range is not a filter
    assert widget._filter == {"words": "", "low": "", "high": "", "span": []}


@pytest.mark.parametrize(
    ("column", "low", "high", "expected", "words"),
    [
        ("PatientAge", "60", "80", (60, 80), "60 – 80 years"),
        ("PatientAge", " 018M ", "", (1.5, None), "≥ 1.5 years"),
        ("StudyDate", "20100101", "2011-12-31", ("2010-01-01", "2011-12-31"), None),
        ("SeriesDate", "", "2010-04-01", (None, "2010-04-01"), "≤ 2010-04-01"),
        ("series_size_MB", ".5", "1,000", (0.5, 1000), "0.5 – 1,000 MB"),
        ("instanceCount", "100", "100", (100, 100), "100"),
        ("instanceCount", "1,000,000", "", (1_000_000, None), "≥ 1,000,000"),
        ("series_size_MB", "1,234.5", "", (1234.5, None), "≥ 1,234.5 MB"),
    ],
)
def test_typed_ranges(state, column, low, high, expected, words):
    widget = RangeFilter(state, column)
    answer = type_in(widget, low, high)
    assert widget._problem == ""
    assert widget._answered == answer
    assert state.filters.filters[column] == expected
    assert widget._filter["words"] == words or words is None
    type_in(widget, "", "")
    assert column not in state.filters.filters


@pytest.mark.parametrize(
    ("column", "low", "high", "problem"),
    [
        ("PatientAge", "80", "60", "upside down"),
        ("PatientAge", HOSTILE, "", HOSTILE),
        ("StudyDate", "2010-13-01", "", "expected YYYY-MM-DD"),
        ("series_size_MB", "much", "", "Size: 'much' is not a number; expected MB"),
        ("series_size_MB", "-5", "", "Size: '-5' is less than 0"),
        ("instanceCount", "nan", "", "Files: 'nan' is not a number; expected a count"),
        ("series_size_MB", "0,5", "", "Size: '0,5' can mean 0.5 or 5; type one of them"),
        ("series_size_MB", "", "1.000,5", "'1.000,5' can mean 1000.5 or 1.0005"),
        ("series_size_MB", "12,34", "", "'12,34' can mean 12.34 or 1234"),
        ("series_size_MB", "0,500", "", "'0,500' can mean 0.5 or 500"),
        ("series_size_MB", ",5", "", "',5' can mean 0.5 or 5"),
        ("instanceCount", "1,0000", "", "'1,0000' can mean 1 or 10000"),
        ("instanceCount", "1,2,3", "", "'1,2,3' is not clear; type 123 if you mean that"),
        ("instanceCount", "1,,000", "", "'1,,000' is not clear; type 1000"),
        ("PatientAge", "1,5", "", "Age: '1,5' can mean 1.5 or 15"),
        ("PatientAge", "1,5Y", "", "'1,5Y' is not an age"),
        ("StudyDate", "01.02.2010", "", "'01.02.2010' is not a date; expected YYYY-MM-DD"),
        ("StudyDate", "01022010", "", "'01022010' is not a date; expected YYYY-MM-DD"),
        ("StudyDate", "02/01/2010", "", "expected YYYY-MM-DD"),
        ("StudyDate", "2010", "", "expected YYYY-MM-DD"),
        ("StudyDate", "2010-02-01", "2009-02-01", "Study date: the range is upside down"),
        ("instanceCount", "9", "1", "Files: the range is upside down, 9 > 1"),
        ("PatientAge", "old", "", "Age: 'old' is not an age"),
        ("SeriesDate", "", "2010-2-1", "expected YYYY-MM-DD"),
    ],
)
def test_an_invalid_range_is_explained_and_changes_nothing(state, column, low, high, problem):
    widget = RangeFilter(state, column)
    before = state.filters
    answer = type_in(widget, low, high)
    assert problem in widget._problem
    assert widget._answered == answer
    assert state.filters is before
    assert state.message == ""  # the problem is shown only beside the typed text
    type_in(widget, "", "")
    assert widget._problem == ""


def test_an_earlier_histogram_is_marked_as_outdated(state):
    widget = RangeFilter(state, "series_size_MB")
    before = count(widget)
    version = widget._version
    state.filters = state.filters.where(series_size_MB=(1, 2))
    assert widget._version == version  # a histogram ignores the filter on its own column
    state.filters = state.filters.where(Modality="CT")
    assert widget._version > version
    assert widget._histogram["bars"] == before  # nothing was counted without a request
    assert sum(series for series, *_ in count(widget)) == 422


def test_without_a_request_nothing_is_counted(state, monkeypatch):
    widget = RangeFilter(state, "PatientAge")
    monkeypatch.setattr(
        type(state.filters), "histogram", lambda *_: pytest.fail("a histogram was counted")
    )
    state.filters = state.filters.where(Modality="CT")
    type_in(widget, "60", "")
    assert widget._filter["words"] == "≥ 60 years"


def test_filters_set_elsewhere_are_shown(state):
    widget = RangeFilter(state, "StudyDate")
    state.filters = state.filters.where(StudyDate=("2010-01-01", None))
    assert widget._filter["words"] == "≥ 2010-01-01"
    state.filters = state.filters.without("StudyDate").where(StudyDate=["2010-04-01", None])
    assert widget._filter["words"] == "2010-04-01, (missing)"
    state.filters = state.filters.without("StudyDate").where(StudyDate=(None, None))
    assert widget._filter["words"] == "not missing"
    count(widget)
    assert widget._filter["span"] == [0, 19]
    state.clear()
    assert widget._filter["words"] == ""


def test_the_request_that_was_sent_last_wins_in_any_order(state):
    widget = RangeFilter(state, "PatientAge")
    latest = send(widget, 9, kind="range", low="70", high="")
    send(widget, 8, kind="range", low="60", high="")
    assert state.filters.filters["PatientAge"] == (70, None)
    assert widget._answered == latest
    send(widget, 1, "another", kind="range", low="50", high="")
    assert state.filters.filters["PatientAge"] == (50, None)


def test_a_column_without_any_value(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,PatientAge\n1.1,1,Ann,mine,\n"
    )
    widget = RangeFilter(BrowserState(IDCClient(path)), "PatientAge")
    assert count(widget) == []
    assert widget._histogram["missing"] == 1
    type_in(widget, "60", "")
    assert widget._filter["span"] == []


def test_a_closed_filter_no_longer_follows(state):
    widget = RangeFilter(state, "PatientAge")
    widget.close()
    state.filters = state.filters.where(PatientAge=(60, 80))
    assert widget._filter["words"] == ""


def test_misspelled_names_raise_errors(state):
    with pytest.raises(InvalidQueryError, match="'PatientAg'; did you mean 'PatientAge'"):
        RangeFilter(state, "PatientAg")
    with pytest.raises(TypeError, match="RangeFilter has no argument 'layuot'; did you mean 'la"):
        RangeFilter(state, "PatientAge", layuot={})
