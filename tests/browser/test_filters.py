"""Search box, ranges and the second row of filters in JupyterLab, by mouse and keyboard."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from support.lab import Lab

HOSTILE = "<img src=x onerror=alert(1)>"
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
UNKNOWN = "1.2.840.99999.1"

SETUP = """
import time
import ipywidgets
from idc_widgets import BrowserState, FilterPanel, IDCClient, RangeFilter, SearchBox, SummaryBar
state = BrowserState(IDCClient(), collection_id="nsclc_radiomics")
texts = []
state.observe(lambda change: texts.append(change["new"].filters.get("text")), "filters")
def slow():
    time.sleep(1)
"""

SHOW = """
panel, bar = FilterPanel(state), SummaryBar(state, columns=[])
ipywidgets.VBox([panel, bar], layout={"width": "100%"})
"""

# JavaScript: paste a text as Ctrl+V does. Not every machine has a clipboard.
PASTE = """(input, text) => {
  input.focus();
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  const options = { clipboardData, bubbles: true, cancelable: true };
  return input.dispatchEvent(new ClipboardEvent("paste", options));
}"""


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Page]:
    """Open one notebook for all tests; `page` resets its state after each."""
    shown = lab.open_notebook([SETUP, SHOW])
    lab.run_all(shown)
    shown.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    yield shown
    errors = lab.errors(shown)
    assert errors == []
    assert shown.locator(".idc-root img").count() == 0
    lab.close(shown)


@pytest.fixture
def page(lab: Lab, opened: Page) -> Iterator[Page]:
    yield opened
    opened.locator(".idc-summary-line").click()  # closes any popover
    lab.run(
        opened,
        "panel.expanded = False\n"
        "state.filters = state.client.cohort(collection_id='nsclc_radiomics'); texts.clear()",
    )
    expect(search(opened)).to_have_value("")
    expect(opened.locator(".idc-toggle-button")).to_have_attribute("aria-expanded", "false")


def chip(page: Page, text: str) -> Locator:
    return page.locator(".idc-chip").filter(has_text=text)


def search(page: Page) -> Locator:
    return page.locator(".idc-search-input")


def button(page: Page, name: str) -> Locator:
    return page.locator(".idc-popover-button").filter(has_text=re.compile(f"^{name}"))


def wait_for_answers(page: Page) -> None:
    expect(page.locator(".idc-search-waiting, .idc-popover-waiting")).to_have_count(0)


def filters(lab: Lab, page: Page) -> str:
    """Run a cell that prints the filters, and return them. This closes any open popover."""
    wait_for_answers(page)
    return lab.run(page, "print(state.filters.without('collection_id').filters)")


def open_range(page: Page, name: str) -> Locator:
    if not button(page, name).is_visible():
        page.get_by_role("button", name="More filters").click()
    button(page, name).click()
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog.locator(".idc-range-bar")).to_have_count(20)
    expect(page.locator(".idc-range-counting")).to_have_count(0)
    return dialog


# --- the search box ------------------------------------------------------------------------


def test_the_last_text_wins_and_typing_never_waits(lab: Lab, page: Page) -> None:
    lab.run(page, "state.add_view(slow, ['filters']); texts.clear()")
    search(page).click()
    page.keyboard.type("l")
    page.wait_for_timeout(500)  # a single letter is not sent by itself
    page.keyboard.type("ung1-", delay=20)
    page.wait_for_timeout(400)  # the text has been sent, and its answer takes a second
    for typed in "365":
        page.keyboard.type(typed)
        page.wait_for_timeout(250)
    expect(search(page)).to_have_value("lung1-365")
    expect(page.locator(".idc-summary-line")).to_contain_text("12 series")
    expect(search(page)).to_have_value("lung1-365")
    wait_for_answers(page)
    texts = lab.run(page, "print(texts); state.remove_view(slow)")
    *others, last = ast.literal_eval(texts)
    assert last == "lung1-365"
    # While a request waits, only the last text is kept. So not all nine typed texts are sent.
    assert len(others) <= 4, texts
    search(page).click()
    page.keyboard.press("Escape")
    expect(search(page)).to_have_value("")
    assert filters(lab, page) == "{}"


def test_search_by_keyboard_and_from_python(lab: Lab, page: Page) -> None:
    cells = lab.cell_count(page)
    search(page).focus()
    page.keyboard.type("a")
    page.keyboard.press("Enter")
    expect(page.locator(".idc-search-active")).to_have_count(1)
    assert filters(lab, page) == "{'text': 'a'}"
    page.get_by_role("button", name="Remove: Text “a”").click()
    expect(search(page)).to_have_value("")
    lab.run(page, "state.filters = state.filters.where(text='lung1-001')")
    expect(search(page)).to_have_value("lung1-001")
    page.get_by_role("button", name="Clear search").click()
    expect(search(page)).to_be_focused()
    assert filters(lab, page) == "{}"
    assert lab.cell_count(page) == cells


def test_paste_uids(lab: Lab, page: Page) -> None:
    unhandled = search(page).evaluate(PASTE, f"{CT}\n{STUDY}\n{UNKNOWN}\n")
    assert not unhandled
    expect(page.locator(".idc-search-list")).to_have_text("3 UIDs")
    expect(page.locator(".idc-search-words")).to_have_text(
        f"2 of 3 UIDs found; 1 unknown: {UNKNOWN}"
    )
    expect(search(page)).to_have_value("")
    expect(page.locator(".idc-summary-line")).to_contain_text("12 series")
    page.evaluate("() => { navigator.clipboard.writeText = (text) => { window.copied = text; }; }")
    page.get_by_role("button", name="copy unknown").click()
    expect(page.get_by_role("button", name="copied")).to_be_focused()
    assert page.evaluate("() => window.copied") == UNKNOWN
    page.get_by_role("button", name="Remove the UIDs").click()
    expect(page.locator(".idc-search-found")).to_be_hidden()
    assert filters(lab, page) == "{}"

    search(page).fill(f"{CT}, {STUDY}")  # typed instead of pasted
    page.keyboard.press("Enter")
    expect(page.locator(".idc-search-words")).to_have_text("2 of 2 UIDs found")
    expect(search(page)).to_have_value("")
    page.keyboard.press("Escape")  # with an empty box, Escape removes the list
    expect(page.locator(".idc-search-found")).to_be_hidden()
    page.keyboard.type(CT[:40])
    expect(chip(page, f"Text “{CT[:40]}”")).to_be_visible()
    page.keyboard.press("Enter")  # part of a UID is not a list
    wait_for_answers(page)
    expect(search(page)).to_have_value(CT[:40])
    assert filters(lab, page) == str({"text": CT[:40]})


def test_text_that_is_not_a_uid_is_explained(lab: Lab, page: Page) -> None:
    search(page).evaluate(PASTE, f"{CT}\n{HOSTILE}")
    alert = page.locator(".idc-search-alert")
    expect(alert).to_contain_text("line 2: '<img' is not a UID")
    assert filters(lab, page) == "{}"
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_be_empty()
    search(page).fill(HOSTILE)
    expect(chip(page, f"Text “{HOSTILE.lower()[:4]}")).to_be_visible()
    expect(search(page)).to_have_value(HOSTILE)


def test_a_hundred_thousand_lines(lab: Lab, page: Page) -> None:
    prefix = "1.3.6.1.4.1.14519.5.2.1.9999.9999."  # as long as UIDs of IDC
    lines = "\n".join([CT, *(f"{prefix}{10**28 + line}" for line in range(99_999))])
    assert len(lines) > 6e6
    elapsed_ms = search(page).evaluate(
        f"(input, text) => {{ const start = performance.now(); ({PASTE})(input, text);"
        " return performance.now() - start; }",
        lines,
    )
    assert elapsed_ms < 2000  # about 100 ms on a fast machine
    expect(page.locator(".idc-search-list")).to_contain_text("100,000 UIDs")
    expect(page.locator(".idc-search-words")).to_contain_text("1 of 100,000 UIDs found; 99,999 unk")
    expect(search(page)).to_have_value("")


# --- ranges --------------------------------------------------------------------------------


def test_range_by_mouse(lab: Lab, page: Page) -> None:
    dialog = open_range(page, "Age")
    expect(dialog.locator(".idc-popover-note")).to_contain_text("series without a value")
    box = dialog.locator(".idc-range-bars").bounding_box()
    assert box is not None
    bar, y = box["width"] / 20, box["y"] + 40
    page.mouse.move(box["x"] + 15.5 * bar, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 12.5 * bar, y, steps=4)
    expect(dialog.get_by_role("textbox", name="Age from")).to_have_value("60")
    page.mouse.up()
    expect(button(page, "Age")).to_have_text("Age 60 – 79 years")
    expect(dialog.locator(".idc-range-out")).to_have_count(16)
    expect(chip(page, "Age 60 – 79 years")).to_be_visible()
    # A handle moves only its end of the range.
    page.mouse.move(box["x"] + 12 * bar, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 14.5 * bar, y, steps=4)
    page.mouse.up()
    expect(button(page, "Age")).to_have_text("Age 70 – 79 years")
    # While the histogram is shown, it follows the other filters.
    before = dialog.locator(".idc-range-bars").get_attribute("aria-label")
    remove = page.get_by_role("button", name="Remove: Collection")
    remove.evaluate("(element) => element.click()")  # a real click would close the histogram
    expect(dialog.locator(".idc-range-bars")).not_to_have_attribute("aria-label", str(before))
    assert filters(lab, page) == "{'PatientAge': (70, 79.99999999999999)}"
    page.get_by_role("button", name="Clear Age").click()
    expect(button(page, "Age")).to_have_text("Age")
    assert filters(lab, page) == "{}"


def test_range_by_keyboard(lab: Lab, page: Page) -> None:
    open_range(page, "Age")
    page.keyboard.press("Escape")
    expect(button(page, "Age")).to_be_focused()
    page.keyboard.press("ArrowDown")
    dialog = page.get_by_role("dialog", name="Age")
    first, last = (dialog.get_by_role("textbox", name=f"Age {end}") for end in ("from", "to"))
    expect(first).to_be_focused()
    page.keyboard.type("60")
    page.keyboard.press("Tab")
    expect(last).to_be_focused()
    page.keyboard.type("80")
    page.keyboard.press("Enter")
    expect(button(page, "Age")).to_have_text("Age 60 – 80 years")
    low = dialog.get_by_role("slider", name="Age from")
    low.focus()
    expect(low).to_have_attribute("aria-valuetext", "60 years")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    expect(button(page, "Age")).to_have_text("Age ≥ 70 years")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert filters(lab, page) == "{'PatientAge': (70, None)}"


def test_text_that_is_not_a_range_is_explained(lab: Lab, page: Page) -> None:
    dialog = open_range(page, "Study date")
    first = dialog.get_by_role("textbox", name="Study date from")
    last = dialog.get_by_role("textbox", name="Study date to")
    first.fill("20110101")
    last.fill("2010-01-01")
    last.press("Enter")
    alert = dialog.get_by_role("alert")
    expect(alert).to_contain_text("the range is upside down")
    expect(first).to_have_value("20110101")  # the text is kept, so that it can be corrected
    first.fill(HOSTILE)
    dialog.get_by_role("button", name="Apply").click()
    expect(alert).to_contain_text(f"'{HOSTILE}' is not a date")
    expect(page.locator(".idc-chip")).to_have_count(1)  # the chip of the collection
    first.fill("20090101")
    first.press("Enter")
    expect(alert).to_be_empty()
    assert filters(lab, page) == "{'StudyDate': ('2009-01-01', '2010-01-01')}"


# --- more filters --------------------------------------------------------------------------


def test_more_filters(lab: Lab, page: Page, screenshots: Path) -> None:
    more = page.get_by_role("button", name=re.compile("^More filters"))
    more.focus()
    page.keyboard.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    button(page, "Cancer type").click()
    page.get_by_role("option", name=re.compile("^Lung Cancer, 4,926 series")).click()
    page.keyboard.press("Escape")
    button(page, "Original images").click()
    page.get_by_role("option", name=re.compile("^yes, ")).click()
    page.keyboard.press("Escape")
    button(page, "Commercial use").click()
    page.get_by_role("option", name=re.compile("^no, ")).click()
    page.keyboard.press("Escape")
    expect(chip(page, "Original images")).to_be_visible()
    expect(chip(page, "Commercial use not allowed")).to_be_visible()
    assert filters(lab, page) == (
        "{'cancer_types': 'Lung Cancer', 'commercial_use': False, 'original': True}"
    )
    lab.screenshot(page, screenshots / "more-filters.png")
    more.click()
    expect(button(page, "Cancer type")).to_be_hidden()
    expect(more).to_have_text("More filters3")


# --- look ----------------------------------------------------------------------------------


def test_dark_theme(lab: Lab, screenshots: Path) -> None:
    dark = lab.open_notebook([SETUP, SHOW], theme="dark", width=900)
    lab.run_all(dark)
    dialog = open_range(dark, "Files")
    box = dialog.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 900
    for selector, name, is_light in (
        (".idc-range .idc-popover-panel", "backgroundColor", False),
        (".idc-range-input", "color", True),
        (".idc-search-box", "backgroundColor", False),
    ):
        color = dark.locator(selector).first.evaluate(f"(root) => getComputedStyle(root).{name}")
        light = sum(float(part) for part in re.findall(r"[\d.]+", color)[:3]) / 3 / 255
        assert light > 0.7 if is_light else light < 0.3, selector
    lab.screenshot(dark, screenshots / "range-dark.png")
    lab.close(dark)
