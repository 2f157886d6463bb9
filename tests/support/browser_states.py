"""The browser in each of its states, one after the other: for the pictures and for axe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from .downloads import CT
from .grids import Grid
from .lab import NOTEBOOK, Lab
from .s3server import S3Server

__all__ = ["STATES", "states"]

#: The names of the states, in their order.
STATES = (
    *("start", "dropdown", "range", "empty", "filtered", "picked", "columns", "row-menu"),
    *("row-details", "distributions", "downloading", "complete", "failed", "offline", "no-kernel"),
)

EMPTY = "browser.filters = browser.client.cohort(collection_id='nsclc_radiomics', Modality='MR')"
FILTER = (
    "browser.filters = browser.client.cohort(collection_id='nsclc_radiomics',"
    " Modality=['CT', 'SEG'])"
)
PICK = f"browser.pick(patients=['LUNG1-365'], series=['{CT}'])"
NO_SERVER = "browser._download.endpoint_url = 'http://127.0.0.1:9'"

RESTART = f"() => {{ {NOTEBOOK} return panel.sessionContext.session.kernel.restart(); }}"


def states(lab: Lab, page: Page, s3: S3Server, folder: str = "idc_data") -> Iterator[str]:
    """Bring `browser`, an `IDCBrowser` of the whole index, into each state, and yield its name.

    Args:
        lab: The JupyterLab with the page.
        page: The page, on which the browser has just been shown.
        s3: The server of the lab, with the series `CT`.
        folder: The folder of the complete download, which does not exist yet.
    """
    patients, series = Grid(page, "Patients"), Grid(page, "Series")
    start = page.locator(".idc-download-start")
    expect(series.count).to_have_text("1,044,191")
    yield "start"
    with _opened(page, "Modality"):
        yield "dropdown"
    more = page.get_by_role("button", name="More filters")
    more.click()
    with _opened(page, "Size"):
        yield "range"
    more.click()
    lab.run(page, EMPTY)
    expect(start).to_be_disabled()
    yield "empty"
    lab.run(page, FILTER)
    expect(patients.count).to_have_text("422")
    yield "filtered"
    lab.run(page, PICK)
    expect(start).to_contain_text("1 picked series")
    yield "picked"
    series.root.get_by_role("button", name="Columns").click()
    expect(page.get_by_role("dialog", name="Columns")).to_be_visible()
    yield "columns"
    page.keyboard.press("Escape")
    series.press("Control+Home", "ContextMenu")
    expect(page.get_by_role("menu")).to_be_visible()
    yield "row-menu"
    page.keyboard.press("Escape")
    series.press("Alt+Enter")
    expect(page.get_by_role("region", name="Series details")).to_be_visible()
    yield "row-details"
    page.keyboard.press("Escape")
    for _ in range(3):
        page.get_by_role("button", name="Show distributions").first.click()
    expect(patients.root.locator(".idc-bar-chosen").first).to_be_attached()
    expect(series.root.locator(".idc-bar-chosen").first).to_be_attached()
    patients.press("Control+Home", "ArrowUp", "ArrowRight", "Alt+ArrowDown")
    expect(page.get_by_role("listbox", name="Distribution of Collection")).to_be_focused()
    yield "distributions"
    page.keyboard.press("Escape")
    for _ in range(3):
        page.get_by_role("button", name="Hide distributions").first.click()
    yield from _downloads(lab, page, s3, folder)
    page.evaluate(RESTART)
    expect(page.locator(".idc-kernel")).to_be_visible()
    yield "no-kernel"


def _downloads(lab: Lab, page: Page, s3: S3Server, folder: str) -> Iterator[str]:
    start, status = page.locator(".idc-download-start"), page.locator(".idc-download-title")
    place = page.locator(".idc-download-folder")
    place.fill(folder)
    s3.rate_MB_s = 1
    start.click()
    page.wait_for_function("() => document.querySelector('[role=progressbar]').ariaValueNow > 10")
    yield "downloading"
    s3.rate_MB_s = None
    expect(status).to_have_text("Complete")
    expect(Grid(page, "Series").picked().get_by_text("complete")).to_be_visible()
    yield "complete"
    s3.fail = lambda request: 403 if request.method == "GET" else None
    place.fill(f"{folder}_refused")
    start.click()
    expect(status).to_have_text(re.compile("Failed|Incomplete"))
    yield "failed"
    s3.fail = lambda _request: None
    place.fill(f"{folder}_offline")
    lab.run(page, NO_SERVER)
    start.click()
    expect(page.locator(".idc-download")).to_contain_text("cannot be reached")
    yield "offline"


@contextmanager
def _opened(page: Page, name: str) -> Iterator[None]:
    """Open a dropdown or a range."""
    page.locator(".idc-popover-button").filter(has_text=name).click()
    panel = page.locator(".idc-popover-open .idc-popover-panel")
    expect(panel.locator(":is([role=option], [role=slider])").first).to_be_visible()
    yield
    page.keyboard.press("Escape")
