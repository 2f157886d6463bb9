"""Downloads by clicks: cancelled, failed, retried, and resumed in a new kernel."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, expect
from support.grids import Grid
from support.lab import IS_READY, PATIENCE, Lab
from support.s3server import Fault, Request, S3Server, series_objects

from idc_widgets import Index
from idc_widgets.widgets.on_disk import COMPLETE, FAILED, FETCHING, PARTLY, QUEUED

ROOT = Path(__file__).parents[2]
PATIENT = "RIDER-1411227641"
FILES = 11  # the number of files in each of the four series of this patient

SHOW = f"""
from idc_widgets import IDCBrowser

browser = IDCBrowser(PatientID={PATIENT!r}, folder=FOLDER)
browser
"""


class Gate:
    """A server that treats each of four series in its own way.

    It sends all files of the first series. While the gate is closed, it sends some files of the
    second series and none of the third; requests for the other files wait. Until `mend` is called,
    it answers "not found" for one file of the fourth series.
    """

    def __init__(self, s3: S3Server, uids: dict[str, str]) -> None:
        self.s3, self.uids = s3, uids
        self.all, self.some, self.none, self.bad = uids
        self.missing = next(key for _, key in s3.objects if key.startswith(self.bad))
        self._few = [key for _, key in s3.objects if key.startswith(self.some)][:5]
        self._open = threading.Event()
        s3.requests.clear()
        s3.fail = self._fault

    def _fault(self, request: Request) -> Fault:
        waits = request.key.startswith(self.none) or (
            request.key.startswith(self.some)
            and request.method == "GET"
            and request.key not in self._few
        )
        if waits:
            self._open.wait(PATIENCE)
        return 404 if request.key == self.missing else None

    def open(self) -> None:
        self._open.set()

    def mend(self) -> None:
        self.s3.fail = lambda _request: None

    def fetched(self) -> list[int]:
        """Return the number of files requested per series since the log was cleared."""
        return [self.s3.count("GET", prefix) for prefix in self.uids]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Return the rows of the four series, in the order in which they are downloaded."""
    table = pq.read_table(
        Index.default().tables["index"], filters=[("PatientID", "=", PATIENT)]
    ).to_pylist()
    assert [row["instanceCount"] for row in table] == [FILES] * 4
    return sorted(table, key=lambda row: (row["StudyInstanceUID"], row["SeriesInstanceUID"]))


@pytest.fixture(scope="module")
def s3(rows: list[dict[str, Any]]) -> Iterator[S3Server]:
    with S3Server(series_objects(rows)) as server:
        yield server


@pytest.fixture
def gate(rows: list[dict[str, Any]], s3: S3Server) -> Iterator[Gate]:
    uids = {row["series_aws_url"].split("/")[3]: row["SeriesInstanceUID"] for row in rows}
    closed = Gate(s3, uids)
    yield closed
    closed.open()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, chromium=chromium, env={"S3_ENDPOINT_URL": s3.url}) as running:
        yield running


def wait_for_states(page: Page, gate: Gate, *states: str) -> None:
    """Wait until the grid of series shows these states, in the order of downloading."""
    series = Grid(page, "Series")
    for uid, state in zip(gate.uids.values(), states, strict=True):
        row = series.grid.get_by_role("row").filter(has=page.get_by_label(uid, exact=True))
        # The style sheet draws the sign, so it is in the name of the cell and not in its text.
        cell = row.locator("[data-kind=state]")
        expect(cell).to_have_accessible_name(state, timeout=PATIENCE * 1000)


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{name}")).click()


def title(page: Page) -> Locator:
    return page.locator(".idc-download-title")


def detail(page: Page) -> Locator:
    return page.locator(".idc-download-detail")


