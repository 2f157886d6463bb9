"""The order of requests: a later request of a page view wins, even if it arrives first."""

from __future__ import annotations

from idc_widgets import BrowserState
from idc_widgets.widgets.front_end_requests import FrontEndRequests


def test_an_outdated_request_is_not_accepted() -> None:
    requests = FrontEndRequests()
    assert requests.accept({"view": "a", "number": 2}) == "a:2"
    assert requests.accept({"view": "a", "number": 1}) is None
    assert requests.accept({"view": "a", "number": 2}) is None
    assert requests.accept({"view": "a", "number": 3}) == "a:3"


def test_page_views_number_their_requests_independently() -> None:
    requests = FrontEndRequests()
    assert requests.accept({"view": "a", "number": 7}) == "a:7"
    assert requests.accept({"view": "b", "number": 1}) == "b:1"


def test_a_request_is_answered_even_after_an_error() -> None:
    requests, state = FrontEndRequests(), BrowserState()
    answered: list[str] = []

    def fail(request: str) -> None:
        raise ValueError(request)

    requests.carry_out({"view": "a", "number": 1}, state, fail, answered.append)
    assert (answered, state.message) == (["a:1"], "ValueError: a:1")
    requests.carry_out({"view": "a", "number": 1}, state, fail, answered.append)
    assert answered == ["a:1"], "an outdated request is neither carried out nor answered"
