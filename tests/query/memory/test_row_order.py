"""Orders of rows: the rows at positions, the positions of rows, and sorts of missing values."""

from __future__ import annotations

import numpy as np
import pytest

from idc_widgets.query.memory.arrow import to_arrow
from idc_widgets.query.memory.row_order import (
    BlockOrder,
    FixedOrder,
    RowOrder,
    bounds_by_key,
    rank_texts,
    stable_order,
)

RANDOM = np.random.default_rng(7)


def block_order() -> tuple[RowOrder, list[int]]:
    """Return an order and its numbers: blocks of ten ascend, numbers in a block descend."""
    numbers = np.sort(RANDOM.choice(1000, 300, replace=False))
    sorted_blocks = []

    def sort(members: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        sorted_blocks.append(len(members))
        return members[np.lexsort([-members, blocks])]

    expected = sorted(numbers.tolist(), key=lambda number: (number // 10, -number))
    return BlockOrder(numbers, bounds_by_key(numbers // 10), sort), expected


def fixed_order() -> tuple[RowOrder, list[int]]:
    numbers = RANDOM.choice(1000, 300, replace=False)
    return FixedOrder(numbers), numbers.tolist()


@pytest.mark.parametrize("make", [block_order, fixed_order])
def test_numbers_and_positions_agree(make: object) -> None:
    order, expected = make()  # type: ignore[operator]
    assert len(order) == len(expected)
    assert order.at(np.arange(300)).tolist() == expected
    for start, stop in ((0, 1), (3, 40), (299, 300), (50, 50)):
        assert order.at(np.arange(start, stop)).tolist() == expected[start:stop]
    scattered = np.array([7, 8, 150, 298])
    assert order.at(scattered).tolist() == [expected[position] for position in scattered]
    assert order.positions_of(order.at(scattered)[::-1]).tolist() == scattered.tolist()
    assert order.positions_of(np.array([5000, expected[4]])).tolist() == [4]
    assert order.positions_of(np.zeros(0, dtype=np.int64)).tolist() == []


def test_only_the_blocks_that_are_needed_are_sorted() -> None:
    sizes = []

    def sort(members: np.ndarray, _blocks: np.ndarray) -> np.ndarray:
        sizes.append(len(members))
        return members

    numbers = np.arange(1000)
    order = BlockOrder(numbers, bounds_by_key(numbers // 10), sort)
    assert order.at(np.arange(15, 25)).tolist() == list(range(15, 25))
    assert order.positions_of(np.array([999, 3])).tolist() == [3, 999]
    assert sizes == [20, 20]


def test_an_empty_order() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    for order in (FixedOrder(nothing), BlockOrder(nothing, bounds_by_key(nothing), max)):
        assert len(order) == 0
        assert order.at(nothing).tolist() == []
        assert order.positions_of(np.array([1])).tolist() == []


@pytest.mark.parametrize("descending", [False, True])
def test_a_sort_is_stable_and_puts_missing_values_last(descending: bool) -> None:
    keys = RANDOM.integers(0, 5, 100)
    missing = RANDOM.random(100) < 0.3
    sign = -1 if descending else 1
    expected = sorted(
        range(100), key=lambda at: (missing[at], 0 if missing[at] else sign * keys[at])
    )
    assert stable_order(keys, missing, descending=descending).tolist() == expected
    present = sorted(range(100), key=lambda at: sign * keys[at])
    assert stable_order(keys, None, descending=descending).tolist() == present


def test_texts_are_ranked() -> None:
    assert rank_texts(to_arrow(["b", "a", "c"])).tolist() == [1, 0, 2]
    assert sorted(rank_texts(to_arrow(["b", "a", "b"])).tolist()) == [0, 1, 2]
