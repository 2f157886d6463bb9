"""Converts rows to rectangles of cells, as ipydatagrid describes a selection, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["is_everything", "ranges_of", "rectangles_of", "split_everything"]


def rectangles_of(positions: Sequence[int], columns: int) -> list[dict[str, int]]:
    """Return sorted row numbers as rectangles of adjacent rows."""
    rectangles: list[dict[str, int]] = []
    for row in positions:
        if rectangles and rectangles[-1]["r2"] == row - 1:
            rectangles[-1]["r2"] = row
        else:
            rectangles.append({"r1": row, "r2": row, "c1": 0, "c2": columns - 1})
    return rectangles


def split_everything(rectangles: list[dict[str, int]], count: int) -> list[dict[str, int]]:
    """Split a rectangle of all rows in two, so that a click on a header is seen as a change."""
    if count > 1 and is_everything(rectangles, count):
        return [{**rectangles[0], "r2": 0}, {**rectangles[0], "r1": 1}]
    return rectangles


def ranges_of(rectangles: Iterable[dict[str, int]], count: int) -> list[range]:
    """Return the rows of rectangles as sorted ranges, without overlaps, within the grid."""
    spans = sorted(sorted((part["r1"], part["r2"])) for part in rectangles)
    ranges: list[range] = []
    done = 0
    for first, last in spans:
        start, stop = max(first, done), min(last + 1, count)
        if start < stop:
            ranges.append(range(start, stop))
            done = stop
    return ranges


def is_everything(rectangles: Sequence[dict[str, int]], count: int) -> bool:
    """Return whether there is exactly one rectangle, with all rows."""
    return len(rectangles) == 1 and rectangles[0]["r1"] == 0 and rectangles[0]["r2"] >= count - 1
