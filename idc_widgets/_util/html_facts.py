"""Facts as a small table in HTML, for the output of a notebook cell."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["html_facts"]

_MAX_CHARACTERS = 200

#: Colors of JupyterLab, else of VS Code, else of the page: so the text is readable in all themes.
_FRAME = (
    "display:inline-block;padding:4px 8px;border-radius:4px;background:transparent;"
    "color:var(--jp-content-font-color1,var(--vscode-editor-foreground,inherit));"
    "border:1px solid var(--jp-border-color2,var(--vscode-widget-border,rgba(128,128,128,.4)))"
)
_CELL = "text-align:left;padding:0 12px 0 0;background:transparent;color:inherit;border:none"
_MUTED = f"{_CELL};font-weight:normal;opacity:.75"


def html_facts(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return names and values as HTML without scripts, in which all text is escaped.

    Args:
        title: The class of the object.
        facts: Names and values. Values that are empty are left out, and long ones are shortened.

    >>> "<b>Cohort</b>" in html_facts("Cohort", [("Series", "12")])
    True
    """
    rows = "".join(
        f'<tr style="background:transparent"><th style="{_MUTED}">{_text(name)}</th>'
        f'<td style="{_CELL}">{_text(value)}</td></tr>'
        for name, value in facts
        if value
    )
    table = f'<table style="margin:2px 0 0;border:none;border-collapse:collapse">{rows}</table>'
    return f'<div style="{_FRAME}"><b>{escape(title)}</b>{table if rows else ""}</div>'


def _text(text: str) -> str:
    is_long = len(text) > _MAX_CHARACTERS
    return escape(f"{text[: _MAX_CHARACTERS - 1]}…" if is_long else text)
