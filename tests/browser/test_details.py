"""The panel of row details in JupyterLab: opened by menu and by key, copied from, and closed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect
from support.grids import Grid
from support.lab import IS_IN_SIGHT, Lab

HOSTILE = "<img src=x onerror=alert(1)>"
STUDY = "1.3.6.1.4.1.32722.99.99.2"
SERIES = [f"1.3.6.1.4.1.32722.99.99.45964402524755750981968965512084526740{n}" for n in range(3)]

SETUP = """
from ipywidgets import VBox
from idc_widgets import BrowserState, IDCClient, RowDetails, SeriesGrid
state = BrowserState(IDCClient('own.csv'))
grid, details = SeriesGrid(state), RowDetails(state)
grid.on_details(details.show)
VBox([grid, details], layout={"width": "100%"})
"""

ALONE = """
from idc_widgets import BrowserState, IDCClient, SeriesGrid
SeriesGrid(BrowserState(IDCClient('own.csv')))
"""

BROWSER = """
from idc_widgets import IDCBrowser, IDCClient
browser = IDCBrowser(IDCClient('own.csv'), folder='data')
browser
"""

# JavaScript: keep what is written to the clipboard in `window.copied`.
CATCH_COPIES = """() => {
  navigator.clipboard.writeText = async (text) => { window.copied = text; };
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    header = (
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,SeriesDescription,"
        "source_DOI,license_short_name,instanceCount,series_size_MB"
    )
    doi = "10.7937/k9/tcia.2015.pf0m9rei"
    lines = [
        f"{uid},{STUDY},LUNG1-365,nsclc_radiomics,CT,{HOSTILE},{doi},CC BY-NC 3.0,134,70.513634"
        for uid in SERIES
    ]
    (folder / "own.csv").write_text("\n".join([header, *lines]))
    with Lab(folder, chromium=chromium) as running:
        yield running


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Page]:
    """Open one notebook for all tests; each replaces the cells."""
    shown = lab.open_notebook([""])
    shown.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    shown.evaluate(CATCH_COPIES)
    yield shown
    lab.close(shown)


@pytest.fixture
def page(lab: Lab, opened: Page) -> Page:
    lab.show(opened, [SETUP])
    return opened


def panel(page: Page) -> Locator:
    return page.get_by_role("region", name="Series details")


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return dict(found)


def open_by_key(page: Page) -> Grid:
    """Open the details of the second row by key."""
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    grid.press("Control+Home", "ArrowDown", "Alt+Enter")
    expect(panel(page)).to_be_visible()
    return grid


def value(page: Page, label: str) -> Locator:
    term = panel(page).get_by_role("term").filter(has_text=re.compile(f"^{re.escape(label)}"))
    return term.first.locator("xpath=../dd")


def test_it_opens_by_the_menu_and_escape_returns_the_focus(page: Page) -> None:
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    expect(panel(page)).to_be_hidden()
    grid.press("Control+Home", "ArrowDown", "ContextMenu")
    page.get_by_role("menuitem", name="Show everything about this row").press("Enter")
    expect(panel(page)).to_contain_text("CT · ")
    body = panel(page).get_by_role("group", name="Columns, collection and data sets")
    expect(body).to_be_focused()
    expect(value(page, "Series UID")).to_contain_text(SERIES[1])
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(grid.grid).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+Enter")
    expect(value(page, "Series UID")).to_contain_text(SERIES[2])
    page.get_by_role("button", name="Close the details (Escape)").press("Enter")
    expect(grid.grid).to_be_focused()


def test_python_knows_whether_it_is_open(lab: Lab, page: Page) -> None:
    open_by_key(page)
    assert lab.run(page, "print(details.is_open)") == "True"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close the details (Escape)").click()
    expect(panel(page)).to_be_hidden()
    assert lab.run(page, "print(details.is_open)") == "False"
    lab.run(page, f"details.show('series', '{SERIES[0]}')")
    expect(panel(page)).to_be_visible()
    lab.run(page, "details.hide()")
    expect(panel(page)).to_be_hidden()


def test_it_shows_everything_as_text(page: Page) -> None:
    open_by_key(page)
    expect(panel(page).locator("img")).to_have_count(0)
    expect(value(page, "Series description")).to_contain_text(HOSTILE)
    expect(value(page, "Size")).to_contain_text("70.5 MB")
    missing = value(page, "Study date").get_by_role("img", name="missing")
    expect(missing).to_have_text("–")
    expect(panel(page)).to_contain_text("NSCLC-Radiomics")
    expect(panel(page)).to_contain_text("This collection contains images from 422 non-small")
    expect(panel(page)).to_contain_text("CC BY-NC 3.0 (non-commercial)")
    expect(panel(page)).to_contain_text("Lambin, P. (2019). Data From NSCLC-Radiomics")
    links = (
        panel(page)
        .get_by_role("link")
        .evaluate_all(
            "(links) => links.map((link) => [link.textContent, link.href, link.rel, link.target])"
        )
    )
    viewer = "https://viewer.imaging.datacommons.cancer.gov/v3/viewer/?StudyInstanceUIDs="
    [opens, doi] = links
    assert opens[0] == "Open in the viewer"
    assert opens[1] == f"{viewer}{STUDY}&SeriesInstanceUIDs={SERIES[1]}"
    assert doi[:2] == ["10.7937/k9/tcia.2015.pf0m9rei", f"https://doi.org/{doi[0]}"]
    for _, _, rel, target in links:
        assert (rel, target) == ("noopener noreferrer", "_blank")
    description = panel(page).get_by_text("acquisition modality (DICOM attribute)")
    expect(description).to_be_hidden()
    panel(page).get_by_role("button", name="Explain columns").click()
    expect(description).to_be_visible()


