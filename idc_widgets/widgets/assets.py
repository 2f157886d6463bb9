"""What all widgets of the package look like: style and shared front-end code."""

from __future__ import annotations

from pathlib import Path

__all__ = ["STATIC", "script", "style"]

#: Where the ES modules and style sheets are.
STATIC = Path(__file__).parent / "static"


def style(*names: str) -> str:
    """Style sheets of a widget, after the colours and fonts that all of them share."""
    return _joined("base", *names, suffix="css")


def script(*names: str) -> str:
    """The ES module of a widget: scripts one after another, the last of which exports `render`.

    There is no bundler, and a widget has one module only: what scripts share is put before them.
    """
    return _joined("base", *names, suffix="js")


def _joined(*names: str, suffix: str) -> str:
    files = (STATIC / f"{name}.{suffix}" for name in names)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
