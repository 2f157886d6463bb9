"""Convert windows of a grid to rows."""

from __future__ import annotations

from typing import Any


def records(window: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a window as dicts of column name to value."""
    return [dict(zip(window, row, strict=True)) for row in zip(*window.values(), strict=True)]
