"""Rewrite SQL that sqlglot leaves unchanged although it has another meaning in other databases."""

from __future__ import annotations

from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects import DuckDB, Hive

__all__ = ["make_portable"]


def make_portable(statement: exp.Query, target: sqlglot.Dialect) -> None:
    """Rewrite a parsed statement in DuckDB's dialect, so that it means the same in another one.

    Args:
        statement: The statement, which is changed in place.
        target: The dialect that it will be written in.
    """
    is_spark = isinstance(target, Hive)
    for node in list(statement.find_all(exp.Contains)):
        # sqlglot's translation may differ: BigQuery's CONTAINS_SUBSTR ignores letter case.
        if not isinstance(target, (DuckDB, Hive)):
            position = exp.StrPosition(this=node.this, substr=node.expression)
            node.replace(exp.GT(this=position, expression=exp.Literal.number(0)))
    for node in list(statement.find_all(exp.Log)):
        # Other databases compute log10 as a quotient of logarithms, which is not exactly 3 for
        # 1000.
        if node.this.name == "10" and node.expression:
            node.replace(exp.Anonymous(this="LOG10", expressions=[node.expression]))
    for node in list(statement.find_all(exp.In)):
        if isinstance(node.this, exp.Tuple) and node.expressions:
            node.replace(_pair_comparisons(node))
    for node in list(statement.find_all(exp.GroupConcat)):
        node.replace(_sorted_set(node) if is_spark else _without_null_order(node))
    for node in list(statement.find_all(exp.Literal)):
        if is_spark and node.is_string and "${" in node.this:
            node.replace(_split_variables(node.this))


def _without_null_order(node: exp.GroupConcat) -> exp.GroupConcat:
    """Drop the position of NULLs: string_agg skips NULLs, and BigQuery has no syntax for it."""
    copy: exp.GroupConcat = node.copy()
    for ordered in copy.find_all(exp.Ordered):
        ordered.set("nulls_first", not ordered.args.get("desc"))
    return copy


def _sorted_set(node: exp.GroupConcat) -> exp.Expression:
    """Rewrite ``string_agg(DISTINCT x, ',' ORDER BY x)`` for Spark.

    Spark accepts only one LISTAGG per query.
    """
    values, separator = node.find(exp.Distinct), node.args.get("separator")
    if isinstance(separator, exp.Order):  # sqlglot up to 26
        separator = separator.this
    order = list(node.find_all(exp.Ordered))
    if values is None or any(ordered.args.get("desc") for ordered in order):
        return _without_null_order(node)
    [value] = values.expressions
    if any(ordered.this != value for ordered in order):
        return _without_null_order(node)

    def call(name: str, *arguments: Any) -> exp.Expression:
        return exp.Anonymous(this=name, expressions=list(arguments))

    texts = call("array_sort", call("collect_set", value.copy()))
    joined = call("array_join", texts, separator or exp.Literal.string(","))
    # If all values are NULL, the result must be NULL. Joining the empty array would give "".
    count = call("count", value.copy())
    return exp.Case().when(exp.GT(this=count, expression=exp.Literal.number(0)), joined)


def _split_variables(text: str) -> exp.Expression:
    """Write a text with ``${name}`` as a concatenation.

    Spark substitutes variables anywhere in a query, in literals as well.
    """
    first, *others = text.split("${")
    joined: Any = exp.Literal.string(first)
    for other in others:
        for piece in ("$", "{" + other):
            joined = exp.DPipe(this=joined, expression=exp.Literal.string(piece))
    return exp.paren(joined)


def _pair_comparisons(node: exp.In) -> exp.Expression:
    """Rewrite ``(a, b) IN ((1, 2), (1, 3))`` as ``(a = 1 AND b IN (2, 3))``.

    Not all databases compare pairs.
    """
    first_column, second_column = node.this.expressions
    seconds_by_first: dict[Any, list[Any]] = {}
    for pair in node.expressions:
        seconds_by_first.setdefault(pair.expressions[0], []).append(pair.expressions[1])
    return exp.paren(
        exp.or_(
            *(
                exp.and_(
                    first_column.eq(first), exp.In(this=second_column.copy(), expressions=seconds)
                )
                for first, seconds in seconds_by_first.items()
            )
        )
    )
