"""One engine per process for the same files, so that memory holds them once."""

from __future__ import annotations

import logging
import threading
from weakref import WeakSet

from .._util import fork_safe
from ..errors import IndexFileError
from ..index import Index
from .duckdb_engine import DuckDBEngine

__all__ = ["shared_engine"]

_log = logging.getLogger(__name__)

#: The shared engines. Each is here only for as long as somebody uses it.
_engines: WeakSet[DuckDBEngine] = WeakSet()
_lock = fork_safe(threading.Lock())


def shared_engine(index: Index) -> DuckDBEngine:
    """Return an engine on these files: one that is in use already, or a new one.

    If a file was changed or replaced since an engine opened it, the engine is no longer shared.

    Raises:
        IndexFileError: A table cannot be read, or lacks a required column.
    """
    with _lock:
        for engine in list(_engines):
            if engine.opened.are_those_of(index):
                _attach_fetched(engine, index)
                return engine
        engine = DuckDBEngine(index)
        _engines.add(engine)
        return engine


def _attach_fetched(engine: DuckDBEngine, index: Index) -> None:
    """Attach the tables that were fetched since the engine was opened."""
    for name, path in index.tables.items():
        if not engine.opened.is_current(name):
            try:
                engine.attach(name, path)
            except IndexFileError as error:
                _log.warning("%s", error)
