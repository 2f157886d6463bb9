"""DuckDB in this process: the engine that runs queries on the files of an index."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from .._util import (
    call_in_forked_children,
    exists,
    file_identity,
    fork_safe,
    is_from_us,
    too_few_open_files,
)
from ..errors import IndexFileError
from ..index import COLUMNS, Index
from . import prepared_copy
from .added_tables import AddedTables
from .duckdb_calls import (
    arrow_batches,
    arrow_table,
    cannot_read,
    check_reads_only,
    connect,
    describe,
    have_equal_length,
    is_about_the_query,
    message_of,
    return_memory,
    translated_errors,
)
from .engine import identifier
from .opened_files import OpenedFiles, changed_error
from .own_table import csv_query, parquet_select
from .spill_folder import SpillFolder
from .table_views import access_only, file_literal, rows_view, table_view
from .thread_cursors import ThreadCursors, reading_added

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBEngine"]

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)

#: A query runs at most this many times. It runs again if the prepared copy is removed meanwhile.
_MAX_RUNS = 3


class DuckDBEngine:
    """DuckDB in this process, directly on the files of an `Index`.

    Opening reads no rows of a Parquet file: queries scan the file in place. The columns that every
    click needs are also kept in memory, see `memory_index_of`. A CSV file is read into memory
    once. After opening, the database can read these files, the files in the index's data folder,
    and nothing else.

    Args:
        index: The files; by default the index that the installed idc-index-data ships.

    Raises:
        IndexFileError: A table cannot be read or lacks a required column, or this process may have
            too few files open at once.
    """

    def __init__(self, index: Index | None = None) -> None:
        if problem := too_few_open_files():
            raise IndexFileError(f"the index cannot be opened: {problem}")
        self.index = index if index is not None else Index.default()
        self.data_version = self.index.data_version
        self._lock = fork_safe(threading.Lock())
        self._is_copy_damaged = False
        self._copy_check: prepared_copy.CopyCheck | None = None
        #: The files of the tables.
        self.opened = OpenedFiles(self.index)
        self._open_tables(self.index.tables)
        self._process = os.getpid()
        call_in_forked_children(self)

    @property
    def files(self) -> Mapping[str, Path]:
        """Table name in SQL → the Parquet or CSV file, or the folder, that it is read from."""
        return self.opened.paths

    def query(
        self, sql: str, params: Sequence[object] = (), added: AddedTables | None = None
    ) -> pa.Table:
        """Return the result of one read-only query.

        Args:
            sql: One SELECT (or DESCRIBE, SHOW, SUMMARIZE) in DuckDB's dialect, on the tables of
                `tables`.
            params: The values of its ``?``, in order; a list is one parameter.
            added: The tables of a client that the query may call by their names.

        Raises:
            IndexFileError: The file of a table was changed or replaced since it was opened.
            InvalidQueryError: The query has a syntax error, names an unknown table or column,
                fails, or would write.
            QueryInterruptedError: `interrupt` was called.
        """
        return self._answer(
            sql, lambda: arrow_table(self._cursor(), sql, list(params)), wait=True, added=added
        )

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the result of one read-only query as Python values.

        Arguments and errors are those of `query`.
        """
        return self._answer(sql, lambda: self._cursor().execute(sql, list(params)).fetchall())

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the result of a query in batches, so that memory never holds all of it.

        The query is not checked: it must come from this package.
        """
        with translated_errors():
            self._check_files(sql)
            with reading_added(self._cursor(), sql, None):
                yield from arrow_batches(self._cursor(), sql)
            self._check_files(sql)

    def check_index(self) -> bool:
        """Check that the index is read from the file that was opened; see `_check_files`."""
        return self._check_files("")

    @property
    def plain_parquet(self) -> Path | None:
        """The Parquet file with the rows and columns of the table index; None if there is none."""
        return None if self.index.is_own else self.files["index"]

    def interrupt(self, thread: int | None = None) -> None:
        """Interrupt running queries; each raises QueryInterruptedError in its thread.

        Args:
            thread: The ident of a thread; by default the queries of all threads.
        """
        self._cursors.interrupt(thread)

    def build_copy(self) -> Path:
        """Write a copy of the installed index for fast lookups, once per data version.

        The installed index is one large row group, which must be read as a whole to find one
        patient, study or series. The copy has the same rows in the same order, but in small row
        groups, so that a lookup skips most of them. It is in the user's cache folder
        ($IDC_WIDGETS_CACHE_DIR, or the platform's own). This session and later ones read it from
        now on. It may be deleted at any time. docs/performance.md has the cost.

        Returns:
            The path of the copy.

        Raises:
            IndexFileError: The copy cannot be written, or the index is a table of the user.
        """
        target = self.index.prepared
        if target is None:
            raise IndexFileError(prepared_copy.nothing_to_prepare(self.index))
        if not self._is_sound(target):
            self.opened.check_shipped()
            try:
                with connect() as other:
                    prepared_copy.write_prepared_copy(other.execute, self.index.shipped, target)
            except (OSError, duckdb.Error) as error:
                raise prepared_copy.cannot_write(target, error) from error
            self.opened.check_shipped()
            self._is_copy_damaged = False
        prepared_copy.clean_cache_folder(target, self.index.prepared_encoding)
        self._cursor()  # in a forked child, this opens DuckDB
        with self._lock:
            self._read_index_from(target)
            self._copy_check = None
        return target

    def _is_sound(self, copy: Path) -> bool:
        """Return whether a prepared copy can be used as it is."""
        if self._is_copy_damaged or not is_from_us(copy):
            return False
        try:
            has_checksum = prepared_copy.is_intact(copy)
        except OSError:
            return False
        return bool(has_checksum) and have_equal_length(copy, self.index.shipped)

    def attach(self, name: str, path: Path) -> None:
        """Add a fetched table, from now on and for all threads.

        Args:
            name: The name of the table in SQL.
            path: A Parquet file, or a folder of them, in `Index.data_folder`.

        Raises:
            IndexFileError: The table cannot be read.
        """
        identity = file_identity(path)
        try:
            self._cursor().execute(table_view(name, path))
        except duckdb.Error as error:
            raise IndexFileError(cannot_read(name, path, error)) from error
        self.opened.remember(name, path, identity)

    def tables(self) -> dict[str, dict[str, str]]:
        """Return table name → column name → SQL type."""
        return {
            name: describe(self._cursor(), identifier(name))
            for name, path in self.files.items()
            if name == "index" or exists(path)  # a fetched table may have been deleted
        }

    # --- opening ---------------------------------------------------------------------------

    def _open_tables(self, tables: Mapping[str, Path]) -> None:
        """Open DuckDB and these tables in it, in this process.

        Raises:
            IndexFileError: A table cannot be read.
        """
        try:
            self._connection = connect()
            self._cursors = ThreadCursors(self._connection)
            if tables["index"] == self.index.prepared:
                # Not for other files: a query decodes whole columns, and would take 15 % more CPU.
                return_memory(self._connection)
            spill = self._spill = SpillFolder()
            weakref.finalize(self, spill.close)
            for statement in spill.settings():
                self._connection.execute(statement)
            for name, path in tables.items():
                self._open_or_replace(name, path)
            self._allow_only_tables()
        except duckdb.Error as error:
            raise IndexFileError(f"cannot open DuckDB: {message_of(error)}") from error

    def _open_or_replace(self, name: str, path: Path) -> None:
        """Open a table; fall back to the installed index if the prepared copy is damaged.

        Raises:
            IndexFileError: A table that was not fetched cannot be read.
        """
        folder, identity = self.index.data_folder, file_identity(path)
        try:
            self._open(name, path)
        except duckdb.Error as error:
            message = cannot_read(name, path, error)
            if name == "index" and path == self.index.prepared:
                _log.warning("%s; reading the installed index instead", message)
                path = self.index.shipped
                self._open(name, path)
                self._is_copy_damaged = True  # `build_cache` replaces it
            elif name == "index" or folder is None or folder not in path.parents:
                raise IndexFileError(message) from error
            else:
                _log.warning("%s", message)  # everything else works without a fetched table
                return
        self.opened.remember(name, path, identity)

    def _read_index_from(self, path: Path) -> None:
        """Read the index from the prepared copy or the installed file, which have the same rows.

        The caller holds the lock.
        """
        identity = file_identity(path)
        self._connection.cursor().execute(rows_view(path))
        self.opened.remember("index", path, identity)

    def _check_files(self, sql: str) -> bool:
        """Check that the files of the tables in a query are those that were opened.

        Returns:
            True if the prepared copy was changed or removed. The installed file, which has the
            same rows, is read from now on.

        Raises:
            IndexFileError: Another file was changed, replaced or removed.
        """
        if self.opened.check(sql):
            return False
        with self._lock:
            if self.opened.is_prepared:
                self.opened.check_shipped()
                _log.info("%s is gone; reading the installed index", self.index.prepared)
                self._read_index_from(self.index.shipped)
        return True

    def _reopen_in_child(self) -> None:
        """Open the same tables in a forked child, which does not have DuckDB's threads."""
        with self._lock:
            if self._process == os.getpid():
                return
            identities, tables = self.opened.snapshot(), dict(self.files)
            if self.opened.is_prepared and not self.opened.is_current("index"):
                tables["index"] = self.index.shipped
            self._open_tables(tables)
            self.opened.restore(identities)
            self._process, self._copy_check = os.getpid(), None

    def _open(self, name: str, path: Path) -> None:
        if name != "index":
            self._connection.execute(table_view(name, path))
            return
        if path.suffix.lower() == ".csv":
            self._load_csv(path)
            view = f"CREATE VIEW _rows AS SELECT {', '.join(COLUMNS)}, rowid AS _row FROM _csv"
        elif self.index.is_own:
            names = describe(self._connection, f"read_parquet({file_literal(path)})")
            view = rows_view(path, parquet_select(path, names))
        else:
            view = rows_view(path)
        self._connection.execute(view)
        self._connection.execute("CREATE VIEW index AS SELECT * EXCLUDE (_row) FROM _rows")

    def _load_csv(self, path: Path) -> None:
        self._connection.execute(f"CREATE TABLE _csv AS {csv_query(path)}")
        repeated = self._connection.execute(
            "SELECT SeriesInstanceUID, count(*) FROM _csv GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if repeated is not None:
            raise IndexFileError(
                f"{path} has the series {repeated[0]!r} in {repeated[1]} rows; "
                "expected one row per series"
            )

    def _allow_only_tables(self) -> None:
        """Restrict the database to the files of its tables, from now on."""
        paths = list(self.files.values())
        if not self.index.is_own:
            paths += [self.index.shipped, *filter(None, [self.index.prepared])]
        for statement in access_only(paths, self.index.data_folder):
            self._connection.execute(statement)

    # --- queries ---------------------------------------------------------------------------

    def _answer(
        self,
        sql: str,
        run: Callable[[], _Result],
        wait: bool = False,
        added: AddedTables | None = None,
    ) -> _Result:
        """Run a query on the files that were opened, or raise an error.

        If the prepared copy is removed while the query runs, or is damaged, the query is run again
        on the installed file. `wait` is True to wait for the result of the check for damage.
        """
        with translated_errors(), reading_added(self._cursor(), sql, added):
            check_reads_only(self._cursor(), sql)
            self._check_files(sql)
            self._spill.restore()
            if self._copy_check is None and self.opened.is_prepared:
                self._copy_check = prepared_copy.CopyCheck(self.files["index"])
            for _ in range(_MAX_RUNS):
                try:
                    result = run()
                except duckdb.InterruptException:
                    raise
                except duckdb.Error as error:
                    if not self._check_files(sql):
                        return self._answer_without_copy(run, error)
                else:
                    if not self._check_files(sql) and not self._finds_damage(wait):
                        return result
        raise changed_error(self.files["index"])  # other processes keep removing the copy

    def _finds_damage(self, wait: bool) -> bool:
        """Return whether the prepared copy turned out to be damaged; it is then not read any more.

        The grids show rows without waiting for the check, which ends a moment later.
        """
        check = self._copy_check
        if check is None or not self.opened.is_prepared or not check.is_damaged(wait=wait):
            return False
        self.opened.check_shipped()
        _log.warning("%s is damaged; reading the installed index instead", self.files["index"])
        with self._lock:
            self._read_index_from(self.index.shipped)
        self._is_copy_damaged = True  # `build_cache` replaces it
        return True

    def _answer_without_copy(self, run: Callable[[], _Result], error: duckdb.Error) -> _Result:
        """Run a query that failed on the prepared copy on the installed file.

        If it succeeds there, the copy is damaged, and is not read any more.

        Args:
            run: Runs the query.
            error: The error on the prepared copy, which is raised if the copy is not the reason.
        """
        if not self.opened.is_prepared or is_about_the_query(error):
            raise error
        copy = self.files["index"]
        try:
            self.opened.check_shipped()
        except IndexFileError:
            raise error from None
        with self._lock:
            self._read_index_from(self.index.shipped)
        try:
            result = run()
        except duckdb.Error:
            with self._lock:
                self._read_index_from(copy)
            raise error from None
        _log.warning("%s; reading the installed index instead", cannot_read("index", copy, error))
        self._is_copy_damaged = True  # `build_cache` replaces it
        return result

    def after_fork(self) -> None:
        """Do not close the connection of the parent: this would wait for threads of the parent."""
        self._cursors.abandon()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """Return the cursor of this thread: two threads must not share one."""
        if self._process != os.getpid():
            self._reopen_in_child()
        return self._cursors.of_this_thread()
