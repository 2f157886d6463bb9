"""The order of requests: a later request of a view wins, even if it arrives first."""

from __future__ import annotations

from idc_widgets.widgets.front_end_requests import FrontEndRequests


def test_an_outdated_request_is_not_accepted() -> None:
    requests = FrontEndRequests()
    assert requests.accept({"view": "a", "number": 2}) == "a:2"
    assert requests.accept({"view": "a", "number": 1}) is None
    assert requests.accept({"view": "a", "number": 2}) is None
    assert requests.accept({"view": "a", "number": 3}) == "a:3"


def test_views_number_their_requests_independently() -> None:
    requests = FrontEndRequests()
    assert requests.accept({"view": "a", "number": 7}) == "a:7"
    assert requests.accept({"view": "b", "number": 1}) == "b:1"
