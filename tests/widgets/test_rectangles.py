"""Picked rows as the rectangles of ipydatagrid."""

from __future__ import annotations

from idc_widgets.widgets.grid.rectangles import ranges_of, rectangles_of


def test_rows_to_rectangles_and_back() -> None:
    assert [(part["r1"], part["r2"]) for part in rectangles_of([1, 2, 3, 7, 9, 10], 4)] == [
        (1, 3),
        (7, 7),
        (9, 10),
    ]
    overlapping = [
        {"r1": 5, "r2": 3},
        {"r1": 4, "r2": 8},
        {"r1": -3, "r2": 0},
        {"r1": 90, "r2": 99},
    ]
    assert ranges_of(overlapping, 8) == [range(1), range(3, 6), range(6, 8)]
