"""The memory of a kernel and its Jupyter server, after each thing that a person does in a browser.

A person opens a notebook in JupyterLab and uses everything in an IDCBrowser once. The environment
is that of binder/start. In the first visit, the index is prepared, as on Binder; in the second, it
was never prepared. To measure what Binder installs:

    python3.12 -m venv binder-env
    binder-env/bin/pip install jupyterlab ipywidgets -r binder/requirements.txt
    python benchmarks/memory.py --python binder-env/bin/python

The figures are resident memory (RSS) in MB (10^6 bytes). The last step imports matplotlib and
pydicom and shows a picture, as the notebook in notebooks/ does.

This needs Linux, Chromium and the packages of the tests: pip install 'idc-widgets[test]'.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _measure import aim, heading, print_table

REPOSITORY = Path(__file__).resolve().parents[1]

#: Binder guarantees this much to all processes of a session.
AIM_MB = 450

#: A CT of 134 files, of the patient LUNG1-365.
SERIES = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"

#: Milliseconds after which a step has its answer, and the kernel has returned memory.
PAUSE_MS = 1_500

SHOW = "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser"

PICTURE = """
import matplotlib.pyplot as plt
import numpy as np
from pydicom.pixels import pixel_array

_ = plt.imshow(np.zeros((512, 512), np.int16))
"""

#: The names of the two visits.
VISITS = ("prepared", "unprepared")


def main() -> None:
    """Visit both indexes, and print a line per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the Python of the server")
    options = parser.parse_args()
    if missing := missing_requirement():
        print(f"not measured: {missing}")
        return
    figures = {name: visit(options.python, name) for name in VISITS}

    heading("Memory of the kernel and of the Jupyter server (RSS, MB)")
    print(f"server and kernel: {options.python}")
    names = [f"{name}: {part}" for name in VISITS for part in ("kernel", "server", "both")]
    rows = [
        [step, *(f"{value:.0f}" for name in VISITS for value in (*figures[name][step],))]
        for step in figures[VISITS[0]]
    ]
    print_table(["after", *names], rows)
    print()
    for name in VISITS:
        before_picture = [*figures[name].values()][-2]
        aim(f"kernel and server, {name}, everything used once", before_picture[2], AIM_MB, "MB")
        aim(f"the same with matplotlib, {name}", [*figures[name].values()][-1][2], AIM_MB, "MB")
    print()


