"""The shared state: the consequences of a choice, and how often observers are called."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from traitlets import TraitError

from idc_widgets import (
    BrowserState,
    Cohort,
    FacetPanel,
    IDCClient,
    Index,
    InvalidQueryError,
    SummaryBar,
)
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.query import listed_values

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
        ({"patients": [("nlst", "\ud800")]}, "PatientID .* is not among the 422 patients shown"),
        ({"patients": 365}, "patients=365: expected a PatientID or a pair"),
        ({"patients": [None]}, "patients=None: expected a PatientID or a pair"),
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


def test_traits_that_follow_from_choices_cannot_be_set(state: BrowserState) -> None:
    for name in ("study_cohort", "cohort", "selection"):
        with pytest.raises(TraitError):
            setattr(state, name, getattr(state, name))
    with pytest.raises(TypeError, match=r"IDCClient\('my.csv'\)"):
        BrowserState("my.csv")


# --- users' observers --------------------------------------------------------------------


def boom(_change: Any) -> None:
    raise ZeroDivisionError("boom")


@pytest.mark.parametrize("name", TRAITS[:-1])
def test_an_observer_that_raises_stops_no_other(state: BrowserState, name: str) -> None:
    panel, bar = FacetPanel(state), SummaryBar(state)
    seen: list[str] = []
    state.observe(boom, name)
    state.observe(lambda change: seen.append(change["name"]), TRAITS)
    with pytest.raises(ZeroDivisionError, match="boom"):
        state._update(
            filters=state.filters.where(Modality="CT"),
            patients=[PATIENT],
            studies=[STUDY],
            series=[CT],
        )
    assert sorted(seen) == sorted(TRAITS[:-1])
    assert panel.dropdowns["Modality"]._chosen == ["CT"]
    assert bar._counts[3] == ["1", "series"]


def test_the_error_of_an_observer_is_a_message_after_a_click(state: BrowserState) -> None:
    state.observe(boom, "filters")
    with state.turn(reports=True):
        state.filter_values("Modality", ["CT"])
    assert listed_values(state.filters.conditions, "Modality") == ("CT",)
    assert state.message == "ZeroDivisionError: boom"


def test_an_observer_of_the_message_that_raises_is_not_called_for_ever(state: BrowserState) -> None:
    state.observe(boom, ["filters", "message"])
    with state.turn(reports=True):
        state.filter_values("Modality", ["CT"])
    assert state.message == "ZeroDivisionError: boom"


def test_observers_that_change_the_state_for_ever_are_stopped(state: BrowserState) -> None:
    state.observe(lambda _: state.filter_values("Modality", ["CT"]), "filters")
    state.observe(lambda _: state.filter_values("Modality", ["SEG"]), "filters")
    with pytest.raises(RuntimeError, match="again and again"):
        state.filter_values("Modality", ["SR"])
    assert not state.turns._late


def test_observers_are_called_without_the_lock(state: BrowserState) -> None:
    is_free: list[bool] = []

    def try_lock() -> None:
        is_free.append(state.lock.acquire(timeout=30))
        state.lock.release()

    def observer(_change: Any) -> None:
        thread = threading.Thread(target=try_lock)
        thread.start()
        thread.join(60)

    state.observe(observer, "filters")
    state.filter_values("Modality", ["CT"])
    assert is_free == [True]


def test_changes_that_an_interrupt_left_unreported_are_reported_after_the_next_turn(
    state: BrowserState, notified: list[str]
) -> None:
    def interrupted(_change: Any) -> None:
        state.unobserve(interrupted, "filters")
        raise KeyboardInterrupt

    state.unobserve_all()
    state.observe(interrupted, "filters")
    state.observe(lambda change: notified.append(change["name"]), TRAITS)
    with pytest.raises(KeyboardInterrupt):
        state.filter_values("Modality", ["CT"])
    assert notified == []
    with state.turn():
        pass
    assert sorted(notified) == ["cohort", "filters", "selection", "study_cohort"]


# --- several threads -----------------------------------------------------------------------


def run(function: Any) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_filter_values_keeps_a_click_of_another_thread(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, entered, clicked = Cohort.where, threading.Event(), threading.Event()

    def slow_where(self: Cohort, *args: Any, **keywords: Any) -> Cohort:
        if "Modality" in keywords:
            entered.set()
            clicked.wait(0.5)  # times out, because the click has to wait
        return where(self, *args, **keywords)

    monkeypatch.setattr(Cohort, "where", slow_where)
    thread = run(lambda: state.filter_values("Modality", ["CT"]))
    assert entered.wait(30)
    state.filter_values("PatientID", ["LUNG1-365"])
    clicked.set()
    thread.join(30)
    assert set(state.filters.filters) == {"collection_id", "Modality", "PatientID"}


def test_a_bad_value_of_another_thread_does_not_fail_a_pick(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = IDCClient(Index()).cohort()
    entered, assigned = threading.Event(), threading.Event()
    consequences = BrowserState._consequences

    def slow(self: BrowserState, choices: dict[str, Any]) -> dict[str, Any]:
        if "patients" in choices:
            entered.set()
            assigned.wait(0.5)
        return consequences(self, choices)

    monkeypatch.setattr(BrowserState, "_consequences", slow)
    thread = run(lambda: state.pick(patients=["LUNG1-365"]))
    assert entered.wait(30)
    with pytest.raises(InvalidQueryError, match="another client"):
        state.filters = foreign
    assigned.set()
    thread.join(30)
    assert state.patients == (PATIENT,)


def test_reading_waits_for_a_turn_of_another_thread(state: BrowserState) -> None:
    entered, leave = threading.Event(), threading.Event()

    def click() -> None:
        with state.turn():
            entered.set()
            leave.wait(30)
            state.filter_values("Modality", ["CT"])

    thread = run(click)
    assert entered.wait(30)
    read: list[Any] = []
    reader = run(lambda: read.append(listed_values(state.filters.conditions, "Modality")))
    leave.set()
    reader.join(30)
    thread.join(30)
    assert read == [("CT",)]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: setattr(state, "filters", state.client.cohort(Modality="CT")),
        lambda state: state.filter_values("Modality", ["CT"]),
        lambda state: state.pick(patients=["LUNG1-365"]),
        lambda state: setattr(state, "series", (CT,)),
        lambda state: state.clear(),
    ],
)
def test_every_change_interrupts_an_older_view(state: BrowserState, change: Any) -> None:
    interrupted, started = threading.Event(), threading.Event()
    state.turns._interrupt = lambda _thread: interrupted.set()

    def slow() -> None:
        if not started.is_set():
            started.set()
            assert interrupted.wait(30)
            raise QueryInterruptedError("interrupted")

    thread = run(lambda: state.turns.refresh(slow))
    assert started.wait(30)
    change(state)
    thread.join(30)
    assert interrupted.is_set()
    assert not state.turns.is_late(slow)


def test_a_single_text_is_accepted_where_several_are(state: BrowserState) -> None:
    state.filter_values("Modality", "CT")
    assert listed_values(state.filters.conditions, "Modality") == ("CT",)
    state.filter_values("Modality", None, exclude=True)
    assert listed_values(state.filters.conditions, "Modality", excluded=True) == (None,)
    state.filter_values("Modality", [])
    state.columns = {"series": "Modality"}
    assert state.columns == {"series": ("Modality",)}
    assert list(FacetPanel(state, "Modality").dropdowns) == ["Modality"]
