"""Translate read-only queries from DuckDB's dialect into that of another database."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from ..errors import InvalidQueryError, unknown_message
from .portable_sql import make_portable
from .sql_errors import no_literal, not_one_statement, not_reading

__all__ = ["named_tables", "short_message", "translate"]

#: Nodes that write, wherever they occur in a query: PostgreSQL accepts a DELETE inside a SELECT.
_WRITING = (exp.DDL, exp.DML, exp.Command, exp.Into)

#: An error shows this many characters of the message of another database.
_MAX_MESSAGE_CHARACTERS = 400


def translate(
    sql: str, params: Sequence[object], relations: Mapping[str, exp.Expression], dialect: Any
) -> str:
    """Return a query in another dialect, with all values as literals.

    Args:
        sql: One SELECT in DuckDB's dialect.
        params: The values of its ``?``, in order; a list is one parameter.
        relations: Table name → the SELECT that replaces the table.
        dialect: The target dialect, as sqlglot's name or class.

    Raises:
        InvalidQueryError: The query has a syntax error, cannot be translated, names an unknown
            table, or would write.
    """
    statement = _parse(sql, params)
    _bind(statement, params)
    for table in list(_tables(statement)):
        if table.name not in relations:
            raise InvalidQueryError(unknown_message("table", table.name, relations))
        _replace_table(table, relations[table.name].copy())
    target = sqlglot.Dialect.get_or_raise(dialect)
    make_portable(statement, target)
    try:
        text: str = statement.sql(
            dialect=target,
            identify=True,  # some databases keep the letter case only of quoted names
            comments=False,
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
    except sqlglot.errors.SqlglotError as error:
        raise InvalidQueryError(
            f"this query cannot be translated for the database: {short_message(error)}"
        ) from error
    return text


def named_tables(sql: str, params: Sequence[object]) -> set[str]:
    """Return the names of the tables that a query reads.

    Raises:
        InvalidQueryError: The query is not one SELECT on tables of the index.
    """
    return {table.name for table in _tables(_parse(sql, params))}


def short_message(error: Exception) -> str:
    """Return the most informative line of an error's message, without sqlglot's colors."""
    for detail in getattr(error, "errors", None) or ():
        if isinstance(detail, dict) and detail.get("description"):
            place = f"line {detail.get('line')}, column {detail.get('col')}"
            return f"{detail['description']} ({place})"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    causes = [line for line in lines if line.startswith("Caused by: ")]  # Java's stack traces
    line = causes[-1] if causes else lines[0]
    return line.removeprefix("Caused by: ")[:_MAX_MESSAGE_CHARACTERS]


# --- from the text to a statement ----------------------------------------------------------


def _parse(sql: str, params: Sequence[object]) -> exp.Query:
    """Return the parsed statement, with its ``?`` named p0, p1 ... in the order of the text.

    Raises:
        InvalidQueryError: The text is not one SELECT, or has more or fewer ``?`` than `params`.
    """
    try:
        dialect = sqlglot.Dialect.get_or_raise("duckdb")
        places = [
            token.start
            for token in dialect.tokenize(sql)
            if token.token_type == TokenType.PLACEHOLDER
        ]
        # Names are inserted into the text, because the parsed tree does not have the ``?`` in
        # order. The last place comes first, so that the earlier places stay valid.
        for number, place in reversed(list(enumerate(places))):
            sql = f"{sql[:place]}$p{number}{sql[place + 1 :]}"
        statements = [statement for statement in dialect.parse(sql) if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        raise InvalidQueryError(short_message(error)) from error
    if len(statements) != 1:
        raise not_one_statement(len(statements))
    [statement] = statements
    writing = statement.find(*_WRITING)
    if writing is not None or not isinstance(statement, exp.Query):
        raise not_reading((writing or statement).key.upper())
    expected = len(list(statement.find_all(exp.Placeholder, exp.Parameter)))
    if not expected == len(places) == len(params):
        raise InvalidQueryError(
            f"expected a value for each of {expected} parameters, got {len(params)}"
        )
    return statement


def _tables(statement: exp.Query) -> Iterator[exp.Table]:
    """Yield the tables that a statement reads, except those of its own WITH clauses.

    Raises:
        InvalidQueryError: The statement reads a table of another schema, or the result of a
            function, which could read a file.
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
    """Return whether a table is defined by a WITH clause that is in scope here."""
    name, inside = table.name.casefold(), None
    node: Any = table
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        for cte in getattr(node, "ctes", ()):
            if cte is inside and not node.find(exp.With).recursive:
                break  # a CTE that is not recursive sees only the CTEs that are defined before it
            if cte.alias.casefold() == name:
                return True
        node = node.parent
    return False


def _replace_table(table: exp.Table, relation: exp.Query) -> None:
    """Replace a table by a SELECT under the same name."""
    subquery = relation.subquery(table.alias_or_name)
    for key, value in table.args.items():
        if value and key not in ("this", "db", "catalog"):
            subquery.set(key, value)
    table.replace(subquery)


# --- values --------------------------------------------------------------------------------


def _bind(statement: exp.Query, params: Sequence[object]) -> None:
    """Replace the placeholders by values. A value becomes a node of the tree; no text is pasted."""
    for node in list(statement.find_all(exp.In)):
        query = node.args.get("query")
        if query is not None:
            _bind_list(node, query, params)
    for placeholder in list(statement.find_all(exp.Placeholder)):
        placeholder.replace(_value_node(_param(placeholder, params)))


def _bind_list(node: exp.In, query: exp.Query, params: Sequence[object]) -> None:
    """Replace ``IN (SELECT unnest(?))`` by a list of values; with two ``?``, by a list of pairs."""
    lists: list[Any] = [_param(place, params) for place in query.find_all(exp.Placeholder)]
    if query.find(exp.From) is not None or not lists:
        return
    if not all(isinstance(values, list) for values in lists):
        return
    node.set("query", None)
    if len(lists) == 1:
        nodes = [_value_node(value) for value in lists[0]]
    else:
        nodes = [
            exp.Tuple(expressions=list(map(_value_node, row))) for row in zip(*lists, strict=True)
        ]
    if nodes:
        node.set("expressions", nodes)
    else:
        node.replace(exp.false())


def _param(placeholder: exp.Placeholder, params: Sequence[object]) -> object:
    return params[int(placeholder.name.removeprefix("p"))]


def _value_node(value: object) -> exp.Expression:
    """Return a value as a literal node.

    Raises:
        InvalidQueryError: The type of the value has no literal.
    """
    if isinstance(value, (list, tuple)):
        return exp.Array(expressions=list(map(_value_node, value)))
    if value is None or isinstance(value, (bool, int, str)):
        return exp.convert(value)
    if isinstance(value, float) and math.isfinite(value):
        # A number with an exponent is a double everywhere; Spark reads 0.5 as a decimal.
        text = repr(abs(value))
        number = exp.Literal.number(text if "e" in text else f"{text}e0")
        return exp.Neg(this=number) if value < 0 else number
    raise no_literal(value)
