"""Dropdowns, summary line and Download button in JupyterLab, by mouse and keyboard."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from support.downloads import file_name
from support.lab import NOTEBOOK, PATIENCE, Lab
from support.s3server import Fault, Request, S3Server

HOSTILE = "<img src=x onerror=alert(1)>"

SETUP = """
import threading, time
from unittest import mock
import ipywidgets
from idc_widgets.client import IDCClient
from idc_widgets.widgets.download import DownloadWidget
from idc_widgets.widgets.facets import FacetPanel
from idc_widgets.widgets.state import BrowserState
from idc_widgets.widgets.summary import SummaryBar
mock.patch.stopall()  # what the last test has patched
"""

# A widget that gives the page the model of a dropdown: the page cannot find it by itself.
REACH = """
import anywidget
from traitlets import Unicode

class Reach(anywidget.AnyWidget):
    _esm = '''
    export default { async render({ model }) {
      window.model = await model.widget_manager.get_model(model.get("id"));
    } };
    '''
    id = Unicode().tag(sync=True)

Reach(id=panel.children[0].model_id)
"""

SHOW = """
panel, bar = FacetPanel(state), SummaryBar(state)
ipywidgets.VBox([panel, bar], layout={"width": "100%"})
"""

INSTALLED = [
    SETUP + "state = BrowserState(IDCClient(), collection_id='nsclc_radiomics')",
    SHOW,
]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    keys = [f"prefix-{series}/{file_name(file)}" for series in range(3) for file in range(4)]
    with S3Server({("bucket", key): 50_000 for key in keys}) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    names = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,Manufacturer"
    rows = [
        f's.{i},1,"{HOSTILE}",mine,{"CT" if i else ""},"{HOSTILE}",s3://bucket/prefix-{i}/*,4,0.2'
        for i in range(3)
    ]
    table = [f"{names},series_aws_url,instanceCount,series_size_MB", *rows]
    (folder / "own.csv").write_text("\n".join(table))
    with Lab(folder, chromium=chromium, env={"S3_ENDPOINT_URL": s3.url}) as running:
        yield running


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Page]:
    """Open one notebook for all tests; each replaces the cells."""
    shown = lab.open_notebook([""])
    shown.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    yield shown
    lab.close(shown)


@pytest.fixture
def page(lab: Lab, opened: Page) -> Page:
    """Show dropdowns and summary of the installed index, filtered to one collection."""
    lab.show(opened, INSTALLED)
    return opened


@pytest.fixture
def own(lab: Lab, opened: Page) -> Page:
    """Show dropdowns, summary and Download button of a small table with hostile values."""
    cells = [
        SETUP + "state = BrowserState(IDCClient('own.csv'))",
        SHOW,
        "download = DownloadWidget(state=state, folder='data'); download",
    ]
    lab.show(opened, cells)
    return opened


def button(page: Page, name: str) -> Locator:
    return page.locator(".idc-popover-button").filter(has_text=name)


def option(page: Page, name: str) -> Locator:
    return page.get_by_role("option", name=re.compile(f"^{re.escape(name)}, "))


def ticked(page: Page) -> Locator:
    return page.locator('.idc-facet-row[aria-selected="true"]')


def chosen(lab: Lab, page: Page, column: str) -> str:
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    listed = f"listed_values(state.filters.conditions, {column!r})"
    return lab.run(page, f"from idc_widgets.query import listed_values; print({listed})")


def test_dropdown_by_mouse(lab: Lab, page: Page) -> None:
    button(page, "Modality").click()
    expect(button(page, "Modality")).to_have_attribute("aria-expanded", "true")
    expect(option(page, "CT")).to_have_accessible_name("CT, 422 series, 422 patients")
    option(page, "CT").click()
    option(page, "SEG").click()
    expect(option(page, "SEG")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".idc-summary-line")).to_contain_text("422 patients")
    expect(button(page, "Modality").locator(".idc-badge")).to_have_attribute("data-text", "+1")
    assert chosen(lab, page, "Modality") == "('CT', 'SEG')"
    page.locator(".idc-summary-line").click()  # anywhere outside
    expect(page.get_by_role("listbox")).to_be_hidden()

    button(page, "Modality").click()
    expect(page.locator(".idc-facet-row").first).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Clear Modality").click()
    expect(button(page, "Modality")).to_have_text("Modality")
    assert chosen(lab, page, "Modality") == "()"


def test_dropdown_by_keyboard(lab: Lab, page: Page) -> None:
    cells = lab.cell_count(page)
    page.get_by_role("button", name="Clear Collection").focus()
    page.keyboard.press("Tab")
    expect(button(page, "Modality")).to_be_focused()
    page.keyboard.press("ArrowDown")
    search = page.get_by_label("Search Modality")
    expect(search).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator(".idc-facet-row").nth(0)).to_have_attribute("aria-selected", "true")
    # Letters go to the search box from anywhere; to JupyterLab, "b" and "x" are commands.
    page.keyboard.type("xb")
    expect(search).to_have_value("xb")
    note = page.locator(".idc-popover-open .idc-popover-note")
    expect(note).to_have_text("No value matches “xb”")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.type("struct")
    expect(page.locator(".idc-facet-row")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(option(page, "RTSTRUCT")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(button(page, "Modality")).to_be_focused()
    page.keyboard.press("Enter")
    expect(search).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("listbox")).to_be_hidden()  # the focus has left
    assert "RTSTRUCT" in chosen(lab, page, "Modality")
    assert lab.cell_count(page) == cells


def test_all_but_the_ticked_values(lab: Lab, page: Page) -> None:
    button(page, "Modality").click()
    option(page, "SEG").click()
    option(page, "RTSTRUCT").click()
    switch = page.get_by_role("switch", name="All but")
    expect(switch).not_to_be_checked()
    switch.click()
    expect(switch).to_be_checked()
    opener = button(page, "Modality")
    expect(opener).to_have_attribute("aria-label", "Modality: all but RTSTRUCT, SEG")
    expect(opener).to_contain_text("all but RTSTRUCT, SEG")
    expect(page.get_by_role("listbox", name="Modality: all but")).to_be_visible()
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    filters = "print(state.filters.without('collection_id').filters)"
    assert lab.run(page, filters) == "{'exclude': {'Modality': ['RTSTRUCT', 'SEG']}}"
    button(page, "Modality").click()
    expect(switch).to_be_checked()
    expect(option(page, "SEG")).to_have_attribute("aria-selected", "true")
    expect(option(page, "CT")).to_have_accessible_name("CT, 422 series, 422 patients")
    option(page, "SEG").click()
    option(page, "RTSTRUCT").click()  # nothing is ticked: the switch stays for the next value
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    expect(switch).to_be_checked()
    option(page, "CT").click()
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    page.get_by_role("button", name="Clear Modality").click()
    expect(switch).not_to_be_checked()
    assert lab.run(page, filters) == "{}"
    lab.run(page, "state.filters = state.filters.exclude(Modality=['CT', 'SEG', 'SR', 'RTSTRUCT'])")
    expect(opener).to_contain_text("all but CT, RTSTRUCT, SEG")
    expect(opener.locator(".idc-badge")).to_have_attribute("data-text", "+1")


def test_one_value_alone_by_mouse_and_keyboard(lab: Lab, page: Page) -> None:
    button(page, "Modality").click()
    option(page, "CT").click()
    option(page, "SEG").click()
    option(page, "RTSTRUCT").hover()
    page.get_by_role("button", name="Only RTSTRUCT").click()
    expect(option(page, "CT")).to_have_attribute("aria-selected", "false")
    expect(option(page, "RTSTRUCT")).to_have_attribute("aria-selected", "true")
    page.get_by_role("switch", name="All but").focus()
    page.keyboard.press("Space")
    page.get_by_label("Search Modality").focus()
    page.keyboard.press("ArrowDown")
    name = page.locator(".idc-facet-current .idc-facet-name").inner_text()
    only = page.get_by_role("button", name=f"Only {name}")
    page.keyboard.press("ArrowRight")
    expect(only).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("listbox")).to_be_focused()
    page.keyboard.press("Tab")
    expect(only).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("switch", name="All but")).not_to_be_checked()
    expect(ticked(page)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("listbox")).to_be_focused()
    page.keyboard.press("Escape")
    assert chosen(lab, page, "Modality") == f"({name!r},)"


def test_titles_are_shown_and_searched(lab: Lab, page: Page) -> None:
    lab.run(page, "state.clear()")
    opener = button(page, "Collection")
    opener.click()
    lung = page.get_by_role("option", name=re.compile("^nlst, .*National Lung Screening Trial, "))
    expect(lung).to_contain_text("Data from the National Lung Screening Trial")
    page.get_by_label("Search Collection").fill("trial screening lung")
    expect(page.locator(".idc-facet-row")).to_have_count(1)
    detail = page.locator(".idc-popover-open .idc-facet-detail")
    expect(detail).to_contain_text("Point at a row")
    lung.hover()
    expect(detail).not_to_contain_text("Point at a row")
    described_by = lung.get_attribute("aria-describedby")
    page.keyboard.press("ArrowDown")
    expect(lung).to_have_attribute("aria-describedby", re.compile("-detail$"))
    assert described_by is None


def test_all_matches_of_a_search_by_mouse_and_keyboard(lab: Lab, page: Page) -> None:
    lab.run(page, "state.clear()")
    button(page, "Collection").click()
    expect(page.locator(".idc-facet-every:visible")).to_have_count(0)
    page.get_by_label("Search Collection").fill("cptac_")
    page.get_by_role("button", name="Select all").click()
    count = page.locator(".idc-facet-row").count()
    expect(ticked(page)).to_have_count(count)
    expect(page.get_by_role("button", name=f"Deselect all {count}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(ticked(page)).to_have_count(0)
    page.get_by_label("Search Collection").press("Shift+Enter")
    expect(ticked(page)).to_have_count(count)
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    chosen_count = "print(len(state.filters.filters['collection_id']))"
    assert lab.run(page, chosen_count) == str(count)


def test_the_order_of_values_is_remembered(lab: Lab, page: Page) -> None:
    lab.run(page, "state.clear()")
    names = page.locator(".idc-popover-open .idc-facet-name")
    button(page, "Modality").click()
    expect(names.nth(0)).to_have_text("CT")
    sort = page.locator(".idc-popover-open .idc-facet-sort")
    expect(sort).to_have_text("Sort: count")
    sort.click()
    expect(sort).to_be_focused()
    expect(sort).to_have_text("Sort: name")
    expect(names.nth(0)).to_have_text("ANN")
    assert names.all_inner_texts() == sorted(names.all_inner_texts())
    lab.run(page, "FacetPanel(state, ['Modality'])")  # another dropdown, as after a restart
    button(page, "Modality").nth(1).click()
    expect(names.nth(0)).to_have_text("ANN")
    sort.click()
    expect(names.nth(0)).to_have_text("CT")


def test_many_values_open_quickly_and_unclipped(lab: Lab, page: Page) -> None:
    lab.run(page, "state.filters = state.client.cohort()")
    page.set_viewport_size({"width": 900, "height": 700})
    expect(page.locator(".idc-summary-line")).to_contain_text("179 collections")
    elapsed_ms = []
    for _ in range(3):  # the shortest time, because other processes may interrupt this one
        elapsed_ms += [
            page.evaluate(
                "() => { const start = performance.now();"
                " document.querySelector('.idc-popover-button').click();"
                " document.querySelector('.idc-facet-list').getBoundingClientRect();"
                " return performance.now() - start; }"
            )
        ]
        expect(page.locator(".idc-facet-row")).to_have_count(179)
        page.keyboard.press("Escape")
    assert min(elapsed_ms) < 500  # about 15 ms on a fast machine
    for name in ("Manufacturer", "Collection"):
        button(page, name).click()
        popover = page.locator(".idc-popover-open .idc-popover-panel")
        box = popover.bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= 900
        assert box["y"] >= 0 and box["y"] + box["height"] <= 700
        corner = [box["x"] + box["width"] - 20, box["y"] + box["height"] - 6]
        on_top = "([x, y]) => !!document.elementFromPoint(x, y).closest('.idc-popover-panel')"
        assert page.evaluate(on_top, corner)
        page.keyboard.press("Escape")


def test_quick_clicks_are_shown_at_once_and_sent_together(lab: Lab, page: Page) -> None:
    flag = lab.folder / "hold"
    lab.run(
        page,
        "from pathlib import Path\n"
        "changes, is_held = [], Path('hold')\n"
        "def slow():\n"
        "    changes.append(state.filters.filters['Modality'])\n"
        "    patience = time.monotonic() + 300\n"
        "    while is_held.exists() and time.monotonic() < patience: time.sleep(0.02)\n"
        "is_held.touch(); state.add_view(slow, ['filters'])",
    )
    button(page, "Modality").click()
    for name in ("CT", "SEG", "SR", "RTSTRUCT"):
        option(page, name).click()
        expect(option(page, name)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".idc-popover-waiting")).to_have_count(1)  # the kernel has not answered
    flag.unlink()
    expect(page.locator(".idc-popover-waiting")).to_have_count(0)
    assert lab.run(page, "print(len(changes), len(changes[-1]))") == "2 4"


def test_two_page_views_show_the_same(lab: Lab, page: Page) -> None:
    lab.run(page, "panel")
    buttons = button(page, "Modality")
    expect(buttons).to_have_count(2)
    buttons.nth(1).click()
    option(page, "CT").click()
    expect(buttons.nth(0)).to_contain_text("CT")
    page.keyboard.press("Escape")
    buttons.nth(0).click()
    option(page, "SEG").click()
    expect(buttons.nth(1)).to_have_accessible_name("Modality: CT, SEG")
    assert chosen(lab, page, "Modality") == "('CT', 'SEG')"


def test_the_tooltip_names_the_column(lab: Lab, page: Page) -> None:
    opener = button(page, "Body part")
    expect(opener).to_have_attribute("title", "BodyPartExamined")
    expect(opener).to_have_attribute("aria-label", "Body part")
    lab.run(page, "state.filters = state.filters.where(BodyPartExamined=['LUNG', None])")
    expect(opener).to_have_attribute("title", "Body part: LUNG, (missing)\nBodyPartExamined")


def test_a_removed_page_view_no_longer_follows_its_model(lab: Lab, page: Page) -> None:
    lab.run(page, REACH)
    page.wait_for_function("() => window.model !== undefined")
    listeners = "() => window.model._events['change:_chosen'].length"
    with_one_view = page.evaluate(listeners)
    lab.run(page, "panel")
    expect(button(page, "Modality")).to_have_count(2)
    assert page.evaluate(listeners) > with_one_view
    page.evaluate(
        f"() => {{ {NOTEBOOK}"
        " notebook.model.sharedModel.deleteCell(notebook.model.cells.length - 1); }"
    )
    expect(button(page, "Modality")).to_have_count(1)
    page.wait_for_function(f"(count) => ({listeners})() === count", arg=with_one_view)


def test_ids_are_unique_without_a_secure_context(lab: Lab, opened: Page) -> None:
    page = opened
    page.evaluate("() => { crypto.randomUUID = undefined; }")  # as on a plain http host
    lab.show(page, INSTALLED)
    lab.run(page, "panel")
    expect(button(page, "Modality")).to_have_count(2)
    ids = page.evaluate(
        "() => [...document.querySelectorAll('.idc-facet-list')].map((list) => list.id)"
    )
    assert len(set(ids)) == len(ids) == 12
    assert all(re.fullmatch("idc(-[0-9a-f]{8}){4}-list", name) for name in ids)
    page.evaluate("() => { delete crypto.randomUUID; }")


def test_chips_and_messages(lab: Lab, page: Page) -> None:
    lab.run(page, "state.filters = state.filters.where(Modality='XC', series_size_MB=(None, 5))")
    expect(page.locator(".idc-summary-line")).to_have_text(re.compile("^No series matches"))
    page.get_by_role("button", name="Remove: Modality = XC").click()
    expect(page.locator(".idc-chip")).to_have_text([re.compile("Size ≤ 5 MB")])
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(".idc-summary-line")).to_contain_text("179 collections")
    lab.run(page, "state.report(ValueError('too bad'))")
    expect(page.get_by_role("alert").filter(has_text="too bad")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("too bad")).to_have_count(0)
    assert lab.run(page, "print(repr(state.message))") == "''"


def test_hostile_values_are_text(lab: Lab, own: Page) -> None:
    button(own, "Manufacturer").click()
    option(own, HOSTILE).click()
    expect(button(own, "Manufacturer")).to_contain_text(HOSTILE)
    own.keyboard.press("Escape")
    lab.run(
        own,
        f"state.filters = state.filters.where(PatientID={HOSTILE!r})\n"
        f"state.report(ValueError({HOSTILE!r}))",
    )
    expect(own.locator(".idc-chip")).to_contain_text(f"Patient ID = {HOSTILE}")
    expect(own.locator(".idc-alert")).to_contain_text(HOSTILE)
    assert own.locator(".idc-root img").count() == 0
    button(own, "Modality").click()
    expect(option(own, "(missing)")).to_be_visible()
    option(own, "(missing)").click()
    expect(own.locator(".idc-summary-line")).to_contain_text("1 series")
    assert chosen(lab, own, "Modality") == "(None,)"


def luminance(page: Page, selector: str, name: str) -> float:
    color = page.locator(selector).first.evaluate(f"(element) => getComputedStyle(element).{name}")
    return sum(float(part) for part in re.findall(r"[\d.]+", color)[:3]) / 3 / 255


def test_dark_theme(lab: Lab, opened: Page, screenshots: Path) -> None:
    dark = opened
    lab.show(dark, INSTALLED, theme="dark")
    button(dark, "Modality").click()
    option(dark, "CT").wait_for()
    assert luminance(dark, ".idc-popover-panel", "backgroundColor") < 0.3
    assert luminance(dark, ".idc-facet-name", "color") > 0.7
    assert luminance(dark, ".idc-summary-item b", "color") > 0.7
    lab.screenshot(dark, screenshots / "controls-dark.png")


def test_download_cancel_and_resume(lab: Lab, own: Page, s3: S3Server) -> None:
    s3.rate_MB_s = 0.1
    folder = own.locator(".idc-download-folder")
    folder.fill("own.csv/below a file")
    own.get_by_role("button", name="Download all 3 series · 600.0 kB").click()
    expect(own.locator(".idc-download .idc-alert")).to_be_visible()
    folder.fill("data")
    own.get_by_role("button", name="Download all").click()
    expect(own.locator(".idc-download .idc-alert")).to_have_count(0)
    title = own.locator(".idc-download-title")
    expect(title).to_have_text("Downloading")
    expect(own.locator(".idc-download-detail")).to_contain_text("MB/s")
    expect(own.get_by_role("button", name="Cancel")).to_be_focused()
    own.keyboard.press("Enter")
    expect(title).to_have_text("Cancelled")
    expect(own.locator(".idc-download-detail")).to_contain_text("are kept; press Resume")
    s3.rate_MB_s = None
    own.keyboard.press("Enter")  # the focus is on Download again
    expect(title).to_have_text("Complete")
    expect(own.get_by_role("progressbar", name="Download")).to_have_attribute(
        "aria-valuenow", "100"
    )
    expect(own.locator(".idc-download-ok")).to_have_count(3)
    assert lab.run(own, "print(sum(map(len, download.paths.values())))") == "12"
    assert len(list((lab.folder / "data").rglob("*.dcm"))) == 12


def test_progress_where_messages_from_threads_are_lost(lab: Lab, own: Page, s3: S3Server) -> None:
    s3.rate_MB_s = 0.3
    lab.run(
        own,
        "send_state = download.send_state\n"
        "def send_unless_in_job(*args, **kwargs):\n"
        "    if threading.current_thread().name != 'DownloadJob':\n"
        "        send_state(*args, **kwargs)\n"
        "download.send_state = send_unless_in_job",
    )
    own.locator(".idc-download-folder").fill("elsewhere")
    own.get_by_role("button", name="Download all").click()
    title = own.locator(".idc-download-title")
    expect(title).to_have_text("Downloading")
    expect(title).to_have_text("Complete")
    s3.rate_MB_s = None


def hold(s3: S3Server) -> Callable[[], None]:
    """Keep requests waiting until the returned function is called."""
    released = threading.Event()

    def fault(_request: Request) -> Fault:
        released.wait(PATIENCE)
        return None

    s3.fail = fault
    return released.set


def test_download_by_keyboard(lab: Lab, own: Page, s3: S3Server) -> None:
    """Check that the focus stays in the widget: elsewhere, single keys are commands."""
    cells = lab.cell_count(own)

    def press(key: str) -> None:
        assert own.evaluate("() => document.activeElement.closest('.idc-download') !== null")
        own.keyboard.press(key)

    def is_focused(name: str) -> None:
        expect(own.locator(".idc-download").get_by_role("button", name=name)).to_be_focused()
        for key in "bdd0":  # commands that add a cell, delete one and restart the kernel
            press(key)

    (lab.folder / HOSTILE).touch()
    own.locator(".idc-download-folder").fill(HOSTILE)
    press("Enter")
    is_focused("Download all")
    press("Enter")
    alert = own.locator(".idc-download .idc-alert")
    expect(alert).to_contain_text(f"{HOSTILE} is a file; choose a folder")
    assert own.locator(".idc-download img").count() == 0
    is_focused("Download all")

    own.locator(".idc-download-folder").fill("keys")
    lab.run(own, "mock.patch('idc_widgets.widgets.download.MAX_GB', 0.0001).start()")
    own.locator(".idc-download-start").focus()
    press("Enter")
    expect(alert).to_contain_text("Start this large download?")
    for answer in ("Not now", "Download anyway"):
        press("Tab")
        press("Tab")  # past the folder
        is_focused("Download anyway")
        if answer == "Not now":
            press("Tab")
            press("Enter")
            expect(alert).to_have_count(0)
            is_focused("Download all")
            press("Enter")
            expect(alert).to_have_count(1)
    release = hold(s3)
    press("Enter")
    is_focused("Cancel")
    expect(alert).to_have_count(0)
    press("Tab")
    press("Space")
    is_focused("Resume")
    press("Space")
    is_focused("Pause")
    press("Shift+Tab")
    press("Enter")
    is_focused("Resume")
    s3.fail = lambda request: 404 if "prefix-2" in request.key else None
    release()
    press("Enter")
    is_focused("Retry failed")
    own.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press("Tab")
    is_focused("Copy folder path")
    press("Enter")
    is_focused("Copied")
    clipboard = "() => navigator.clipboard.readText()"
    assert own.evaluate(clipboard) == str(lab.folder / "keys")
    press("Tab")
    is_focused("Copy file paths")
    press("Space")
    own.wait_for_function(f"async () => (await ({clipboard})()).includes('dcm')")
    paths = lab.run(own, "print(*[path for paths in download.paths.values() for path in paths])")
    assert own.evaluate(clipboard).split() == paths.split()
    own.locator(".idc-download-actions .idc-link").last.focus()
    press("Shift+Tab")
    press("Shift+Tab")
    s3.fail = lambda _request: None
    press("Enter")
    is_focused("Download all")
    expect(own.locator(".idc-download-title")).to_have_text("Complete")
    assert lab.cell_count(own) == cells


def test_a_double_click_on_download_does_not_cancel_it(lab: Lab, own: Page, s3: S3Server) -> None:
    release = hold(s3)
    own.locator(".idc-download-folder").fill("twice")
    own.locator(".idc-download-start").click(position={"x": 20, "y": 16})
    expect(own.get_by_role("button", name="Cancel")).to_be_focused()  # where Download was
    own.mouse.down(click_count=2)
    own.mouse.up(click_count=2)
    release()
    expect(own.locator(".idc-download-title")).to_have_text("Complete")
