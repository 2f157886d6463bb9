"""Sets of rows as sorted ranges of row numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["merged_ranges", "ranges_of_rows"]


def merged_ranges(spans: Iterable[tuple[int, int]], count: int) -> list[range]:
    """Return spans [start, stop) as sorted ranges, which neither overlap nor exceed `count` rows.

    >>> merged_ranges([(4, 9), (-3, 1), (3, 6)], 8)
    [range(0, 1), range(3, 6), range(6, 8)]
    """
    ranges: list[range] = []
    done = 0
    for first, last in sorted(spans):
        start, stop = max(first, done), min(last, count)
        if start < stop:
            ranges.append(range(start, stop))
            done = stop
    return ranges


def ranges_of_rows(rows: Sequence[int]) -> list[list[int]]:
    """Return sorted row numbers as [start, stop) of adjacent rows.

    >>> ranges_of_rows([1, 2, 3, 7])
    [[1, 4], [7, 8]]
    """
    ranges: list[list[int]] = []
    for row in rows:
        if ranges and ranges[-1][1] == row:
            ranges[-1][1] = row + 1
        else:
            ranges.append([row, row + 1])
    return ranges
