"""The scheduler of turns: no choice is lost, and every view shows the last one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from support.forks import in_a_child

from idc_widgets import BrowserState, FacetPanel, IDCClient, InvalidQueryError
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.index import FACETS
from idc_widgets.query import listed_values
from idc_widgets.widgets.turns import Turns


class Lab:
    """A `Turns`, and a slow query for its views. The query waits until it is interrupted."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.turns = Turns(interrupt=self.interrupt, report=self.errors.append)
        self.interrupted = threading.Event()

    def interrupt(self, _thread: int) -> None:
        self.interrupted.set()

    def slow_query(self) -> None:
        assert self.interrupted.wait(30)
        self.interrupted.clear()
        raise QueryInterruptedError("interrupted")


@pytest.fixture
def lab() -> Lab:
    return Lab()


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_view_runs_at_once_without_another_turn(lab: Lab) -> None:
    ran: list[str] = []

    def view() -> None:
        ran.append("view")

    with lab.turns.turn():
        lab.turns.refresh(view)
        assert ran == ["view"]
        assert not lab.turns.is_late(view)
    assert ran == ["view"], "the end of the turn does not repeat it"


def test_a_waiting_turn_interrupts_a_view_and_runs_it_itself(lab: Lab) -> None:
    choices: list[str] = []
    shown: list[list[str]] = []
    started = threading.Event()

    def view() -> None:
        if choices == ["older"]:
            started.set()
            lab.slow_query()
        shown.append(list(choices))

    def older() -> None:
        with lab.turns.turn():
            choices.append("older")
            lab.turns.refresh(view)

    thread = in_thread(older)
    assert started.wait(30)
    with lab.turns.turn():
        choices.append("newer")
        lab.turns.refresh(view)
    thread.join(30)
    assert shown == [["older", "newer"]]
    assert not lab.turns.is_late(view)
    assert lab.errors == [], "an interruption is not an error"


def test_views_that_were_not_started_run_at_the_end_of_the_newer_turn_in_order(lab: Lab) -> None:
    ran: list[str] = []
    started = threading.Event()

    def interrupted_once() -> None:
        if not started.is_set():
            started.set()
            lab.slow_query()
        ran.append("interrupted")

    def not_started() -> None:
        ran.append("not started")

    def older() -> None:
        with lab.turns.turn():
            lab.turns.refresh(interrupted_once)
            lab.turns.refresh(not_started)
            late.extend(map(lab.turns.is_late, (interrupted_once, not_started)))

    late: list[bool] = []
    thread = in_thread(older)
    assert started.wait(30)
    with lab.turns.turn():
        assert late == [True, True]
        assert ran == []
    thread.join(30)
    assert ran == ["interrupted", "not started"]


def test_the_lock_is_released_when_a_turn_fails(lab: Lab) -> None:
    with pytest.raises(ZeroDivisionError), lab.turns.turn():
        raise ZeroDivisionError
    thread = in_thread(lambda: lab.turns.lock.acquire() and lab.turns.lock.release())
    thread.join(30)
    assert not thread.is_alive()


def test_an_error_in_a_view_is_reported_and_the_next_view_runs(lab: Lab) -> None:
    ran: list[str] = []

    def broken() -> None:
        raise InvalidQueryError("this view is broken")

    with lab.turns.turn():
        lab.turns.refresh(broken)
        lab.turns.refresh(lambda: ran.append("next"))
    assert [str(error) for error in lab.errors] == ["this view is broken"]
    assert ran == ["next"]
    assert lab.turns.is_late(broken), "the next turn tries it again"


def test_a_forgotten_view_does_not_run(lab: Lab) -> None:
    ran: list[str] = []

    def view() -> None:
        ran.append("view")
        raise QueryInterruptedError("interrupted")

    lab.turns.refresh(view)
    assert lab.turns.is_late(view)
    lab.turns.forget(view)
    with lab.turns.turn():
        pass
    assert ran == ["view"]
    lab.turns.forget(view)  # the view is not late, so nothing happens


