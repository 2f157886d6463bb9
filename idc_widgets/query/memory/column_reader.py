"""Read single columns of the table "index" as numbers."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import numpy as np
import pyarrow as pa

from ..._util import ended_context, fork_safe
from ..dataframes import is_out_of_threads, out_of_threads
from ..duckdb_engine import DuckDBEngine
from .arrow import Array, ArrowArray, to_numpy, values_and_gaps
from .encoded import EncodedColumn, encode

__all__ = ["ColumnReader", "return_free_memory", "system_pool"]

_Result = TypeVar("_Result")


class ColumnReader:
    """Reads the columns of the index one by one, so that few are held as text at a time.

    Several threads may read at the same time.

    Args:
        engine: The engine that has the index. The reader does not keep it alive.
    """

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine_reference = weakref.ref(engine)

    def encoded(self, name: str) -> EncodedColumn:
        """Return a column as codes.

        Raises:
            IndexFileError: The file of the index was changed or replaced since it was opened.
        """
        return self._read(lambda engine: _encoded(engine, name))

    def numbers(self, name: str) -> Array:
        """Return a column of numbers, with NaN for missing values; int32 if that is enough.

        Raises:
            IndexFileError: The file of the index was changed or replaced since it was opened.
        """
        return self._read(lambda engine: _numbers(engine, name))

    def _read(self, read: Callable[[DuckDBEngine], _Result]) -> _Result:
        engine = self._engine_reference()
        assert engine is not None, "callers hold the engine while they query"
        engine.check_index()
        with system_pool():
            try:
                result = read(engine)
            except (OSError, pa.ArrowException) as error:
                if is_out_of_threads(error):
                    raise out_of_threads() from error
                if not engine.check_index():
                    raise
            else:
                if not engine.check_index():
                    return result
            return read(engine)  # the prepared copy was removed while it was read


def _encoded(engine: DuckDBEngine, name: str) -> EncodedColumn:
    if engine.plain_parquet is not None:
        # Parquet's dictionaries are used as they are.
        return encode(_parquet_column(engine, name, [name]))
    batches = engine.batches(f"SELECT {name} FROM index")
    chunks = [batch.column(0).dictionary_encode() for batch in batches]
    return encode(pa.chunked_array(chunks, None if chunks else pa.string()))


def _numbers(engine: DuckDBEngine, name: str) -> Array:
    if engine.plain_parquet is not None:
        column = _parquet_column(engine, name, [])
    else:
        column = engine.query(f"SELECT {name} FROM index").column(0)
    if column.null_count:
        missing = np.concatenate([to_numpy(chunk.is_null()) for chunk in column.chunks])
        numbers = np.concatenate([values_and_gaps(chunk).astype(float) for chunk in column.chunks])
        numbers[missing] = np.nan
        return numbers
    numbers = np.concatenate([values_and_gaps(chunk) for chunk in column.chunks] or [np.zeros(0)])
    highest = int(numbers.max(initial=0)) if numbers.dtype.kind == "i" else None
    return numbers.astype(np.int32) if highest is not None and highest < 2**31 else numbers


def _parquet_column(engine: DuckDBEngine, name: str, encoded: list[str]) -> ArrowArray:
    import pyarrow.parquet as pq  # late: it takes 5 MB, and a prepared index does not need it

    # The file is not mapped into memory: if a mapped file were cut off, the process would be
    # killed. `ParquetFile` of a path would not use the chosen memory pool. Threads of Arrow would
    # keep memory of their own.
    path = str(engine.plain_parquet)
    with pa.OSFile(path, "rb", memory_pool=pa.default_memory_pool()) as file:
        reader = pq.ParquetFile(file, read_dictionary=encoded)
        return reader.read([name], use_threads=False).column(0)


# --- memory ----------------------------------------------------------------------------------


class _Readers:
    """How many threads read with the system's allocator, and which allocator they replaced."""

    def __init__(self) -> None:
        self.lock = fork_safe(threading.Lock())
        self.count = 0
        self.usual_pool: pa.MemoryPool | None = None


_readers = _Readers()


@ended_context
def system_pool() -> Iterator[None]:
    """Let Arrow use the system's allocator: its own would keep 70 MB of unused memory.

    Other threads may allocate from the same pool meanwhile: every buffer returns to the pool that
    it came from.
    """
    with _readers.lock:
        if not _readers.count:
            _readers.usual_pool = pa.default_memory_pool()
            pa.set_memory_pool(pa.system_memory_pool())
        _readers.count += 1
    try:
        yield
    finally:
        with _readers.lock:
            _readers.count -= 1
            if not _readers.count and _readers.usual_pool is not None:
                pa.set_memory_pool(_readers.usual_pool)


def return_free_memory() -> None:
    """Return memory that is free to the system; C libraries other than glibc do so themselves."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
