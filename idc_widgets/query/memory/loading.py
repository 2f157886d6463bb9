"""The index of an engine in memory: read at its first use, or loaded from a prepared file."""

from __future__ import annotations

import logging
import weakref

from ..._util import is_file
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from ..engine import Engine
from ..per_engine import PerEngine
from ..prepared_copy import MEMORY_LIMIT_SQL, clean_cache_folder, require_memory
from .cache_file import is_sound, load, save
from .encoded import EncodedIndex
from .memory_index import MemoryIndex
from .read_index import read_index

__all__ = ["memory_index_of", "prepare"]

_log = logging.getLogger(__name__)


def memory_index_of(engine: Engine, *, make: bool = True) -> MemoryIndex | None:
    """Return the index of an engine in memory; None if the engine is another database.

    The first call reads the index. For IDC's index, this takes about a second unless it was
    prepared.

    Args:
        engine: The engine that has the index.
        make: False to return None instead of reading the index.
    """
    if not isinstance(engine, DuckDBEngine):
        return None
    return _memory_indexes.of(engine) if make else _memory_indexes.get(engine)


def prepare(engine: DuckDBEngine) -> None:
    """Save the encoded columns of the installed index in a file, for all later sessions.

    Raises:
        IndexFileError: The file cannot be written.
    """
    path = engine.index.prepared_encoding
    if path is not None and not is_sound(path, engine.index.source):
        [(memory_limit,)] = engine.rows(MEMORY_LIMIT_SQL)
        require_memory(memory_limit)
        engine.opened.check_shipped()
        index = read_index(engine)
        save(engine, index, path)
        engine.opened.check_shipped()
    if path is not None:
        clean_cache_folder(path, engine.index.prepared)


def _load_or_read(engine: DuckDBEngine) -> EncodedIndex:
    path = engine.index.prepared_encoding
    if path is not None and is_file(path):
        # A weak reference, so that the memory index of an engine does not keep the engine alive.
        reference = weakref.ref(engine)
        try:
            engine.check_index()
            return load(path, engine.index.source, lambda: _read_again(reference()))
        except IndexFileError as error:
            _log.warning("%s", error)  # go on: the table has the same data
    return read_index(engine)


def _read_again(engine: DuckDBEngine | None) -> EncodedIndex:
    assert engine is not None, "callers hold the engine while they query"
    return read_index(engine)


_memory_indexes: PerEngine[DuckDBEngine, MemoryIndex] = PerEngine(
    lambda engine: MemoryIndex(engine, _load_or_read(engine))
)
