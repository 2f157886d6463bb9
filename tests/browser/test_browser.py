"""The whole browser, by mouse and keyboard: filter, pick, download and use the paths."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, expect
from support.lab import Lab
from support.s3server import S3Server, series_objects

from idc_widgets import Index

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
FOLDER = (
    "nsclc_radiomics/LUNG1-365/"
    "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011/CT_" + CT
)
LARGEST = "1.3.6.1.4.1.5962.1.3.0.2.1677425356.1733"

HEADER_PX, ROW_PX = 28, 24  # heights

SORT_OF_SERIES = """
sort = browser.children[2]._rows.sort
print(sort.column, sort.descending, browser.state.series == last)
"""

SHOW = "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    rows = pq.read_table(Index.default().tables["index"], filters=[("SeriesInstanceUID", "=", CT)])
    with S3Server(series_objects(rows.to_pylist())) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, chromium=chromium, env={"S3_ENDPOINT_URL": s3.url}) as running:
        yield running


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    shown = lab.open_notebook([SHOW], height=1100)
    lab.run_all(shown)
    yield shown
    errors = [line for line in lab.console(shown) if line.startswith(("error", "uncaught"))]
    lab.close(shown)
    assert errors == []


class Grid:
    """One of the three grids. A grid is a canvas, so rows are found by their position."""

    def __init__(self, page: Page, title: str) -> None:
        index = ["Patients", "Studies", "Series"].index(title)
        self.page = page
        self.title = page.locator(".idc-grid-title").nth(index)
        self.count = self.title.locator(".idc-grid-count")
        self.canvas = page.locator(".ipydatagrid-widget").nth(index)

    def box(self) -> dict[str, float]:
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        assert box is not None
        return dict(box)

    def click(self, x: float, y: float) -> None:
        box = self.box()
        self.page.mouse.click(box["x"] + x, box["y"] + y)

    def click_row(self, row: int) -> None:
        self.click(60, HEADER_PX + row * ROW_PX + ROW_PX / 2)

    def click_header(self, x: float) -> None:
        self.click(x, HEADER_PX / 2)

    def scroll_to(self, row: int) -> None:
        box = self.box()
        self.page.mouse.move(box["x"] + 60, box["y"] + 100)
        self.page.mouse.wheel(0, row * ROW_PX)
        self.page.wait_for_timeout(500)

    def drag_to_the_end(self) -> None:
        thumb = self.canvas.locator(
            ".lm-ScrollBar[data-orientation='vertical'] .lm-ScrollBar-thumb"
        ).bounding_box()
        assert thumb is not None
        x = thumb["x"] + thumb["width"] / 2
        self.page.mouse.move(x, thumb["y"] + thumb["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(x, thumb["y"] + 600, steps=5)
        self.page.mouse.up()
        self.page.wait_for_timeout(500)


def bar(page: Page) -> Locator:
    return page.get_by_role("progressbar", name="Download")


def percent(page: Page) -> float:
    return float(bar(page).get_attribute("aria-valuenow") or 0)


def wait_for_percent(page: Page, least: float) -> None:
    deadline = time.monotonic() + 60
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
    patients.scroll_to(360)
    patients.click_row(4)
    expect(studies.count).to_have_text("1")
    expect(series.count).to_have_text("12")
    series.click_row(0)


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
    folder.fill("cancelled")
    folder.press("Enter")
    s3.rate_MB_s = 12
    page.get_by_role("button", name=re.compile("^Download 1 picked series")).click()
    wait_for_percent(page, 65)  # 64 files are fetched at a time: some are complete by now
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text(re.compile("cancelled", re.I)).first).to_be_visible()
    lab.screenshot(page, screenshots / "cancelled.png")
    kept = list((lab.folder / "cancelled" / FOLDER).iterdir())
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
    series.drag_to_the_end()
    box = series.box()
    # The last row ends where the scroll bar below begins.
    page.mouse.click(box["x"] + 60, box["y"] + box["height"] - 16 - ROW_PX / 2)
    expect(series.title).to_contain_text("1 picked")
    is_last = lab.run(
        page,
        "from idc_widgets.query import row_source\n"
        "rows = row_source(browser.cohort, 'series')\n"
        "last = rows.keys([range(len(rows) - 1, len(rows))])\n"
        "print(browser.state.series == last)",
    )
    assert is_last == "True"

    size = 96 + 140 + 116 + 82 + 240 + 144 + 74 + 30
    for direction in ("ascending", "descending"):
        series.click_header(size)
        page.wait_for_timeout(1000)  # the front end sends the changes of a widget one by one
        shown = lab.run(page, SORT_OF_SERIES)
        assert shown == f"series_size_MB {direction == 'descending'} True", direction
        page.wait_for_timeout(500)
    series.click_row(0)
    page.wait_for_timeout(1000)
    assert lab.run(page, "print(*browser.selection.uids)") == LARGEST


def test_headers_have_tooltips(page: Page) -> None:
    series = Grid(page, "Series")
    expect(series.count).to_have_text("1,044,191")
    page.wait_for_timeout(1000)
    box = series.box()
    # The header "On disk" and a row have no tooltip; the third column has one.
    for x, y, tooltip in ((48, 14, ""), (96 + 140 + 58, 14, "PatientID"), (294, 60, "")):
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(100)
        hovered = "([x, y]) => document.elementFromPoint(x, y).closest('.lm-DataGrid').title"
        assert page.evaluate(hovered, [box["x"] + x, box["y"] + y]) == tooltip


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
def test_looks(lab: Lab, theme: str, width: int, screenshots: Path) -> None:
    page = lab.open_notebook([SHOW], theme=theme, width=width, height=1100)  # type: ignore[arg-type]
    lab.run_all(page)
    expect(Grid(page, "Series").count).to_have_text("1,044,191")
    page.wait_for_timeout(1000)
    lab.screenshot(page, screenshots / f"browser-{theme}-{width}.png")
    # The page does not scroll sideways; only the grids do.
    widest = page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('.jp-OutputArea-output .jupyter-widgets')]"
        ".map((element) => element.getBoundingClientRect().right))"
    )
    assert widest <= width
    lab.close(page)
