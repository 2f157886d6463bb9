"""Rows as text that spreadsheets take from the clipboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...query import Window

__all__ = ["tsv"]

#: A cell that begins so would be run as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@")


def tsv(columns: Sequence[str], rows: Window) -> str:
    r"""Return rows as lines of cells between tabs, below a line with the names of the columns.

    >>> tsv(["PatientID", "instanceCount"], {"PatientID": ["=1+1", None], "instanceCount": [9, 3]})
    "PatientID\tinstanceCount\n'=1+1\t9\n\t3\n"
    """
    lines = ["\t".join(columns)]
    for row in zip(*(rows[column] for column in columns), strict=True):
        lines.append("\t".join(map(_cell, row)))
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = " ".join(value.split()) if not value.isprintable() else value
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