def test_a_view_that_an_earlier_view_forgets_does_not_run(lab: Lab) -> None:
    ran: list[str] = []

    def first() -> None:
        ran.append("first")
        lab.turns.forget(second)

    def second() -> None:
        ran.append("second")

    lab.turns._late = {first: 1, second: 2}
    with lab.turns.turn():
        pass
    assert ran == ["first"]


def test_all_views_are_late_before_the_first_runs(lab: Lab) -> None:
    late: list[bool] = []

    def first() -> None:
        late.append(lab.turns.is_late(second))
        raise KeyboardInterrupt

    def second() -> None:
        late.append(False)

    with pytest.raises(KeyboardInterrupt), lab.turns.turn():
        lab.turns.mark(first)
        lab.turns.mark(second)
        lab.turns.run_late()
    assert late == [True]
    assert lab.turns.is_late(first) and lab.turns.is_late(second)
    assert not lab.turns.is_mine()


def test_a_view_that_failed_says_so_and_is_tried_again_in_the_next_turn_only(lab: Lab) -> None:
    tries: list[str] = []
    reasons: list[str] = []

    def view() -> None:
        tries.append("try")
        if len(tries) == 1:
            raise InvalidQueryError("quota exceeded")

    lab.turns.on_stale(view, reasons.append)
    with lab.turns.turn():
        lab.turns.refresh(view)
    assert (len(tries), reasons, lab.turns.is_late(view)) == (1, ["quota exceeded"], True)
    with lab.turns.turn():
        pass
    assert (len(tries), reasons, lab.turns.is_late(view)) == (2, ["quota exceeded"], False)


def test_an_interrupted_view_is_tried_again_if_no_turn_waits(lab: Lab) -> None:
    tries: list[str] = []

    def view() -> None:
        tries.append("try")
        if len(tries) == 1:
            raise QueryInterruptedError("interrupted")

    with lab.turns.turn():
        lab.turns.mark(view)
    assert len(tries) == 2
    assert not lab.turns.is_late(view)
    assert lab.errors == []


def test_a_turn_that_is_interrupted_while_it_waits_leaves_no_trace(lab: Lab) -> None:
    started, leave = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        assert leave.wait(30)

    def interrupted(_thread: int) -> None:
        raise KeyboardInterrupt

    lab.turns._interrupt = interrupted
    thread = in_thread(lambda: lab.turns.refresh(slow))
    assert started.wait(30)
    with pytest.raises(KeyboardInterrupt), lab.turns.turn():
        raise AssertionError("not reached")
    assert not lab.turns.is_awaited()
    leave.set()
    thread.join(30)
    ran: list[str] = []
    lab.turns.refresh(lambda: ran.append("view"))
    assert ran == ["view"]


def test_an_error_while_interrupting_does_not_fail_the_turn(lab: Lab) -> None:
    started, leave = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        assert leave.wait(30)

    def broken(_thread: int) -> None:
        leave.set()
        raise RuntimeError("cannot interrupt")

    lab.turns._interrupt = broken
    thread = in_thread(lambda: lab.turns.refresh(slow))
    assert started.wait(30)
    with lab.turns.turn():
        pass
    thread.join(30)


def test_a_view_can_mark_another_view_as_late(lab: Lab) -> None:
    ran: list[str] = []

    def first() -> None:
        ran.append("first")
        lab.turns.mark(second)
        lab.turns.run_late()

    def second() -> None:
        ran.append("second")

    with lab.turns.turn():
        lab.turns.mark(first)
    assert ran == ["first", "second"]


# --- with a real state ---------------------------------------------------------------------

SLOW = (
    "SELECT count(*) FROM index AS a, index AS b"
    " WHERE a.SeriesInstanceUID || b.SeriesInstanceUID LIKE '%x%'"
)


