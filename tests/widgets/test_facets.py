"""Dropdowns with counts: what they show, and the effect of a click."""

from __future__ import annotations

import itertools

import pytest
from support.own_table import OwnTable

from idc_widgets.client import IDCClient
from idc_widgets.errors import InvalidQueryError
from idc_widgets.query import listed_values
from idc_widgets.widgets import facets
from idc_widgets.widgets.facets import FacetDropdown, FacetPanel
from idc_widgets.widgets.ranges import RangeFilter
from idc_widgets.widgets.state import BrowserState

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def own(own_table: OwnTable) -> IDCClient:
    """Return a client of a small table: four series, of which one has no Modality."""
    rows = (f'1.1,1,Ann,mine,"{HOSTILE}"', "1.2,1,Ann,mine,CT", "1.3,2,Bob,mine,CT")
    return own_table("Modality", *rows, "1.4,2,Bob,mine,")


numbers = itertools.count(1)


def choose(
    dropdown: FacetDropdown, values: list, view: str = "view", number: int | None = None
) -> str:
    """Send what the front end sends when values are ticked; return the answer it waits for."""
    number = number or next(numbers)
    content = {"kind": "choose", "view": view, "number": number, "values": values}
    dropdown._handle_custom_msg(content, [])
    return f"{view}:{number}"


def test_a_dropdown_shows_the_counts_of_the_cohort(state):
    dropdown = FacetDropdown(state, "Modality")
    expected = state.filters.facets(["Modality"])["Modality"]
    assert dropdown._label == "Modality"
    assert dropdown._values == [[v.value, v.series, v.patients] for v in expected]
    assert dropdown._values[0][1] > dropdown._values[-1][1]
    assert dropdown._distinct == len(expected)
    assert dropdown._chosen == []


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("collection_id", "Collection"),
        ("BodyPartExamined", "Body part"),
        ("PatientSex", "Sex"),
        ("license_short_name", "License"),
        ("StudyDescription", "Study description"),
    ],
)
def test_label_and_tooltip(state, column, label):
    dropdown = FacetDropdown(state, column)
    assert (dropdown._label, dropdown._column) == (label, column)


def test_a_click_filters_and_is_answered(state):
    modality, sex = FacetDropdown(state, "Modality"), FacetDropdown(state, "PatientSex")
    before = sex._values
    answer = choose(modality, ["CT", "SEG"])
    assert listed_values(state.filters.conditions, "Modality") == ("CT", "SEG")
    assert modality._chosen == ["CT", "SEG"]
    assert modality._answered == answer
    assert len(modality._values) > 2  # counts ignore the filter on their own column
    assert sex._values != before
    choose(modality, [])
    assert listed_values(state.filters.conditions, "Modality") == ()
    assert sex._values == before


def test_missing_values_round_trip(own):
    state = BrowserState(own)
    dropdown = FacetDropdown(state, "Modality")
    assert [None, 1, 1] in dropdown._values
    choose(dropdown, [None, HOSTILE])
    assert set(listed_values(state.filters.conditions, "Modality")) == {None, HOSTILE}
    assert sorted(state.selection.uids) == ["1.1", "1.4"]
    assert set(dropdown._chosen) == {None, HOSTILE}


def test_filters_set_elsewhere_are_shown(state):
    dropdown = FacetDropdown(state, "Modality")
    state.filters = state.filters.where(Modality="CT")
    assert dropdown._chosen == ["CT"]


def test_a_chosen_value_stays_listed_when_no_series_has_it(own):
    state = BrowserState(own, Modality=HOSTILE)
    dropdown = FacetDropdown(state, "Modality")
    state.filters = state.filters.where(PatientID="Bob")
    assert [HOSTILE, 0, 0] in dropdown._values
    assert dropdown._distinct == len(dropdown._values) == 3


def test_an_invalid_choice_is_reported_and_answered(state):
    dropdown = FacetDropdown(state, "Modality")
    answer = choose(dropdown, ["XX"])
    assert "unknown Modality 'XX'" in state.message
    assert dropdown._chosen == []
    assert dropdown._answered == answer
    choose(dropdown, ["CT"])
    assert state.message == ""
    choose(FacetDropdown(state, "BodyPartExamined"), ["HOME"])
    assert "unknown Body part 'HOME'" in state.message


