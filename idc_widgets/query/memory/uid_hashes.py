"""64-bit hashes of UIDs, for looking up series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..duckdb_engine import DuckDBEngine
from .arrow import Array, to_numpy

__all__ = ["find_rows", "hash_series_uids", "hash_texts"]

_NO_HASHES = np.zeros(0, dtype=np.uint64)


def hash_series_uids(engine: DuckDBEngine) -> tuple[Array, Array]:
    """Return the hashes of all SeriesInstanceUIDs, ascending, and the row of each hash (int32)."""
    hashes = hash_texts(engine, "SeriesInstanceUID", "index")
    rows = np.argsort(hashes).astype(np.int32)
    return hashes[rows], rows


def find_rows(hashes: Array, rows: Array, wanted: Array) -> Array:
    """Return the row of each wanted hash, or -1 for a hash that is not there.

    Args:
        hashes: Hashes in ascending order.
        rows: The row of each of these hashes.
        wanted: The wanted hashes.
    """
    if not len(hashes):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.searchsorted(hashes, wanted)
    places[places == len(hashes)] = 0
    return np.where(hashes[places] == wanted, rows[places], -1)


def hash_texts(
    engine: DuckDBEngine, column: str, relation: str, params: Sequence[object] = ()
) -> Array:
    """Return the hash (uint64) of each text in a column of a table or subquery."""
    hashes = engine.query(f"SELECT md5_number_lower({column}) FROM {relation}", params).column(0)
    return np.concatenate([to_numpy(chunk) for chunk in hashes.chunks] or [_NO_HASHES])
