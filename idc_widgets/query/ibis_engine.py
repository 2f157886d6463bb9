"""Cohorts on any database that ibis connects to: the one module that knows sqlglot.

The connection comes from the caller, so ibis itself is not imported here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

try:
    import sqlglot
    from sqlglot import exp
    from sqlglot.dialects import DuckDB, Hive
    from sqlglot.tokens import TokenType
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "IbisEngine needs ibis; run: pip install 'idc-widgets[ibis]'", name=error.name
    ) from error

from ..errors import IndexFileError, InvalidQueryError, unknown
from ..index import COLUMNS, REQUIRED, columns_by_folded_name
from .duckdb_engine import DuckDBEngine

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis import Schema
    from ibis.backends.sql import SQLBackend

__all__ = ["IbisEngine", "translated"]

#: Ibis' names of types → those of `Engine.tables`.
_SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE"}

#: What would write, were it anywhere in a query: PostgreSQL takes a DELETE inside a SELECT.
_WRITING = (exp.DDL, exp.DML, exp.Command, exp.Into)


class IbisEngine:
    """The same cohorts on another database: BigQuery, Spark, or any that ibis knows.

    Every question is SQL in DuckDB's dialect, as for `DuckDBEngine`, translated to that of the
    database. Only SELECT statements are run, on the tables that are named here. IDC's other
    tables (``collections_index`` ...) are small: those not named here are read from the installed
    idc-index-data, which is where cancer types and the names of collections come from.

    Args:
        con: an ibis connection, such as ``ibis.bigquery.connect(...)``. Queries wait for each
            other: ibis does not say that a connection may be used from two threads at once.
        table: the table with one row a series, "name" or "catalog.schema.name", with the columns
            of the index and values as the index has them (dates are YYYY-MM-DD). It must have
            SeriesInstanceUID, StudyInstanceUID, PatientID and collection_id; any other column it
            lacks reads as missing values. docs/other-engines.md tells how to make it.
        tables: other tables of that database: the name in our SQL → as `table`.
        data_version: what the data is a release of; by default `table`.

    Raises:
        IndexFileError: a table cannot be read, or lacks a required column.

    >>> con = ibis.bigquery.connect(project_id="my-project")
    >>> client = IDCClient(engine=IbisEngine(con, "my_dataset.idc_index", data_version="25"))
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
        self._lock = threading.Lock()
        self._columns: dict[str, dict[str, str]] = {}
        #: Table name in our SQL → the relation that stands for it.
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
        """The result of one read-only query.

        Args:
            sql: one SELECT in DuckDB's dialect; the tables are called as in `tables`.
            params: what its ``?`` stand for, in order; a list is one parameter.

        Raises:
            InvalidQueryError: it does not parse, cannot be translated, names an unknown table,
                fails, or would write.
        """
        names = {table.name for table in _tables(_parsed(sql, params))}
        missing = sorted(names - self._relations.keys())
        if not missing:
            return self._run(translated(sql, params, self._relations, self._con.dialect))
        for name in missing:
            if name not in self.tables():
                raise InvalidQueryError(unknown("table", name, self.tables()))
        if "index" not in names and missing == sorted(names):
            return self._installed.query(sql, params)
        raise InvalidQueryError(
            f"the table {missing[0]!r} is not in the database that {self.data_version} is in; "
            f"name it there: IbisEngine(..., tables={{{missing[0]!r}: ...}})"
        )

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The result of one read-only query as Python values; errors as of `query`."""
        columns = (column.to_pylist() for column in self.query(sql, params).columns)
        return list(zip(*columns, strict=True))

    def tables(self) -> dict[str, dict[str, str]]:
        """Table name → column name → SQL type."""
        return {**self._installed.tables(), **self._columns}

    def interrupt(self, thread: int | None = None) -> None:
        """Does nothing: ibis has no way to end a query; what is no longer wanted runs out."""

    @cached_property
    def _installed(self) -> DuckDBEngine:
        """The other tables of the installed idc-index-data."""
        return DuckDBEngine()

    def _schema(self, name: str, given: str, place: exp.Table) -> Schema:
        database = tuple(filter(None, (place.catalog, place.db)))
        try:
            found = self._con.table(
                place.name, database=database if len(database) > 1 else place.db or None
            )
            return found.schema()
        except Exception as error:  # every backend raises kinds of its own
            raise IndexFileError(
                f"cannot read {given!r} as the table {name!r}: {_short(error)}"
            ) from error

    def _run(self, sql: str) -> pa.Table:
        try:
            with self._lock:
                return _asked(self._con, sql)
        except Exception as error:  # every backend raises kinds of its own
            raise InvalidQueryError(_short(error)) from error


def _asked(con: Any, sql: str) -> pa.Table:
    """The answer of a database, in Arrow.

    Not by way of ibis where we know better: it asks for the columns of each query before, goes
    through pandas on Spark, and its version 12 calls what DuckDB 2 no longer has.
    """
    table: pa.Table
    if con.name == "pyspark" and hasattr(frame := con.raw_sql(sql), "toArrow"):  # Spark 4
        table = frame.toArrow()
    elif con.name == "duckdb":
        table = con.con.sql(sql).to_arrow_table()
    else:
        table = con.sql(sql).to_pyarrow()
    return table


def translated(
    sql: str, params: Sequence[object], relations: Mapping[str, exp.Expression], dialect: Any
) -> str:
    """A query in DuckDB's dialect, as one of another database with no parameters left.

    Args:
        sql: one SELECT.
        params: what its ``?`` stand for.
        relations: table name → the SELECT that stands for it.
        dialect: of sqlglot, by name or class.

    Raises:
        InvalidQueryError: as of `IbisEngine.query`.
    """
    statement = _parsed(sql, params)
    _bind(statement, params)
    for table in list(_tables(statement)):
        if table.name not in relations:
            raise InvalidQueryError(unknown("table", table.name, relations))
        _put(table, relations[table.name].copy())
    target = sqlglot.Dialect.get_or_raise(dialect)
    _make_portable(statement, target)
    try:
        text: str = statement.sql(
            dialect=target,
            identify=True,  # names in letter case, where the database tells that apart
            comments=False,
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
    except sqlglot.errors.SqlglotError as error:
        raise InvalidQueryError(
            f"this cannot be asked of that database: {_short(error)}"
        ) from error
    return text


# --- from the text to a statement ----------------------------------------------------------


def _parsed(sql: str, params: Sequence[object]) -> exp.Query:
    """The statement, its ``?`` named p0, p1 ... in the order of the text, and checked to only read.

    Raises:
        InvalidQueryError: it is not one SELECT, or has another number of ``?`` than of `params`.
    """
    try:
        dialect = sqlglot.Dialect.get_or_raise("duckdb")
        places = [
            token.start
            for token in dialect.tokenize(sql)
            if token.token_type == TokenType.PLACEHOLDER
        ]
        # Named from the last on, so that the places before stay where they are. The tree alone
        # does not tell the order: it keeps a WHERE beside, not after, what is selected.
        for number, place in reversed(list(enumerate(places))):
            sql = f"{sql[:place]}$p{number}{sql[place + 1 :]}"
        statements = [one for one in dialect.parse(sql) if one is not None]
    except sqlglot.errors.SqlglotError as error:
        raise InvalidQueryError(_short(error)) from error
    if len(statements) != 1:
        raise InvalidQueryError(f"expected one SQL statement, got {len(statements)}")
    [statement] = statements
    writing = statement.find(*_WRITING)
    if writing is not None or not isinstance(statement, exp.Query):
        kind = (writing or statement).key.upper()
        raise InvalidQueryError(
            f"this is a statement of type {kind}; the index can only be read: expected a SELECT"
        )
    given = len(list(statement.find_all(exp.Placeholder, exp.Parameter)))
    if not given == len(places) == len(params):
        raise InvalidQueryError(
            f"expected a value for each of {given} parameters, got {len(params)}"
        )
    return statement


def _tables(statement: exp.Query) -> Iterator[exp.Table]:
    """Where it reads a table, but for those that it defines itself (WITH).

    Raises:
        InvalidQueryError: it reads a function's result, which may be a file or another table.
    """
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise InvalidQueryError(
                f"{table.this.sql('duckdb')[:80]}: only tables of the index can be read"
            )
        if table.db:
            raise InvalidQueryError(f"unknown table {table.sql('duckdb')!r}")
        if not _is_defined_above(table):
            yield table


def _is_defined_above(table: exp.Table) -> bool:
    name, inside = table.name.casefold(), None
    node: Any = table
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        for cte in getattr(node, "ctes", ()):
            if cte is inside and not node.find(exp.With).recursive:
                break  # not itself, nor one that is defined after it
            if cte.alias.casefold() == name:
                return True
        node = node.parent
    return False


def _put(table: exp.Table, relation: exp.Query) -> None:
    """Puts a SELECT where a table was, under the same name."""
    subquery = relation.subquery(table.alias_or_name)
    for key, value in table.args.items():
        if value and key not in ("this", "db", "catalog"):
            subquery.set(key, value)
    table.replace(subquery)


# --- values --------------------------------------------------------------------------------


def _bind(statement: exp.Query, params: Sequence[object]) -> None:
    """Puts values where the placeholders are, as nodes of the tree: no text is ever pasted."""
    for found in list(statement.find_all(exp.In)):
        query = found.args.get("query")
        if query is None:
            continue
        # `x IN (SELECT unnest(?))`, of pairs two of them: a plain list does everywhere.
        lists: list[Any] = [params[int(one.name[1:])] for one in query.find_all(exp.Placeholder)]
        if query.find(exp.From) is None and lists and all(isinstance(one, list) for one in lists):
            found.set("query", None)
            if len(lists) == 1:
                values = [_value(one) for one in lists[0]]
            else:
                values = [
                    exp.Tuple(expressions=list(map(_value, row)))
                    for row in zip(*lists, strict=True)
                ]
            if values:
                found.set("expressions", values)
            else:
                found.replace(exp.false())
    for placeholder in list(statement.find_all(exp.Placeholder)):
        placeholder.replace(_value(params[int(placeholder.name[1:])]))


def _value(value: object) -> exp.Expression:
    """A value as a literal.

    Raises:
        InvalidQueryError: no literal of that type is known.
    """
    if isinstance(value, (list, tuple)):
        return exp.Array(expressions=list(map(_value, value)))
    if value is None or isinstance(value, (bool, int, str)):
        return exp.convert(value)
    if isinstance(value, float) and math.isfinite(value):
        # With an exponent it is a double everywhere; 0.5 alone is a decimal on Spark.
        text = repr(abs(value))
        number = exp.Literal.number(text if "e" in text else f"{text}e0")
        return exp.Neg(this=number) if value < 0 else number
    raise InvalidQueryError(f"{value!r} cannot be written as SQL")


# --- what sqlglot leaves as it is, though it means another thing elsewhere -------------------


def _make_portable(statement: exp.Query, target: sqlglot.Dialect) -> None:
    is_spark = isinstance(target, Hive)
    for found in list(statement.find_all(exp.Contains)):
        # Elsewhere it is another function: BigQuery's CONTAINS_SUBSTR ignores letter case.
        if not isinstance(target, (DuckDB, Hive)):
            position = exp.StrPosition(this=found.this, substr=found.expression)
            found.replace(exp.GT(this=position, expression=exp.Literal.number(0)))
    for found in list(statement.find_all(exp.Log)):
        # Of base 10 it is elsewhere the quotient of two logarithms, which is not 3 for 1000.
        if found.this.name == "10" and found.expression:
            found.replace(exp.Anonymous(this="LOG10", expressions=[found.expression]))
    for found in list(statement.find_all(exp.In)):
        if isinstance(found.this, exp.Tuple) and found.expressions:
            found.replace(_of_pairs(found))
    for found in list(statement.find_all(exp.GroupConcat)):
        found.replace(_sorted_set(found) if is_spark else _without_nulls(found))
    for found in list(statement.find_all(exp.Literal)):
        if is_spark and found.is_string and "${" in found.this:
            found.replace(_unlike_a_variable(found.this))


def _without_nulls(found: exp.GroupConcat) -> exp.GroupConcat:
    """Where its NULLs would be needs no translation, which BigQuery has not: it skips them."""
    copy: exp.GroupConcat = found.copy()
    for ordered in copy.find_all(exp.Ordered):
        ordered.set("nulls_first", not ordered.args.get("desc"))
    return copy


def _sorted_set(found: exp.GroupConcat) -> exp.Expression:
    """``string_agg(DISTINCT x, ',' ORDER BY x)`` for Spark, which takes one LISTAGG a query."""
    values, separator = found.find(exp.Distinct), found.args.get("separator")
    if isinstance(separator, exp.Order):  # as sqlglot had it until 26
        separator = separator.this
    ordered = list(found.find_all(exp.Ordered))
    if values is None or any(one.args.get("desc") for one in ordered):
        return _without_nulls(found)
    [value] = values.expressions
    if any(one.this != value for one in ordered):
        return _without_nulls(found)

    def call(name: str, *arguments: Any) -> exp.Expression:
        return exp.Anonymous(this=name, expressions=list(arguments))

    texts = call("array_sort", call("collect_set", value.copy()))
    joined = call("array_join", texts, separator or exp.Literal.string(","))
    # Of nothing but NULLs, NULL: an empty array would be an empty text.
    return exp.Case().when(exp.GT(this=call("count", value.copy()), expression=_value(0)), joined)


def _unlike_a_variable(text: str) -> exp.Expression:
    """A text as several: Spark replaces ${name} anywhere in a query, in literals as well."""
    one, *others = text.split("${")
    joined: Any = exp.Literal.string(one)
    for other in others:
        for piece in ("$", "{" + other):
            joined = exp.DPipe(this=joined, expression=exp.Literal.string(piece))
    return exp.paren(joined)


def _of_pairs(found: exp.In) -> exp.Expression:
    """``(a, b) IN ((1, 2), (1, 3))`` as ``(a = 1 AND b IN (2, 3))``: not all compare pairs."""
    one, two = found.this.expressions
    groups: dict[Any, list[Any]] = {}
    for pair in found.expressions:
        groups.setdefault(pair.expressions[0], []).append(pair.expressions[1])
    return exp.paren(
        exp.or_(
            *(
                exp.and_(one.eq(first), exp.In(this=two.copy(), expressions=seconds))
                for first, seconds in groups.items()
            )
        )
    )


# --- the table of series -------------------------------------------------------------------


def _normalized(given: str, place: exp.Table, schema: Schema) -> exp.Query:
    """The SELECT that gives a table the columns of the index, in names, order and types.

    Raises:
        IndexFileError: a required column is missing.
    """
    present = {str(name): kind for name, kind in schema.items()}
    by_folded = columns_by_folded_name(given, present)

    def column(name: str, sql_type: str) -> exp.Expression:
        named = by_folded.get(name.casefold())
        to = exp.DataType.build(sql_type, dialect="duckdb")
        if named is None:
            return exp.cast(exp.null(), to).as_(name)
        value: Any = exp.column(named, quoted=True)
        kind = present[named]
        is_kind = {"VARCHAR": kind.is_string, "BIGINT": kind.is_integer, "DOUBLE": kind.is_float64}
        if not is_kind[sql_type]():
            value = exp.cast(value, to)
        if name in REQUIRED and kind.nullable:
            # An empty key still is a key: its rows are shown and can be picked.
            value = exp.func("COALESCE", value, exp.Literal.string(""))
        return value.as_(name, quoted=True)

    return exp.select(*(column(name, known.sql_type) for name, known in COLUMNS.items())).from_(
        place
    )


def _short(error: Exception) -> str:
    """The line that tells most of an error's message; what sqlglot says, without its colours."""
    for one in getattr(error, "errors", None) or ():
        if isinstance(one, dict) and one.get("description"):
            return f"{one['description']} (line {one.get('line')}, column {one.get('col')})"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    causes = [line for line in lines if line.startswith("Caused by: ")]  # as Java says it
    return (causes[-1] if causes else lines[0]).removeprefix("Caused by: ")[:400]
