"""Conversion of arrays between Arrow and numpy, without pandas.

pyarrow's own `pyarrow.array` and `to_numpy` import pandas, which takes 45 MB and a third of a
second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Array",
    "ArrowArray",
    "BoolArray",
    "contains",
    "lower_case",
    "rank_distinct",
    "to_arrow",
    "to_numpy",
    "values_and_gaps",
]

Array: TypeAlias = "npt.NDArray[Any]"
BoolArray: TypeAlias = "npt.NDArray[np.bool_]"

#: An array of pyarrow, whose own type annotations are too incomplete to help.
ArrowArray: TypeAlias = Any


def to_numpy(array: ArrowArray) -> Array:
    """Return an Arrow array of numbers or Booleans as numpy, if possible without a copy.

    Raises:
        ValueError: The array has missing values.
    """
    if array.null_count:
        raise ValueError("expected an array without missing values")
    return values_and_gaps(array)


def values_and_gaps(array: ArrowArray) -> Array:
    """Return an Arrow array as numpy; the places of missing values have arbitrary numbers."""
    buffer, start, stop = array.buffers()[1], array.offset, array.offset + len(array)
    if buffer is None:  # an array without elements
        return np.zeros(len(array), dtype=array.type.to_pandas_dtype())
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(buffer, dtype=np.uint8), bitorder="little")
        return bits[start:stop].astype(bool)
    return np.frombuffer(buffer, dtype=array.type.to_pandas_dtype())[start:stop]


def to_arrow(values: Array | Sequence[str]) -> ArrowArray:
    """Return numbers or texts as an Arrow array.

    >>> to_arrow(["CT", "MR"]).to_pylist()
    ['CT', 'MR']
    """
    if isinstance(values, np.ndarray):
        contiguous: Any = np.ascontiguousarray(values)
        arrow_type = pa.from_numpy_dtype(values.dtype)
        return pa.Array.from_buffers(arrow_type, len(values), [None, pa.py_buffer(contiguous)])
    encoded = [value.encode(errors="surrogatepass") for value in values]
    ends: Any = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def lower_case(texts: ArrowArray) -> ArrowArray:
    """Return texts in lower case."""
    return pc.utf8_lower(texts, memory_pool=pa.system_memory_pool())


def contains(texts: ArrowArray, part: str) -> BoolArray:
    """Return one flag per text: True if it contains `part`. No text may be missing."""
    # Arrow's own allocator would keep 10 MB of unused memory.
    return to_numpy(pc.match_substring(texts, part, memory_pool=pa.system_memory_pool()))


def rank_distinct(keys: Array) -> tuple[Array, Array]:
    """Return the distinct keys in ascending order, and for each key its place among them (int32).

    Faster than `numpy.unique`, because only the distinct keys are sorted.

    >>> rank_distinct(np.array([30, 10, 30]))
    (array([10, 30]), array([1, 0, 1], dtype=int32))
    """
    encoded = to_arrow(keys).dictionary_encode()
    distinct = to_numpy(encoded.dictionary)
    order = np.argsort(distinct)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], rank[to_numpy(encoded.indices)]
