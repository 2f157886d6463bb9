"""Orders of patients, studies or series, each of which is known by its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow.compute as pc

from .arrow import Array, ArrowArray, BoolArray, to_numpy

__all__ = ["BlockOrder", "FixedOrder", "RowOrder", "Sort", "rank_texts", "stable_order"]


@dataclass(frozen=True)
class Sort:
    """An order of rows by one column, with missing values last."""

    column: str
    descending: bool = False


class RowOrder(Protocol):
    """Rows in an order: the numbers at positions, and the positions of numbers."""

    def __len__(self) -> int: ...

    def at(self, positions: Array) -> Array:
        """Return the numbers of the rows at these positions, each of which exists."""
        ...

    def positions_of(self, numbers: Array) -> Array:
        """Return the positions of these numbers in ascending order; absent ones are left out."""
        ...


class FixedOrder:
    """An order that is an array of numbers."""

    def __init__(self, numbers: Array) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def at(self, positions: Array) -> Array:
        return self._numbers[positions]

    def positions_of(self, numbers: Array) -> Array:
        if not len(numbers):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(np.isin(self._numbers, numbers))


class BlockOrder:
    """An order of consecutive blocks, whose members are put in order only where they are needed.

    A grid of a million series shows 40 of them: those of a few patients. Only these are sorted.

    Args:
        sizes: The number of members per block, at least 1.
        members: Returns the members of some blocks, given in ascending order, one block after the
            other.
        blocks_of: Returns the blocks that may have some numbers as members.
    """

    def __init__(
        self,
        sizes: Array,
        members: Callable[[Array], Array],
        blocks_of: Callable[[Array], Array],
    ) -> None:
        self._sizes, self._members, self._blocks_of = sizes, members, blocks_of
        self._ends = np.cumsum(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def at(self, positions: Array) -> Array:
        if not len(positions):
            return np.zeros(0, dtype=np.int32)
        all_blocks = np.searchsorted(self._ends, positions, side="right")
        blocks, block_of_position = np.unique(all_blocks, return_inverse=True)
        shift = self._shift(blocks)
        members: Array = self._members(blocks)[positions - shift[block_of_position]]
        return members

    def positions_of(self, numbers: Array) -> Array:
        blocks = np.unique(self._blocks_of(numbers))
        if not len(blocks):
            return np.zeros(0, dtype=np.int64)
        places = np.flatnonzero(np.isin(self._members(blocks), numbers))
        ends = np.cumsum(self._sizes[blocks], dtype=np.int64)
        positions: Array = places + self._shift(blocks)[np.searchsorted(ends, places, side="right")]
        return positions

    def _shift(self, blocks: Array) -> Array:
        """Return per block: position in the order minus place among the members of `blocks`."""
        ends = np.cumsum(self._sizes[blocks], dtype=np.int64)
        return self._ends[blocks] - ends


def stable_order(keys: Array, missing: BoolArray | None, *, descending: bool) -> Array:
    """Return the indices that sort keys, missing ones last; equal keys keep their order.

    >>> stable_order(np.array([2, 9, 2, 7]), np.array([False, True, False, False]), descending=True)
    array([3, 0, 2, 1])
    """
    if missing is None or not missing.any():
        return _argsort(keys, descending)
    present = np.flatnonzero(~missing)
    return np.concatenate([present[_argsort(keys[present], descending)], np.flatnonzero(missing)])


def _argsort(keys: Array, descending: bool) -> Array:
    if not descending:
        return np.argsort(keys, kind="stable")
    return len(keys) - 1 - np.argsort(keys[::-1], kind="stable")[::-1]


def rank_texts(texts: ArrowArray) -> Array:
    """Return the place of each text in ascending order; equal texts get different places."""
    rank = np.empty(len(texts), dtype=np.int32)
    rank[to_numpy(pc.sort_indices(texts))] = np.arange(len(texts), dtype=np.int32)
    return rank
