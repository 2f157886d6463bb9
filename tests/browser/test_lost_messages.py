"""Messages that are lost between page and kernel, and kernels that are busy or gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from support.lab import NOTEBOOK, Lab

SHOW = """
from idc_widgets import IDCBrowser
browser = IDCBrowser(collection_id="nsclc_radiomics")
chosen = []
def note(change):
    chosen.append(change["new"].filters.get("Modality"))
browser.state.observe(note, "filters")
browser
"""

# Keep the next choice waiting: the kernel answers it only after the file is deleted.
HOLD = """
import time
from pathlib import Path
Path("hold").touch()
def hold():
    patience = time.monotonic() + 300
    while Path("hold").exists() and time.monotonic() < patience:
        time.sleep(0.05)
browser.state.add_view(hold, ["filters"])
"""

# JavaScript: lose the next message that contains a text, on its way to the kernel or from it.
LOSE_REQUEST = """(text) => {
  const { send } = WebSocket.prototype;
  let isLost = false;
  WebSocket.prototype.send = function (data) {
    const message = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (isLost || !message.includes(text)) return send.call(this, data);
    isLost = true;
    window.lost += 1;
  };
}"""
LOSE_ANSWER = f"""(text) => {{ {NOTEBOOK}
  const socket = panel.sessionContext.session.kernel._ws;
  const {{ onmessage }} = socket;
  let isLost = false;
  socket.onmessage = function (event) {{
    const {{ data }} = event;
    const message = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (isLost || !message.includes(text)) return onmessage.call(this, event);
    isLost = true;
    window.lost += 1;
  }};
}}"""

WAITING = ".idc-popover-waiting"


@pytest.fixture(scope="module")
def opened(lab: Lab) -> Iterator[Page]:
    """Open one notebook for all tests; each replaces the cells."""
    shown = lab.open_notebook([""])
    yield shown
    lab.close(shown)


@pytest.fixture
def page(lab: Lab, opened: Page) -> Page:
    lab.show(opened, [SHOW], height=1300)
    expect(opened.locator(".idc-grid-count").nth(2)).to_have_text("4,926")
    opened.evaluate("() => { window.lost = 0; }")
    return opened


def choose_ct(page: Page) -> None:
    page.locator(".idc-popover-button").filter(has_text="Modality").click()
    page.get_by_role("option", name=re.compile("^CT,")).click()


@pytest.mark.parametrize(
    ("lose", "text"), [(LOSE_REQUEST, '"choose"'), (LOSE_ANSWER, '"_answered"')]
)
def test_a_lost_message_is_sent_again_and_works_once(
    lab: Lab, page: Page, lose: str, text: str
) -> None:
    page.evaluate(lose, text)
    choose_ct(page)
    page.wait_for_function("() => window.lost === 1")
    expect(page.locator(WAITING)).to_have_count(1)
    expect(page.locator(WAITING)).to_have_count(0)
    expect(page.get_by_role("option", name=re.compile("^CT,"))).to_have_attribute(
        "aria-selected", "true"
    )
    assert lab.run(page, "print(chosen)") == "['CT']"


def test_lost_clicks_of_all_controls_are_sent_again_in_their_order(lab: Lab, page: Page) -> None:
    observe = """
done = []
browser.state.observe(lambda change: done.append((change["name"], len(change["new"]))), "patients")
browser.state.observe(lambda change: done.append((change["name"], browser._filters.expanded)),
                      "filters")
