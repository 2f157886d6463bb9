"""The engine that runs queries on any database that ibis connects to.

The caller passes the connection, so that this module does not import ibis.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

try:
    from sqlglot import exp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "IbisEngine needs ibis; run: pip install 'idc-widgets[ibis]'", name=error.name
    ) from error

from .._util import cached_property, fork_safe
from ..errors import IndexFileError, InvalidQueryError, unknown_message
from ..index import COLUMNS, REQUIRED, columns_by_folded_name
from .duckdb_engine import DuckDBEngine
from .sql_translation import named_tables, short_message, translate

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis import Schema
    from ibis.backends.sql import SQLBackend

__all__ = ["IbisEngine"]

#: Type in ibis → type in `Engine.tables`.
_SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE"}


class IbisEngine:
    """Cohorts on another database: BigQuery, Spark, or any other that ibis supports.

    Every query is SQL in DuckDB's dialect, as for `DuckDBEngine`, and is translated into the
    dialect of the database. Only SELECT statements are run, and only on the tables named here.
    IDC's other tables (``collections_index`` ...) are small and are read from the installed
    idc-index-data. They have the cancer types and the names of collections.

    Args:
        con: An ibis connection, such as ``ibis.bigquery.connect(...)``. Queries wait for each
            other, as ibis does not promise that two threads can use a connection at once.
        table: The table with one row per series, as "name" or "catalog.schema.name". Its columns
            and values are those of the index (dates are YYYY-MM-DD). SeriesInstanceUID,
            StudyInstanceUID, PatientID and collection_id are required. If another column does not
            exist, its values are missing. docs/other-engines.md explains how to make the table.
        tables: Other tables of the database: name in the SQL of queries → table, written as in
            `table`.
        data_version: The release of the data; by default `table`.

    Raises:
        IndexFileError: A table cannot be read, or lacks a required column.

    >>> con = ibis.bigquery.connect(project_id="my-project")  # doctest: +SKIP
    >>> engine = IbisEngine(con, "my_dataset.idc_index", data_version="25")  # doctest: +SKIP
    >>> client = IDCClient(engine=engine)  # doctest: +SKIP
    """

    def __init__(
        self,
        con: SQLBackend,
        table: str,
        *,
        tables: Mapping[str, str] | None = None,
        data_version: str | None = None,
    ) -> None:
        self.data_version = table if data_version is None else data_version
        self._con = con
        self._lock = fork_safe(threading.Lock())
        self._columns: dict[str, dict[str, str]] = {}
        #: Table name in the SQL of queries → the SELECT that replaces it.
        self._relations: dict[str, exp.Expression] = {}
        for name, given in {**(tables or {}), "index": table}.items():
            place = exp.to_table(given, dialect=con.dialect)
            schema = self._schema(name, given, place)
            if name == "index":
                self._columns[name] = {column: known.sql_type for column, known in COLUMNS.items()}
                self._relations[name] = _normalized(given, place, schema)
            else:
                self._columns[name] = {
                    str(column): _SQL_TYPES.get(str(kind).lstrip("!"), str(kind).upper())
                    for column, kind in schema.items()
                }
                self._relations[name] = exp.select("*").from_(place)

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Return the result of one read-only query.

        Args:
            sql: One SELECT in DuckDB's dialect, on the tables of `tables`.
            params: The values of its ``?``, in order; a list is one parameter.

        Raises:
            InvalidQueryError: The query has a syntax error, cannot be translated, names an unknown
                table, fails, or would write.
        """
        names = named_tables(sql, params)
        elsewhere = sorted(names - self._relations.keys())
        if not elsewhere:
            return self._run(translate(sql, params, self._relations, self._con.dialect))
        for name in elsewhere:
            if name not in self.tables():
                raise InvalidQueryError(unknown_message("table", name, self.tables()))
        if "index" not in names and elsewhere == sorted(names):
            return self._installed.query(sql, params)
        raise InvalidQueryError(
            f"the table {elsewhere[0]!r} is not in the database that has {self.data_version}; "
            f"if it is there, name it: IbisEngine(..., tables={{{elsewhere[0]!r}: ...}})"
        )

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the result of one read-only query as Python values.

        Arguments and errors are those of `query`.
        """
        columns = (column.to_pylist() for column in self.query(sql, params).columns)
        return list(zip(*columns, strict=True))

    def tables(self) -> dict[str, dict[str, str]]:
        """Return table name → column name → SQL type."""
        return {**self._installed.tables(), **self._columns}

    def interrupt(self, thread: int | None = None) -> None:
        """Do nothing: ibis cannot interrupt a query, which runs until it is done."""

    @cached_property
    def _installed(self) -> DuckDBEngine:
        """The engine for the other tables of the installed idc-index-data."""
        return DuckDBEngine()

    def _schema(self, name: str, given: str, place: exp.Table) -> Schema:
        database = tuple(filter(None, (place.catalog, place.db)))
        try:
            table = self._con.table(
                place.name, database=database if len(database) > 1 else place.db or None
            )
            return table.schema()
        except Exception as error:  # each backend has exceptions of its own
            raise IndexFileError(
                f"cannot read {given!r} as the table {name!r}: {short_message(error)}"
            ) from error

    def _run(self, sql: str) -> pa.Table:
        try:
            with self._lock:
                return _arrow_table(self._con, sql)
        except Exception as error:  # each backend has exceptions of its own
            raise InvalidQueryError(short_message(error)) from error


def _arrow_table(con: Any, sql: str) -> pa.Table:
    """Run a query on the database and return the result in Arrow.

    Spark and DuckDB run it without ibis. ibis would run a second query for the columns of the
    result, and would convert Spark's result to pandas and back. ibis 12 also calls methods that
    DuckDB 2 does not have.
    """
    table: pa.Table
    if con.name == "pyspark" and hasattr(frame := con.raw_sql(sql), "toArrow"):  # Spark 4
        table = frame.toArrow()
    elif con.name == "duckdb":
        table = con.con.sql(sql).to_arrow_table()
    else:
        table = con.sql(sql).to_pyarrow()
    return table


def _normalized(given: str, place: exp.Table, schema: Schema) -> exp.Query:
    """Return the SELECT that gives a table the columns of the index: names, order and types.

    Raises:
        IndexFileError: A required column is missing.
    """
    present = {str(name): kind for name, kind in schema.items()}
    by_folded_name = columns_by_folded_name(given, present)

    def column(name: str, sql_type: str) -> exp.Expression:
        name_there = by_folded_name.get(name.casefold())
        target_type = exp.DataType.build(sql_type, dialect="duckdb")
        if name_there is None:
            return exp.cast(exp.null(), target_type).as_(name)
        value: Any = exp.column(name_there, quoted=True)
        kind = present[name_there]
        is_kind = {"VARCHAR": kind.is_string, "BIGINT": kind.is_integer, "DOUBLE": kind.is_float64}
        if not is_kind[sql_type]():
            value = exp.cast(value, target_type)
        if name in REQUIRED and kind.nullable:
            # A missing key becomes an empty text, so that the row can be shown and picked.
            value = exp.func("COALESCE", value, exp.Literal.string(""))
        return value.as_(name, quoted=True)

    columns = (column(name, known.sql_type) for name, known in COLUMNS.items())
    return exp.select(*columns).from_(place)
