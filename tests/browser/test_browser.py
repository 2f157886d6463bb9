"""The whole browser, by mouse and keyboard: filter, pick, download and use the paths."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect
from support.downloads import CT, ct_server
from support.grids import Grid
from support.lab import PATIENCE, Lab
from support.s3server import S3Server

FOLDER = (
    "nsclc_radiomics/LUNG1-365/"
    "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011/CT_" + CT
)
LARGEST = "1.3.6.1.4.1.5962.1.3.0.2.1677425356.1733"

SORT_OF_SERIES = """
sort = browser._grids[2]._rows.sort
print(sort.column, sort.descending, browser.state.series == last)
"""

SHOW = "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with ct_server() as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, chromium=chromium, env={"S3_ENDPOINT_URL": s3.url}) as running:
        yield running


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Page]:
    """Open one notebook for all tests; each replaces the cells."""
    shown = lab.open_notebook([""])
    yield shown
    lab.close(shown)


@pytest.fixture
def page(lab: Lab, opened: Page) -> Iterator[Page]:
    before = len(lab.errors(opened))
    lab.show(opened, [SHOW], height=1100)
    yield opened
    assert lab.errors(opened)[before:] == []


def bar(page: Page) -> Locator:
    return page.get_by_role("progressbar", name="Download")


def percent(page: Page) -> float:
    return float(bar(page).get_attribute("aria-valuenow") or 0)


def wait_for_percent(page: Page, least: float) -> None:
    deadline = time.monotonic() + PATIENCE
    while percent(page) < least:
        assert time.monotonic() < deadline, f"still at {percent(page)} %"
        page.wait_for_timeout(50)


def pick_the_ct(page: Page) -> None:
    """Choose the collection, then the patient, then its CT."""
    page.locator(".idc-popover-button").filter(has_text="Collection").click()
    page.keyboard.type("nsclc_radiomics")
    page.get_by_role("option").filter(has_text=re.compile("^nsclc_radiomics(?!_)")).first.click()
    page.keyboard.press("Escape")
    patients, studies, series = (Grid(page, title) for title in ("Patients", "Studies", "Series"))
    expect(patients.count).to_have_text("422")
    patients.press("Control+End", *["ArrowUp"] * (421 - 364))
    patients.row(364).click()
    expect(studies.count).to_have_text("1")
    expect(series.count).to_have_text("12")
    series.row(0).click()


def test_from_the_filter_to_the_paths(
    lab: Lab, page: Page, s3: S3Server, screenshots: Path
) -> None:
    pick_the_ct(page)
    assert lab.run(page, "print(browser.state.patients)") == "(('nsclc_radiomics', 'LUNG1-365'),)"
    download = page.get_by_role("button", name=re.compile("^Download 1 picked series"))
    expect(download).to_contain_text("70.5 MB")
    expect(page.locator(".idc-summary")).to_contain_text("134 files")
    assert "70.5" in page.locator(".idc-summary").inner_text()
    lab.screenshot(page, screenshots / "picked.png")

    s3.rate_MB_s = 30
    download.click()
    seen = set()
    while len(seen) < 4:
        wait_for_percent(page, max(seen, default=0) + 1)
        seen.add(percent(page))
    lab.screenshot(page, screenshots / "downloading.png")
    expect(page.get_by_text("Complete").first).to_be_visible()
    lab.screenshot(page, screenshots / "complete.png")

    printed = lab.run(
        page,
        "[paths] = browser.paths.values()\n"
        "print(*browser.paths, len(paths), sum(p.stat().st_size for p in paths),"
        " {p.parent for p in paths} == {(__import__('pathlib').Path('idc_data') / "
        f"'{FOLDER}').resolve()}})",
    )
    assert printed == f"{CT} 134 70513634 True"


def test_cancel_and_resume(lab: Lab, page: Page, s3: S3Server, screenshots: Path) -> None:
    pick_the_ct(page)
    folder = page.get_by_role("textbox", name="Download folder")
    folder.fill("stopped")
    folder.press("Enter")
    s3.rate_MB_s = 12
    page.get_by_role("button", name=re.compile("^Download 1 picked series")).click()
    wait_for_percent(page, 65)  # 64 files are fetched at a time: some are complete by now
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    lab.screenshot(page, screenshots / "cancelled.png")
    kept = list((lab.folder / "stopped" / FOLDER).iterdir())
    assert 0 < len(kept) < 134
    assert all(path.suffix == ".dcm" for path in kept)
    assert lab.run(page, "print(browser.job.state, browser.paths)") == "cancelled {}"

    s3.rate_MB_s = None
    s3.requests.clear()
    page.get_by_role("button", name=re.compile("^Download 1 picked series")).click()
    expect(page.get_by_text("Complete").first).to_be_visible()
    assert s3.count("GET") == 134 - len(kept)
    assert lab.run(page, "print(browser.job.state, *map(len, browser.paths.values()))") == (
        "complete 134"
    )


def test_the_whole_index_scrolls_and_sorts(lab: Lab, page: Page) -> None:
    series = Grid(page, "Series")
    expect(series.count).to_have_text("1,044,191")
    series.drag_bar_to(1)
    series.row(1_044_190).click()
    expect(series.title).to_contain_text("1 picked")
    is_last = lab.run(
        page,
        "from idc_widgets.query import row_source\n"
        "rows = row_source(browser.cohort, 'series')\n"
        "last = rows.keys([range(len(rows) - 1, len(rows))])\n"
        "print(browser.state.series == last)",
    )
    assert is_last == "True"

    for order, size in (("ascending", "1.3 kB"), ("descending", "195.2 GB")):
        series.header("Size").click()
        expect(series.header("Size")).to_have_attribute("aria-sort", order)
        expect(series.cell(0, "Size")).to_have_text(size)
        shown = lab.run(page, SORT_OF_SERIES)
        assert shown == f"series_size_MB {order == 'descending'} True"
    series.row(0).click()
    expect(series.picked()).to_have_attribute("aria-rowindex", "2")
    assert lab.run(page, "print(*browser.selection.uids)") == LARGEST


def test_distributions_filter(lab: Lab, page: Page) -> None:
    grid = Grid(page, "Series")
    grid.root.get_by_role("button", name="Show distributions").click()
    modality, size = (grid.root.locator(".idc-grid-bars-cell").nth(at) for at in (1, 3))
    second = modality.locator("g").nth(1)
    second.hover(force=True)
    expect(modality).to_contain_text(re.compile("^SR 270,687 series, 26 %$"))
    page.mouse.down()
    page.mouse.up()
    expect(grid.count).to_have_text("270,687")
    expect(modality.locator(".idc-bar-chosen")).to_have_count(1)
    # The drag may come before or after the distribution of the new rows.
    size.locator("g").nth(4).hover(force=True)
    page.mouse.down()
    size.locator("g").nth(2).hover(force=True)
    page.mouse.up()
    expect(size.locator(".idc-bar-chosen")).to_have_count(3)
    expect(page.locator(".idc-chip")).to_have_text(
        [re.compile("Modality = SR"), re.compile("Size 0.012 – 0.089 MB")]
    )
    shown = "print(browser.state.distributions, list(browser.filters.filters))"
    assert lab.run(page, shown) == "{'series': True} ['Modality', 'series_size_MB']"


def test_errors_of_starting_are_shown(lab: Lab, page: Page) -> None:
    pick_the_ct(page)
    (lab.folder / "a file").write_text("")
    folder = page.get_by_role("textbox", name="Download folder")
    folder.fill("a file")
    folder.press("Enter")
    page.get_by_role("button", name=re.compile("^Download 1 picked series")).click()
    expect(page.get_by_text(re.compile("is a file; choose a folder"))).to_be_visible()
    assert lab.run(page, "print(browser.job)") == "None"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 900])
def test_no_grid_widens_the_page(
    lab: Lab, opened: Page, theme: Literal["light", "dark"], width: int, screenshots: Path
) -> None:
    page = opened
    lab.show(page, [SHOW], theme=theme, width=width, height=1100)
    expect(Grid(page, "Series").count).to_have_text("1,044,191")
    page.wait_for_timeout(1000)
    lab.screenshot(page, screenshots / f"browser-{theme}-{width}.png")
    # The page does not scroll sideways; only the grids do.
    widest = page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('.jp-OutputArea-output .jupyter-widgets')]"
        ".map((element) => element.getBoundingClientRect().right))"
    )
    assert widest <= width