def readme_cell() -> str:
    """Return the code in the README that begins with `browser.selection`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(block for block in blocks if block.startswith("browser.selection"))


def test_cancelled_then_resumed_in_a_new_kernel(lab: Lab, gate: Gate, screenshots: Path) -> None:
    cells = [SHOW.replace("FOLDER", "'one'")]
    page = lab.open_notebook(cells, name="one.ipynb", height=1300)
    lab.run_all(page)
    wait_for_states(page, gate, "", "", "", "")
    click(page, "Download all 4 series")
    expect(detail(page)).to_contain_text("26 of 44 files")
    wait_for_states(page, gate, COMPLETE, FETCHING, QUEUED, FETCHING)
    click(page, "Pause")
    expect(title(page)).to_have_text("Paused")
    wait_for_states(page, gate, COMPLETE, PARTLY, QUEUED, PARTLY)
    click(page, "Resume")
    expect(title(page)).to_have_text("Downloading")
    wait_for_states(page, gate, COMPLETE, FETCHING, QUEUED, FETCHING)
    click(page, "Cancel")
    expect(title(page)).to_have_text("Cancelled")
    expect(detail(page)).to_have_text(
        "26 of 44 files are kept; press Resume, or Download for the present selection"
    )
    expect(page.locator(".idc-download-list li")).to_have_count(4)
    wait_for_states(page, gate, COMPLETE, PARTLY, "", PARTLY)
    assert lab.run(page, "print(*browser.paths)") == gate.uids[gate.all]
    lab.screenshot(page, screenshots / "on-disk-cancelled.png")

    lab.close(page)
    gate.s3.requests.clear()
    page = lab.open("one.ipynb", height=1300)
    lab.run_all(page)
    wait_for_states(page, gate, COMPLETE, PARTLY, "", PARTLY)
    assert gate.s3.requests == []
    assert lab.run(page, "print(browser.job, browser.paths)") == "None {}"
    gate.open()
    click(page, "Download all 4 series")
    expect(title(page)).to_have_text("Incomplete")
    wait_for_states(page, gate, COMPLETE, COMPLETE, COMPLETE, FAILED)
    assert gate.fetched() == [0, FILES - 5, FILES, 1]
    reason = page.locator(".idc-download-list li").filter(has_text="404")
    expect(reason).to_have_count(1)

    gate.mend()
    gate.s3.requests.clear()
    click(page, "Retry failed")
    expect(title(page)).to_have_text("Complete")
    wait_for_states(page, gate, *[COMPLETE] * 4)
    assert gate.fetched() == [0, 0, 0, 1]
    lab.screenshot(page, screenshots / "on-disk-complete.png")
    assert f"PatientID={PATIENT!r}" in lab.run(page, readme_cell())
    counted = "print(*sorted({len(files) for files in browser.paths.values()}), len(browser.paths))"
    assert lab.run(page, counted) == f"{FILES} 4"
    lab.close(page)


def test_no_series_of_a_killed_kernel_is_wrongly_complete(lab: Lab, gate: Gate) -> None:
    gate.missing = ""
    page = lab.open_notebook([SHOW.replace("FOLDER", "'two'")])
    lab.run_all(page)
    wait_for_states(page, gate, "", "", "", "")
    click(page, "Download all 4 series")
    expect(detail(page)).to_contain_text("27 of 44 files")
    wait_for_states(page, gate, COMPLETE, FETCHING, QUEUED, COMPLETE)
    os.kill(int(lab.run(page, "print(__import__('os').getpid())")), signal.SIGKILL)
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("died")
    dialog.get_by_role("button", name="Ok").click()
    expect(title(page)).to_have_text("Disconnected")
    expect(page.locator(".idc-download-start")).to_be_disabled()
    note = page.get_by_role("status").filter(has_text="No kernel is connected to this widget: run")
    expect(note).to_be_visible()

    gate.s3.requests.clear()
    page.wait_for_function(IS_READY)
    lab.run_all(page)
    wait_for_states(page, gate, COMPLETE, PARTLY, "", COMPLETE)
    assert gate.s3.requests == []
    gate.open()
    click(page, "Download all 4 series")
    expect(title(page)).to_have_text("Complete")
    wait_for_states(page, gate, *[COMPLETE] * 4)
    assert gate.fetched() == [0, FILES - 5, FILES, 0]
    lab.close(page)
