"""Add a table of a user: find its key, and check that its keys are those of the index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._util import as_list, plural
from ..errors import InvalidQueryError, nearest_choice, shown_value, unknown_message
from .added_tables import AddedTable, AddedTables, Key, key_in_words, own_copy
from .duckdb_engine import DuckDBEngine
from .engine import Engine, identifier
from .table_reader import read_table

if TYPE_CHECKING:
    import os

    import pandas as pd
    import pyarrow as pa

__all__ = ["KEY_COLUMNS", "TableFacts", "add_table", "key_sql"]

#: The columns that an added table can be joined by, from the most to the least specific.
KEY_COLUMNS = (
    ("SeriesInstanceUID",),
    ("StudyInstanceUID",),
    ("collection_id", "PatientID"),
    ("PatientID",),
    ("collection_id",),
)
_KEY_NAMES = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id")

#: Names that need no quotes in SQL, and have no dot.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}", re.ASCII)

#: The number of keys that a message shows.
_MAX_SHOWN_KEYS = 3


@dataclass(frozen=True)
class TableFacts:
    """What `IDCClient.add_table` found in a table.

    Args:
        name: The name of the table in SQL.
        key: The columns that it is joined by.
        rows: The number of its rows.
        keys: The number of different keys.
        repeated: How many of the keys have several rows. `Cohort.join` then adds lists.
        unknown: How many of the keys are in no series of the index.
        unknown_keys: Some of these keys.
        without_key: How many rows have no key.
    """

    name: str
    key: str
    rows: int
    keys: int
    repeated: int
    unknown: int
    unknown_keys: tuple[str, ...]
    without_key: int

    def __str__(self) -> str:
        """Return the facts as sentences."""
        parts = [
            f"Table {self.name!r}: {plural(self.rows, 'row')}, joined by {self.key}. "
            f"In the index: {self.keys - self.unknown:,} of {plural(self.keys, 'value')}."
        ]
        if self.unknown:
            others = ", ..." if self.unknown > len(self.unknown_keys) else ""
            parts.append(f"Unknown: {', '.join(self.unknown_keys)}{others}.")
        if self.repeated:
            verb = "has" if self.repeated == 1 else "have"
            parts.append(
                f"{plural(self.repeated, 'value')} {verb} several rows, so `join` adds lists, and "
                "a filter matches if one of the rows does."
            )
        if self.without_key:
            match = "matches" if self.without_key == 1 else "match"
            parts.append(f"{plural(self.without_key, 'row')} without a key {match} no series.")
        return " ".join(parts)

    __repr__ = __str__


def add_table(
    engine: Engine,
    tables: AddedTables,
    name: str,
    source: pd.DataFrame | pa.Table | str | os.PathLike[str],
    on: object,
    *,
    replace: bool,
) -> TableFacts:
    """Add a table to those of a client; see `IDCClient.add_table`."""
    if not isinstance(engine, DuckDBEngine):
        raise InvalidQueryError(
            "a table can be added only to an index that DuckDB queries; write it into the database "
            f"and name it there: IbisEngine(con, table, tables={{{name!r}: 'my_dataset.{name}'}})"
        )
    _check_name(engine, name)
    asked = _asked_key(on)
    table = read_table(source, [*_KEY_NAMES, *(column for _, column in asked)])
    key = _key(table.column_names, asked)
    for ours, column in key:
        place = table.column_names.index(column)
        table = table.set_column(place, column, _key_texts(ours, column, table.column(column)))
    added = own_copy(name, key, table)
    facts = _facts(engine, added)
    tables.add(added, replace=replace)
    return facts


def _check_name(engine: DuckDBEngine, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.startswith("added_"):
        raise InvalidQueryError(
            f"{shown_value(name)} is no name for a table; expected at most 63 letters of ASCII, "
            "digits and '_', of which the first is a letter, such as 'labels'"
        )
    taken = {"index", "_rows", "_csv", *engine.tables(), *engine.index.fetchable}
    if name.casefold() in map(str.casefold, taken):
        raise InvalidQueryError(f"{name!r} is a table of IDC; choose another name")


# --- the key -------------------------------------------------------------------------------


def _asked_key(on: object) -> Key:
    """Return the key that the user asks for; empty if there is none.

    Raises:
        InvalidQueryError: It is not one of `KEY_COLUMNS`.
    """
    if on is None:
        return ()
    if isinstance(on, Mapping):
        pairs = [(ours, column) for column, ours in on.items()]
    else:
        pairs = [(column, column) for column in as_list(on)]
    key = []
    for ours, column in pairs:
        nearest = nearest_choice(ours, _KEY_NAMES) if isinstance(ours, str) else None
        if nearest is None or nearest.casefold() != str(ours).casefold():
            raise InvalidQueryError(
                f"on={shown_value(on)}: expected {_or(_KEY_NAMES)}; if your column has another "
                f"name, say which it is: on={{{str(column)[:60]!r}: 'PatientID'}}"
            )
        key.append((nearest, str(column)))
    key.sort(reverse=False, key=lambda pair: pair[0] != "collection_id")
    if tuple(ours for ours, _ in key) not in KEY_COLUMNS:
        raise InvalidQueryError(
            f"on={shown_value(on)}: expected one of {_or(_KEY_NAMES)}, or collection_id together "
            "with PatientID"
        )
    return tuple(key)


def _key(names: list[str], asked: Key) -> Key:
    """Return the key of a table with these columns.

    Raises:
        InvalidQueryError: It has no such columns.
    """
    by_folded = {name.casefold(): name for name in names}
    if asked:
        key = []
        for ours, column in asked:
            if column.casefold() not in by_folded:
                raise InvalidQueryError(unknown_message("column of the table", column, names))
            key.append((ours, by_folded[column.casefold()]))
        return tuple(key)
    for columns in KEY_COLUMNS:
        if all(column.casefold() in by_folded for column in columns):
            return tuple((column, by_folded[column.casefold()]) for column in columns)
    example = next(iter(names), "case")
    raise InvalidQueryError(
        f"the table has none of the columns {_or(_KEY_NAMES)}, by which it is joined to series, "
        f"but {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}; say which of its columns "
        f"is the key: on={{{example!r}: 'PatientID'}}"
    )


def _key_texts(ours: str, column: str, values: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Return the values of a key as text, without white space around it; missing if it is empty.

    Raises:
        InvalidQueryError: The values are neither text nor, for a PatientID, whole numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_floating(kind):  # pandas makes floats of integers if one is missing
        present = values.drop_null()
        if len(present) and not pc.all(pc.equal(present, pc.floor(present))).as_py():
            raise InvalidQueryError(
                f"the column {column} has fractions; expected each {ours} as text or as a whole "
                f"number: read it as text, such as pandas.read_csv(path, dtype={{{column!r}: str}})"
            )
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InvalidQueryError(
                f"the column {column} has numbers of more than 64 bits; pass each {ours} as text"
            ) from error
    elif not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
        raise InvalidQueryError(
            f"the column {column} has values of the type {kind}; expected each {ours} as text"
        )
    texts = pc.utf8_trim_whitespace(values.cast(pa.string()))
    is_empty = pc.equal(texts, pa.scalar(""))
    given: pa.ChunkedArray[Any] = pc.if_else(is_empty, pa.scalar(None, pa.string()), texts)
    return given


# --- what it has in common with the index ----------------------------------------------------


def key_sql(columns: tuple[str, ...]) -> str:
    """Return the SQL of a key as one text."""
    parts = [identifier(column) for column in columns]
    return " || chr(31) || ".join(parts)


def _facts(engine: DuckDBEngine, table: AddedTable) -> TableFacts:
    """Compare the keys of a table with those of the index.

    Raises:
        InvalidQueryError: The table has no rows, or the index has none of its keys.
    """
    ours = key_sql(tuple(ours for ours, _ in table.key))
    theirs = key_sql(tuple(column for _, column in table.key))
    keys = (
        f"SELECT key, count(*) AS rows, coalesce(key IN (SELECT {ours} FROM index), FALSE) AS known"
        f" FROM (SELECT {theirs} AS key FROM {table.id}) AS keys WHERE key IS NOT NULL GROUP BY key"
    )
    [(rows, distinct, unknown, repeated)] = engine.rows(
        "SELECT coalesce(sum(rows), 0), count(*), count(*) FILTER (NOT known),"
        f" count(*) FILTER (rows > 1) FROM ({keys}) AS counted"
    )
    examples: list[str] = []
    if unknown:
        found = engine.rows(
            f"SELECT key FROM ({keys}) AS counted WHERE NOT known ORDER BY key"
            f" LIMIT {_MAX_SHOWN_KEYS}"
        )
        examples = [shown_value(key.replace("\x1f", ", ")) for (key,) in found]
    words = key_in_words(table.key)
    if not distinct:
        raise InvalidQueryError(f"the table has no row with a value of {words}")
    if unknown == distinct:
        raise InvalidQueryError(
            f"none of the {distinct:,} values of {words} is in the index, such as "
            f"{', '.join(examples)}{_hint(engine, table)}"
        )
    return TableFacts(
        table.name,
        words,
        table.content.num_rows,
        int(distinct),
        int(repeated),
        int(unknown),
        tuple(examples),
        table.content.num_rows - int(rows),
    )


def _hint(engine: DuckDBEngine, table: AddedTable) -> str:
    """Return why no key of a table is in the index, if this is easy to see."""
    theirs = identifier(table.key[-1][1])
    ours, column = table.key[-1]
    some = f"(SELECT DISTINCT {theirs} AS key FROM {table.id} WHERE {theirs} IS NOT NULL LIMIT 100)"

    def count(in_index: str, in_table: str = "key") -> int:
        [(found,)] = engine.rows(
            f"SELECT count(*) FROM {some} AS sample WHERE {in_table} IN (SELECT {in_index} FROM"
            " index)"
        )
        return int(found)

    for other in _KEY_NAMES:
        if other != ours and len(table.key) == 1 and count(other):
            return f"; this is a {other}: pass on={{{column!r}: {other!r}}}"
    if len(table.key) > 1:
        return f"; to join by PatientID alone, pass on={{{column!r}: 'PatientID'}}"
    if ours == "PatientID" and count("ltrim(PatientID, '0')"):
        return (
            "; the index has zeros before them: read the column as text, such as "
            f"pandas.read_csv(path, dtype={{{column!r}: str}})"
        )
    if count(f"lower({ours})", "lower(key)"):
        return "; letter case matters: the index has other letter case"
    if ours == "collection_id" and count("collection_id", "lower(replace(key, '-', '_'))"):
        return "; IDC writes a collection_id in lower case with '_', such as 'nsclc_radiomics'"
    return ""


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
