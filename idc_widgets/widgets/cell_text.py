"""Values of the index as text, the same in every grid and panel."""

from __future__ import annotations

from typing import Any

from .._util import human_size

__all__ = ["MISSING", "cell_text"]

#: What stands in place of a missing value.
MISSING = "–"


def cell_text(kind: str, value: Any, limit: int) -> str | None:
    """Return a value as it is shown; None for a missing one.

    Args:
        kind: The kind of the column; see `ColumnInfo`.
        value: The value.
        limit: The largest number of characters. A longer text ends with "…".

    >>> cell_text("size", 70.513634, 300), cell_text("count", 55734, 300), cell_text("uid", "", 300)
    ('70.5 MB', '55,734', None)
    """
    if value is None or value == "":
        return None
    if kind == "count":
        return f"{value:,}"
    if kind == "size":
        return human_size(value * 1e6)
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
