"""The front ends in which the widgets are tested: one module for each kind.

A front end writes a notebook, opens it in a browser, runs its cells and hands over the page. Tests
find the widgets in it by what people see, so the same test serves all front ends.
"""

from __future__ import annotations

from .classic import Classic
from .front_end import FrontEnd
from .lab_page import LabPage
from .voila_page import VoilaPage
from .vscode import VSCode

__all__ = ["FRONT_ENDS", "FrontEnd"]

FRONT_ENDS: dict[str, FrontEnd] = {
    "JupyterLab": LabPage(),
    "Notebook 7": LabPage(front_end="notebook"),
    "JupyterLab in Firefox": LabPage(browser="firefox"),
    "JupyterLab with ipykernel 7.3": LabPage(ipykernel="7.3.0"),
    "Voila": VoilaPage(),
    "the widget manager of VS Code": VSCode(),
    "classic Notebook": Classic(),
    "classic Notebook without ipydatagrid": Classic(without_ipydatagrid=True),
}