"""
    lab.run(page, observe)
    kinds = ["pick", "sort", "choose", "expand", "clear"]
    for kind in kinds:
        page.evaluate(LOSE_REQUEST, f'"kind":"{kind}"')
    patients, series = page.get_by_role("grid").first, page.get_by_role("grid").nth(2)
    patients.get_by_text("LUNG1-003").click()
    series.get_by_role("columnheader", name="Size").click()
    page.get_by_role("button", name="Show distributions").last.click()
    page.get_by_role("button", name="More filters").click()
    page.get_by_role("button", name="Clear all").click()
    page.wait_for_function("(count) => window.lost === count", arg=len(kinds))
    expect(page.locator(".idc-grid-count").nth(2)).to_have_text("1,044,191")
    expect(page.get_by_role("button", name="Species")).to_be_visible()
    expect(series.get_by_role("columnheader", name="Size")).to_have_attribute(
        "aria-sort", "ascending"
    )
    done = json.loads(lab.run(page, "import json; print(json.dumps(done))"))
    assert done[0] == ["patients", 1]
    assert sorted(done[1:]) == [["filters", True], ["patients", 0]]
    assert lab.run(page, "print(browser.state.distributions)") == "{'series': True}"


def test_lost_requests_for_columns_and_histograms_are_sent_again(lab: Lab, page: Page) -> None:
    lab.run(page, "browser._filters.expanded = True")
    for kind in ("columns", "count"):
        page.evaluate(LOSE_REQUEST, f'"kind":"{kind}"')
    page.get_by_role("button", name="Columns").nth(2).click()
    dialog = page.get_by_role("dialog", name="Columns")
    dialog.get_by_role("option", name=re.compile("^Series UID")).click()
    page.get_by_role("button", name="Age", exact=True).click()
    page.wait_for_function("() => window.lost === 2")
    expect(page.locator(".idc-range-bar")).to_have_count(20)
    series = page.get_by_role("grid").nth(2)
    expect(series.get_by_role("columnheader", name="Series UID")).to_have_count(0)


def test_a_lost_histogram_is_sent_again(lab: Lab, page: Page) -> None:
    lab.run(page, "browser._filters.expanded = True")
    page.evaluate(LOSE_ANSWER, '"_histogram"')
    page.get_by_role("button", name="Age", exact=True).click()
    page.wait_for_function("() => window.lost === 1")
    expect(page.locator(".idc-range-bar")).to_have_count(20)


@pytest.mark.parametrize(
    ("lose", "text"), [(LOSE_REQUEST, '"kind":"start"'), (LOSE_ANSWER, '"_answered"')]
)
def test_a_lost_click_on_download_is_sent_again_and_works_once(
    lab: Lab, page: Page, lose: str, text: str
) -> None:
    observe = """
jobs = []
browser._download.endpoint_url = "http://127.0.0.1:9"
browser._download.observe(lambda change: jobs.append(change["new"]), "job")
browser.state.pick(patients=["LUNG1-003"])
"""
    lab.run(page, observe)
    start = page.locator(".idc-download-start")
    expect(start).to_have_text(re.compile("Download all 1?[0-9] series"))
    page.evaluate(lose, text)
    start.click()
    expect(start).to_have_text("Starting…")
    page.wait_for_function("() => window.lost === 1")
    expect(start).not_to_have_text("Starting…")
    assert lab.run(page, "print(len(jobs))") == "1"
    lab.run(page, "browser.job.cancel(); browser.job.wait()")  # it would lock the folder


def test_a_kernel_that_does_not_answer_is_reported_until_it_does(lab: Lab, page: Page) -> None:
    lab.run(page, HOLD)
    choose_ct(page)
    note = page.get_by_role("status").filter(has_text="The kernel does not answer")
    expect(note).to_have_count(1)
    expect(note).to_be_visible()
    page.get_by_role("option", name=re.compile("^SEG,")).click()  # choices are still taken
    (lab.folder / "hold").unlink()
    expect(note).to_have_count(0)
    expect(page.locator(WAITING)).to_have_count(0)
    assert lab.run(page, "print(chosen)") == "['CT', ['CT', 'SEG']]"


def test_without_a_kernel_nothing_is_enabled(lab: Lab, page: Page) -> None:
    page.locator(".idc-popover-button").filter(has_text="Modality").focus()
    page.evaluate(f"() => {{ {NOTEBOOK} return panel.sessionContext.session.kernel.restart(); }}")
    note = page.get_by_role("status").filter(has_text="No kernel is connected")
    expect(note).to_have_count(1)
    expect(note).to_be_visible()
    # A key that is pressed next is no command to the notebook: "b" would add a cell.
    expect(note).to_be_focused()
    page.keyboard.press("b")
    expect(note).to_be_focused()
    assert lab.cell_count(page) == 1
    # The bars to drag and the button of the full window work in the page alone.
    roots = page.locator(".idc-browser .idc-root:not(.idc-kernel, .idc-frame)")
    assert roots.count() > 10
    expect(page.locator(".idc-browser .idc-root[inert]")).to_have_count(roots.count())
    lab.run_all(page)
    expect(note).to_have_count(0)
    choose_ct(page)
    expect(page.locator(WAITING)).to_have_count(0)
    assert lab.run(page, "print(chosen)") == "['CT']"
