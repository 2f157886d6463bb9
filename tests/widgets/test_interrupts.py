"""An interrupt (■, KeyboardInterrupt) during a click, in a real kernel and in each control."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from idc_widgets import BrowserState, IDCBrowser, IDCClient
from idc_widgets.query import Cohort
from idc_widgets.widgets import FacetDropdown, RangeFilter, SearchBox

TABLE = (
    "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,PatientAge\n"
    "1.1,1,Ann,mine,CT,060Y\n1.2,1,Ann,mine,SEG,060Y\n1.3,2,Bob,mine,CT,070Y\n"
)


@pytest.fixture
def own(tmp_path: Path) -> IDCClient:
    """Return a client of a small table: three series of two patients."""
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    return IDCClient(path)


def send(widget: Any, number: int, **content: Any) -> None:
    widget._handle_custom_msg({"view": "page", "number": number, **content}, [])


def interrupted(*_args: Any, **_keywords: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("make", "content"),
    [
        (lambda state: FacetDropdown(state, "Modality"), {"kind": "choose", "values": ["CT"]}),
        (SearchBox, {"kind": "search", "text": "Ann"}),
        (
            lambda state: RangeFilter(state, "PatientAge"),
            {"kind": "range", "low": "65", "high": ""},
        ),
    ],
)
def test_a_control_is_answered_when_a_view_is_interrupted(
    own: IDCClient, monkeypatch: pytest.MonkeyPatch, make: Any, content: dict[str, Any]
) -> None:
    state = BrowserState(own)
    dropdown = FacetDropdown(state, "PatientID")
    widget = make(state)
    with monkeypatch.context() as patch:
        patch.setattr(Cohort, "facets", interrupted)
        with pytest.raises(KeyboardInterrupt):
            send(widget, 1, **content)
    assert widget._answered == "page:1"
    assert state.filters.filters, "the choice is settled"
    assert dropdown._stale == "Not up to date: it was interrupted. The next click tries again."
    send(widget, 2, **content)
    assert widget._answered == "page:2"
    assert dropdown._stale == ""
    assert dropdown._values == [[v.value, v.series, v.patients] for v in _counts(state)]


def _counts(state: BrowserState) -> Any:
    return state.filters.facets(["PatientID"])["PatientID"]


@pytest.mark.parametrize("name", ["facets", "summary"])
def test_all_parts_agree_after_an_interrupted_click(
    own: IDCClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    browser = IDCBrowser(own)
    dropdown = browser._filters.dropdowns["Modality"]
    with monkeypatch.context() as patch:
        patch.setattr(Cohort, name, interrupted)
        patch.setattr(type(browser.selection), "summary", interrupted)
        with pytest.raises(KeyboardInterrupt):
            send(dropdown, 1, kind="choose", values=["CT"])
    assert dropdown._answered == "page:1"
    assert browser.filters == browser.state.filters == own.cohort(Modality="CT")
    assert browser.selection == browser.state.selection
    assert len(browser.selection) == 2
    browser.pick(patients=["Bob"])
    assert not browser.state.turns._late
    assert browser._download._offer["text"].startswith("Download all 1 series")
    browser.close()


def test_a_turn_that_is_interrupted_while_it_waits_is_forgotten(
    own: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = BrowserState(own)
    dropdown = FacetDropdown(state, "Modality")
    started, leave = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        assert leave.wait(30)

    thread = threading.Thread(target=lambda: state.turns.refresh(slow))
    thread.start()
    assert started.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(state.turns, "_interrupt", interrupted)
        with pytest.raises(KeyboardInterrupt):
            send(dropdown, 1, kind="choose", values=["CT"])
    assert dropdown._answered == "page:1"
    leave.set()
    thread.join(30)
    send(dropdown, 2, kind="choose", values=["SEG"])
    assert dropdown._chosen == ["SEG"]
    assert [value[:2] for value in dropdown._values] == [["CT", 2], ["SEG", 1]]
    assert not state.turns._late


def test_observers_are_told_by_the_next_turn_after_an_interrupt(own: IDCClient) -> None:
    browser = IDCBrowser(own)
    told: list[int] = []
    browser.observe(lambda change: told.append(len(change["new"])), "selection")
    is_first = True

    def view() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            raise KeyboardInterrupt

    def pick() -> None:
        with pytest.raises(KeyboardInterrupt):
            browser.pick(series=["1.1"])

    browser.state.add_view(view, ["selection"])
    thread = threading.Thread(target=pick)
    thread.start()
    thread.join()
    assert told == []
    browser.state.distributions = {"series": True}  # a turn of this thread
    assert told == [1]
    browser.close()


# --- in a real kernel ------------------------------------------------------------------------

SETUP = """
import threading
from idc_widgets import IDCClient, IDCBrowser
from idc_widgets.query import Cohort
browser = IDCBrowser(IDCClient({path!r}))
dropdown = browser._filters.dropdowns["Modality"]
facets, is_slow, wait = Cohort.facets, True, threading.Event().wait
def slow(self, columns):
    if is_slow:
        print("started", flush=True)
        wait(60)
    return facets(self, columns)
Cohort.facets = slow
def click(number, values):
    content = dict(kind="choose", view="page", number=number, values=values)
    dropdown._handle_custom_msg(content, [])
print(dropdown.comm.comm_id)
"""

CHECK = """
is_slow = False
print(dropdown._answered, dropdown._stale != "", len(browser.selection))
"""

AFTER = """
print(dropdown._answered, dropdown._stale, len(browser.selection), dropdown._values)
print(browser.state.turns._late, browser.state.turns._waiting, browser._download._offer["text"])
threads = []
thread = threading.Thread(target=lambda: threads.append(browser.state.lock.acquire(timeout=30)))
thread.start(); thread.join(); print(threads)
"""


class Kernel:
    """A kernel that gets clicks as a page sends them, through a comm."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str) -> str:
        printed: list[str] = []

        def hook(message: Any) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=360, output_hook=hook)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)

    def click(self, comm_id: str, number: int, values: list[str]) -> None:
        content = {"kind": "choose", "view": "page", "number": number, "values": values}
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)

    def wait_for(self, text: str) -> None:
        while True:
            message = self.client.get_iopub_msg(timeout=360)
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield Kernel(manager, client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_an_interrupt_during_a_click_leaves_a_working_browser(
    kernel: Kernel, tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    comm_id = kernel.run(SETUP.format(path=str(path))).split()[-1]
    kernel.click(comm_id, 1, ["CT"])
    kernel.wait_for("started")
    kernel.manager.interrupt_kernel()
    assert kernel.run(CHECK).split() == ["page:1", "True", "2"]
    kernel.click(comm_id, 2, ["SEG"])
    assert kernel.run(AFTER).splitlines() == [
        "page:2  1 [['CT', 2, 2], ['SEG', 1, 1]]",
        "{} {} Download all 1 series · 0 bytes",
        "[True]",
    ]
