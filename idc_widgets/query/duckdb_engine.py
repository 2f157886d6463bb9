"""DuckDB in this process: the engine that runs queries on the files of an index."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ..errors import IndexFileError, InvalidQueryError, QueryInterruptedError
from ..index import COLUMNS, Index
from .engine import literal
from .own_table import csv_query, parquet_select
from .prepared_copy import write_prepared_copy
from .table_views import file_literal, rows_view, table_view

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBEngine"]

_log = logging.getLogger(__name__)

#: Keywords that write, wherever they occur in a statement.
_WRITING_KEYWORDS = re.compile(rb"(?i:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE)\b")

#: Rows per batch of a long result.
_BATCH_ROWS = 1_000_000

#: A longer message of DuckDB is cut in the error for a table.
_MAX_MESSAGE_CHARACTERS = 400


class DuckDBEngine:
    """DuckDB in this process, directly on the files of an `Index`.

    Opening reads no rows of a Parquet file: queries scan the file in place. The columns that every
    click needs are kept in memory beside it, see `memory_index_of`. A CSV file is read into memory
    once. After opening, the database can read these files, the files in the index's data folder,
    and nothing else.

    Args:
        index: The files; by default the index that the installed idc-index-data ships.

    Raises:
        IndexFileError: A table cannot be read, or lacks a required column.
    """

    def __init__(self, index: Index | None = None) -> None:
        self.index = index if index is not None else Index.default()
        self.data_version = self.index.data_version
        self._connection = _connect()
        self._local = threading.local()
        #: Ident of a thread → its cursor, while the thread lives.
        self._cursors: dict[int, weakref.ref[duckdb.DuckDBPyConnection]] = {}
        self._is_copy_damaged = False
        #: Table name in SQL → the file or folder of files that it is read from.
        self.files: Mapping[str, Path] = {}
        for name, path in self.index.tables.items():
            self._open_or_replace(name, path)
        self._allow_only_tables()

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Return the result of one read-only query.

        Args:
            sql: One SELECT (or DESCRIBE, SHOW, SUMMARIZE) in DuckDB's dialect, on the tables of
                `tables`.
            params: The values of its ``?``, in order; a list is one parameter.

        Raises:
            InvalidQueryError: The query does not parse, does not bind, fails, or would write.
            QueryInterruptedError: `interrupt` was called.
        """
        with _translated_errors():
            self._check_reads_only(sql)
            return _arrow_table(self._cursor(), sql, list(params))

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the result of one read-only query as Python values.

        Arguments and errors are those of `query`.
        """
        with _translated_errors():
            self._check_reads_only(sql)
            return self._cursor().execute(sql, list(params)).fetchall()

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the result of a query in batches, so that it is never in memory as a whole.

        The query is not checked: it must come from this package.
        """
        with _translated_errors():
            yield from _arrow_batches(self._cursor(), sql)

    @property
    def plain_parquet(self) -> Path | None:
        """The Parquet file that has the rows and columns of the table index; else None."""
        return None if self.index.is_own else self.files["index"]

    def interrupt(self, thread: int | None = None) -> None:
        """Interrupt running queries; each raises QueryInterruptedError in its thread.

        Args:
            thread: The ident of a thread; by default the queries of all threads.
        """
        for ident, reference in list(self._cursors.items()):
            cursor = reference()
            if cursor is None:  # the thread has ended
                self._cursors.pop(ident, None)
            elif thread in (None, ident):
                cursor.interrupt()

    def prepare(self) -> Path:
        """Write a copy of the installed index for fast lookups, once per data version.

        The installed index is one large row group, which must be read as a whole to find one
        patient, study or series. The copy has the same rows in the same order in small groups,
        most of which can be skipped. It is written to the user's cache folder
        ($IDC_WIDGETS_CACHE_DIR, or the platform's own), and is used from now on, in this and every
        later session. It may be deleted at any time. docs/performance.md has the cost.

        Returns:
            The path of the copy.

        Raises:
            IndexFileError: The copy cannot be written, or the index is a table of the user, which
                is always read directly.
        """
        target = self.index.prepared
        if target is None:
            raise IndexFileError(f"{self.index!r} is used as it is; only IDC's own is prepared")
        if not target.is_file() or self._is_copy_damaged:
            try:
                with _connect() as connection:
                    write_prepared_copy(connection.execute, self.files["index"], target)
            except (OSError, duckdb.Error) as error:
                first_line = str(error).strip().split("\n", 1)[0]
                raise IndexFileError(f"cannot write {target}: {first_line}") from error
        self._connection.cursor().execute(rows_view(target))
        return target

    def attach(self, name: str, path: Path) -> None:
        """Add a fetched table, from now on and for all threads.

        Args:
            name: The name of the table in SQL.
            path: A Parquet file, or a folder of them, in `Index.data_folder`.

        Raises:
            IndexFileError: The table cannot be read.
        """
        try:
            self._connection.cursor().execute(table_view(name, path))
        except duckdb.Error as error:
            raise IndexFileError(_cannot_read(name, path, error)) from error
        self.files = {**self.files, name: path}

    def tables(self) -> dict[str, dict[str, str]]:
        """Return table name → column name → SQL type."""
        return {
            name: self._describe(f'"{name}"')
            for name, path in self.files.items()
            if name == "index" or path.exists()  # a fetched table may have been deleted
        }

    # --- opening ---------------------------------------------------------------------------

    def _open_or_replace(self, name: str, path: Path) -> None:
        """Open a table; fall back to the installed index if the prepared copy is damaged.

        Raises:
            IndexFileError: The table cannot be read, and it is not a fetched one.
        """
        folder = self.index.data_folder
        try:
            self._open(name, path)
        except duckdb.Error as error:
            message = _cannot_read(name, path, error)
            if name == "index" and path == self.index.prepared:
                _log.warning("%s; reading the installed index instead", message)
                path = self.index.shipped
                self._open(name, path)
                self._is_copy_damaged = True  # `prepare` replaces it
            elif name == "index" or folder is None or folder not in path.parents:
                raise IndexFileError(message) from error
            else:
                _log.warning("%s", message)  # everything else works without a fetched table
                return
        self.files = {**self.files, name: path}

    def _open(self, name: str, path: Path) -> None:
        if name != "index":
            self._connection.execute(table_view(name, path))
            return
        if path.suffix.lower() == ".csv":
            self._load_csv(path)
            view = f"CREATE VIEW _rows AS SELECT {', '.join(COLUMNS)}, rowid AS _row FROM _csv"
        elif self.index.is_own:
            names = self._describe(f"read_parquet({file_literal(path)})")
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
        """Restrict the database to the files of its tables, for good."""
        paths = [*self.files.values(), *filter(None, [self.index.prepared])]
        # A path with glob characters is opened by its escaped form, so both forms are allowed.
        files = ", ".join(f"{literal(str(path))}, {file_literal(path)}" for path in paths)
        self._connection.execute(f"SET allowed_paths = [{files}]")
        folder = self.index.data_folder
        if folder is not None:  # where tables will be fetched to
            folders = f"{literal(str(folder))}, {file_literal(folder)}"
            self._connection.execute(f"SET allowed_directories = [{folders}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    # --- queries ---------------------------------------------------------------------------

    def _describe(self, relation: str) -> dict[str, str]:
        """Return column name → SQL type."""
        rows = self._cursor().execute(f"DESCRIBE FROM {relation}").fetchall()
        return {str(name): str(sql_type) for name, sql_type, *_ in rows}

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """Return the cursor of this thread: two threads must not share one."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
            self._cursors[threading.get_ident()] = weakref.ref(cursor)
        return cursor

    def _check_reads_only(self, sql: str) -> None:
        """Raise InvalidQueryError unless the text is one statement that only reads."""
        try:
            text = sql.encode()
        except UnicodeEncodeError as error:
            raise InvalidQueryError(f"the SQL text is not Unicode: {error.reason}") from error
        statements = self._cursor().extract_statements(sql)
        if len(statements) != 1:
            raise InvalidQueryError(f"expected one SQL statement, got {len(statements)}")
        kind = statements[0].type
        # EXPLAIN is refused too: EXPLAIN ANALYZE runs the statement that it explains.
        if kind != duckdb.StatementType.SELECT:
            raise InvalidQueryError(
                f"this is a statement of type {kind.name}; the index can only be read: "
                "expected a SELECT"
            )
        # DuckDB 2 reports SELECT also for WITH x AS (DELETE ... RETURNING *) SELECT * FROM x.
        for start, token in duckdb.tokenize(sql):
            if token == duckdb.token_type.keyword:
                keyword = _WRITING_KEYWORDS.match(text, start)
                if keyword is not None:
                    raise InvalidQueryError(
                        f"the index can only be read, and this has {keyword[0].decode().upper()}; "
                        "put a name that is spelled like this into quotes"
                    )


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    # DuckDB would print its progress bar into a notebook cell.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _arrow_table(cursor: duckdb.DuckDBPyConnection, sql: str, params: list[object]) -> pa.Table:
    table: pa.Table
    old: Any = cursor
    if hasattr(old, "fetch_arrow_table"):  # DuckDB 1, whose last releases deprecate it
        old.execute(sql, params)
        table = getattr(old, "to_arrow_table", old.fetch_arrow_table)()
    else:
        table = cursor.sql(sql, params=params or None).to_arrow_table()
    return table


def _arrow_batches(cursor: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    old: Any = cursor
    if hasattr(old, "fetch_record_batch"):  # DuckDB 1, as above
        old.execute(sql)
        return iter(getattr(old, "to_arrow_reader", old.fetch_record_batch)(_BATCH_ROWS))
    return iter(cursor.sql(sql).to_arrow_reader(_BATCH_ROWS))


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the errors that DuckDB raises in the block into those of this package."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{error.object!r} is not Unicode: {error.reason}") from error
    except duckdb.InterruptException as error:
        raise QueryInterruptedError("this query was interrupted") from error
    except duckdb.Error as error:
        raise InvalidQueryError(_message(error)) from error


def _cannot_read(name: str, path: Path, error: duckdb.Error) -> str:
    reason = _message(error)[:_MAX_MESSAGE_CHARACTERS]
    return f"cannot read {path} as the table {name!r}: {reason}"


def _message(error: duckdb.Error) -> str:
    """Return DuckDB's message, which names the nearest column or table, without the query."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line and not line.startswith(("LINE ", "^")))
