"""The shared state: the consequences of a choice, and how often observers are called."""

from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError

from idc_widgets import BrowserState, IDCClient, Index, InvalidQueryError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
PATIENT = ("nsclc_radiomics", "LUNG1-365")

TRAITS = [
    "filters",
    "patients",
    "studies",
    "series",
    "study_cohort",
    "cohort",
    "selection",
    "message",
]


@pytest.fixture
def state(client: IDCClient) -> BrowserState:
    return BrowserState(client, collection_id="nsclc_radiomics")


@pytest.fixture
def notified(state: BrowserState) -> list[str]:
    """Return a list to which the name of each changed trait is added."""
    names: list[str] = []
    state.observe(lambda change: names.append(change["name"]), TRAITS)
    return names


def snapshot(state: BrowserState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in TRAITS}


def test_consequences_of_choices(state: BrowserState) -> None:
    assert len(state.selection) == 4926
    state.pick(patients=["LUNG1-365"])
    assert state.patients == (PATIENT,)
    assert state.study_cohort == state.cohort == state.filters.of_patients([PATIENT])
    state.pick(studies=[STUDY])
    assert state.cohort == state.study_cohort.of_studies([STUDY])
    assert len(state.selection) == 12
    state.pick(series=[CT])
    assert state.selection.uids == (CT,)
    assert len(state.cohort.series()) == 12
    state.pick(patients=[], studies=[], series=[])
    assert len(state.selection) == 4926


def test_a_change_notifies_once_per_trait(state: BrowserState, notified: list[str]) -> None:
    state.pick(patients=["LUNG1-365"])
    assert sorted(notified) == ["cohort", "patients", "selection", "study_cohort"]
    notified.clear()
    state.series = (CT,)
    assert sorted(notified) == ["selection", "series"]
    notified.clear()
    state.filter_values("Modality", ["SEG", "SR"])
    assert sorted(notified) == ["cohort", "filters", "selection", "series", "study_cohort"]
    assert len(set(notified)) == len(notified)
    notified.clear()
    state.filter_values("Modality", ["SEG", "SR"])
    assert notified == []


def test_observers_see_a_consistent_state(state: BrowserState) -> None:
    seen: list[bool] = []

    def check(_change: Any) -> None:
        expected = state.filters.of_patients(state.patients) if state.patients else state.filters
        seen.append(state.study_cohort == expected and state.selection.cohort == state.cohort)

    state.observe(check, ["patients", "study_cohort", "cohort", "selection"])
    state.pick(patients=["LUNG1-365"])
    state.filter_values("collection_id", ["nlst"])
    assert seen
    assert all(seen)


def test_an_observer_can_make_a_choice(state: BrowserState) -> None:
    state.observe(lambda _: state.pick(series=[CT]), "patients")
    state.pick(patients=["LUNG1-365"])
    assert state.selection.uids == (CT,)


def test_picks_that_are_filtered_away_are_dropped(state: BrowserState) -> None:
    state.pick(patients=["LUNG1-365"], studies=[STUDY], series=[CT])
    state.filter_values("Modality", ["SEG"])
    assert (state.patients, state.studies, state.series) == ((PATIENT,), (STUDY,), ())
    assert len(state.selection) == 4
    state.filter_values("collection_id", [])
    assert state.patients == (PATIENT,)
    state.filter_values("collection_id", ["nlst"])
    assert (state.patients, state.studies, state.series) == ((), (), ())
    assert state.cohort == state.filters


def test_clear_removes_everything(state: BrowserState, notified: list[str]) -> None:
    state.pick(patients=["LUNG1-365"], series=[CT])
    notified.clear()
    state.clear()
    assert state.filters.filters == {}
    assert (state.patients, state.studies, state.series) == ((), (), ())
    assert len(notified) == len(set(notified))


def test_a_whole_cohort_can_be_set(state: BrowserState, client: IDCClient) -> None:
    state.filters = client.cohort(PatientID="LUNG1-365", Modality="CT")
    assert state.selection.uids == (CT,)


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        ({"patients": ["LUNG1-36"]}, "'LUNG1-36' is not among the 422 patients shown; did you"),
        ({"patients": [("nlst", "100002")]}, "'100002' is not among"),
        ({"patients": 365}, "365 is not a PatientID or a pair"),
        ({"patients": [None]}, "None is not a PatientID or a pair"),
        ({"series": [None]}, "None is not a SeriesInstanceUID"),
        ({"studies": ["1.2.3"]}, "StudyInstanceUID '1.2.3' is not among the 422 studies shown"),
        ({"patients": ["LUNG1-365"], "series": ["1.2.3"]}, "is not among the 12 series shown"),
    ],
)
def test_only_shown_rows_can_be_picked(
    state: BrowserState, pick: dict[str, Any], message: str
) -> None:
    before = snapshot(state)
    with pytest.raises(InvalidQueryError, match=message):
        state.pick(**pick)
    assert snapshot(state) == before


def test_an_invalid_choice_leaves_the_state_as_it_was(state: BrowserState) -> None:
    before = snapshot(state)
    with pytest.raises(InvalidQueryError, match="belongs to another client"):
        state.filters = IDCClient(Index()).cohort()
    with pytest.raises(TraitError):
        state.filters = "nlst"
    with pytest.raises(InvalidQueryError, match="did you mean"):
        state.filter_values("Modality", ["ct"])
    assert snapshot(state) == before


def test_consequences_cannot_be_set(state: BrowserState) -> None:
    for name in ("study_cohort", "cohort", "selection"):
        with pytest.raises(TraitError):
            setattr(state, name, getattr(state, name))
    with pytest.raises(TypeError, match=r"IDCClient\('my.csv'\)"):
        BrowserState("my.csv")
