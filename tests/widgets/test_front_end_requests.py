"""Requests of a page view: the one that was sent last wins, in whatever order they arrive."""

from __future__ import annotations

from typing import Any

import pytest

from idc_widgets import BrowserState, FacetDropdown, IDCClient
from idc_widgets.query import listed_values
from idc_widgets.widgets.front_end_requests import FrontEndRequests


def test_an_outdated_request_is_not_accepted(client: IDCClient) -> None:
    requests = FrontEndRequests(BrowserState(client))
    assert requests.accept({"view": "a", "number": 2}) == "a:2"
    assert requests.accept({"view": "a", "number": 1}) is None
    assert requests.accept({"view": "a", "number": 2}) is None
    assert requests.accept({"view": "a", "number": 3}) == "a:3"


def test_page_views_number_their_requests_independently(client: IDCClient) -> None:
    requests = FrontEndRequests(BrowserState(client))
    assert requests.accept({"view": "a", "number": 7}) == "a:7"
    assert requests.accept({"view": "b", "number": 1}) == "b:1"


def choose(dropdown: FacetDropdown, number: int, *values: str) -> None:
    content = {"kind": "choose", "view": "a", "number": number, "values": list(values)}
    dropdown._handle_custom_msg(content, [])


@pytest.fixture
def dropdown(client: IDCClient) -> FacetDropdown:
    return FacetDropdown(BrowserState(client), "Modality")


def test_a_request_is_answered_whatever_happens(dropdown: FacetDropdown) -> None:
    choose(dropdown, 1, "no such modality")
    assert dropdown._answered == "a:1"
    assert "no such modality" in dropdown.state.message


def test_a_repeated_request_is_answered_and_not_carried_out(
    dropdown: FacetDropdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    choose(dropdown, 1, "CT")
    dropdown.state.filters = dropdown.state.filters.without("Modality")
    monkeypatch.setattr(
        dropdown, "send_state", lambda names: sent.append(dropdown.get_state(names))
    )
    choose(dropdown, 1, "CT")
    assert listed_values(dropdown.state.filters.conditions, "Modality") == ()
    (answer,) = sent
    assert answer["_answered"] == "a:1"
    assert answer["_values"] == dropdown._values
    assert "_esm" not in answer


def test_an_outdated_request_is_neither_carried_out_nor_answered(dropdown: FacetDropdown) -> None:
    choose(dropdown, 2, "CT")
    choose(dropdown, 1, "MR")
    assert dropdown._answered == "a:2"
    assert listed_values(dropdown.state.filters.conditions, "Modality") == ("CT",)


def test_a_repeated_request_waits_for_the_first(dropdown: FacetDropdown) -> None:
    answered: list[str] = []
    requests, content = FrontEndRequests(dropdown.state), {"view": "a", "number": 1}

    def work(request: str) -> None:
        requests.carry_out(dropdown, content, work, answered.append)
        assert answered == []

    requests.carry_out(dropdown, content, work, answered.append)
    assert answered == ["a:1"]
