"""Keys that are pressed in a widget do not reach the notebook, and the focus stays in the widget.

JupyterLab gets a key after the widget, and Jupyter Notebook 7 gets it before the widget.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import ElementHandle, Locator, Page, expect
from support.downloads import file_name
from support.grids import Grid
from support.lab import IS_INSIDE, NOTEBOOK, Lab
from support.s3server import S3Server

FRONT_ENDS: list[Literal["lab", "notebook"]] = ["lab", "notebook"]

#: All letters and digits, and the commands of a notebook that need a key twice: delete a cell,
#: interrupt, restart.
KEYS = string.ascii_lowercase + string.digits + "ddii00"

CELLS = [
    "first = 1",
    "from idc_widgets import IDCBrowser, IDCClient\n"
    "browser = IDCBrowser(IDCClient('own.csv'), folder='data')\n"
    "browser",
    "last = 3",
]

# JavaScript: return all that a command of the notebook could change.
NOTEBOOK_MODEL = f"""() => {{ {NOTEBOOK}
  return {{
    cells: [...notebook.model.cells].map((cell) => {{
      const {{ cell_type, source, metadata, execution_count }} = cell.toJSON();
      return {{ cell_type, source, metadata, execution_count }};
    }}),
    dialogs: document.querySelectorAll(".jp-Dialog").length,
    lineNumbers: document.querySelectorAll(".cm-lineNumbers").length,
    searches: document.querySelectorAll(".jp-DocumentSearch-overlay").length,
    kernel: panel.sessionContext.session.kernel.id,
  }};
}}"""

# JavaScript: return the elements where Tab stops. The search box comes last, because a text that is
# typed there changes all other widgets.
PLACES = """(within) => [...document.querySelectorAll(
    `${within} :is(button, input, summary, [tabindex])`)]
  .filter((element) => element.tabIndex >= 0 && element.getClientRects().length > 0
    && !element.matches(":disabled")).reverse()"""

OPEN = ".idc-popover-open"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    keys = [f"prefix-{series}/{file_name(file)}" for series in range(4) for file in range(2)]
    with S3Server({("bucket", key): 50_000 for key in keys}) as server:
        yield server


@pytest.fixture(scope="module", params=FRONT_ENDS)
def lab(
    request: Any, tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    names = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,Manufacturer"
    rows = [
        f"1.2.826.0.100.{i},1.{i},P{i},mine,{'CT' if i else 'MR'},M{i},s3://bucket/prefix-{i}/*,2,0.1"
        for i in range(4)
    ]
    table = [f"{names},series_aws_url,instanceCount,series_size_MB", *rows]
    (folder / "own.csv").write_text("\n".join(table))
    env = {"S3_ENDPOINT_URL": s3.url}
    with Lab(folder, chromium=chromium, env=env, front_end=request.param) as running:
        yield running


@pytest.fixture(scope="module")
def shown(lab: Lab) -> Iterator[Page]:
    page = lab.open_notebook(CELLS, height=1100)
    lab.run_all(page)
    yield page
    lab.close(page)


@pytest.fixture
def page(lab: Lab, shown: Page) -> Iterator[Page]:
    """Return a page with an unfiltered browser; after the test, compare the notebook."""
    # What a test has typed in the search box is not to arrive after this.
    expect(shown.locator(".idc-search-waiting")).to_have_count(0)
    lab.run(shown, "browser.state.clear()")
    expect(shown.locator(".idc-summary-line")).to_contain_text("4 series")
    before = shown.evaluate(NOTEBOOK_MODEL)
    yield shown
    assert shown.evaluate(NOTEBOOK_MODEL) == before


def type_everywhere(page: Page, within: str = ".idc-browser") -> set[str]:
    """Type every letter and digit in each element where Tab stops; return the elements' names."""
    before = page.evaluate(NOTEBOOK_MODEL)
    names = set()
    for place in page.evaluate_handle(PLACES, within).get_properties().values():
        element = place.as_element()
        assert isinstance(element, ElementHandle)
        if not element.is_visible() or element.is_disabled():
            continue  # earlier typing has removed the element
        element.focus()
        name = element.evaluate("(e) => e.getAttribute('aria-label') ?? e.textContent")
        page.keyboard.type(KEYS)
        assert page.evaluate(IS_INSIDE), name
        assert page.evaluate(NOTEBOOK_MODEL) == before, name
        names.add(name)
    return names


def opener(page: Page, name: str) -> Locator:
    return page.locator(".idc-popover-button").filter(has_text=name)


def test_no_letter_or_digit_reaches_the_notebook(page: Page) -> None:
    page.get_by_role("button", name="More filters").click()
    page.get_by_role("button", name=re.compile("^Download all 4 series")).click()
    expect(page.locator(".idc-download-title")).to_have_text("Complete")
    opener(page, "Size").click()
    page.get_by_role("textbox", name="Size from").fill("0.05")
    page.keyboard.press("Enter")
    expect(page.get_by_role("slider")).to_have_count(2)
    expect(page.get_by_role("button", name="Clear Size")).to_be_visible()
    places = type_everywhere(page, OPEN)
    assert {"Size from", "Size to, MB", "Apply", "Clear Size"} <= places

    opener(page, "Manufacturer").click()
    page.get_by_role("option", name=re.compile("^M1,")).click()
    assert type_everywhere(page, OPEN) >= {"Search Manufacturer", "Clear Manufacturer"}
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Clear all")).to_be_visible()
    places = type_everywhere(page)
    assert {"Search descriptions, IDs and collections, or paste UIDs", "Clear all"} <= places
    assert {"Copy folder path", "Series", "Log", "Download folder"} <= places
    # The search box was the last place.
    expect(page.locator(".idc-summary-line")).to_contain_text("No series matches")


