"""The style sheets and scripts of the widgets."""

from __future__ import annotations

from pathlib import Path

__all__ = ["STATIC", "script", "style"]

#: The folder of the ES modules and style sheets.
STATIC = Path(__file__).parent / "static"


def style(*names: str) -> str:
    """Return the style sheet of a widget.

    Args:
        *names: Files in `STATIC`, named without ".css". base.css, which all widgets share, is put
            before them.
    """
    return _joined("base", *names, suffix="css")


def script(*names: str) -> str:
    """Return the ES module of a widget.

    A widget has a single module and there is no bundler, so the files are joined.

    Args:
        *names: Files in `STATIC`, named without ".js". The last one exports `render`. base.js,
            which all widgets share, is put before them.
    """
    return _joined("base", *names, suffix="js")


def _joined(*names: str, suffix: str) -> str:
    files = (STATIC / f"{name}.{suffix}" for name in names)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
