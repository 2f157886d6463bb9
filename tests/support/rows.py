"""Windows of a grid as people read them: row by row."""

from __future__ import annotations

from typing import Any


def records(window: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The rows of a window, each by column."""
    return [dict(zip(window, row, strict=True)) for row in zip(*window.values(), strict=True)]
