"""Orders of patients, studies or series, as arrays of their numbers in the index in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow.compute as pc

from .arrow import Array, ArrowArray, BoolArray, to_numpy

__all__ = [
    "BlockOrder",
    "FixedOrder",
    "RowOrder",
    "Sort",
    "bounds_by_key",
    "rank_texts",
    "stable_order",
]


@dataclass(frozen=True)
class Sort:
    """An order of rows by one column, with missing values last."""

    column: str
    descending: bool = False


class RowOrder(Protocol):
    """Rows in an order: gives the number at each position, and the position of each number."""

    def __len__(self) -> int: ...

    def at(self, positions: Array) -> Array:
        """Return the numbers of the rows at these positions, all of which must exist."""
        ...

    def positions_of(self, numbers: Array) -> Array:
        """Return the positions of these numbers in ascending order; skip unknown numbers."""
        ...


class FixedOrder:
    """An order given by an array of numbers."""

    def __init__(self, numbers: Array) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def at(self, positions: Array) -> Array:
        """Return the numbers of the rows at these positions, all of which must exist."""
        return self._numbers[positions]

    def positions_of(self, numbers: Array) -> Array:
        """Return the positions of these numbers in ascending order; skip unknown numbers."""
        if not len(numbers):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(np.isin(self._numbers, numbers))


class BlockOrder:
    """A sequence of blocks of rows; the rows within a block are sorted only when they are needed.

    A grid of a million series shows 40 of them, which belong to a few patients. Only the blocks of
    these patients are sorted.

    Args:
        numbers: The rows of all blocks, one block after the other.
        bounds: Returns the bounds [start, stop) in `numbers` of the block at each position.
        sort: Sorts the rows of some blocks. Takes the rows and the number of the block of each row,
            and returns the sorted rows. The order of the blocks must stay the same.
    """

    def __init__(
        self,
        numbers: Array,
        bounds: Callable[[Array], tuple[Array, Array]],
        sort: Callable[[Array, Array], Array],
    ) -> None:
        self._numbers, self._bounds, self._sort = numbers, bounds, sort

    def __len__(self) -> int:
        return len(self._numbers)

    def at(self, positions: Array) -> Array:
        """Return the numbers of the rows at these positions, all of which must exist."""
        if not len(positions):
            return self._numbers[:0]
        members, places = self._blocks_around(positions)
        return members[np.searchsorted(places, positions)]

    def positions_of(self, numbers: Array) -> Array:
        """Return the positions of these numbers in ascending order; skip unknown numbers."""
        positions = np.flatnonzero(np.isin(self._numbers, numbers))
        if not len(positions):
            return positions
        members, places = self._blocks_around(positions)
        wanted_places: Array = places[np.isin(members, numbers)]
        return wanted_places

    def _blocks_around(self, positions: Array) -> tuple[Array, Array]:
        """Return all rows of the blocks around these positions, sorted, and each row's position."""
        starts, stops = self._bounds(positions)
        starts, first_of_block = np.unique(starts, return_index=True)
        sizes = stops[first_of_block] - starts
        block_of_member = np.repeat(np.arange(len(starts)), sizes)
        shift = starts - (np.cumsum(sizes) - sizes)
        places = np.arange(len(block_of_member)) + shift[block_of_member]
        return self._sort(self._numbers[places], block_of_member), places


def bounds_by_key(keys: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Return the `bounds` for a `BlockOrder` with one block per key, in ascending order."""

    def bounds(positions: Array) -> tuple[Array, Array]:
        wanted = keys[positions]
        return np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")

    return bounds


def stable_order(keys: Array, missing: BoolArray | None, *, descending: bool) -> Array:
    """Return the indices that sort keys, with missing ones last; equal keys keep their order.

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
    """Return the rank of each text in ascending order; equal texts get different ranks."""
    rank = np.empty(len(texts), dtype=np.int32)
    rank[to_numpy(pc.sort_indices(texts))] = np.arange(len(texts), dtype=np.int32)
    return rank
