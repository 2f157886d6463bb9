"""IDCBrowser: its traits and methods follow the shared state. tests/browser has the rest."""

from __future__ import annotations

import pytest

from idc_widgets import IDCBrowser, IDCClient, Index, InvalidQueryError


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


def test_the_summary_has_no_chip_for_visible_filters(browser: IDCBrowser) -> None:
    assert "PatientAge" not in browser._summary.columns
    browser._filters.expanded = True
    assert "PatientAge" in browser._summary.columns


def test_misspelt_arguments_raise_errors(client: IDCClient) -> None:
    with pytest.raises(TypeError, match="IDCBrowser has no argument 'Modalty'; did you mean 'Moda"):
        IDCBrowser(client, Modalty="CT")
