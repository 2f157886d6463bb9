"""IDCBrowser: its traits and methods follow the shared state. See also tests/browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ipywidgets import HTML, Widget

from idc_widgets import DownloadError, IDCBrowser, IDCClient, Index, InvalidQueryError
from idc_widgets.query import listed_values
from idc_widgets.widgets.summary import SummaryBar


@pytest.fixture
def browser(client: IDCClient) -> IDCBrowser:
    return IDCBrowser(client, collection_id="nsclc_radiomics")


def test_traits_follow_the_state(browser: IDCBrowser) -> None:
    browser.pick(patients=["LUNG1-365"])
    assert len(browser.selection) == 12
    assert browser.cohort == browser.state.cohort
    browser.state.clear()
    assert browser.filters.filters == {}


def test_filters_can_be_set(browser: IDCBrowser, client: IDCClient) -> None:
    browser.filters = client.cohort(PatientID="LUNG1-365", Modality="CT")
    assert browser.state.filters == browser.filters
    assert len(browser.selection) == 1


def test_invalid_filters_leave_the_browser_as_it_was(browser: IDCBrowser) -> None:
    before = browser.filters
    with pytest.raises(InvalidQueryError, match="another client"):
        browser.filters = IDCClient(Index()).cohort()
    assert browser.filters == browser.state.filters == before


def test_the_choices_are_a_sentence(browser: IDCBrowser, client: IDCClient) -> None:
    choices = browser.children[1]
    assert sentence(choices) == "Series where [Collection = nsclc_radiomics]"
    browser.filters = browser.filters.where(Modality="CT", PatientAge=(60, 80))
    browser.pick(patients=["LUNG1-365"], series=[])
    assert sentence(choices) == (
        "Series where [Modality = CT] and [Age 60 – 80 years] and [Collection = nsclc_radiomics]"
        " of [1 patient picked]"
    )
    browser.state.clear()
    assert sentence(choices) == f"All series of {Index.default().label}"
    browser.filters = client.cohort(collection_id="nsclc_radiomics", Modality="MR")
    assert choices._lead == "To see series again, remove one of:"
    assert browser._summary._problem == "No series matches all filters."


def sentence(choices: SummaryBar) -> str:
    chips = [f"{chip['before']} [{chip['text']}]" for chip in choices._chips]
    return " ".join([choices._lead, *chips])


def test_the_browser_has_few_models(client: IDCClient) -> None:
    with opened_models() as models:
        browser = IDCBrowser(client)
    assert 0 < len(models) <= 25, sorted(models)
    with opened_models() as models:
        browser._filters.expanded = True
    assert models  # the second row of filters is made when it is needed


@contextmanager
def opened_models() -> Iterator[list[str]]:
    names: list[str] = []
    Widget.on_widget_constructed(lambda widget: names.append(type(widget).__name__))
    try:
        yield names
    finally:
        Widget.on_widget_constructed(None)


def test_another_browser_on_the_same_state(browser: IDCBrowser) -> None:
    browser.pick(patients=["LUNG1-365"])
    browser._frame._sizes = {"upper": 150}
    again = IDCBrowser(state=browser.state)
    assert again.selection == browser.selection
    assert again.client is browser.client
    assert again._frame._sizes == {"upper": 150}
    browser.close()
    assert len(again.selection) == 12
    again.pick(patients=[])
    assert len(again.selection) == 4926
    for keywords in ({"client": again.client}, {"Modality": "CT"}):
        with pytest.raises(TypeError, match="pass a state, or a client and filters"):
            IDCBrowser(state=again.state, **keywords)  # type: ignore[arg-type]


def test_a_widget_beside_the_series(browser: IDCBrowser) -> None:
    before = browser.children
    first, second = HTML("first"), HTML("second")
    browser.beside = first
    browser.beside = second
    assert [*browser.children[:-3], *browser.children[-2:]] == list(before)
    assert browser.children[-3] is browser.beside is second
    assert "idc-part-beside" in second._dom_classes
    assert "idc-part-beside" not in first._dom_classes
    browser.beside = None
    assert browser.children == before
    browser.beside = second
    browser.close()
    assert second.comm is not None, "the widget belongs to the user"
    assert "idc-part-beside" not in second._dom_classes
    second.close()


def test_the_details_of_a_row_leave_the_parts_in_place(browser: IDCBrowser) -> None:
    before = browser.children
    details = browser._details
    browser._grids[0]._show_details(("nsclc_radiomics", "LUNG1-365"))
    assert details.is_open
    assert browser.children == before, "a front end would draw all parts after it again"
    browser.close()
    assert details.comm is None


def test_misspelled_arguments_raise_errors(client: IDCClient) -> None:
    with pytest.raises(TypeError, match="IDCBrowser has no argument 'Modalty'; did you mean 'Moda"):
        IDCBrowser(client, Modalty="CT")


def test_an_observer_that_raises_leaves_no_part_behind(browser: IDCBrowser) -> None:
    def boom(_change: Any) -> None:
        raise ZeroDivisionError("boom")

    for name in ("filters", "selection"):
        browser.observe(boom, name)
    dropdown = browser._filters.dropdowns["Modality"]
    content = {"kind": "choose", "view": "page", "number": 1, "values": ["CT"]}
    dropdown._handle_custom_msg(content, [])
    assert browser.state.message == "ZeroDivisionError: boom"
    assert listed_values(browser.filters.conditions, "Modality") == ("CT",)
    assert browser.selection == browser.state.selection
    assert dropdown._chosen == ["CT"]
    assert browser._summary._counts[3] == ["422", "series"]
    assert browser._download._offer["text"].startswith("Download all 422 series")
    with pytest.raises(ZeroDivisionError):
        browser.filters = browser.client.cohort(Modality="SEG")
    assert dropdown._chosen == ["SEG"]


def test_observers_of_the_browser_get_old_and_new_values(browser: IDCBrowser) -> None:
    before, changes = browser.filters, []
    browser.observe(changes.append, ["filters", "selection"])
    browser.state.filter_values("Modality", ["CT"])
    assert [change["name"] for change in changes] == ["filters", "selection"]
    assert changes[0]["owner"] is browser
    assert (changes[0]["old"], changes[0]["new"]) == (before, browser.filters)


def test_a_cell_after_a_click_sees_the_click(browser: IDCBrowser) -> None:
    """Run Python code in one thread while another thread handles a click."""
    entered = threading.Event()
    seen: list[Any] = []

    def view() -> None:
        entered.set()  # the other parts of the browser are not updated yet
        cell.join(0.3)

    def click() -> None:
        assert entered.wait(30)
        seen.append((listed_values(browser.filters.conditions, "Modality"), len(browser.selection)))

    browser.state.turns.mark(view)
    cell = threading.Thread(target=click)
    cell.start()
    browser.state.filter_values("Modality", ["CT"])
    cell.join(30)
    assert seen == [(("CT",), 422)]


def test_a_download_may_be_started_by_an_observer(
    browser: IDCBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Any] = []

    def plan(selection: Any, *_args: Any, **_keywords: Any) -> Any:
        planned.append(selection)
        raise DownloadError("no network in this test")

    monkeypatch.setattr(type(browser.selection), "plan", plan)

    def observer(_change: Any) -> None:
        with pytest.raises(DownloadError):
            browser.download()

    browser.observe(observer, "selection")
    browser.pick(patients=["LUNG1-365"])
    assert planned == [browser.selection]


@pytest.mark.parametrize(("grid", "title"), [(0, "Patient"), (1, "Study"), (2, "Series")])
def test_each_grid_opens_the_details_of_a_row(browser: IDCBrowser, grid: int, title: str) -> None:
    shown = browser._grids[grid]
    widget = shown._view.widget
    widget._handle_custom_msg({"kind": "details", "generation": 0, "row": 3}, [])
    assert browser._details._content["title"] == f"{title} details"
    assert browser.children.index(browser._details) == browser.children.index(browser._grids[2]) + 1