def test_all_but_the_ticked_values(state):
    modality, sex = FacetDropdown(state, "Modality"), FacetDropdown(state, "PatientSex")
    before = modality._values, sex._values
    content = {"kind": "choose", "view": "view", "number": next(numbers), "exclude": True}
    modality._handle_custom_msg({**content, "values": ["SEG", "RTSTRUCT"]}, [])
    assert state.filters == state.client.cohort(collection_id="nsclc_radiomics").exclude(
        Modality=["RTSTRUCT", "SEG"]
    )
    assert (modality._chosen, modality._excludes) == (["RTSTRUCT", "SEG"], True)
    assert modality._values == before[0]  # a dropdown ignores the filters on its own column
    assert sex._values != before[1]
    assert "Modality: all but RTSTRUCT, SEG" in modality._static_view().to_text()
    choose(modality, ["CT"])
    assert state.filters.filters["Modality"] == "CT"
    assert "exclude" not in state.filters.filters
    assert (modality._chosen, modality._excludes) == (["CT"], False)
    state.filters = state.filters.exclude(Modality="SEG")
    assert (modality._chosen, modality._excludes) == (["CT"], False)
    state.filter_values("Modality", [None], exclude=True)
    assert (modality._chosen, modality._excludes) == ([None], True)
    choose(modality, [])
    assert (modality._chosen, modality._excludes) == ([], False)
    assert state.filters.filters == {"collection_id": "nsclc_radiomics"}


def test_excluded_values_stay_listed(own):
    state = BrowserState(own)
    dropdown = FacetDropdown(state, "Modality")
    state.filters = state.filters.exclude(Modality=HOSTILE).where(PatientID="Bob")
    assert [HOSTILE, 0, 0] in dropdown._values


def test_titles_are_sent_when_they_are_asked_for(state):
    dropdown = FacetDropdown(state, "collection_id")
    assert dropdown._has_notes
    assert dropdown._notes == {}
    dropdown._handle_custom_msg({"kind": "notes"}, [])
    title, description = dropdown._notes["nsclc_radiomics"]
    assert title == "Data From NSCLC-Radiomics"
    assert description.startswith("This collection contains images from 422")
    assert not FacetDropdown(state, "Modality")._has_notes


def test_the_click_that_was_sent_last_wins_in_any_order(state):
    dropdown = FacetDropdown(state, "Modality")
    latest = choose(dropdown, ["CT", "SEG"], number=9)
    choose(dropdown, ["CT"], number=8)
    assert dropdown._chosen == ["CT", "SEG"]
    assert dropdown._answered == latest
    choose(dropdown, ["SR"], view="another", number=1)
    assert dropdown._chosen == ["SR"]


def test_very_many_values_are_not_all_sent(client, monkeypatch):
    monkeypatch.setattr(facets, "MAX_LISTED_VALUES", 50)
    state = BrowserState(client, collection_id="nsclc_radiomics")
    dropdown = FacetDropdown(state, "PatientID")
    assert len(dropdown._values) == 50
    assert dropdown._distinct == 422
    rare = sorted({f"LUNG1-{i:03}" for i in range(1, 423)} - {v[0] for v in dropdown._values})[0]
    choose(dropdown, [rare])
    assert rare in [value[0] for value in dropdown._values]
    assert dropdown._distinct == 422


def test_the_panel_has_the_usual_columns(state):
    panel = FacetPanel(state)
    assert [dropdown._label for dropdown in panel.children] == [
        *("Collection", "Modality", "Body part", "Sex", "Manufacturer", "License")
    ]


def test_misspelled_names_raise_errors(state):
    with pytest.raises(InvalidQueryError, match="unknown column 'Modalty'; did you mean 'Modality"):
        FacetDropdown(state, "Modalty")
    with pytest.raises(TypeError, match="FacetDropdown has no argument 'layuot'; did you mean 'la"):
        FacetDropdown(state, "Modality", layuot={})
    with pytest.raises(TypeError, match="FacetPanel has no argument 'colums'; did you mean 'colum"):
        FacetPanel(state, colums=["Modality"])
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        FacetPanel(state, ["modalit"])


def test_widgets_take_short_names_of_columns(client: IDCClient) -> None:
    state = BrowserState(client)
    assert FacetDropdown(state, "sex").column == "PatientSex"
    assert list(FacetPanel(state, ["sex", "modality"]).dropdowns) == ["PatientSex", "Modality"]
    assert RangeFilter(state, "age").column == "PatientAge"