def test_a_newer_turn_interrupts_a_real_query(client: IDCClient) -> None:
    state = BrowserState(client)
    seen = []
    started = threading.Event()

    def slow_view() -> None:
        if listed_values(state.filters.conditions, "PatientSex"):
            seen.append(state.filters)  # both choices are made: run no more slow queries
        else:
            started.set()
            state.client.engine.rows(SLOW)

    state.observe(lambda _: state.turns.refresh(slow_view), "filters")

    def older() -> None:
        with state.turn(reports=True):
            state.filter_values("Modality", ["CT"])

    thread = in_thread(older)
    assert started.wait(30)
    with state.turn(reports=True):
        state.filter_values("PatientSex", ["F"])
    thread.join(30)
    both = client.cohort(Modality="CT", PatientSex="F")
    assert state.filters == both, "no choice is lost"
    assert seen[-1] == both, "the view shows the last state"
    assert state.message == "", "an interruption is not an error"
    assert not state.turns.is_late(slow_view)


def test_many_turns_at_once_end_in_the_last_state(client: IDCClient) -> None:
    state = BrowserState(client)
    panel = FacetPanel(state)
    chosen = [
        (column, value.value)
        for column in FACETS
        for value in client.cohort().facets([column])[column][:2]
    ]

    def click(column, value):
        with state.turn(reports=True):
            state.filter_values(column, [value])

    threads = [in_thread(lambda pair=pair: click(*pair)) for pair in chosen]
    for thread in threads:
        thread.join(60)
    assert set(state.filters.filters) == set(FACETS)
    for column, values in state.filters.facets(FACETS).items():
        dropdown = panel.dropdowns[column]
        assert dropdown._chosen == list(listed_values(state.filters.conditions, column))
        counts = [[facet.value, facet.series, facet.patients] for facet in values]
        assert dropdown._values[: len(counts)] == counts
    panel.close()


def test_an_error_in_a_view_becomes_the_message_of_the_state(client: IDCClient) -> None:
    state = BrowserState(client)
    followed = []

    def broken() -> None:
        raise InvalidQueryError("this view is broken")

    state.observe(lambda _: state.turns.refresh(broken), "filters")
    state.observe(lambda _: state.turns.refresh(lambda: followed.append(state.filters)), "filters")
    with state.turn():
        state.filter_values("Modality", ["CT"])
    assert state.message == "this view is broken"
    assert followed == [client.cohort(Modality="CT")]


def test_a_refresh_tells_the_late_views_of_a_turn_that_ended_meanwhile(lab: Lab) -> None:
    late, reasons = (lambda: None), list[str]()
    lab.turns.on_stale(late, reasons.append)

    def view() -> None:
        def interrupted_turn() -> None:
            lab.turns.mark(late)
            lab.turns.show_stale_views()  # the end of a turn that was interrupted

        in_thread(interrupted_turn).join()
        assert reasons == []  # this thread holds the lock

    lab.turns.refresh(view)
    assert reasons == ["it was interrupted"]


def test_a_late_view_is_told_although_another_thread_reads_the_state(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idc_widgets.widgets.turns.INTERRUPT_SECONDS", 30)
    late, reasons = (lambda: None), list[str]()
    lab.turns.on_stale(late, reasons.append)
    lab.turns.mark(late)
    is_held = threading.Event()

    def read() -> None:
        with lab.turns.lock:
            is_held.set()
            threading.Event().wait(0.1)

    reader = in_thread(read)
    is_held.wait(30)
    lab.turns.show_stale_views()
    reader.join()
    assert reasons == ["it was interrupted"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_that_is_forked_during_a_turn_can_use_the_state(client: IDCClient) -> None:
    state = BrowserState(client)
    started, leave = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        assert leave.wait(60)

    def check() -> None:
        assert len(state.selection) == 1
        leave.set()
        state.pick(series=[])
        assert state.series == ()
        assert not state.turns.is_awaited()

    uid = client.sql("SELECT min(SeriesInstanceUID) AS uid FROM index").uid[0]
    state.add_view(slow, ["series"])
    waiting = [in_thread(lambda: state.pick(series=[uid])) for _ in range(1)]
    assert started.wait(60)
    waiting.append(in_thread(lambda: state.filter_values("Modality", ["CT"])))
    while not state.turns.is_awaited():
        pass
    try:
        in_a_child(check)
    finally:
        leave.set()
        for thread in waiting:
            thread.join()
