"""The index of an engine in memory: made at its first use, and prepared in a file."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from ..._util import is_file
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from ..engine import Engine
from ..per_engine import PerEngine
from .cache_file import load, save
from .encoded import EncodedIndex
from .memory_index import MemoryIndex
from .read_index import read_index

__all__ = ["memory_index_of", "prepare"]

_log = logging.getLogger(__name__)


def memory_index_of(engine: Engine, *, make: bool = True) -> MemoryIndex | None:
    """Return the index of an engine in memory; None for a database elsewhere.

    At the first call, reading IDC's index takes about a second, unless it was prepared.

    Args:
        engine: The engine that has the index.
        make: False to return None instead of reading the index.
    """
    if not isinstance(engine, DuckDBEngine):
        return None
    return _memory_indexes.of(engine) if make else _memory_indexes.get(engine)


def prepare(engine: DuckDBEngine) -> None:
    """Save the encoded form of the installed index in a file, for all later sessions.

    Raises:
        IndexFileError: The file cannot be written.
    """
    path = engine.index.prepared_encoding
    if path is not None and not _is_sound(path):
        save(engine, read_index(engine), path)


def _is_sound(path: Path) -> bool:
    with suppress(IndexFileError):
        return is_file(path) and load(path) is not None
    return False


def _load_or_read(engine: DuckDBEngine) -> EncodedIndex:
    path = engine.index.prepared_encoding
    if path is not None and is_file(path):
        try:
            return load(path)
        except IndexFileError as error:
            _log.warning("%s", error)  # not an error: the table has the same data
    return read_index(engine)


_memory_indexes: PerEngine[DuckDBEngine, MemoryIndex] = PerEngine(
    lambda engine: MemoryIndex(engine, _load_or_read(engine))
)
