"""The same short visit in every front end: filter, pick, download, and use the paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.downloads import file_name
from support.front_ends import FRONT_ENDS
from support.grids import Grid
from support.s3server import S3Server

COLUMNS = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,series_aws_url"

# The second part stands for the next cell of a user, as a page of Voila has no cells.
SHOW = """
from pathlib import Path
import ipywidgets
from idc_widgets import IDCBrowser, IDCClient

browser = IDCBrowser(IDCClient("own.csv"), folder="data")
found = ipywidgets.Label("nothing yet")

def show_paths(change):
    files = [path for paths in change["new"].values() for path in paths]
    found.value = f"{len(files)} paths, {sum(path.stat().st_size for path in files):,} bytes"

browser.observe(show_paths, "paths")
ipywidgets.VBox([browser, found])
"""

# JavaScript: a page so busy that anywidget gives each widget up before its module has loaded.
BUSY = """
const { timeout } = AbortSignal;
AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms === 2000 ? 0 : ms);
"""


pytestmark = pytest.mark.front_ends


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    keys = [f"prefix-{series}/{file_name(file)}" for series in range(4) for file in range(2)]
    with S3Server({("bucket", key): 50_000 for key in keys}) as server:
        yield server


def write_table(folder: Path) -> None:
    """Write a table of four series, each of a patient of its own; three are CT."""
    rows = [
        f"1.2.826.0.100.{i},1.{i},P{i},mine,{'CT' if i else 'MR'},s3://bucket/prefix-{i}/*,2,0.1"
        for i in range(4)
    ]
    header = f"{COLUMNS},instanceCount,series_size_MB"
    (folder / "own.csv").write_text("\n".join([header, *rows]))


def filter_pick_download(page: Page) -> None:
    series, patients = Grid(page, "Series"), Grid(page, "Patients")
    expect(series.count).to_have_text("4")
    page.locator(".idc-popover-button").filter(has_text="Modality").click()
    page.get_by_role("option", name=re.compile("^CT,")).click()
    page.keyboard.press("Escape")
    expect(series.count).to_have_text("3")
    patients.row(1).click()
    expect(series.count).to_have_text("1")
    expect(page.locator(".idc-summary-line")).to_contain_text("1 patient")
    page.get_by_role("button", name=re.compile("^Download all 1 series|^Download 1 ")).click()
    expect(page.locator(".idc-download-title")).to_have_text("Complete")
    expect(page.get_by_text("2 paths, 100,000 bytes")).to_be_visible()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_filter_pick_download_and_paths(
    name: str, tmp_path: Path, s3: S3Server, screenshots: Path
) -> None:
    visit(name, tmp_path, s3, screenshots)


@pytest.mark.parametrize("name", ["JupyterLab", "classic Notebook"])
def test_a_busy_page_loses_no_message(
    name: str, tmp_path: Path, s3: S3Server, screenshots: Path
) -> None:
    visit(name, tmp_path, s3, screenshots, BUSY)


def visit(name: str, folder: Path, s3: S3Server, screenshots: Path, script: str = "") -> None:
    front_end = FRONT_ENDS[name]
    if problem := front_end.problem():
        pytest.skip(problem)
    write_table(folder)
    with front_end.shown(folder, [SHOW], {"S3_ENDPOINT_URL": s3.url}, script) as page:
        try:
            filter_pick_download(page)
        finally:
            page.screenshot(path=screenshots / f"front-end-{name.replace(' ', '-')}.png")
    assert len(list((folder / "data").rglob("*.dcm"))) == 2
