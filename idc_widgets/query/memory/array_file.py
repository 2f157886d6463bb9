"""A file of named Arrow arrays, each of which can be read alone.

The arrays follow each other, each as an Arrow IPC stream of one record. Then come a table of
contents in JSON and 12 bytes: `_MAGIC`, and the size and CRC-32 of the table. The table has the
place, size and CRC-32 of each array.

A file with one record for all arrays would be simpler. But to read any array of it, Arrow has to
parse the description of all arrays, which takes as long as reading 10 MB.

The file is not mapped into memory: if a mapped file were cut off, the next access would kill the
process (SIGBUS).
"""

from __future__ import annotations

import json
import os
import struct
import weakref
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._util import hold, is_from_us, replaced_when_complete
from ...errors import IndexFileError
from .arrow import Array, ArrowArray, to_arrow

__all__ = ["ArrayFile", "write_arrays"]

_MAGIC = b"IDCA"
_END = struct.Struct("<4sII")


def write_arrays(path: Path, arrays: Mapping[str, Array | ArrowArray], source: str) -> None:
    """Write all arrays to a file, or leave the file as it was.

    Args:
        path: The file.
        arrays: Name → array.
        source: Identifies what the arrays were made from; `ArrayFile` checks it.

    Raises:
        OSError: The file cannot be written.
    """
    contents: dict[str, tuple[int, int, int]] = {}
    with replaced_when_complete(path) as unfinished, unfinished.open("wb") as file:
        for name, array in arrays.items():
            stream: Any = _stream_of(array)
            contents[name] = file.tell(), len(stream), zlib.crc32(stream)
            file.write(stream)
        table = json.dumps({"source": source, "arrays": contents}).encode()
        file.write(table + _END.pack(_MAGIC, len(table), zlib.crc32(table)))


class ArrayFile:
    """An open file of arrays. Its methods are safe to use from any thread.

    Args:
        path: The file.
        source: Identifies what the arrays must have been made from.

    Raises:
        IndexFileError: The file cannot be read, is damaged, is not such a file, or was made from
            another source or by another user.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        if not is_from_us(path):
            raise IndexFileError(f"{path} was written by another user")
        held = hold(path)
        if held is not None:
            weakref.finalize(self, os.close, held)
        with self._errors():
            self._file: Any = pa.OSFile(str(path), "rb")
            end = self._file.size() - _END.size
            magic, size, checksum = _END.unpack(self._read(end, _END.size))
            if magic != _MAGIC:
                raise ValueError(f"expected {_MAGIC!r} near its end, not {magic!r}")
            table = json.loads(self._read(end - size, size, checksum))
            self._contents: dict[str, tuple[int, int, int]] = table["arrays"]
            made_from = table["source"]
        if made_from != source:
            raise IndexFileError(f"{path} was made from the index {made_from}, not {source}")

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self._contents)

    def read(self, name: str) -> ArrowArray:
        """Read an array into memory.

        Raises:
            IndexFileError: The array is missing or damaged, or the file can no longer be read.
        """
        with self._errors():
            stream = pa.ipc.open_stream(self._read(*self._contents[name]))
            return stream.read_next_batch().column(0)

    def _read(self, start: int, size: int, checksum: int | None = None) -> bytes:
        content: bytes = self._file.read_at(size, start) if start >= 0 else b""
        if len(content) != size:
            raise ValueError(f"it ends before byte {start + size:,}")
        if checksum is not None and zlib.crc32(content) != checksum:
            raise ValueError(f"the checksum of {size:,} bytes at {start:,} is wrong")
        return content

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, LookupError, TypeError, ValueError, StopIteration, struct.error) as error:
            # pyarrow's own errors are subclasses of these.
            raise IndexFileError(f"{self._path} is not a prepared index: {error}") from error


def _stream_of(array: Array | ArrowArray) -> ArrowArray:
    """Return an array as the bytes of an Arrow IPC stream."""
    column = to_arrow(array) if isinstance(array, np.ndarray) else array
    record = pa.RecordBatch.from_arrays([column], names=[""])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
    return sink.getvalue()