def test_no_letter_or_digit_reaches_the_notebook_from_a_grid(page: Page) -> None:
    grids = page.get_by_role("grid").all()
    assert len(grids) == 3
    for grid in grids:
        grid.click(position={"x": 60, "y": 60})
        page.keyboard.type(KEYS)
        expect(grid).to_be_focused()


def test_no_letter_or_digit_reaches_the_notebook_from_the_panels_of_a_grid(page: Page) -> None:
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    grid.root.get_by_role("button", name="Show distributions").click()
    grid.root.get_by_role("button", name="Columns").click()
    assert "Search columns" in type_everywhere(page, ".idc-grid-chooser")
    page.keyboard.press("Escape")
    expect(grid.root.locator(".idc-grid-chooser")).to_be_hidden()

    grid.press("Control+Home", "ContextMenu")
    items = page.get_by_role("menuitem")
    for _ in range(items.count()):
        page.keyboard.type(KEYS)
        assert page.evaluate(IS_INSIDE)
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(grid.grid).to_be_focused()

    grid.press("Alt+Enter")
    expect(page.get_by_role("region", name="Series details")).to_be_visible()
    places = type_everywhere(page, ".idc-details")
    assert {"Columns, collection and data sets", "Close the details (Escape)"} <= places
    page.keyboard.press("Escape")
    type_everywhere(page, ".idc-part-series")
    type_everywhere(page, ".idc-frame")
    grid.root.get_by_role("button", name="Hide distributions").click()


def test_ctrl_is_for_the_browser_and_ctrl_s_for_the_notebook(page: Page) -> None:
    search = page.locator(".idc-search-input")
    search.fill("words")
    search.evaluate(
        "(input) => document.addEventListener('copy', (event) => { window.copied = 1; })"
    )
    for keys in (
        "Control+a",
        "Control+c",
        "Control+f",
        "Control+Enter",
        "Shift+Enter",
        "Alt+Enter",
    ):
        search.press(keys)
    assert page.evaluate("() => window.copied") == 1
    page.evaluate(f"""() => {{ {NOTEBOOK}
      window.saved = 0;
      panel.context.saveState.connect((_, state) => {{ window.saved += state === "completed"; }});
    }}""")
    for times, place in enumerate([search, opener(page, "Modality")], 1):
        page.evaluate(f"() => {{ {NOTEBOOK} panel.context.model.dirty = true; }}")
        # After a save, JupyterLab makes a checkpoint, and ignores this key until it has made it.
        deadline = time.monotonic() + 60
        while page.evaluate("() => window.saved") < times and time.monotonic() < deadline:
            place.press("Control+s")
            page.wait_for_timeout(1000)
        assert page.evaluate("() => window.saved") >= times


def focused(page: Page, name: str) -> None:
    """Wait until the element with this text or label has the focus."""
    page.wait_for_function(
        "(name) => { const { activeElement: e } = document;"
        " return (e.getAttribute('aria-label') ?? e.textContent).startsWith(name); }",
        arg=name,
    )


def test_the_focus_stays_when_its_element_disappears(lab: Lab, page: Page) -> None:
    lab.run(page, "browser.filters = browser.filters.where(PatientID=['P1', 'P2'])")
    lab.run(page, "browser.pick(patients=['P1'], studies=['1.1'], series=['1.2.826.0.100.1'])")
    chips = page.locator(".idc-chip")
    expect(chips).to_have_count(4)

    # Remove the first chips, and then the others by "Clear all". The focus moves to the next chip,
    # and at the end to the sentence that remains.
    chips.nth(0).get_by_role("button").click()
    focused(page, "Remove: 1 patient picked")
    page.keyboard.press("Enter")
    focused(page, "Remove: 1 study picked")
    page.keyboard.press("Space")
    focused(page, "Remove: 1 series picked")
    page.keyboard.press("Tab")
    focused(page, "Clear all")
    page.keyboard.press("Enter")
    focused(page, "What is chosen")
    page.keyboard.type(KEYS)

    # Remove the picks of a grid.
    lab.run(page, "browser.pick(patients=['P1'])")
    page.get_by_role("button", name="Unpick all patients").click()
    focused(page, "Patients")
    page.keyboard.type(KEYS)

    # Remove the UIDs from the search box.
    page.locator(".idc-search-input").fill("1.2.826.0.100.1 1.2.826.0.100.2")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove the UIDs").focus()
    page.keyboard.press("Enter")
    focused(page, "Search descriptions")


def test_the_focus_returns_from_a_popover(lab: Lab, page: Page) -> None:
    opener(page, "Modality").click()
    page.keyboard.press("Escape")
    focused(page, "Modality")
    page.keyboard.press("Enter")
    focused(page, "Search Modality")
    # A popover closes when its button is out of sight.
    page.evaluate("() => document.querySelector('.idc-browser').style.marginTop = '-3000px'")
    page.evaluate("() => window.dispatchEvent(new Event('resize'))")
    focused(page, "Modality")
    page.keyboard.type(KEYS)


def test_the_focus_follows_a_download(page: Page, s3: S3Server) -> None:
    s3.rate_MB_s = 0.02
    page.locator(".idc-download-folder").fill("slow")
    page.get_by_role("button", name=re.compile("^Download all 4 series")).press("Enter")
    focused(page, "Cancel")
    page.keyboard.type(KEYS)
    page.keyboard.press("Enter")
    focused(page, "Resume")
    s3.rate_MB_s = None
    page.keyboard.type(KEYS)
    page.keyboard.press("Enter")
    focused(page, "Cancel")
    focused(page, "Download all 4 series")
