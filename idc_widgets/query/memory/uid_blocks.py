"""Read SeriesInstanceUIDs from the file of the index, in blocks of adjacent rows."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from ..duckdb_engine import DuckDBEngine
from .arrow import Array, ArrowArray, to_arrow
from .recent_results import Recent

__all__ = ["UidBlocks"]

#: Rows per block. Reading a whole block takes less time than selecting a few of its rows.
_BLOCK_ROWS = 4_096

#: If the wanted rows are in more blocks than this, they are not read here.
_MAX_BLOCKS = 4

#: The number of blocks that are kept in memory. Each has about 260 kB.
_MAX_KEPT_BLOCKS = 16


class UidBlocks:
    """A cache of SeriesInstanceUIDs, for rows that are close together.

    After most clicks, a grid shows adjacent rows, and often the same rows as before.
    """

    def __init__(self) -> None:
        self._blocks: Recent[int, ArrowArray] = Recent(_MAX_KEPT_BLOCKS)

    def uids_of(self, engine: DuckDBEngine, rows: Array) -> list[str] | None:
        """Return the SeriesInstanceUIDs of rows, in their order; None if they are far apart.

        Raises:
            IndexFileError: The file was changed or replaced since it was opened.
        """
        block_of_row = rows // _BLOCK_ROWS
        numbers = np.flatnonzero(np.bincount(block_of_row))
        if len(numbers) > _MAX_BLOCKS:
            return None
        engine.check_index()
        uids: list[str] = [""] * len(rows)
        for number in numbers.tolist():
            block = self._blocks.get(number, partial(_read_block, engine, number))
            places = np.flatnonzero(block_of_row == number)
            within = to_arrow(rows[places] - number * _BLOCK_ROWS)
            for place, uid in zip(places.tolist(), block.take(within).to_pylist(), strict=True):
                uids[place] = uid
        return uids

    def clear(self) -> None:
        """Forget all blocks."""
        self._blocks.clear()


def _read_block(engine: DuckDBEngine, number: int) -> ArrowArray:
    first = number * _BLOCK_ROWS
    table = engine.query(
        "SELECT SeriesInstanceUID FROM _rows WHERE _row BETWEEN ? AND ? ORDER BY _row",
        [first, first + _BLOCK_ROWS - 1],
    )
    uids: ArrowArray = pa.concat_arrays(table.column(0).chunks)
    return uids
