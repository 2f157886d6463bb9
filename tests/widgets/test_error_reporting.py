"""Errors of callbacks: shown as a message, logged, and gone with the next turn."""

from __future__ import annotations

import threading

import pytest

from idc_widgets import BrowserState, IDCClient, InvalidQueryError
from idc_widgets.query import listed_values
from idc_widgets.widgets.error_reporting import ErrorReporting


class Reporter(ErrorReporting):
    def __init__(self) -> None:
        self.lock = threading.RLock()
        super().__init__()


def test_an_error_is_shown_and_stays_until_the_next_turn(client: IDCClient) -> None:
    state = BrowserState(client)
    with state.reporting():
        raise InvalidQueryError("unknown Modality 'ct'")
    assert state.message == "unknown Modality 'ct'"
    with state.reporting():
        pass  # scrolling, for example, keeps the message
    assert state.message == "unknown Modality 'ct'"
    with state.turn(reports=True):
        assert state.message == ""


def test_a_bug_is_shown_with_its_type_and_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter = Reporter()
    with reporter.reporting():
        raise ZeroDivisionError("division by zero")
    assert reporter.message == "ZeroDivisionError: division by zero"
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None


def test_the_lock_is_held_in_the_block_and_released_after_an_error() -> None:
    reporter = Reporter()
    free: list[bool] = []

    def try_lock() -> None:
        free.append(reporter.lock.acquire(blocking=False))
        if free[-1]:
            reporter.lock.release()

    with reporter.reporting():
        _in_another_thread(try_lock)
        raise InvalidQueryError("no")
    _in_another_thread(try_lock)
    assert free == [False, True]


def _in_another_thread(function) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(30)


def test_the_state_stays_usable_after_an_error(client: IDCClient) -> None:
    state = BrowserState(client, collection_id="nsclc_radiomics")
    with state.turn(reports=True):
        state.filter_values("Modality", ["ct"])
    assert state.message == "unknown Modality 'ct'; did you mean 'CT'?"
    with state.turn(reports=True):
        state.filter_values("Modality", ["CT"])
    assert state.message == ""
    assert listed_values(state.filters.conditions, "Modality") == ("CT",)
