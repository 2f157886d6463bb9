"""Voila, which shows the outputs of a notebook as a page without its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from ..jupyter_server import JupyterServer
from .front_end import installed_major, opened, write_notebook

__all__ = ["VoilaPage"]


class VoilaPage:
    """Voila, with a notebook of its own."""

    def problem(self) -> str:
        """Return why the front end cannot run here; empty if it can."""
        if installed_major("ipywidgets") < 8:
            return "Voila is tested with ipywidgets 8, which is not installed"
        try:
            import voila  # noqa: F401
        except ImportError:
            return "Voila is not installed"
        return ""

    @contextmanager
    def shown(
        self, folder: Path, cells: Sequence[str], env: Mapping[str, str], script: str = ""
    ) -> Iterator[Page]:
        """Show a notebook, whose cells run when the page is requested."""
        notebook = write_notebook(folder, cells)
        with (
            JupyterServer(folder, "voila", str(notebook), app="Voila", env=env) as server,
            opened(script) as page,
        ):
            page.goto(server.url)
            yield page
