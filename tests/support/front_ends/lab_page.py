"""JupyterLab 4 and Jupyter Notebook 7, in Chromium and Firefox, with any ipykernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

from ..browsers import firefox_problem
from ..lab import Lab
from .front_end import installed_major, refuse_errors

__all__ = ["LabPage"]

#: `make test` installs other versions of ipykernel here, each in a folder of its own.
KERNELS = Path(sys.prefix, "ipykernels")


@dataclass(frozen=True)
class LabPage:
    """JupyterLab 4 or Jupyter Notebook 7.

    Args:
        front_end: "lab" or "notebook".
        browser: The name of the browser.
        ipykernel: The version of ipykernel; by default the installed one.
    """

    front_end: Literal["lab", "notebook"] = "lab"
    browser: Literal["chromium", "firefox"] = "chromium"
    ipykernel: str | None = None

    def problem(self) -> str:
        """Return why the front end cannot run here; empty if it can."""
        if self.front_end == "notebook" and installed_major("notebook") < 7:
            return "Jupyter Notebook 7 is not installed"
        if installed_major("jupyterlab") < 4:
            return "JupyterLab 4 is not installed"
        if installed_major("ipywidgets") < 8:
            return "JupyterLab 4 needs ipywidgets 8, which is not installed"
        if self.ipykernel and not (KERNELS / self.ipykernel).is_dir():
            return f"ipykernel {self.ipykernel} is not installed in {KERNELS}: see the Makefile"
        return firefox_problem() if self.browser == "firefox" else ""

    @contextmanager
    def shown(
        self, folder: Path, cells: Sequence[str], env: Mapping[str, str], script: str = ""
    ) -> Iterator[Page]:
        """Show a notebook whose cells have run."""
        if self.ipykernel:
            env = {**env, "PYTHONPATH": str(KERNELS / self.ipykernel)}
        with Lab(folder, env=env, front_end=self.front_end, browser=self.browser) as lab:
            page = lab.open_notebook(cells, height=1100)
            page.evaluate(f"() => {{ {script} }}")
            lab.run_all(page)
            if self.ipykernel:
                used = lab.run(page, "import ipykernel; print(ipykernel.__version__)")
                assert used == self.ipykernel
            yield page
            refuse_errors([line for line in lab.console(page) if line.startswith("uncaught")])
