"""The note of a browser while the index is prepared in the background."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from idc_widgets import IDCBrowser, IDCClient
from idc_widgets.widgets import preparing

SECONDS = 60


class Process:
    """A process that ends when the test lets it."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def wait(self) -> None:
        assert self.may_end.wait(SECONDS)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """Return the process that the next browser starts at once."""
    process = Process()
    monkeypatch.setattr(preparing, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(preparing, "start_preparing", lambda _engine: process)
    return process


def _workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "idc_widgets: prepare"]


def test_a_note_while_the_index_is_prepared(client: IDCClient, process: Process) -> None:
    notes: list[str] = []
    browser = IDCBrowser(client)
    told = threading.Event()

    def note(change: Any) -> None:
        notes.append(change["new"])
        told.set()

    bar = browser._summary
    bar.observe(note, "_note")
    if not bar._note:
        assert told.wait(SECONDS)
    assert bar._note == "Preparing a faster index once, about 20 s and 250.0 MB of disk"
    process.may_end.set()
    for worker in _workers():
        worker.join(SECONDS)
    assert bar._note == ""
    browser.close()


def test_a_closed_browser_shows_no_note(client: IDCClient, process: Process) -> None:
    notes: list[str] = []
    started = threading.Event()

    def show(note: str) -> None:
        notes.append(note)
        started.set()

    close = preparing.prepare_later(client, show)
    assert started.wait(SECONDS)
    close()
    process.may_end.set()
    for worker in _workers():
        worker.join(SECONDS)
    assert len(notes) == 1


def test_a_client_that_does_not_want_it(process: Process) -> None:
    notes: list[str] = []
    preparing.prepare_later(IDCClient(auto_cache=False), notes.append)
    process.may_end.set()
    for worker in _workers():
        worker.join(SECONDS)
    assert not notes


def test_free_memory_is_returned(
    client: IDCClient, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_returned = threading.Event()
    monkeypatch.setattr(preparing, "return_free_memory", is_returned.set)
    process.may_end.set()
    preparing.prepare_later(client, lambda _note: None)
    assert is_returned.wait(SECONDS)
