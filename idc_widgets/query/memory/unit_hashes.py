"""Hashes of patients and studies, which decide the random part that each of them is in.

`query.sampling` has the same hash as SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from ..duckdb_engine import DuckDBEngine
from ..per_engine import PerEngine
from .arrow import Array
from .mask import Mask
from .memory_index import MemoryIndex
from .recent_results import Recent

__all__ = ["mask_of_hashes", "unit_hashes"]

#: The number of hexadecimal digits of an MD5 digest that count, as in `query.sampling`.
_DIGITS = 13

#: The number of arrays of hashes that are kept per engine.
_MAX_KEPT = 4


def unit_hashes(memory: MemoryIndex, by: str, random_state: int) -> Array:
    """Return the hash of each unit, as an integer of 52 bits; keep recent ones.

    Args:
        memory: The index.
        by: "patient", "study", or "PatientID" for patients who are one person if they have the same
            PatientID, also in different collections.
        random_state: The number before the key in the text that is hashed.

    Returns:
        The hashes by number of the patient or study.
    """

    def make() -> Array:
        if by == "study":
            return _hashes(random_state, memory.study_uids.to_pylist())
        if by == "patient":
            keys = memory.keys_of("patient", np.arange(memory.patient_count))
            return _hashes(random_state, (f"{key[0]}\x1f{key[1]}" for key in keys))
        ids = memory.patient_ids
        return _hashes(random_state, ids.values.to_pylist())[ids.codes]

    return _kept.of(memory.engine).get((by, random_state), make)


def mask_of_hashes(memory: MemoryIndex, by: str, is_wanted: Array) -> Mask:
    """Return the mask of the series of certain units, given as flags by number of the unit."""
    if by == "study":
        return Mask(memory, is_wanted[memory.study_of_series], False)
    return Mask(memory, is_wanted[memory.patient_of_group], True)


def _hashes(random_state: int, keys: Iterable[str]) -> Array:
    prefix = hashlib.md5(f"{random_state}/".encode(), usedforsecurity=False)
    hashes = []
    for key in keys:
        digest = prefix.copy()
        digest.update(key.encode(errors="surrogatepass"))
        hashes.append(int(digest.hexdigest()[:_DIGITS], 16))
    return np.array(hashes, dtype=np.int64)


#: (by, random_state) → hashes.
_kept: PerEngine[DuckDBEngine, Recent[tuple[str, int], Array]] = PerEngine(
    lambda _engine: Recent(_MAX_KEPT)
)
