"""The names of columns in calls: aliases, and messages about unknown names."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import InvalidQueryError, unknown_message
from ..index import ALIASES, tables_with_column
from .engine import Engine

__all__ = ["checked_column"]

#: A message names at most so many tables.
_MAX_TABLES = 3


def checked_column(
    engine: Engine, name: object, known: Collection[str], kind: str = "column"
) -> str:
    """Return the name of a column, with aliases resolved.

    Args:
        engine: The engine whose tables a message may name.
        name: The name or alias.
        known: The names that the caller accepts.
        kind: The kind of thing that has this name, for messages.

    Raises:
        InvalidQueryError: The name is not one of `known`. The message names the table that has
            such a column, or the nearest name.
    """
    column = ALIASES.get(name, name) if isinstance(name, str) else name
    if isinstance(column, str) and column in known:
        return column
    aliases = [alias for alias, target in ALIASES.items() if target in known]
    message = unknown_message(kind, name, [*known, *aliases])
    elsewhere = _elsewhere(engine, name)
    if elsewhere:
        message = f"{message.partition('; ')[0]}; {elsewhere}"
    raise InvalidQueryError(message)


def _elsewhere(engine: Engine, name: object) -> str:
    """Return which other tables have the column, and the call that adds it; empty if none has."""
    if not isinstance(name, str):
        return ""
    present = engine.tables()
    folded = name.casefold()
    found = [
        table
        for table, columns in present.items()
        if table != "index" and folded in map(str.casefold, columns)
    ]
    fetchable = [table for table in tables_with_column(name) if table not in present]
    tables = [*found, *fetchable]
    if not tables or folded in map(str.casefold, present.get("index", ())):
        return ""
    names = ", ".join(tables[:_MAX_TABLES]) + (", ..." if len(tables) > _MAX_TABLES else "")
    has = f"the table {names} has it" if len(tables) == 1 else f"the tables {names} have it"
    fetch = "" if found else f"client.fetch_table({tables[0]!r}) and then "
    return f"{has}: call {fetch}cohort.join({tables[0]!r}), then where and series() take it"