def test_it_copies(page: Page) -> None:
    open_by_key(page)
    copied = {
        "Copy Series UID": SERIES[1],
        "Copy as Python code": f"client.cohort(SeriesInstanceUID='{SERIES[1]}').select()",
        "Copy Study UID": STUDY,
    }
    for name, text in copied.items():
        panel(page).get_by_role("button", name=name).first.press("Enter")
        page.wait_for_function("(text) => window.copied === text", arg=text)
        status = panel(page).get_by_role("status")
        expect(status).to_have_text(f"{name.removeprefix('Copy ').removeprefix('as ')} copied")
    expect(panel(page).get_by_role("button", name="Copy Study UID")).to_be_focused()


def test_it_follows_the_row_that_is_picked(page: Page) -> None:
    grid = open_by_key(page)
    grid.cell(2, "Modality").click()
    expect(value(page, "Series UID")).to_contain_text(SERIES[2])
    expect(grid.grid).to_be_focused()
    page.keyboard.press("Control+Home")
    expect(value(page, "Series UID")).to_contain_text(SERIES[2])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_follows_the_theme(
    lab: Lab, opened: Page, screenshots: Path, theme: Literal["light", "dark"]
) -> None:
    page = opened
    lab.show(page, [SETUP], theme=theme)
    open_by_key(page)
    colors = panel(page).evaluate(
        "(panel) => [getComputedStyle(panel).color, getComputedStyle(panel).backgroundColor]"
        ".map((color) => color.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
    )
    text, background = colors
    assert (text < background) == (theme == "light"), colors
    lab.screenshot(page, screenshots / f"details-{theme}.png")
    panel(page).get_by_role("button", name="Explain columns").click()
    lab.screenshot(page, screenshots / f"details-explained-{theme}.png")


def test_below_a_grid_that_is_used_alone(lab: Lab, opened: Page, screenshots: Path) -> None:
    page = opened
    lab.show(page, [ALONE])
    grid = open_by_key(page)
    expect(panel(page).get_by_role("group")).to_be_focused()
    expect(value(page, "Series UID")).to_contain_text(SERIES[1])
    below, above = box(panel(page)), box(grid.root)
    assert below["y"] >= above["y"] + above["height"]
    assert abs(below["width"] - above["width"]) <= 2
    lab.screenshot(page, screenshots / "details-below.png")
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(grid.grid).to_be_focused()


def test_in_the_browser_it_stands_beside_the_series(
    lab: Lab, opened: Page, screenshots: Path
) -> None:
    page = opened
    lab.show(page, [BROWSER], theme="dark", height=1100)
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    width = box(grid.root)["width"]
    grid.press("Control+Home", "ArrowDown", "Alt+Enter")
    expect(panel(page).get_by_role("group")).to_be_focused()
    beside = box(panel(page))
    assert beside["x"] >= box(grid.root)["x"] + box(grid.root)["width"]
    assert beside["y"] < box(grid.grid)["y"]
    assert abs(beside["y"] + beside["height"] - box(grid.root)["y"] - box(grid.root)["height"]) <= 2
    lab.screenshot(page, screenshots / "details-browser-dark.png")
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(grid.grid).to_be_focused()
    page.wait_for_function(
        "([grid, width]) => grid.offsetWidth >= width - 1",
        arg=[grid.root.element_handle(), width],
    )
    patients = Grid(page, "Patients")
    patients.press("Control+Home", "ArrowDown", "Alt+Enter")
    region = page.get_by_role("region", name="Patient details")
    expect(region).to_contain_text("1 study · 3 series")
    page.keyboard.press("Escape")
    expect(region).to_be_hidden()
    expect(patients.grid).to_be_focused()


def test_in_the_browser_the_page_scrolls_no_more_than_needed(lab: Lab, opened: Page) -> None:
    page = opened
    lab.show(page, [BROWSER], width=1280, height=720)
    browser = page.locator(".idc-browser")
    open_by_key(page)
    assert panel(page).locator(".idc-details-head").evaluate(IS_IN_SIGHT)
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()

    page.set_viewport_size({"width": 1400, "height": 1000})
    browser.evaluate("(element) => element.scrollIntoView({ block: 'start' })")
    before = box(browser)["y"]
    open_by_key(page)
    assert box(browser)["y"] == before  # everything was in sight


def test_in_a_narrow_browser_it_stands_below_the_series(
    lab: Lab, opened: Page, screenshots: Path
) -> None:
    page = opened
    lab.show(page, [BROWSER], width=700, height=1400)
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    grid.press("Control+Home", "ArrowDown", "Alt+Enter")
    expect(panel(page)).to_be_visible()
    below = box(panel(page))
    assert below["y"] >= box(grid.root)["y"] + box(grid.root)["height"]
    assert abs(below["width"] - box(grid.root)["width"]) <= 2
    assert 100 <= below["height"] <= 400
    lab.screenshot(page, screenshots / "details-browser-narrow.png")
