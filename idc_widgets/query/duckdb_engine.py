"""SQL in, Arrow out: the one place that runs queries."""

from __future__ import annotations

import csv
import logging
import re
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from .._util import replaced_when_complete
from ..errors import IndexFileError, InvalidQueryError, QueryInterruptedError
from ..index import COLUMNS, Index, normalized_select
from .engine import literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBEngine"]

_log = logging.getLogger(__name__)

#: Keywords that write, wherever they stand.
_WRITING = re.compile(rb"(?i:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE)\b")

#: Rows of one piece of a long result.
_BATCH = 1_000_000


class DuckDBEngine:
    """DuckDB in this process, straight on the files of an `Index`.

    Opening reads no rows of a Parquet file: queries scan the file in place. (What every click asks
    for is held in memory beside it, see `memory_index_of`.) A CSV is read once, into memory. After
    opening, the database can read these files, those in the index's data folder, and nothing else.

    Raises:
        IndexFileError: a table cannot be read, or lacks a required column.
    """

    def __init__(self, index: Index | None = None) -> None:
        self.index = index if index is not None else Index.default()
        self.data_version = self.index.data_version
        self._connection = _connect()
        self._local = threading.local()
        #: Thread → its cursor, while the thread lives.
        self._cursors: dict[int, weakref.ref[duckdb.DuckDBPyConnection]] = {}
        self._is_copy_spoilt = False
        #: Table name in SQL → the file, or folder of files, that it is read from.
        self.files: Mapping[str, Path] = {}
        folder = self.index.data_folder
        for name, path in self.index.tables.items():
            try:
                self._open(name, path)
            except duckdb.Error as error:
                message = f"cannot read {path} as the table {name!r}: {_explain(error)[:400]}"
                if name == "index" and path == self.index.prepared:
                    # A copy that was cut off or damaged can be made again.
                    _log.warning("%s; the installed index is read instead", message)
                    self._open(name, self.index.shipped)
                    self.files = {**self.files, name: self.index.shipped}
                    self._is_copy_spoilt = True
                    continue
                if name == "index" or folder is None or folder not in path.parents:
                    raise IndexFileError(message) from error
                _log.warning("%s", message)  # an extra that went bad; all else works without it
            else:
                self.files = {**self.files, name: path}
        paths = [*self.files.values(), *filter(None, [self.index.prepared])]
        # A path with glob characters is opened by its pattern, so both must be allowed.
        files = ", ".join(f"{literal(str(path))}, {_file(path)}" for path in paths)
        self._connection.execute(f"SET allowed_paths = [{files}]")
        if folder is not None:  # what is fetched later must be readable then
            folders = f"{literal(str(folder))}, {_file(folder)}"
            self._connection.execute(f"SET allowed_directories = [{folders}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """The result of one read-only query.

        Args:
            sql: one SELECT (or DESCRIBE, SHOW, SUMMARIZE) in DuckDB's dialect; the tables are
                called as in `tables`.
            params: what its ``?`` stand for, in order; a list is one parameter.

        Raises:
            InvalidQueryError: it does not parse, does not bind, fails, or would write.
        """
        with _explained():
            self._check_reads_only(sql)
            return _arrow(self._cursor(), sql, list(params))

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The result of one read-only query as Python values; errors as of `query`."""
        with _explained():
            self._check_reads_only(sql)
            return self._cursor().execute(sql, list(params)).fetchall()

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The result of one of our own queries piece by piece, so that it is never held whole."""
        with _explained():
            yield from _reader(self._cursor(), sql)

    @property
    def plain_parquet(self) -> Path | None:
        """The file that the table index is, row by row and column by column, if it is one."""
        return None if self.index.is_own else self.files["index"]

    def interrupt(self, thread: int | None = None) -> None:
        """Ends the queries that run now, each with a QueryInterruptedError in its thread.

        Args:
            thread: the ident of one thread; by default the queries of all threads end.
        """
        for ident, reference in list(self._cursors.items()):
            cursor = reference()
            if cursor is None:  # its thread has ended
                self._cursors.pop(ident, None)
            elif thread in (None, ident):
                cursor.interrupt()

    def prepare(self) -> Path:
        """Makes a copy of the installed index for quick lookups, once for every data version.

        The index comes as one large row group, all of which must be read to find one patient,
        study or series. The copy, in the user's cache folder ($IDC_WIDGETS_CACHE_DIR, or the
        platform's own), has the same rows in the same order in small groups, of which most can
        be skipped. It takes some seconds and about 95 MB; ``benchmarks/queries.py`` prints what
        it buys. It is used from now on, here and in every later session; it may be deleted.

        Returns:
            The path of the copy.

        Raises:
            IndexFileError: it cannot be written, or the index is a table of your own, which is
                used as it is.
        """
        target = self.index.prepared
        if target is None:
            raise IndexFileError(f"{self.index!r} is used as it is; only IDC's own is prepared")
        if not target.is_file() or self._is_copy_spoilt:
            _copy_in_small_groups(self.files["index"], target)
        self._connection.cursor().execute(_rows_view(target, "*"))
        return target

    def attach(self, name: str, path: Path) -> None:
        """Makes what was fetched a table, from now on and for all threads.

        Args:
            name: what it is called in SQL.
            path: a Parquet file, or a folder of them, in `Index.data_folder`.

        Raises:
            IndexFileError: it cannot be read.
        """
        try:
            self._connection.cursor().execute(_view(name, path))
        except duckdb.Error as error:
            raise IndexFileError(
                f"cannot read {path} as the table {name!r}: {_explain(error)[:400]}"
            ) from error
        self.files = {**self.files, name: path}

    def tables(self) -> dict[str, dict[str, str]]:
        """Table name → column name → SQL type."""
        found = {}
        for name, path in self.files.items():
            if name == "index" or path.exists():  # what was fetched may be deleted
                found[name] = self._describe(f'"{name}"')
        return found

    def _open(self, name: str, path: Path) -> None:
        if name != "index":
            self._connection.execute(_view(name, path))
            return
        if path.suffix.lower() == ".csv":
            self._load_csv(path)
            view = f"CREATE VIEW _rows AS SELECT {', '.join(COLUMNS)}, rowid AS _row FROM _csv"
        else:
            present = {
                name: '"' + name.replace('"', '""') + '"'
                for name in self._describe(f"read_parquet({_file(path)})")
            }
            select = normalized_select(path, present) if self.index.is_own else "*"
            view = _rows_view(path, select)
        self._connection.execute(view)
        self._connection.execute("CREATE VIEW index AS SELECT * EXCLUDE (_row) FROM _rows")

    def _load_csv(self, path: Path) -> None:
        names, delimiter = _header(path)
        # By place: SQL takes names that differ in letter case for the same.
        in_sql = {name: f"c{place}" for place, name in enumerate(names)}
        select = normalized_select(path, in_sql)
        types = ", ".join(f"{name}: 'VARCHAR'" for name in in_sql.values())
        source = (
            f"read_csv({_file(path)}, auto_detect = false, header = true, nullstr = '',"
            f" delim = {literal(delimiter)}, quote = '\"', escape = '\"',"
            f" columns = {{{types}}})"
        )
        self._connection.execute(f"CREATE TABLE _csv AS SELECT {select} FROM {source}")
        repeated = self._connection.execute(
            "SELECT SeriesInstanceUID, count(*) FROM _csv GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if repeated is not None:
            raise IndexFileError(
                f"{path} has the series {repeated[0]!r} in {repeated[1]} rows; "
                "expected one row a series"
            )

    def _describe(self, relation: str) -> dict[str, str]:
        rows = self._cursor().execute(f"DESCRIBE FROM {relation}").fetchall()
        return {str(name): str(sql_type) for name, sql_type, *_ in rows}

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """This thread's own cursor: two threads may not share one."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
            self._cursors[threading.get_ident()] = weakref.ref(cursor)
        return cursor

    def _check_reads_only(self, sql: str) -> None:
        try:
            sql.encode()
        except UnicodeEncodeError as error:
            raise InvalidQueryError(f"the SQL text is not Unicode: {error.reason}") from error
        statements = self._cursor().extract_statements(sql)
        if len(statements) != 1:
            raise InvalidQueryError(f"expected one SQL statement, got {len(statements)}")
        kind = statements[0].type
        # Not EXPLAIN either: EXPLAIN ANALYZE runs what it explains.
        if kind != duckdb.StatementType.SELECT:
            raise InvalidQueryError(
                f"this is a statement of type {kind.name}; the index can only be read: "
                "expected a SELECT"
            )
        # DuckDB 2 takes a SELECT of what a DELETE or COPY inside it returns for a SELECT.
        text = sql.encode()
        for start, token in duckdb.tokenize(sql):
            if token == duckdb.token_type.keyword:
                word = _WRITING.match(text, start)
                if word is not None:
                    raise InvalidQueryError(
                        f"the index can only be read, and this has {word[0].decode().upper()}; "
                        "a name that is spelt so needs quotes"
                    )


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    # A progress bar printed into a notebook cell is nobody's wish.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _arrow(cursor: duckdb.DuckDBPyConnection, sql: str, params: list[object]) -> pa.Table:
    table: pa.Table
    old: Any = cursor
    if hasattr(old, "fetch_arrow_table"):  # DuckDB 1, of which the last ones say it is deprecated
        old.execute(sql, params)
        table = getattr(old, "to_arrow_table", old.fetch_arrow_table)()
    else:
        table = cursor.sql(sql, params=params or None).to_arrow_table()
    return table


def _reader(cursor: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    old: Any = cursor
    if hasattr(old, "fetch_record_batch"):  # as above
        old.execute(sql)
        return iter(getattr(old, "to_arrow_reader", old.fetch_record_batch)(_BATCH))
    return iter(cursor.sql(sql).to_arrow_reader(_BATCH))


@contextmanager
def _explained() -> Iterator[None]:
    """Around a query: DuckDB's errors become ours."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{error.object!r} is not Unicode: {error.reason}") from error
    except duckdb.InterruptException as error:
        raise QueryInterruptedError("this query was interrupted") from error
    except duckdb.Error as error:
        raise InvalidQueryError(_explain(error)) from error


def _view(name: str, path: Path) -> str:
    """The view of a table that is one Parquet file, or a folder of them."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    listed = ", ".join(map(_file, files))
    source = f"read_parquet([{listed}], union_by_name = {len(files) > 1})"
    return f'CREATE OR REPLACE VIEW "{name}" AS FROM {source}'


def _rows_view(path: Path, select: str) -> str:
    """The view of the series in a Parquet file, with their row numbers."""
    if select == "*":
        select = "* EXCLUDE (file_row_number)"
    return (
        f"CREATE OR REPLACE VIEW _rows AS SELECT {select}, file_row_number AS _row"
        f" FROM read_parquet({_file(path)}, file_row_number = true)"
    )


def _copy_in_small_groups(source: Path, target: Path) -> None:
    """Writes the copy of `DuckDBEngine.prepare`, all or nothing; drops those of other versions."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(target) as unfinished, _connect() as connection:
            connection.execute("SET threads = 1")  # two need 2.5 GB, and Binder has 2
            connection.execute(
                f"COPY (FROM read_parquet({_file(source)})) TO {literal(str(unfinished))}"
                " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 32768,"
                " DICTIONARY_SIZE_LIMIT 200000)"
            )
    except (OSError, duckdb.Error) as error:
        raise IndexFileError(f"cannot write {target}: {_first_line(error)}") from error
    for other in target.parent.glob("index-*.parquet"):
        with suppress(OSError):  # in use, on Windows
            if other != target:
                other.unlink()


def _file(path: Path) -> str:
    """A path as a literal for read_parquet, which would expand ``*``, ``?`` and ``[``."""
    return literal(re.sub(r"[*?\[]", lambda match: f"[{match.group()}]", str(path)))


def _header(path: Path) -> tuple[list[str], str]:
    """The columns of a CSV, and what stands between them: the most frequent mark of its header.

    Read here rather than guessed by DuckDB, which loses the header over one line that is too short.

    Raises:
        IndexFileError: it is not UTF-8, or names a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(100_000)
    except UnicodeDecodeError as error:
        raise IndexFileError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    delimiter = max(",;\t|", key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    for name in names:
        if names.count(name) > 1:
            raise IndexFileError(f"{path} has {names.count(name)} columns called {name!r}")
    return names, delimiter


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


def _explain(error: duckdb.Error) -> str:
    """DuckDB's message without the excerpt of the query: it names the nearest column or table."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line and not line.startswith(("LINE ", "^")))
