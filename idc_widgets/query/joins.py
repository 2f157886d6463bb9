"""Joins: columns of other tables, such as ct_index, beside those of a cohort's series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._util import as_list
from ..errors import InvalidQueryError, unknown_message
from ..index import COLUMNS
from .engine import Engine, identifier

__all__ = ["Join", "joined", "parse_join"]

#: The columns that a table can be joined by, from the most to the least specific.
_JOIN_KEYS = ("SeriesInstanceUID", "StudyInstanceUID", "collection_id")


@dataclass(frozen=True)
class Join:
    """A table to join, and what is taken from it.

    Args:
        table: The name of the table.
        key: The column that it is joined by.
        columns: The columns to add.
        is_many: Whether several rows can have the same key. The added values are then lists.
    """

    table: str
    key: str
    columns: tuple[str, ...]
    is_many: bool


def parse_join(engine: Engine, table: str, columns: Sequence[str] | None) -> Join:
    """Check the arguments of `Cohort.join`.

    Raises:
        InvalidQueryError: There is no such table or column, or the table has no key to join by.
    """
    tables = engine.tables()
    columns = None if columns is None else as_list(columns)
    if columns is not None and not all(isinstance(name, str) for name in columns):
        raise InvalidQueryError(f"columns={columns!r}: expected names of columns")
    if not isinstance(table, str) or table not in tables:
        raise InvalidQueryError(
            f"{unknown_message('table', table, tables)}; client.tables() lists those that "
            "client.fetch(...) can get"
        )
    present = tables[table]
    key = next((name for name in _JOIN_KEYS if name in present), None)
    if key is None or table == "index":
        raise InvalidQueryError(
            f"the table {table!r} cannot be joined to series: expected another table with a column "
            f"{' or '.join(_JOIN_KEYS)}"
        )
    for name in columns or ():
        if name not in present:
            raise InvalidQueryError(unknown_message(f"column of {table}", name, present))
    chosen = tuple(name for name in (present if columns is None else columns) if name != key)
    [(rows, keys)] = engine.rows(
        f"SELECT count({key}), count(DISTINCT {key}) FROM {identifier(table)}"
    )
    return Join(table, key, chosen, is_many=rows != keys)


def joined(relation: str, joins: Sequence[Join]) -> str:
    """Return the SQL that adds the columns of other tables to a relation of series."""
    taken = {name.casefold() for name in COLUMNS}  # names in SQL ignore letter case
    for join in joins:
        columns = []
        for name in join.columns:
            alias = name if name.casefold() not in taken else f"{join.table}_{name}"
            taken.add(alias.casefold())
            value = f"list({identifier(name)})" if join.is_many else identifier(name)
            columns.append(f"{value} AS {identifier(alias)}")
        grouped = f" GROUP BY {join.key}" if join.is_many else ""
        selected = ", ".join([join.key, *columns])
        relation += (
            f" LEFT JOIN (SELECT {selected} FROM {identifier(join.table)}{grouped}) AS"
            f" {identifier('of_' + join.table)} USING ({join.key})"
        )
    return relation
