"""The distributions under the headers of a grid: what they count, when, and what a click does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.bruteforce import BruteForce, whole_index
from support.downloads import until

from idc_widgets import (
    BrowserState,
    IDCClient,
    InvalidQueryError,
    PatientGrid,
    SeriesGrid,
    StudyGrid,
)
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.index import FACETS, MORE_FACETS, RANGES
from idc_widgets.query import listed_values
from idc_widgets.widgets.grid import distributions
from idc_widgets.widgets.grid.columns import possible_columns

HOSTILE = "<img src=x onerror=alert(1)>"

numbers = itertools.count(1)


def choose(grid: Any, number: int | None = None, **content: Any) -> str:
    """Send what a page sends after a click; return the answer that it waits for."""
    number = number or next(numbers)
    message = {"kind": "choose", "view": "page", "number": number, **content}
    grid._view.widget._handle_custom_msg(message, [])
    return f"page:{number}"


def request(grid: Any) -> dict[str, Any]:
    """Request distributions as a page does; return them by column."""
    widget = grid._view.widget
    before = widget._bars.get("number", 0)
    message = {"kind": "bars", "generation": widget._source["generation"]}
    widget._handle_custom_msg({"view": "page", **message}, [])
    until(lambda: widget._bars.get("number", 0) > before)
    columns: dict[str, Any] = widget._bars["columns"]
    return columns


def counts(distribution: dict[str, Any], at: int) -> dict[Any, int]:
    return {bar[3]: bar[at] for bar in distribution["bars"]}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everything": ({}, {}),
    "values": ({"Modality": ["CT", "PT"], "PatientSex": ["F", None]}, {}),
    "ranges": (
        {"Modality": "CT", "series_size_MB": (10, 123.4), "StudyDate": (None, "2005-06-07")},
        {},
    ),
    "text": ({"text": "lung", "license_short_name": "CC BY 4.0"}, {}),
    "picks": (
        {"collection_id": "nsclc_radiomics", "Modality": ["CT", "SEG"]},
        {"patients": ["LUNG1-001", "LUNG1-365"]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_counts_equal_brute_force(client: IDCClient, case: str) -> None:
    filters, picks = CASES[case]
    state = BrowserState(client, **filters)
    state.pick(**picks)
    table = whole_index()
    for kind in (PatientGrid, StudyGrid, SeriesGrid):
        state.columns = {kind._level: [one.name for one in possible_columns(kind._level)]}
        grid = kind(state)
        steps: list[Any] = [(name, value) for name, value in filters.items()]
        if picks and kind is not PatientGrid:
            steps.append(("patients", [("nsclc_radiomics", one) for one in picks["patients"]]))
        counted = request(grid)
        shown = {one.name for one in possible_columns(kind._level)}
        assert counted.keys() == shown & {*FACETS, *MORE_FACETS, *RANGES}
        for column, distribution in counted.items():
            check(table, steps, column, distribution, by_patient=kind is PatientGrid)
        grid.close()


def check(
    table: BruteForce, steps: list[Any], column: str, distribution: dict[str, Any], by_patient: bool
) -> None:
    """Compare one distribution with counts over all rows of the index."""
    shown, possible = table.matching(steps), table.matching(steps, ignoring=column)
    if column in RANGES:
        edges = BrowserState().filters.histogram(column).edges
        for at, mask in ((1, shown), (2, possible)):
            series, missing = table.histogram(column, mask, edges)
            assert tuple(counts(distribution, at).values()) == series, column
            if at == 1:
                assert distribution["total"] == sum(series) + missing
        return
    place = 2 if by_patient else 1
    for at, mask in ((1, shown), (2, possible)):
        expected = {value[0]: value[place] for value in table.facet(column, mask)}
        bars = counts(distribution, at)
        assert bars == {value: expected.get(value, 0) for value in bars}, column
        if at == 1:
            assert distribution["total"] == (None if by_patient else sum(expected.values()))
        else:
            least = min(bars.values())
            unlisted = [number for value, number in expected.items() if value not in bars]
            assert len(unlisted) == distribution["others"]
            assert len(bars) <= distributions.MAX_BARS + len(distribution["chosen"])
            if not distribution["chosen"]:
                assert all(number <= least for number in unlisted)


def test_the_outer_bins_of_dates_have_all_earlier_and_later_dates(client: IDCClient) -> None:
    everything = client.cohort()
    columns = ["StudyDate", "PatientAge"]
    counted = distributions.distributions_of(everything, everything, "series", columns)
    dates = counted["StudyDate"]
    assert (dates["edges"][0], dates["edges"][-1]) == ("≤ 1986", "≥ 2018")
    assert (dates["bars"][0][0], dates["bars"][-1][0]) == ("≤ 1986-09-30", "≥ 2018-04-01")
    assert (
        sum(bar[1] for bar in dates["bars"])
        == everything.where(StudyDate=(None, None)).summary().series
    )
    assert counted["PatientAge"]["edges"][0] == "0"
    assert (dates["edge_unit"], counted["PatientAge"]["edge_unit"]) == ("", "years")


def test_nothing_is_counted_until_a_page_requests_it(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    real = distributions.distributions_of

    def counting(*arguments: Any) -> Any:
        counted.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(distributions, "distributions_of", counting)
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    state.filter_values("Modality", ["CT"])
    assert (counted, grid._view.widget._bars) == ([], {})
    before = request(grid)
    assert len(counted) == 1
    grid._view.request_next_sort("PatientID")
    assert request(grid) == before
    assert len(counted) == 1  # the same rows in another order
    old = grid._view.widget._source["generation"]
    state.filter_values("Modality", ["SEG"])
    grid._view.widget._handle_custom_msg({"kind": "bars", "generation": old}, [])
    assert not grid._view.handlers["bars"].__self__._is_counting  # type: ignore[attr-defined]
    assert len(counted) == 1
    grid.close()


def test_counts_of_rows_that_are_gone_are_dropped(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    widget = grid._view.widget
    real = distributions.distributions_of
    asked: list[Any] = []

    def slow(cohort: Any, *rest: Any) -> Any:
        asked.append(cohort)
        if len(asked) == 1:
            # Clicks do not wait for counts: this click comes while the thread counts.
            state.filter_values("Modality", ["SEG"])
            message = {"kind": "bars", "generation": widget._source["generation"]}
            widget._handle_custom_msg(message, [])
        return real(cohort, *rest)

    monkeypatch.setattr(distributions, "distributions_of", slow)
    shown = request(grid)
    assert widget._bars["number"] == 1
    assert widget._bars["generation"] == widget._source["generation"]
    assert counts(shown["Modality"], 1)["CT"] == 0
    assert asked[1] == state.cohort
    grid.close()


def test_an_interrupted_count_shows_nothing_and_an_error_is_shown(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = StudyGrid(state)
    errors: list[Exception] = [QueryInterruptedError("interrupted"), InvalidQueryError("no disk")]

    def failing(*_arguments: Any) -> Any:
        raise errors.pop(0)

    with monkeypatch.context() as patch:
        patch.setattr(distributions, "distributions_of", failing)
        message = {"kind": "bars", "generation": grid._view.widget._source["generation"]}
        grid._view.widget._handle_custom_msg(message, [])
        until(lambda: not grid._view.handlers["bars"].__self__._is_counting)  # type: ignore[attr-defined]
        assert (grid._view.widget._bars, state.message) == ({}, "")
        assert request(grid) == {}
        assert "no disk" in grid._view.widget._bars["problem"]
        assert state.message == "no disk"
    assert request(grid)["Modality"]["total"] == len(state.selection)
    assert grid._view.widget._bars["problem"] == ""


def test_a_choice_filters_and_is_answered(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    answer = choose(grid, **{"filter:Modality": ["CT", "SEG"]})
    assert grid._view.widget._answered == answer
    assert state.filters.filters["Modality"] == ["CT", "SEG"]
    shown = request(grid)
    assert shown["Modality"]["chosen"] == ["CT", "SEG"]
    # A range and a value in one message, as quick clicks send them.
    choose(grid, **{"filter:Modality": ["CT"], "filter:PatientAge": [14, 12]})
    assert listed_values(state.filters.conditions, "Modality") == ("CT",)
    low, high = state.filters.filters["PatientAge"]
    assert low == 60 and 74 < high < 75
    assert request(PatientGrid(state))["PatientAge"]["chosen"] == [12, 14]
    choose(grid, **{"filter:Modality": [], "filter:PatientAge": []})
    assert list(state.filters.filters) == ["collection_id"]
    choose(grid, **{"filter:series_size_MB": [0, 19]})  # all bins: no filter
    assert list(state.filters.filters) == ["collection_id"]


def test_a_choice_is_carried_out_once(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    number = next(numbers)
    answer = choose(grid, number, **{"filter:Modality": ["CT"]})
    state.filter_values("Modality", ["SEG"])
    again: list[Any] = []
    grid._view.widget.send_state = again.append
    assert choose(grid, number, **{"filter:Modality": ["CT"]}) == answer
    assert listed_values(state.filters.conditions, "Modality") == ("SEG",)
    assert "_answered" in again[0]


def test_excluded_values_are_not_shown_but_can_be_chosen(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    state.filter_values("Modality", ["CT", "SR"], exclude=True)
    modality = request(grid)["Modality"]
    assert modality["chosen"] == []
    assert counts(modality, 1)["CT"] == 0 < counts(modality, 2)["CT"]
    choose(grid, **{"filter:Modality": ["CT"]})
    assert state.filters.filters["Modality"] == "CT"
    assert "exclude" not in state.filters.filters


def test_a_choice_waits_for_the_clicks_before_it(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    patients, series = PatientGrid(state), SeriesGrid(state)
    first, second = next(numbers), next(numbers)
    order: dict[str, Any] = {"page": f"page with {first}"}
    answer = choose(series, second, after=first, **order, **{"filter:Modality": ["SEG"]})
    assert (listed_values(state.filters.conditions, "Modality"), series._view.widget._answered) == (
        (),
        "",
    )
    choose(patients, first, after=0, **order, **{"filter:Modality": ["CT"]})
    assert listed_values(state.filters.conditions, "Modality") == ("SEG",)
    assert answer in series._view.widget._answered


@pytest.mark.parametrize(
    "content",
    [
        {"filter:Modality": [HOSTILE]},
        {"filter:nonsense": ["CT"]},
        {"filter:PatientID": ["LUNG1-001"]},
        {"filter:PatientAge": ["60", "70"]},
        {"filter:Modality": [{"a": 1}]},
    ],
)
def test_a_wrong_choice_is_refused_and_answered(client: IDCClient, content: dict[str, Any]) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    before = state.filters
    answer = choose(grid, **content)
    assert grid._view.widget._answered == answer
    assert state.filters == before
    assert state.message


def test_the_state_remembers_which_grids_show_distributions(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics", Modality="CT")
    patients, series = PatientGrid(state), SeriesGrid(state)
    assert (state.distributions, series._view.widget._shows_bars) == ({}, False)
    choose(series, shows=True)
    assert state.distributions == {"series": True}
    assert (series._view.widget._shows_bars, patients._view.widget._shows_bars) == (True, False)
    state.distributions = {"patient": True}
    assert (series._view.widget._shows_bars, patients._view.widget._shows_bars) == (False, True)
    assert PatientGrid(state)._view.widget._shows_bars
    assert request(patients)
    state.clear()
    assert state.distributions == {"patient": True}
    choose(patients, shows=False)
    assert patients._view.widget._bars == {}
    # Showing the bars again sends a new message, even if the counts are the same.
    assert request(patients)
    with pytest.raises(InvalidQueryError, match="patient"):
        state.distributions = {"patients": True}


def test_a_closed_grid_counts_nothing(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    grid = SeriesGrid(state)
    widget = grid._view.widget
    grid.close()
    choose(grid, **{"filter:Modality": ["CT"]})
    widget._handle_custom_msg({"kind": "bars", "generation": 0}, [])
    assert "Modality" not in state.filters.filters
    assert widget._bars == {}
