"""What all front ends have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import nbformat
from playwright.sync_api import Page, expect, sync_playwright

from ..browsers import launched, unknown_errors
from ..jupyter_server import PATIENCE

__all__ = ["FrontEnd", "installed_major", "opened", "refuse_errors", "write_notebook"]


class FrontEnd(Protocol):
    """A program that shows a notebook with widgets."""

    def problem(self) -> str:
        """Return why the front end cannot run here; empty if it can."""

    def shown(
        self, folder: Path, cells: Sequence[str], env: Mapping[str, str], script: str = ""
    ) -> AbstractContextManager[Page]:
        """Show a notebook whose cells have run, during a ``with`` statement.

        Args:
            folder: The folder of the notebook, in which its kernel runs.
            cells: The code of the cells.
            env: More environment variables of the kernel.
            script: JavaScript that the page runs before its own scripts.
        """


def installed_major(package: str) -> int:
    """Return the first number of the installed version; 0 if there is none."""
    try:
        return int(version(package).split(".")[0])
    except PackageNotFoundError:
        return 0


def write_notebook(folder: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of these code cells and return its path."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    path = folder / "notebook.ipynb"
    nbformat.write(notebook, path)
    return path


@contextmanager
def opened(script: str = "") -> Iterator[Page]:
    """Open an empty page of Chromium; fail at the end if a script of it raised an error.

    Args:
        script: JavaScript that the page runs before its own scripts.
    """
    with sync_playwright() as playwright, launched(playwright, "chromium") as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.add_init_script(script)
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE / 4 * 1000)
        uncaught: list[str] = []
        page.on("pageerror", lambda error: uncaught.append(str(error)))
        try:
            yield page
        finally:
            print(*uncaught, sep="\n")  # pytest shows this if the test fails
        refuse_errors(uncaught)


def refuse_errors(uncaught: Sequence[str]) -> None:
    """Fail if a script of a page raised an error that is not known to be harmless."""
    if unknown := unknown_errors(uncaught):
        raise AssertionError("errors of the page:\n" + "\n".join(unknown))
