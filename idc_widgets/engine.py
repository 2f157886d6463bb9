"""SQL in, Arrow out: the one place that runs queries."""

from __future__ import annotations

import csv
import math
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from .errors import IndexFileError, InvalidQueryError
from .index import COLUMNS, Index, normalized_select

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBEngine", "Engine", "literal"]


#: Columns that are asked for at every click: `DuckDBEngine` holds them in memory, as codes.
_CODED_TEXT = (
    "collection_id",
    "analysis_result_id",
    "PatientSex",
    "BodyPartExamined",
    "Modality",
    "sop_class_name",
    "transfer_syntax_name",
    "Manufacturer",
    "ManufacturerModelName",
    "license_short_name",
)
_CODED = frozenset({*_CODED_TEXT, "instanceCount", "series_size_MB"})


@dataclass(frozen=True)
class Source:
    """Where series are counted: a table, and what in it tells patients and studies apart."""

    table: str
    patient: str
    study: str


#: The table "index" itself, which has every column.
INDEX = Source("index", "(collection_id, PatientID)", "StudyInstanceUID")

#: The columns in memory. A patient and a study are the numbers of their first rows.
CODES = Source("_codes", "patient", "study")


class Engine(Protocol):
    """What a cohort needs of a database. All SQL is DuckDB's dialect."""

    #: What the data is a release of, such as "25.0.5".
    data_version: str

    #: The table and the column that name one row of the index most cheaply.
    row_id: tuple[str, str]

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """The result of a query, its ``?`` bound to `params`. Safe from any thread."""
        ...

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The same as Python values, for small results: needs no Arrow."""
        ...

    def source(self, columns: Collection[str]) -> Source:
        """The quickest place to count series in, when only these columns are asked for."""
        ...

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        """Table name → column name → SQL type."""
        ...


class DuckDBEngine:
    """DuckDB in this process, straight on the files of an `Index`.

    Opening reads no rows of a Parquet file: queries scan the file in place, but for the columns of
    facets, which are held in memory once asked for (see `source`). A CSV is read once, into
    memory. After opening, the database can read these files and nothing else.

    Raises:
        IndexFileError: a table cannot be read, or lacks a required column.
    """

    row_id = ("_rows", "_row")

    def __init__(self, index: Index | None = None) -> None:
        self.index = index if index is not None else Index.default()
        self.data_version = self.index.data_version
        self._connection = _connect()
        self._local = threading.local()
        self._coding = threading.Lock()
        self._is_coded = False
        for name, path in self.index.tables.items():
            try:
                self._open(name, path)
            except duckdb.Error as error:
                raise IndexFileError(
                    f"cannot read {path} as the table {name!r}: {_explain(error)[:400]}"
                ) from error
        paths = [*self.index.tables.values(), *filter(None, [self.index.prepared])]
        # A path with glob characters is opened by its pattern, so both must be allowed.
        files = ", ".join(f"{literal(str(path))}, {_file(path)}" for path in paths)
        self._connection.execute(f"SET allowed_paths = [{files}]")
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

    def source(self, columns: Collection[str]) -> Source:
        """The quickest place to count series in, when only these columns are asked for.

        The first call with columns of facets takes half a second: it reads them into memory
        (115 MB for IDC's index), where a count is five to ten times quicker.
        """
        if not _CODED.issuperset(columns):
            return INDEX
        with self._coding:
            if not self._is_coded:
                self._code()
                self._is_coded = True
        return CODES

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
        if not target.is_file():
            _copy_in_small_groups(self.index.tables["index"], target)
        self._connection.cursor().execute(_rows_view(target, "*"))
        return target

    def tables(self) -> dict[str, dict[str, str]]:
        """Table name → column name → SQL type."""
        return {name: self._describe(f'"{name}"') for name in self.index.tables}

    def _open(self, name: str, path: Path) -> None:
        if name != "index":
            self._connection.execute(f'CREATE VIEW "{name}" AS FROM read_parquet({_file(path)})')
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

    def _code(self) -> None:
        """Makes the table `_codes`: the columns of facets as enumerations, patients as numbers."""
        cursor = self._connection.cursor()
        columns = []
        for name in _CODED_TEXT:
            values = f"SELECT DISTINCT {name} FROM index WHERE {name} IS NOT NULL ORDER BY 1"
            [(count,)] = cursor.execute(f"SELECT count(*) FROM ({values})").fetchall()
            if count:
                cursor.execute(f"CREATE TYPE _{name} AS ENUM ({values})")
            columns.append(f"CAST(_rows.{name} AS {f'_{name}' if count else 'VARCHAR'}) AS {name}")
        cursor.execute(
            "CREATE TABLE _codes AS WITH"
            " patients AS (SELECT collection_id, PatientID, min(_row) AS patient"
            " FROM _rows GROUP BY ALL),"
            " studies AS (SELECT StudyInstanceUID, min(_row) AS study FROM _rows GROUP BY ALL)"
            f" SELECT CAST(_row AS INTEGER) AS _row, {', '.join(columns)}, instanceCount,"
            " series_size_MB, CAST(patient AS INTEGER) AS patient, CAST(study AS INTEGER) AS study"
            " FROM _rows JOIN patients USING (collection_id, PatientID)"
            " JOIN studies USING (StudyInstanceUID)"
        )

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


def literal(value: object) -> str:
    """A value as SQL text; quoted so that no text can end the literal.

    Raises:
        InvalidQueryError: no literal of that type is known.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str) and "\0" not in value:
        return "'" + value.replace("'", "''") + "'"
    raise InvalidQueryError(f"{value!r} cannot be written as SQL")


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    # A progress bar printed into a notebook cell is nobody's wish.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _arrow(cursor: duckdb.DuckDBPyConnection, sql: str, params: list[object]) -> pa.Table:
    table: pa.Table
    if hasattr(cursor, "fetch_arrow_table"):  # DuckDB 1
        cursor.execute(sql, params)
        table = getattr(cursor, "fetch_arrow_table")()  # noqa: B009 (DuckDB 2's types lack it)
    else:
        table = cursor.sql(sql, params=params or None).to_arrow_table()
    return table


@contextmanager
def _explained() -> Iterator[None]:
    """Around a query: DuckDB's errors become ours."""
    try:
        yield
    except duckdb.Error as error:
        raise InvalidQueryError(_explain(error)) from error


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
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _connect() as connection:
            connection.execute(
                f"COPY (FROM read_parquet({_file(source)})) TO {literal(str(unfinished))}"
                " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 32768,"
                " DICTIONARY_SIZE_LIMIT 200000)"
            )
        os.replace(unfinished, target)
    except (OSError, duckdb.Error) as error:
        raise IndexFileError(f"cannot write {target}: {_first_line(error)}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
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