def missing_requirement() -> str:
    """Return why this machine cannot run the benchmark; empty if it can."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    try:
        import jupyterlab  # noqa: F401
        import psutil  # noqa: F401
        from support.browsers import find_chromium
    except ImportError as error:
        return f"{error.name} is missing: pip install 'idc-widgets[test]'"
    if not sys.platform.startswith("linux"):
        return "this needs Linux"
    return "" if find_chromium() else "Chromium or Chrome is missing"


def visit(python: str, name: str) -> dict[str, tuple[float, float, float]]:
    """Return step → RSS of the kernel, of the server, and of both, in a new JupyterLab."""
    figures = {}
    with shown_notebook(python, is_prepared=name == "prepared") as (lab, page):
        for step, do in STEPS.items():
            do(lab, page)
            page.wait_for_timeout(PAUSE_MS)
            figures[step] = memory(lab.server.pid)
            print(f"{name}, {step}: {figures[step][2]:.0f} MB", file=sys.stderr)
    return figures


def memory(server: int) -> tuple[float, float, float]:
    """Return the RSS of the kernels of a server, of the server, and of both."""
    import psutil

    process = psutil.Process(server)
    own = process.memory_info().rss / 1e6
    kernels = sum(child.memory_info().rss for child in process.children(recursive=True)) / 1e6
    return kernels, own, kernels + own


@contextmanager
def shown_notebook(python: str, *, is_prepared: bool) -> Iterator[tuple[Any, Any]]:
    """Start JupyterLab as Binder does, open a notebook, and yield the lab and its page."""
    import pyarrow.parquet as pq
    from support.lab import Lab
    from support.s3server import S3Server, series_objects

    from idc_widgets import Index

    table = Index.default().tables["index"]
    rows = pq.read_table(table, filters=[("SeriesInstanceUID", "=", SERIES)]).to_pylist()
    with tempfile.TemporaryDirectory() as folder, S3Server(series_objects(rows)) as s3:
        # An empty folder, so that no file is used that earlier sessions have prepared.
        own = {"IDC_WIDGETS_CACHE_DIR": f"{folder}/cache", "S3_ENDPOINT_URL": s3.url}
        environment = {**settings_of_binder(), **own}
        if is_prepared:
            code = "from idc_widgets import IDCClient; IDCClient().build_cache()"
            subprocess.run(
                [python, "-c", code],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **own},
                cwd=folder,
                check=True,
            )
        # The kernel is that of the server, even if another environment is active.
        environment["PATH"] = f"{Path(python).absolute().parent}:{os.environ['PATH']}"
        with Lab(folder, env=environment, python=python) as lab:
            yield lab, lab.open_notebook([SHOW], width=1400, height=1000)


def settings_of_binder() -> dict[str, str]:
    """Return the environment variables that binder/start sets."""
    start = [str(REPOSITORY / "binder/start"), "env", "-0"]
    done = subprocess.run(start, stdout=subprocess.PIPE, check=True, text=True)
    after = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    return {name: value for name, value in after.items() if os.environ.get(name) != value}


# --- the steps of a visit ------------------------------------------------------------------


def nothing(_lab: Any, _page: Any) -> None:
    """Do nothing: the notebook is open."""


def show(lab: Any, page: Any) -> None:
    """Show the browser; wait until it has returned the memory of its start."""
    lab.run_all(page)
    page.locator(".idc-grid-count").nth(2).wait_for()
    page.wait_for_timeout(3_000)


def sort_and_scroll(_lab: Any, page: Any) -> None:
    """Sort each grid by size, down and up, and go to its last row and back."""
    for grid in grids(page):
        for _ in range(2):
            grid.click(grid.header("Size"))
            page.wait_for_timeout(PAUSE_MS)
        grid.grid.focus()
        for key in ("Control+End", "Control+Home"):
            page.keyboard.press(key)
            page.wait_for_timeout(PAUSE_MS)


def distributions(_lab: Any, page: Any) -> None:
    """Click "Show distributions" in each grid."""
    for button in page.get_by_role("button", name=re.compile("distribution", re.IGNORECASE)).all():
        button.click()
        page.wait_for_timeout(PAUSE_MS)


def filters(_lab: Any, page: Any) -> None:
    """Open "More filters", and then each dropdown and histogram."""
    page.get_by_role("button", name="More filters").click()
    page.wait_for_timeout(2 * PAUSE_MS)
    for button in page.locator(".idc-popover-button").all():
        button.click()
        page.wait_for_timeout(PAUSE_MS // 3)
        page.keyboard.press("Escape")


def search(_lab: Any, page: Any) -> None:
    """Type two words into the search box, letter by letter, and clear it."""
    box = page.locator(".idc-search-input")
    box.press_sequentially("chest axial", delay=100)
    page.wait_for_timeout(2 * PAUSE_MS)
    box.fill("")


def details(lab: Any, page: Any) -> None:
    """Pick a patient, and show everything about one of its series."""
    lab.run(page, "browser.filters = browser.client.cohort(PatientID='LUNG1-365')")
    patients, _, series = grids(page)
    page.wait_for_timeout(PAUSE_MS)
    patients.click(patients.row(0))
    page.wait_for_timeout(PAUSE_MS)
    series.grid.focus()
    page.keyboard.press("Control+Home")
    page.keyboard.press("ContextMenu")
    page.get_by_role("menuitem", name="Show everything about this row").click()
    page.wait_for_timeout(PAUSE_MS)
    page.keyboard.press("Escape")


def download(lab: Any, page: Any) -> None:
    """Pick a series and download it."""
    lab.run(page, f"browser.pick(series=['{SERIES}'])")
    page.get_by_role("button", name=re.compile("^Download ")).first.click()
    page.locator(".idc-download-title").get_by_text("Complete").wait_for()


def data_frame(lab: Any, page: Any) -> None:
    """Use the data frame of the selection."""
    lab.run(page, "assert len(browser.selection.series()) == len(browser.paths) == 1")


def picture(lab: Any, page: Any) -> None:
    """Import matplotlib and pydicom, and show a picture; nothing if they are not installed."""
    lab.run(page, PICTURE, allow_errors=True)


def grids(page: Any) -> list[Any]:
    """Return the grids of patients, studies and series."""
    from support.grids import Grid

    return [Grid(page, title) for title in ("Patients", "Studies", "Series")]


STEPS: dict[str, Callable[[Any, Any], None]] = {
    "notebook open": nothing,
    "browser shown": show,
    "sorted, scrolled": sort_and_scroll,
    "distributions": distributions,
    "all filters opened": filters,
    "text searched": search,
    "row details": details,
    "downloaded": download,
    "selection.series()": data_frame,
    "matplotlib, pydicom": picture,
}


if __name__ == "__main__":
    main()
