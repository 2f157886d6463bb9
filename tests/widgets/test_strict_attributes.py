"""Attributes that nothing listens to: assigning or observing them raises an error."""

from __future__ import annotations

from typing import Any

import pytest

from idc_widgets import (
    BrowserState,
    FacetDropdown,
    IDCBrowser,
    IDCClient,
    InvalidQueryError,
    RangeFilter,
    SearchBox,
    SeriesGrid,
)


@pytest.fixture(scope="module")
def browser(client: IDCClient) -> Any:
    browser = IDCBrowser(client, collection_id="nsclc_radiomics")
    yield browser
    browser.close()


def test_unknown_attributes_are_refused(browser: IDCBrowser) -> None:
    untyped: Any = browser
    with pytest.raises(
        AttributeError, match=r"assign \.filters = \.filters\.where\(collection_id="
    ):
        untyped.collection_id = "nlst"
    with pytest.raises(
        AttributeError, match=r"BrowserState has no attribute 'pateints'.*'patients'"
    ):
        untyped.state.pateints = []
    for part in (
        FacetDropdown(browser.state, "Modality"),
        RangeFilter(browser.state, "PatientAge"),
        SearchBox(browser.state),
        SeriesGrid(browser.state),
    ):
        changed: Any = part
        with pytest.raises(
            AttributeError, match=f"{type(part).__name__} has no attribute 'vlaues'"
        ):
            changed.vlaues = "CT"
        part.close()


def test_known_attributes_can_be_assigned(client: IDCClient) -> None:
    class Mine(IDCBrowser):
        note = ""

        def __init__(self) -> None:
            super().__init__(client)
            self.own = 1

    mine: Any = Mine()
    mine.own, mine.note, mine._private = 2, "a", 3
    mine.filters = mine.filters.where(Modality="CT")
    mine.layout.width = "50%"
    mine.beside = None
    with pytest.raises(AttributeError, match="Mine has no attribute 'onw'"):
        mine.onw = 3
    mine.close()


def test_unknown_traits_cannot_be_observed(browser: IDCBrowser) -> None:
    seen: list[Any] = []
    with pytest.raises(AttributeError, match="no trait 'selections'; did you mean 'selection'"):
        browser.observe(seen.append, "selections")
    with pytest.raises(AttributeError, match=r"\.state\.observe\(\.\.\., 'message'\)"):
        browser.observe(seen.append, ["filters", "message"])
    with pytest.raises(AttributeError, match="job is an attribute that cannot be observed"):
        browser.observe(seen.append, "job")
    with pytest.raises(AttributeError, match=r"BrowserState has no trait 'cohrt'.*'cohort'"):
        browser.state.observe(seen.append, "cohrt")
    browser.pick(patients=["LUNG1-365"])
    assert seen == []
    browser.observe(seen.append, "cohort")
    browser.observe(seen.append)
    browser.unobserve(seen.append)
    browser.pick(patients=[])
    assert [change["new"] for change in seen] == [browser.cohort]


@pytest.mark.parametrize(
    ("trait", "value"),
    [("patients", ("nlst", "no such")), ("studies", "1.2.3"), ("series", "1.2.3")],
)
def test_assigning_unknown_picks_raises_an_error(client: IDCClient, trait: str, value: Any) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    state.pick(patients=["LUNG1-365"])
    before = state.selection
    with pytest.raises(InvalidQueryError, match="is not among the"):
        setattr(state, trait, [value])
    assert state.selection == before
    setattr(state, trait, [])
