"""Converts rows to rectangles of cells, as ipydatagrid describes a selection, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .row_ranges import merged_ranges, ranges_of_rows

__all__ = ["is_everything", "ranges_of", "rectangles_of", "split_everything"]


def rectangles_of(positions: Sequence[int], columns: int) -> list[dict[str, int]]:
    """Return sorted row numbers as rectangles of adjacent rows."""
    return [
        {"r1": start, "r2": stop - 1, "c1": 0, "c2": columns - 1}
        for start, stop in ranges_of_rows(positions)
    ]


def split_everything(rectangles: list[dict[str, int]], count: int) -> list[dict[str, int]]:
    """Split a rectangle of all rows in two, so that a click on a header is seen as a change."""
    if count > 1 and is_everything(rectangles, count):
        return [{**rectangles[0], "r2": 0}, {**rectangles[0], "r1": 1}]
    return rectangles


def ranges_of(rectangles: Iterable[dict[str, int]], count: int) -> list[range]:
    """Return the rows of rectangles as sorted ranges, without overlaps, within the grid."""
    ends = [sorted((part["r1"], part["r2"])) for part in rectangles]
    return merged_ranges([(first, last + 1) for first, last in ends], count)


def is_everything(rectangles: Sequence[dict[str, int]], count: int) -> bool:
    """Return whether there is exactly one rectangle, with all rows."""
    return len(rectangles) == 1 and rectangles[0]["r1"] == 0 and rectangles[0]["r2"] >= count - 1
