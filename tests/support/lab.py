"""A real JupyterLab or Notebook 7 in a real browser, to test what users see.

>>> with Lab(folder) as lab:
...     page = lab.open_notebook(["import ipywidgets as w", "b = w.Button(description='Go'); b"])
...     lab.run_all(page)
...     page.get_by_role("button", name="Go").click()
...     assert lab.run(page, "print(1 + 1)") == "2"
...     lab.screenshot(page, "go.png")

It reads no Jupyter configuration of the machine and needs no internet. When something does not
appear in time, the error has the console of the page and the log of the server.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import nbformat
from playwright.sync_api import Page, expect, sync_playwright

from .browsers import launched, unknown_errors
from .jupyter_server import OWN_FOLDER, PATIENCE, JupyterServer

__all__ = ["PATIENCE", "Lab", "LabError"]

SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

# JavaScript: find the notebook that a page shows. The snippets below start with it.
NOTEBOOK = """
const app = window.jupyterapp;
const panel = app.shell.currentWidget;
const notebook = panel.content;
"""

# JavaScript: start a command, and set `labRun.done` at its end. Tests poll `labRun.done`, because
# waiting in JavaScript has no time limit. The same snippet activates the cell: between two
# snippets, the focus could move and activate another cell.
EXECUTE = f"""([command, index, options]) => {{ {NOTEBOOK}
  if (index !== null) {{
    notebook.activeCellIndex = index < 0 ? notebook.widgets.length + index : index;
    notebook.deselectAll();
  }}
  window.labRun = {{ done: false, error: null }};
  app.commands.execute(command, options).then(
    () => {{ window.labRun.done = true; }},
    (error) => {{ window.labRun = {{ done: true, error: String(error) }}; }},
  );
}}"""

IS_IDLE = f"""() => {{ {NOTEBOOK}
  return window.labRun.done && panel.sessionContext.session?.kernel?.status === "idle"
    && notebook.widgets.every((cell) => cell.model.executionState !== "running");
}}"""

IS_READY = f"""() => {{
  if (!window.jupyterapp?.shell?.currentWidget?.sessionContext) return false;
  {NOTEBOOK}
  return panel.sessionContext.session?.kernel?.status === "idle" && notebook.widgets?.length > 0;
}}"""

# JavaScript: put new code cells in the place of all cells. A notebook is never empty: JupyterLab
# would add a cell.
REPLACE = f"""(sources) => {{ {NOTEBOOK}
  const model = notebook.model.sharedModel;
  const cells = sources.map(
    (source) => ({{ cell_type: "code", source, metadata: {{ trusted: true }} }}));
  const before = model.cells.length;
  model.transact(() => {{
    model.insertCells(before, cells);
    model.deleteCellRange(0, before);
  }});
  notebook.node.querySelector(".jp-WindowedPanel-outer").scrollTop = 0;
}}"""

#: JavaScript: whether nothing that scrolls or lies above an element hides it.
IS_IN_SIGHT = """(element) => {
  const { left, top, right, bottom } = element.getBoundingClientRect();
  const points = [[left + 2, top + 2], [right - 2, bottom - 2], [left + 2, bottom - 2]];
  return points.every(([x, y]) => element.contains(document.elementFromPoint(x, y)));
}"""

#: JavaScript: whether the focus is in the browser.
IS_INSIDE = "() => document.activeElement.closest('.idc-browser') !== null"

#: The cells of a notebook that scrolls: a browser, and text below it.
BROWSER_ABOVE_TEXT = [
    "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser",
    "print(*range(60), sep='\\n')",
]


class LabError(AssertionError):
    """Something did not appear in time, or a cell raised an exception."""


class Lab:
    """A JupyterLab server and a headless browser, which run during a ``with`` statement.

    Args:
        folder: The folder that the server serves, and where notebooks are written.
        chromium: The path of Chromium; by default that of `find_chromium`.
        settings: More user settings of JupyterLab, by plugin.
        env: More environment variables of the server and its kernels.
        front_end: "lab" for JupyterLab, "notebook" for Jupyter Notebook 7.
        browser: The name of the browser.
        python: The Python of the server and its kernels; by default this one.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        chromium: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        front_end: Literal["lab", "notebook"] = "lab",
        browser: Literal["chromium", "firefox"] = "chromium",
        python: str = sys.executable,
    ) -> None:
        self._front_end, self._browser, self._chromium = front_end, browser, chromium
        self.folder = Path(folder).resolve()
        self._settings: dict[str, Mapping[str, Any]] = {**SETTINGS, **(settings or {})}
        self._env, self._python = dict(env or {}), python
        self._own = self.folder / OWN_FOLDER
        self._consoles: dict[Page, list[str]] = {}
        self._notebooks = 0
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            self._start_server(stack)
            playwright = stack.enter_context(sync_playwright())
            self.browser = stack.enter_context(launched(playwright, self._browser, self._chromium))
            expect.set_options(timeout=PATIENCE / 4 * 1000)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    # --- notebooks -------------------------------------------------------------------------

    def open_notebook(
        self,
        cells: Sequence[str],
        *,
        theme: Literal["light", "dark"] = "light",
        width: int = 1400,
        height: int = 1000,
        scale: float = 1,
        name: str | None = None,
    ) -> Page:
        """Write a notebook of these code cells, open it, and wait until its kernel is idle."""
        self._notebooks += 1
        name = name or f"notebook{self._notebooks}.ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.folder / name)
        return self.open(name, theme=theme, width=width, height=height, scale=scale)

    def open(
        self,
        path: str,
        *,
        theme: Literal["light", "dark"] = "light",
        width: int = 1400,
        height: int = 1000,
        scale: float = 1,
    ) -> Page:
        """Open a notebook in single-document mode, and wait until its kernel is idle.

        Args:
            path: The path of the notebook.
            theme: The theme of JupyterLab.
            width: The width of the page in CSS pixels.
            height: The height of the page in CSS pixels.
            scale: The number of device pixels per CSS pixel. A person who zooms to 200 % gets twice
                as many, and a page of half the size.
        """
        self._write_settings("@jupyterlab/apputils-extension/themes", {"theme": THEMES[theme]})
        size = {"width": width, "height": height}
        context = self.browser.new_context(viewport=size, device_scale_factor=scale)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        console = self._consoles[page] = []
        page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: console.append(f"uncaught: {error}"))
        with self._explained(page, f"{path} did not open"):
            place = {"lab": "doc/tree", "notebook": "notebooks"}[self._front_end]
            page.goto(f"{self.url}/{place}/{path}?reset")
            page.wait_for_function(IS_READY)
            page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        return page

    def show(
        self,
        page: Page,
        cells: Sequence[str],
        *,
        theme: Literal["light", "dark"] = "light",
        width: int = 1400,
        height: int = 1000,
    ) -> None:
        """Replace all cells of an open notebook, and run the new ones in the same kernel.

        This costs a fifth of a new notebook with a new kernel. The widgets of the old cells are
        closed; the names and modules of the kernel, and what tests have changed in them, remain.
        """
        self.run(page, "import ipywidgets; ipywidgets.Widget.close_all()")
        page.mouse.move(0, 0)
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("() => document.body.dataset.jpThemeName") != THEMES[theme]:
            self._execute(page, "apputils:change-theme", theme=THEMES[theme])
        page.evaluate(REPLACE, list(cells))
        self.run_all(page)

    def close(self, page: Page) -> None:
        """Shut down the kernel of the page and close the page."""
        with suppress(Exception):
            page.evaluate(f"() => {{ {NOTEBOOK} return panel.sessionContext.shutdown(); }}")
        page.context.close()
        self._consoles.pop(page, None)

    # --- cells -----------------------------------------------------------------------------

    def run_all(self, page: Page, *, allow_errors: bool = False) -> None:
        """Run every cell and wait for the last; raise `LabError` if a cell raised an exception."""
        self._execute(page, "notebook:run-all-cells")
        if not allow_errors:
            for index in range(self.cell_count(page)):
                self._refuse_error(page, index)

    def run_cell(self, page: Page, index: int, *, allow_errors: bool = False) -> None:
        """Run one cell, counted from 0 (-1 is the last), and wait for it."""
        self._execute(page, "notebook:run-cell", index)
        if not allow_errors:
            self._refuse_error(page, index)

    def run(self, page: Page, code: str, *, allow_errors: bool = False) -> str:
        """Run code in a new last cell and return its `output_text`.

        The cell is deleted afterwards unless it shows a widget, so that the page stays as it was.
        """
        page.evaluate(
            f"(code) => {{ {NOTEBOOK}"
            " notebook.model.sharedModel.addCell("
            "   { cell_type: 'code', source: code, metadata: { trusted: true } }); }",
            code,
        )
        self.run_cell(page, -1, allow_errors=True)
        text = self.output_text(page, -1)
        # The page may see the kernel idle before it receives the output.
        deadline = time.monotonic() + 30
        while not text and "print(" in code and time.monotonic() < deadline:
            page.wait_for_timeout(50)
            text = self.output_text(page, -1)
        if not allow_errors:
            self._refuse_error(page, -1)
        page.evaluate(
            f"() => {{ {NOTEBOOK}"
            " const last = notebook.model.cells.length - 1;"
            " const outputs = notebook.model.cells.get(last).toJSON().outputs;"
            " const shows = outputs.some("
            "   (output) => output.data?.['application/vnd.jupyter.widget-view+json']);"
            " if (!shows) notebook.model.sharedModel.deleteCell(last); }"
        )
        return text

    def cell_count(self, page: Page) -> int:
        """Return the number of cells of the notebook."""
        return int(page.evaluate(f"() => {{ {NOTEBOOK} return notebook.model.cells.length; }}"))

    def outputs(self, page: Page, index: int) -> list[dict[str, Any]]:
        """Return the outputs of one cell, as in a notebook file."""
        outputs = page.evaluate(
            f"(index) => {{ {NOTEBOOK} const cells = notebook.model.cells;"
            " const cell = cells.get(index < 0 ? cells.length + index : index);"
            " return cell.type === 'code' ? cell.toJSON().outputs : []; }",
            index,
        )
        return list(outputs)

    def output_text(self, page: Page, index: int) -> str:
        """Return what one cell printed, returned or raised, as text."""
        parts = []
        for output in self.outputs(page, index):
            text = output.get("text") or output.get("data", {}).get("text/plain") or ""
            if output["output_type"] == "error":
                text = "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
            parts.append("".join(text))
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(parts)).strip()

    def output(self, page: Page, index: int) -> Any:
        """Return a locator of the output area of one cell, counted from 0."""
        return page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    # --- evidence --------------------------------------------------------------------------

    def screenshot(self, page: Page, path: str | os.PathLike[str]) -> Path:
        """Save a picture of the page after its next frame; create the folder if needed."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        page.screenshot(path=target)
        return target

    def console(self, page: Page) -> list[str]:
        """Return the lines that the page has written to its console, as "type: text"."""
        return list(self._consoles[page])

    def errors(self, page: Page) -> list[str]:
        """Return the errors of the page, without those that are known to be harmless."""
        lines = [line for line in self._consoles[page] if line.startswith(("error", "uncaught"))]
        return unknown_errors(lines)

    @contextmanager
    def _explained(self, page: Page, problem: str) -> Iterator[None]:
        """Raise `LabError` for any error, with the evidence that helps to find its cause."""
        try:
            yield
        except Exception as error:
            picture = self._own / "failure.png"
            with suppress(Exception):
                page.screenshot(path=picture, timeout=10_000)
            console = "\n".join(self._consoles.get(page, [])[-40:])
            raise LabError(
                f"{problem}: {error}\n--- console of the page ---\n{console}"
                f"\n--- log of the server ---\n{self.server.log()}\n--- picture: {picture}"
            ) from error

    def _refuse_error(self, page: Page, index: int) -> None:
        """Raise `LabError` if this cell raised an exception."""
        if any(output["output_type"] == "error" for output in self.outputs(page, index)):
            raise LabError(f"cell {index} raised\n{self.output_text(page, index)}")

    def _execute(self, page: Page, command: str, index: int | None = None, **options: str) -> None:
        """Run a command of JupyterLab; if `index` is given, on the cell with this index."""
        with self._explained(page, f"{command} did not end"):
            page.evaluate(EXECUTE, [command, index, options])
            page.wait_for_function(IS_IDLE)
            if error := page.evaluate("() => window.labRun.error"):
                raise LabError(str(error))

    # --- the server ------------------------------------------------------------------------

    def _start_server(self, stack: ExitStack) -> None:
        for plugin, values in self._settings.items():
            self._write_settings(plugin, values)
        module, app = {
            "lab": ("jupyterlab", "LabApp"),
            "notebook": ("notebook", "JupyterNotebookApp"),
        }[self._front_end]
        self.server = stack.enter_context(
            JupyterServer(
                self.folder,
                module,
                f"--{app}.expose_app_in_browser=True",
                "--LabApp.extension_manager=readonly",
                "--LabApp.news_url=",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                env=self._env,
                python=self._python,
            )
        )
        self.url = self.server.url

    def _write_settings(self, plugin: str, values: Mapping[str, Any]) -> None:
        path = self._own / "settings" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
