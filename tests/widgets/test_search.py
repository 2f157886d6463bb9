"""The search box: it filters by words as they are typed, and by lists of UIDs."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets.widgets.search import SearchBox
from idc_widgets.widgets.state import BrowserState

HOSTILE = "<img src=x onerror=alert(1)>"
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
UNKNOWN = "1.2.840.99999.1"


@pytest.fixture
def box(state) -> SearchBox:
    return SearchBox(state)


numbers = itertools.count(1)


def send(box: SearchBox, number: int | None = None, view: str = "view", **content: str) -> str:
    """Send a request of the front end; return the answer that it waits for."""
    number = number or next(numbers)
    box._handle_custom_msg({"kind": "search", "view": view, "number": number, **content}, [])
    return f"{view}:{number}"


def test_words_filter_and_stay_as_they_were_typed(state, box):
    answer = send(box, text="LUNG1-365 Lung1 ")
    assert state.filters.filters["text"] == "lung1 lung1-365"
    assert box._text == "LUNG1-365 Lung1 "
    assert box._answered == answer
    assert len(state.selection) == 12
    send(box, text="lung1 lung1-365")  # the same words in another order
    assert box._text == "lung1 lung1-365"
    send(box, text="  ")
    assert "text" not in state.filters.filters
    assert box._text.strip() == ""


def test_words_replace_earlier_words(state, box):
    send(box, text="lung1-365")
    send(box, text="lung1-001")
    assert state.filters.filters["text"] == "lung1-001"
    assert "collection_id" in state.filters.filters  # other filters stay


def test_hostile_words_are_words(state, box):
    send(box, text=HOSTILE)
    assert box._text == HOSTILE
    assert len(state.selection) == 0
    assert state.message == box._problem == ""


def test_uids_filter_and_the_result_is_shown(state, box):
    answer = send(box, uids=f"{CT}\n{STUDY}\n{UNKNOWN}\n")
    assert box._answered == answer
    assert box._uids == {
        "count": "3 UIDs",
        "found": f"2 of 3 UIDs found; 1 unknown: {UNKNOWN}",
        "unknown": UNKNOWN,
    }
    assert set(state.filters.filters["uids"]) == {CT, STUDY}
    assert len(state.selection) == 12
    send(box, text="ct")
    assert box._uids["count"] == "3 UIDs"  # the UIDs and the words both filter
    assert box._text == "ct"
    send(box, uids="")
    assert box._uids == {}
    assert set(state.filters.filters) == {"collection_id", "text"}


def test_a_typed_list_of_uids_is_not_searched_as_words(state, box):
    send(box, text=f"{CT} {STUDY}")
    send(box, uids=f"{CT} {STUDY}", text="")
    assert set(state.filters.filters) == {"collection_id", "uids"}
    assert box._text == ""


def test_one_unknown_uid_is_searched_as_words(state, box):
    send(box, uids=CT[:40])
    assert state.filters.filters["text"] == CT[:40]
    assert box._text == CT[:40]
    assert box._uids == {}
    assert CT in state.selection.uids
    send(box, uids=CT[:30], text="")  # as if a person had typed it in the box
    assert box._text == CT[:30]


def test_only_unknown_uids_match_nothing(state, box):
    send(box, uids=f"{UNKNOWN} {UNKNOWN}.2")
    assert box._uids["found"].startswith("0 of 2 UIDs found; 2 unknown")
    assert box._uids["unknown"].splitlines() == [UNKNOWN, f"{UNKNOWN}.2"]
    assert len(state.selection) == 0


def test_an_invalid_list_of_uids_is_explained_and_changes_nothing(state, box):
    send(box, uids=CT, text="Lung1")
    before, shown = state.filters, box._uids
    answer = send(box, uids=f"{STUDY}\n{HOSTILE}\n", text="")
    assert box._problem.startswith("line 2: '<img' is not a UID")
    assert box._answered == answer
    assert (state.filters, box._uids, box._text) == (before, shown, "Lung1")
    assert state.message == ""
    send(box, text="lung1-365")
    assert box._problem == ""


def test_a_problem_disappears_with_the_next_filter_set_elsewhere(state, box):
    send(box, uids="no\nuids")
    assert box._problem
    state.clear()
    assert box._problem == ""


def test_filters_set_elsewhere_are_shown(state, box):
    send(box, text="Lung1")
    state.filters = state.filters.without("text").where(text="Kernel lung")
    assert box._text == "kernel lung"
    state.filters = state.filters.without("text").of_uids([CT])
    assert (box._text, box._uids["count"], box._uids["found"]) == ("", "1 UID", "")
    state.clear()
    assert (box._text, box._uids) == ("", {})
    assert SearchBox(BrowserState(state.client, text="lung1"))._text == "lung1"


def test_the_request_that_was_sent_last_wins_in_any_order(state, box):
    latest = send(box, 9, text="lung1-365")
    send(box, 8, text="lung1")
    assert state.filters.filters["text"] == "lung1-365"
    assert box._answered == latest
    send(box, 1, "another", text="lung1-001")
    assert state.filters.filters["text"] == "lung1-001"


def test_invalid_messages_do_nothing(state, box):
    box._handle_custom_msg({"kind": "rubbish"}, [])
    assert send(box, uids=7) == box._answered  # type: ignore[arg-type]
    assert set(state.filters.filters) == {"collection_id"}


def test_a_closed_box_no_longer_follows(state, box):
    box.close()
    state.filters = state.filters.where(text="lung1")
    assert box._text == ""


def test_misspelled_arguments_raise_errors(state):
    with pytest.raises(TypeError, match="SearchBox has no argument 'layuot'; did you mean 'layout"):
        SearchBox(state, layuot={})
