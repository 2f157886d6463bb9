"""The main job by keyboard alone, from the search to the files, and what a screen reader finds.

Each step checks the focus: a person who uses no mouse must always know where the focus is.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.downloads import file_name
from support.grids import Grid
from support.lab import IS_INSIDE, Lab
from support.s3server import S3Server

SHOW = """
from idc_widgets import IDCBrowser, IDCClient
browser = IDCBrowser(IDCClient('own.csv'), folder='data')
browser
"""

#: A person has reviewed that a screen reader finds this in the browser.
REVIEWED = Path(__file__).with_name("browser.aria.yml")

FOCUSED = """() => {
  const { activeElement: e } = document;
  return (e.getAttribute("aria-label") ?? e.textContent).trim().replace(/\\s+/g, " ");
}"""

CURRENT = """() => document.getElementById(
  document.activeElement.getAttribute("aria-activedescendant"))?.textContent"""

SEARCH = "Search descriptions, IDs and collections, or paste UIDs"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    keys = [f"prefix-{series}/{file_name(file)}" for series in range(6) for file in range(2)]
    with S3Server({("bucket", key): 200_000 for key in keys}) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    """Start JupyterLab in a folder with a table: six series, two per patient, five of a chest."""
    folder = tmp_path_factory.mktemp("job")
    names = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,SeriesDescription"
    rows = [
        f"1.2.826.0.100.{i},1.{i // 2},P{i // 2},mine,{'CT' if i else 'MR'},"
        f"{'chest' if i < 5 else 'head'} {i},s3://bucket/prefix-{i}/*,2,0.4"
        for i in range(6)
    ]
    table = [f"{names},series_aws_url,instanceCount,series_size_MB", *rows]
    (folder / "own.csv").write_text("\n".join(table))
    with Lab(folder, chromium=chromium, env={"S3_ENDPOINT_URL": s3.url}) as running:
        yield running


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    shown = lab.open_notebook([SHOW, "print(*range(60), sep='\\n')"], height=900)
    lab.run_all(shown)
    Grid(shown, "Series").wait_for_rows()
    yield shown
    lab.close(shown)


def expect_focus(page: Page, name: str) -> None:
    """Wait until the name of the element with the focus begins with `name`."""
    page.wait_for_function(f"(name) => ({FOCUSED})().startsWith(name)", arg=name)


def tab_to(page: Page, name: str, key: str = "Tab") -> list[str]:
    """Press Tab until the name of the element with the focus begins with `name`.

    Returns:
        The names of the elements that had the focus before.
    """
    passed = [page.evaluate(FOCUSED)]
    while len(passed) < 50:
        page.keyboard.press(key)
        assert page.evaluate(IS_INSIDE), f"the focus left the browser after {passed[-1]!r}"
        focused = page.evaluate(FOCUSED)
        if focused.startswith(name):
            return passed
        passed.append(focused)
    raise AssertionError(f"Tab does not reach {name!r}, only {passed}")


def current_cell(page: Page) -> str:
    """Return the text of the current cell of the grid with the focus, after it has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    cell: str = page.evaluate(CURRENT)
    return cell


def expect_cell(page: Page, text: str) -> None:
    """Wait until the current cell of the grid with the focus has this text."""
    page.wait_for_function(f"(text) => ({CURRENT})() === text", arg=text)


