"""The summary line: what it shows, and what its chips remove."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets.client import IDCClient
from idc_widgets.widgets.state import BrowserState
from idc_widgets.widgets.summary import SummaryBar

HOSTILE = "<img src=x onerror=alert(1)>"

#: The numbers of the requests.
numbers = itertools.count(1)


def texts(bar: SummaryBar) -> list[str]:
    return [chip["text"] for chip in bar._chips]


def click(bar: SummaryBar, kind: str, name: str = "") -> None:
    """Send what the front end sends when an × or a link is clicked."""
    view = f"view-{kind}"
    bar._handle_custom_msg({"kind": kind, "name": name, "view": view, "number": next(numbers)}, [])
    assert bar._answered.split()[-1].startswith(f"{view}:")


def test_the_selection_is_summed_up(state):
    bar = SummaryBar(state)
    assert [" ".join(words) for words in bar._counts] == [
        "1 collection",
        "422 patients",
        "422 studies",
        "4,926 series",
        "55,734 files",
        "45.3 GB",
    ]
    assert dict(bar._licenses)["CC BY-NC 3.0"] is True
    assert dict(bar._licenses)["CC BY 4.0"] is False
    assert bar._problem == ""
    state.pick(patients=["LUNG1-365"])
    assert bar._counts[1] == ["1", "patient"]
    assert bar._counts[3] == ["12", "series"]


def test_only_filters_that_no_dropdown_shows_have_chips(state):
    bar = SummaryBar(state)
    assert bar._chips == []
    assert bar._clearable  # the filter on the collection, which a dropdown shows
    state.filters = state.filters.where(Modality="CT", series_size_MB=(None, 500), text="LUNG1 365")
    assert texts(bar) == ["Size ≤ 500 MB", "Text “365 lung1”"]
    assert texts(SummaryBar(state, columns=["Modality"]))[0] == "Collection = nsclc_radiomics"
    assert texts(SummaryBar(state, columns="Modality"))[0] == "Collection = nsclc_radiomics"


def test_what_is_excluded_has_a_chip_unless_a_dropdown_shows_it(state):
    bar = SummaryBar(state, columns=["Modality", "PatientAge", "text"])
    state.clear()
    state.filters = state.client.cohort().exclude(Modality=["SR", "SEG"])
    assert texts(bar) == []
    assert bar._clearable
    state.filters = state.filters.where(Modality=["CT", "SR"])
    assert texts(bar) == ["Modality = CT, SR and Modality: all but SEG, SR"]
    click(bar, "filter", "Modality")
    assert state.filters == state.client.cohort()
    state.filters = state.filters.exclude(PatientAge=(0, 18), text="phantom", species="Human")
    assert texts(bar) == [
        "Age: all but 0 – 18 years",
        "Species: all but Human",
        "Not: Text “phantom”",
    ]
    click(bar, "filter", "species")
    assert len(texts(bar)) == 2


def test_an_empty_selection_names_what_is_excluded(state):
    bar = SummaryBar(state)
    state.filters = state.filters.exclude(collection_id="nsclc_radiomics", Modality="XC")
    assert bar._problem == "No series matches all filters. Remove one of:"
    assert texts(bar) == [
        "Collection = nsclc_radiomics and Collection: all but nsclc_radiomics",
        "Modality: all but XC",
    ]
    assert bar._chips[0]["hint"] and not bar._chips[1]["hint"]


def test_chips_remove_filters_and_picks(state):
    bar = SummaryBar(state)
    state.filters = state.filters.where(series_size_MB=(1, 500))
    state.pick(patients=["LUNG1-365", "LUNG1-001"])
    state.pick(studies=[state.study_cohort.studies().StudyInstanceUID[0]])
    assert texts(bar) == ["Size 1 – 500 MB", "2 patients picked", "1 study picked"]
    click(bar, "filter", "series_size_MB")
    assert "series_size_MB" not in state.filters.filters
    click(bar, "pick", "patients")
    assert state.patients == ()
    assert texts(bar) == ["1 study picked"]
    click(bar, "pick", "studies")
    assert bar._chips == []


def test_clear_all_is_one_change(state):
    bar = SummaryBar(state)
    state.pick(patients=["LUNG1-365"])
    state.pick(series=[state.cohort.series().SeriesInstanceUID[0]])
    selections = []
    state.observe(lambda change: selections.append(change["new"]), "selection")
    click(bar, "clear")
    assert state.filters == state.client.cohort()
    assert (state.patients, state.studies, state.series) == ((), (), ())
    assert [len(selection) for selection in selections] == [len(state.client.cohort().select())]
    assert bar._chips == []
    assert not bar._clearable


def test_an_empty_selection_offers_filters_to_remove(state):
    bar = SummaryBar(state)
    state.filters = state.filters.where(Modality="XC", PatientSex="F")
    assert bar._counts == bar._licenses == []
    assert bar._problem == "No series matches all filters. Remove one of:"
    assert texts(bar)[0] == "Modality = XC"
    assert bar._chips[0]["hint"] == "→ 1,404 series"
    assert {chip["name"] for chip in bar._chips} == {"Modality", "PatientSex", "collection_id"}
    assert [chip["hint"] for chip in bar._chips[1:]] == [
        "",
        "",
    ]  # after the removal of any of these, the selection is still empty
    click(bar, "filter", "Modality")
    assert bar._problem == ""
    assert bar._counts[3] == ["1,404", "series"]


def test_an_empty_index_has_a_message_of_its_own(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n")
    bar = SummaryBar(BrowserState(IDCClient(path)))
    assert bar._problem == "The index has no series."
    assert bar._chips == []
    assert SummaryBar(BrowserState(IDCClient(path)), parts=["choices"])._lead == ""


def test_messages_are_shown_and_dismissed(state):
    bar = SummaryBar(state)
    state.report(ValueError(HOSTILE))
    assert bar._message == f"ValueError: {HOSTILE}"
    click(bar, "dismiss")
    assert state.message == bar._message == ""
    click(bar, "filter", "no such column")
    assert "unknown column" in bar._message


def test_a_closed_bar_no_longer_follows(state):
    bar = SummaryBar(state)
    counts = bar._counts
    bar.close()
    state.pick(patients=["LUNG1-365"])
    assert bar._counts == counts


def test_misspelled_arguments_raise_errors(state):
    with pytest.raises(TypeError, match="SummaryBar has no argument 'colums'; did you mean 'colum"):
        SummaryBar(state, colums=())
