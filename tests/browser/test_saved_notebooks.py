"""A notebook that was saved with a browser and has no kernel: as HTML, and in JupyterLab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect, sync_playwright
from support.browsers import launched
from support.jupyter_server import OWN_FOLDER
from support.lab import Lab

CELLS = [
    "from idc_widgets import IDCBrowser\n"
    "browser = IDCBrowser(collection_id='nsclc_radiomics', Modality='CT')\n"
    "browser",
]

VIEW = "application/vnd.jupyter.widget-view+json"

SELECTED = "1 collection, 422 patients, 422 studies, 422 series, 51,230 files, 27.0 GB"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a notebook with a browser, save it without the state of widgets, and return its path."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    path = tmp_path_factory.mktemp("saved") / "saved.ipynb"
    NotebookClient(notebook, timeout=360, store_widget_state=False).execute(cwd=str(path.parent))
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def saved_with_widgets(saved: Path) -> Path:
    """Run that notebook again, save it with the state of its widgets, and return its path."""
    notebook = nbformat.read(saved, as_version=4)
    path = saved.with_name("saved-with-widgets.ipynb")
    NotebookClient(notebook, timeout=360).execute(cwd=str(path.parent))
    nbformat.write(notebook, path)
    # JupyterLab restores widgets only in notebooks that it trusts.
    data = path.parent / OWN_FOLDER / "data"
    data.mkdir(parents=True, exist_ok=True)
    notary = NotebookNotary(data_dir=str(data))
    notary.sign(nbformat.read(path, as_version=4))
    return path


@pytest.fixture
def lab(saved: Path, chromium: str) -> Iterator[Lab]:
    with Lab(saved.parent, chromium=chromium) as running:
        yield running


def test_nbconvert_shows_the_tables(saved: Path, chromium: str, screenshots: Path) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(saved)]
    subprocess.run(command, check=True, capture_output=True, timeout=360)
    with sync_playwright() as playwright, launched(playwright, "chromium", chromium) as browser:
        page = browser.new_page(offline=True)
        page.goto(saved.with_suffix(".html").as_uri(), wait_until="domcontentloaded")
        expect(page.get_by_role("cell", name=SELECTED)).to_be_visible()
        expect(page.get_by_role("cell", name="LUNG1-001").first).to_be_visible()
        expect(page.get_by_text("To use it, run the cell.")).to_be_visible()
        page.screenshot(path=screenshots / "saved-nbconvert.png")


def test_jupyterlab_shows_the_tables_and_prefers_the_widget(lab: Lab, screenshots: Path) -> None:
    page = lab.open("saved.ipynb")  # JupyterLab did not run it, and so does not trust it
    output = lab.output(page, 0)
    expect(output.get_by_role("cell", name=SELECTED)).to_be_visible()
    lab.screenshot(page, screenshots / "saved-lab.png")
    lab.run_all(page)
    expect(output.locator(".idc-summary-line")).to_contain_text("422 patients")
    expect(output.get_by_role("cell", name=SELECTED)).to_have_count(0)
    [shown] = lab.outputs(page, 0)
    assert set(shown["data"]) == {"text/plain", "text/html", VIEW}
    lab.close(page)


def test_a_restored_widget_says_that_it_has_no_kernel(
    lab: Lab, saved_with_widgets: Path, screenshots: Path
) -> None:
    page = lab.open(saved_with_widgets.name)
    output = lab.output(page, 0)
    expect(output.locator(".idc-summary-line")).to_contain_text("422 patients")
    expect(output.locator(".idc-kernel")).to_have_count(1)
    expect(output.locator(".idc-kernel")).to_contain_text("No kernel is connected")
    # The bars to drag and the button of the full window work in the page alone.
    roots = output.locator(".idc-browser .idc-root:not(.idc-kernel, .idc-frame)")
    assert roots.count() > 10
    expect(output.locator(".idc-browser .idc-root[inert]")).to_have_count(roots.count())
    sentence = output.locator(".idc-kernel").bounding_box()
    filters = output.locator(".idc-part-filters").bounding_box()
    assert sentence is not None and filters is not None
    assert sentence["height"] < 40 < 400 < filters["width"]
    assert filters["y"] >= sentence["y"] + sentence["height"]
    lab.screenshot(page, screenshots / "saved-with-widgets-lab.png")
    lab.close(page)
