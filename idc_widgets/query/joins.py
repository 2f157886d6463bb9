"""Joins: columns of other tables, such as ct_index, beside those of a cohort's series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .._util import as_list
from ..errors import InvalidQueryError, unknown_message
from ..index import COLUMNS
from .added_tables import AddedTable, AddedTables, Key
from .engine import Engine, identifier

__all__ = ["Join", "joined", "joined_names", "parse_join"]

#: The columns that a table of IDC can be joined by, from the most to the least specific, as pairs
#: (column of the index, column of the table).
_JOIN_KEYS: Sequence[tuple[str, str]] = (
    ("SeriesInstanceUID", "SeriesInstanceUID"),
    ("StudyInstanceUID", "StudyInstanceUID"),
    ("PatientID", "dicom_patient_id"),  # of clinical tables
    ("collection_id", "collection_id"),
)


@dataclass(frozen=True)
class Join:
    """A table to join, and what is taken from it.

    Args:
        table: The name of the table.
        key: The columns that it is joined by.
        columns: The columns to add.
        is_many: Whether several rows can have the same key. The added values are then lists.
        added: The table, with only these columns, if a user has added it.
    """

    table: str
    key: Key
    columns: tuple[str, ...]
    is_many: bool
    added: AddedTable | None = None

    def source(self, *, by_name: bool) -> str:
        """Return the table in SQL.

        Args:
            by_name: True for SQL that people run with `IDCClient.sql`, in which a table that they
                have added has its name.
        """
        return identifier(self.table) if self.added is None or by_name else self.added.id


def parse_join(
    engine: Engine, added: AddedTables | None, table: str, columns: Sequence[str] | None
) -> Join:
    """Check the arguments of `Cohort.join`.

    Args:
        engine: The engine that has the tables.
        added: The tables that the user has added.
        table: The name of the table to join.
        columns: The columns to take; None for all.

    Raises:
        InvalidQueryError: There is no such table or column, or the table has no key to join by.
    """
    columns = None if columns is None else as_list(columns)
    if columns is not None and not all(isinstance(name, str) for name in columns):
        raise InvalidQueryError(f"columns={columns!r}: expected names of columns")
    of_user = added.get(table) if added is not None and isinstance(table, str) else None
    present, key = _table_of_user(of_user) if of_user else _table_of_idc(engine, added, table)
    for name in columns or ():
        if name not in present:
            raise InvalidQueryError(unknown_message(f"column of {table}", name, present))
    keys = [column for _, column in key]
    chosen = tuple(name for name in (present if columns is None else columns) if name not in keys)
    if of_user is not None:
        table, of_user = of_user.name, of_user.with_columns(chosen)
    join = Join(table, key, chosen, is_many=False, added=of_user)
    text = " || chr(31) || ".join(map(identifier, keys))
    [(rows, distinct)] = engine.rows(
        f"SELECT count({text}), count(DISTINCT {text}) FROM {join.source(by_name=False)}"
    )
    return Join(table, key, chosen, is_many=rows != distinct, added=of_user)


def _table_of_user(table: AddedTable) -> tuple[Sequence[str], Key]:
    """Return the columns of a table that the user has added, and its key."""
    return table.content.column_names, table.key


def _table_of_idc(
    engine: Engine, added: AddedTables | None, table: str
) -> tuple[Sequence[str], Key]:
    """Return the columns of a table of IDC, and its key.

    Raises:
        InvalidQueryError: There is no such table, or it has no key.
    """
    tables = engine.tables()
    if not isinstance(table, str) or table not in tables:
        known = [*tables, *(one.name for one in added or ())]
        raise InvalidQueryError(
            f"{unknown_message('table', table, known)}; client.tables() lists those that "
            "client.fetch_table(...) can get, and client.add_table(...) adds your own"
        )
    present = tables[table]
    key = next((pair for pair in _JOIN_KEYS if pair[1] in present), None)
    if key is None or table == "index":
        expected = " or ".join(column for _, column in _JOIN_KEYS)
        raise InvalidQueryError(
            f"the table {table!r} cannot be joined to series: expected another table with a column "
            f"{expected}"
        )
    return list(present), (key,)


def joined(relation: str, joins: Sequence[Join], *, by_name: bool = False) -> str:
    """Return the SQL that adds the columns of other tables to a relation of series.

    Args:
        relation: The series.
        joins: The tables to join.
        by_name: See `Join.source`.
    """
    for join, names in _named(joins):
        columns = []
        for name, alias in names:
            value = f"list({identifier(name)})" if join.is_many else identifier(name)
            columns.append(f"{value} AS {identifier(alias)}")
        keys = [
            ours if ours == column else f"{identifier(column)} AS {ours}"
            for ours, column in join.key
        ]
        places = ", ".join(str(place + 1) for place in range(len(keys)))
        grouped = f" GROUP BY {places}" if join.is_many else ""
        relation += (
            f" LEFT JOIN (SELECT {', '.join([*keys, *columns])}"
            f" FROM {join.source(by_name=by_name)}{grouped}) AS {identifier('of_' + join.table)}"
            f" USING ({', '.join(ours for ours, _ in join.key)})"
        )
    return relation


def joined_names(joins: Sequence[Join]) -> dict[str, tuple[Join, str]]:
    """Return the name of each added column → its join, and its name in the table."""
    return {alias: (join, name) for join, names in _named(joins) for name, alias in names}


def _named(joins: Sequence[Join]) -> Iterator[tuple[Join, list[tuple[str, str]]]]:
    """Yield each join with its columns: their names in the table, and among those of series."""
    taken = {name.casefold() for name in COLUMNS}  # names in SQL ignore letter case
    for join in joins:
        columns = []
        for name in join.columns:
            alias = name if name.casefold() not in taken else f"{join.table}_{name}"
            taken.add(alias.casefold())
            columns.append((name, alias))
        yield join, columns