def test_the_main_job_by_keyboard_alone(page: Page, s3: S3Server, lab: Lab) -> None:
    press, summary = page.keyboard.press, page.locator(".idc-summary-line")
    page.locator(".idc-search-input").focus()

    # Search.
    page.keyboard.type("chest")
    expect(summary).to_contain_text("5 series")
    expect_focus(page, SEARCH)

    # Filter: the dropdown takes the focus, and Escape gives it back to the button.
    passed = tab_to(page, "Modality")
    assert passed == [SEARCH, "Clear search", "Collection"]
    press("Enter")
    expect_focus(page, "Search Modality")
    page.keyboard.type("CT")
    expect(page.locator(".idc-popover-open .idc-facet-row")).to_have_count(1)
    press("Enter")
    expect(summary).to_contain_text("4 series")
    expect_focus(page, "Search Modality")
    press("Escape")
    expect_focus(page, "Modality: CT")

    # Pick a patient, and then a series.
    patients, series = Grid(page, "Patients"), Grid(page, "Series")
    tab_to(page, "Patients")
    expect(patients.grid).to_be_focused()
    press("Control+Home")
    press("ArrowDown")
    press("ArrowRight")
    press("ArrowRight")
    expect_cell(page, "P1")
    press("Space")
    expect(patients.picked()).to_have_count(1)
    expect(series.count).to_have_text("2")
    expect(patients.grid).to_be_focused()
    tab_to(page, "Series")
    expect(series.grid).to_be_focused()

    # Sort by the description, twice: the last series comes first.
    press("Control+Home")
    press("ArrowUp")
    for _ in range(20):
        if current_cell(page) == "Series description":
            break
        press("ArrowRight")
    press("Enter")
    expect(series.header("Series description")).to_have_attribute("aria-sort", "ascending")
    press("Enter")
    expect(series.header("Series description")).to_have_attribute("aria-sort", "descending")
    expect(series.grid).to_be_focused()
    press("ArrowDown")
    expect(series.cell(0, "Series description")).to_have_text("chest 3")
    expect_cell(page, "chest 3")
    press("Space")
    expect(series.picked()).to_have_count(1)
    expect(series.grid).to_be_focused()

    # The details of the row, and back.
    press("Alt+Enter")
    expect_focus(page, "Columns, collection and data sets")
    expect(page.get_by_role("region", name="Series details")).to_contain_text("1.2.826.0.100.3")
    press("Escape")
    expect(series.grid).to_be_focused()

    # Download, cancel, resume.
    s3.rate_MB_s = 0.02
    tab_to(page, "Download 1 picked series")
    press("Enter")
    expect_focus(page, "Cancel")
    press("Enter")
    expect_focus(page, "Resume")
    expect(page.locator(".idc-download-title")).to_have_text("Cancelled")
    s3.rate_MB_s = None
    press("Enter")
    expect_focus(page, "Cancel")
    expect(page.locator(".idc-download-title")).to_have_text("Complete")
    expect_focus(page, "Download 1 picked series")
    assert len(list((lab.folder / "data").rglob("*.dcm"))) == 2

    # While the foot sticks to the window, it hides few rows. The focused element is in sight.
    foot, log = page.locator(".idc-part-foot"), page.locator(".idc-download-log summary")
    page.locator(".idc-browser").evaluate("(e) => e.scrollIntoView({ block: 'start' })")
    window = page.locator(".jp-WindowedPanel-outer").first.bounding_box()
    at = foot.bounding_box()
    assert window is not None
    assert at is not None
    assert window["y"] + window["height"] - at["y"] < 180
    tab_to(page, "Log")
    expect(log).to_be_in_viewport(ratio=1)
    at = log.bounding_box()
    assert at is not None
    assert at["y"] + at["height"] <= window["y"] + window["height"]


def test_what_a_screen_reader_finds(page: Page) -> None:
    command = f"IDC_WIDGETS_REVIEW=1 python -m pytest {Path(__file__).name} -k screen_reader"
    if os.environ.get("IDC_WIDGETS_REVIEW"):
        REVIEWED.write_text(_found(page), encoding="utf-8")
    reviewed = REVIEWED.read_text(encoding="utf-8")
    deadline = time.monotonic() + 60  # the last rows may still be on their way
    while (found := _found(page)) != reviewed and time.monotonic() < deadline:
        page.wait_for_timeout(250)
    difference = "\n".join(unified_diff(reviewed.splitlines(), found.splitlines(), lineterm=""))
    assert not difference, (
        f"expected that a screen reader finds what is in {REVIEWED.name}; if you intended a "
        f"difference, run `{command}`, and review the difference with `git diff`:\n{difference}"
    )


def _found(page: Page) -> str:
    found = page.locator(".idc-browser").aria_snapshot()
    return re.sub(r"/[^ ]+/job\d* ?/data", "/…/data", found) + "\n"
