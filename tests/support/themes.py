"""The themes of the front ends, shown one after the other on a page of JupyterLab.

JupyterLab has themes of its own. Other front ends set CSS variables to the colors of their themes.
If a page of JupyterLab has the same variables, it shows the widgets in these colors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from playwright.sync_api import Page

from idc_widgets.widgets.assets import STATIC

from .lab import NOTEBOOK

__all__ = ["FOREIGN", "JUPYTER", "change_theme", "read_themes", "show_theme"]

#: The themes of JupyterLab.
JUPYTER = {
    "light": "JupyterLab Light",
    "dark": "JupyterLab Dark",
    "high contrast": "JupyterLab Dark High Contrast",
}

#: ipywidgets 7 defines these in the classic Notebook and in Google Colab, in every theme.
IPYWIDGETS_7 = {
    "--jp-ui-font-color1": "rgba(0, 0, 0, 0.8)",
    "--jp-layout-color1": "white",
    "--jp-border-color1": "#9e9e9e",
    "--jp-border-color2": "#bdbdbd",
    "--jp-brand-color1": "#2196f3",
    "--jp-success-color1": "#4caf50",
    "--jp-error-color1": "#f44336",
}

#: The colors of other front ends, by theme.
FOREIGN = {
    "classic Notebook": IPYWIDGETS_7,
    "Colab dark": {
        **IPYWIDGETS_7,
        "--colab-primary-text-color": "#e3e3e3",
        "--colab-primary-surface-color": "#383838",
    },
    "VS Code dark": {
        **IPYWIDGETS_7,
        "--vscode-foreground": "#cccccc",
        "--vscode-editor-foreground": "#cccccc",
        "--vscode-editor-background": "#1f1f1f",
        "--vscode-textLink-foreground": "#4daafc",
        "--vscode-testing-iconPassed": "#73c991",
        "--vscode-errorForeground": "#f85149",
    },
    "VS Code light": {
        **IPYWIDGETS_7,
        "--vscode-foreground": "#3b3b3b",
        "--vscode-editor-foreground": "#3b3b3b",
        "--vscode-editor-background": "#ffffff",
        "--vscode-textLink-foreground": "#005fb8",
        "--vscode-testing-iconPassed": "#388a34",
        "--vscode-errorForeground": "#f85149",
    },
}

#: The variables of Jupyter that the style sheets use.
USED = sorted(set(re.findall(r"--jp-[\w-]+", (STATIC / "base.css").read_text(encoding="utf-8"))))

CHANGE = f"""async (theme) => {{ {NOTEBOOK}
  await app.commands.execute("apputils:change-theme", {{ theme }});
}}"""
HAS_THEME = "(theme) => document.body.dataset.jpThemeName === theme"

READ = """(names) => {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
}"""

SHOW = """(variables) => {
  const { style } = document.documentElement;
  for (const name of [...style]) if (name.startsWith("--")) style.removeProperty(name);
  for (const [name, value] of Object.entries(variables)) style.setProperty(name, value);
}"""


def change_theme(page: Page, name: str) -> None:
    """Change to a theme of JupyterLab, as a person does in its menu."""
    page.evaluate(CHANGE, JUPYTER[name])
    page.wait_for_function(HAS_THEME, arg=JUPYTER[name])


def read_themes(page: Page) -> dict[str, dict[str, str]]:
    """Return name of a theme → its variables: themes of JupyterLab, then of other front ends.

    This changes the theme of the open page several times. In the end, it is the light theme.
    """
    found = {}
    for name in reversed(JUPYTER):
        change_theme(page, name)
        found[name] = page.evaluate(READ, USED)
    return {**dict(reversed(found.items())), **FOREIGN}


def show_theme(page: Page, variables: Mapping[str, str]) -> None:
    """Give the page the variables of a theme. This is much faster than to change the theme."""
    page.evaluate(SHOW, variables)
