"""The widget manager of Visual Studio Code, without Visual Studio Code.

Its Jupyter extension shows widgets with the npm package @vscode/jupyter-ipywidgets8, in a page with
a strict Content-Security-Policy. Here a page of our own runs that package in the same way, on a
real kernel.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from ..jupyter_server import JupyterServer
from ..wheel import ROOT
from .front_end import installed_major, opened

__all__ = ["VSCode"]

HERE = Path(__file__).parent
PACKAGES = ROOT / "node_modules"

#: What the page loads, by name.
FILES = {
    "page.html": HERE / "vscode.html",
    "require.js": PACKAGES / "requirejs" / "require.js",
    "ipywidgets.js": PACKAGES / "@vscode" / "jupyter-ipywidgets8" / "dist" / "ipywidgets.js",
    "anywidget.js": Path(sys.prefix, "share", "jupyter", "nbextensions", "anywidget", "index.js"),
}


class VSCode:
    """The widget manager of VS Code, on a page of our own."""

    def problem(self) -> str:
        """Return why the front end cannot run here; empty if it can."""
        if installed_major("ipywidgets") < 8:
            return "the widget manager is that of ipywidgets 8, which is not installed"
        if missing := [path for path in FILES.values() if not path.is_file()]:
            return f"{missing[0]} is missing: run `npm ci`"
        return "" if _node() else "Node.js is not installed"

    @contextmanager
    def shown(
        self, folder: Path, cells: Sequence[str], env: Mapping[str, str], script: str = ""
    ) -> Iterator[Page]:
        """Run the code of the cells and show their widgets."""
        served = folder / "static" / "vscode"
        served.mkdir(parents=True)
        for name, path in FILES.items():
            shutil.copy(path, served / name)
        _bundle(served / "kernel.js")
        static = f"--ServerApp.extra_static_paths={json.dumps([str(served.parent)])}"
        with (
            JupyterServer(folder, "jupyter_server", static, env=env) as server,
            opened(script) as page,
        ):
            page.goto(f"{server.url}/static/vscode/page.html")
            page.wait_for_function("() => window.isLoaded")
            for code in cells:
                page.evaluate("([url, code]) => runCell(url, code)", [f"{server.url}/", code])
            yield page


def _node() -> str | None:
    return shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")


def _bundle(target: Path) -> Path:
    """Make one script of JupyterLab's client of kernels; return its path."""
    command = [
        *(_node(), PACKAGES / "esbuild" / "bin" / "esbuild", HERE / "vscode_kernel.js"),
        *("--bundle", "--log-level=error", "--define:process.env={}", f"--outfile={target}"),
    ]
    subprocess.run([str(part) for part in command], check=True, timeout=360, cwd=ROOT)
    return target
