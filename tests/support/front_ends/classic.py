"""Classic Jupyter Notebook 6.5, the nearest to Google Colab that can be installed.

Colab has ipywidgets 7, too, and loads scripts with RequireJS. There, no extension of ipydatagrid is
served, so that is also tested without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from ..jupyter_server import JupyterServer
from .front_end import installed_major, opened, write_notebook

__all__ = ["Classic"]

# JavaScript: whether cells can run. Before that, the kernel has to describe itself, and the
# extension that shows widgets has to load.
IS_READY = """() => window.Jupyter?.notebook?._fully_loaded
  && Jupyter.notebook.kernel?.is_connected()
  && Jupyter.notebook.kernel.info_reply?.protocol_version
  && "jupyter.widget" in Jupyter.notebook.kernel.comm_manager.targets"""

# JavaScript: whether all cells have run.
HAVE_RUN = """() => Jupyter.notebook.get_cells().every((cell) =>
  cell.input_prompt_number !== "*" && cell.input_prompt_number > 0)"""


@dataclass(frozen=True)
class Classic:
    """Classic Jupyter Notebook.

    Args:
        without_ipydatagrid: Hide ipydatagrid from the kernel, and its extension from the page.
    """

    without_ipydatagrid: bool = False

    def problem(self) -> str:
        """Return why the front end cannot run here; empty if it can."""
        major = installed_major("notebook")
        return "" if major == 6 else f"classic Notebook 6 is not installed, but Notebook {major}"

    @contextmanager
    def shown(
        self, folder: Path, cells: Sequence[str], env: Mapping[str, str], script: str = ""
    ) -> Iterator[Page]:
        """Show a notebook whose cells have run."""
        name = write_notebook(folder, cells).name
        if self.without_ipydatagrid:
            hidden = folder / "hidden"
            hidden.mkdir()
            (hidden / "ipydatagrid.py").write_text("raise ImportError('it is hidden')")
            env = {**env, "PYTHONPATH": str(hidden)}
        with (
            JupyterServer(folder, "notebook", app="NotebookApp", env=env) as server,
            opened(script) as page,
        ):
            if self.without_ipydatagrid:
                page.route("**/nbextensions/ipydatagrid/**", lambda route: route.abort())
            page.goto(f"{server.url}/notebooks/{name}")
            page.wait_for_function(IS_READY)
            page.evaluate("() => Jupyter.notebook.execute_all_cells()")
            page.wait_for_function(HAVE_RUN)
            yield page
