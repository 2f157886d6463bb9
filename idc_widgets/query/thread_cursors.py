"""One cursor of DuckDB per thread, as two threads must not share one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._util import never_free
from .added_tables import AddedTables, tables_in

if TYPE_CHECKING:
    import duckdb

__all__ = ["ThreadCursors", "reading_added"]


class ThreadCursors:
    """The cursors of a connection, one per thread.

    Args:
        connection: The connection, which threads may use at the same time to make cursors.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._local = threading.local()
        #: Cursor → the ident of its thread, while the thread lives.
        self._cursors: dict[weakref.ref[duckdb.DuckDBPyConnection], int] = {}

    def of_this_thread(self) -> duckdb.DuckDBPyConnection:
        """Return the cursor of this thread; make it at the first call."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
            self._cursors[weakref.ref(cursor, self._cursors.pop)] = threading.get_ident()
        return cursor

    def interrupt(self, thread: int | None = None) -> None:
        """Interrupt the queries of one thread (given by its ident) or of all threads."""
        for reference, ident in self._cursors.copy().items():
            cursor = reference()
            if cursor is not None and thread in (None, ident):
                cursor.interrupt()

    def abandon(self) -> None:
        """Never close the cursors: in a forked child, this would wait for the parent's threads."""
        never_free(self._connection, *(reference() for reference in self._cursors))
        self._local, self._cursors = threading.local(), {}


@contextmanager
def reading_added(
    cursor: duckdb.DuckDBPyConnection, sql: str, named: AddedTables | None
) -> Iterator[None]:
    """Let a cursor read the added tables in a query, while the `with` block runs.

    Args:
        cursor: The cursor, which nothing else uses meanwhile.
        sql: The query.
        named: The tables that the query may call by their names.
    """
    registered = []
    try:
        for name, table in tables_in(sql, named).items():
            cursor.register(name, table.content)
            registered.append(name)
        yield
    finally:
        for name in registered:
            cursor.unregister(name)
