"""Calls of DuckDB that differ between its releases, and its errors as errors of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ..errors import InvalidQueryError, QueryInterruptedError
from .sql_errors import not_one_statement, not_reading
from .table_views import file_literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "arrow_batches",
    "arrow_table",
    "cannot_read",
    "check_reads_only",
    "connect",
    "describe",
    "have_equal_length",
    "is_about_the_query",
    "message_of",
    "return_memory",
    "translated_errors",
]

#: Rows per batch of a long result.
_BATCH_ROWS = 1_000_000

#: The error for a table shows this many characters of DuckDB's message.
_MAX_MESSAGE_CHARACTERS = 400

#: Keywords that write, wherever they occur in a statement.
_WRITING_KEYWORDS = re.compile(rb"(?i:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE)\b")


def connect() -> duckdb.DuckDBPyConnection:
    """Open a database in memory."""
    connection = duckdb.connect(":memory:")
    # DuckDB would print its progress bar into a notebook cell.
    connection.execute("SET enable_progress_bar = false")
    return connection


def return_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Let DuckDB return its memory after each query, not only after one that took 128 MB."""
    for setting in ("allocator_flush_threshold", "allocator_bulk_deallocation_flush_threshold"):
        connection.execute(f"SET {setting} = '1MB'")


def describe(cursor: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return column name → SQL type."""
    rows = cursor.execute(f"DESCRIBE FROM {relation}").fetchall()
    return {str(name): str(sql_type) for name, sql_type, *_ in rows}


def have_equal_length(first: Path, second: Path) -> bool:
    """Return whether two Parquet files can be read and have the same number of rows."""
    count = "SELECT count(*) FROM read_parquet({})"
    try:
        with connect() as connection:
            one, other = (
                connection.execute(count.format(file_literal(path))).fetchone()
                for path in (first, second)
            )
    except duckdb.Error:
        return False
    return one == other


def arrow_table(cursor: duckdb.DuckDBPyConnection, sql: str, params: list[object]) -> pa.Table:
    """Return the result of a query."""
    table: pa.Table
    old: Any = cursor
    if hasattr(old, "fetch_arrow_table"):  # DuckDB 1, whose last releases deprecate it
        old.execute(sql, params)
        table = getattr(old, "to_arrow_table", old.fetch_arrow_table)()
    else:
        table = cursor.sql(sql, params=params or None).to_arrow_table()
    return table


def arrow_batches(cursor: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    """Yield the result of a query in batches."""
    old: Any = cursor
    if hasattr(old, "fetch_record_batch"):  # DuckDB 1; see `arrow_table`
        old.execute(sql)
        return iter(getattr(old, "to_arrow_reader", old.fetch_record_batch)(_BATCH_ROWS))
    return iter(cursor.sql(sql).to_arrow_reader(_BATCH_ROWS))


def check_reads_only(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise InvalidQueryError unless the text is one statement that only reads."""
    try:
        text = sql.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"the SQL text is not Unicode: {error.reason}") from error
    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise not_one_statement(len(statements))
    kind = statements[0].type
    # EXPLAIN is refused too: EXPLAIN ANALYZE runs the statement that it explains.
    if kind != duckdb.StatementType.SELECT:
        raise not_reading(kind.name)
    # DuckDB 2 reports SELECT also for WITH x AS (DELETE ... RETURNING *) SELECT * FROM x.
    for start, token in duckdb.tokenize(sql):
        if token == duckdb.token_type.keyword:
            keyword = _WRITING_KEYWORDS.match(text, start)
            if keyword is not None:
                raise InvalidQueryError(
                    f"the index can only be read, and this has {keyword[0].decode().upper()}; "
                    "if that is a name, put it into quotes"
                )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of DuckDB in the `with` block into errors of this package."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{error.object!r} is not Unicode: {error.reason}") from error
    except duckdb.InterruptException as error:
        raise QueryInterruptedError("this query was interrupted") from error
    except duckdb.Error as error:
        raise InvalidQueryError(message_of(error)) from error


def cannot_read(name: str, path: Path, error: duckdb.Error) -> str:
    """Return the message for a file that cannot be read as a table."""
    reason = message_of(error)[:_MAX_MESSAGE_CHARACTERS]
    return f"cannot read {path} as the table {name!r}: {reason}"


def is_about_the_query(error: duckdb.Error) -> bool:
    """Return whether an error is about the text of a query, and not about what was read."""
    return isinstance(
        error, (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
    )


def message_of(error: duckdb.Error) -> str:
    """Return DuckDB's message without the query. It names the nearest column or table."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line and not line.startswith(("LINE ", "^")))
