"""Names and facts of the collections, from the small table ``collections_index``."""

from __future__ import annotations

from ..index import COLLECTION_FACETS
from .engine import Engine
from .per_engine import PerEngine

__all__ = ["collection_names", "collection_values"]


def collection_names(engine: Engine) -> dict[str, str]:
    """Return collection_id → name; empty if the engine has no table of collections."""
    return {collection: facts["collection_name"] for collection, facts in _facts.of(engine).items()}


def collection_values(engine: Engine, column: str) -> dict[str, tuple[str, ...]]:
    """Return collection_id → the values of the collection in a column.

    Args:
        engine: The engine whose table is read.
        column: One of `COLLECTION_FACETS`. In the table, the values are joined by commas.
    """
    by_column = _values.of(engine)
    if column not in by_column:
        by_column[column] = {
            collection: tuple(dict.fromkeys(filter(None, map(str.strip, facts[column].split(",")))))
            for collection, facts in _facts.of(engine).items()
        }
    return by_column[column]


def _read_facts(engine: Engine) -> dict[str, dict[str, str]]:
    """Return collection_id → column → text; the text of a missing value or column is empty."""
    columns = ("collection_name", *COLLECTION_FACETS)
    available = engine.tables().get("collections_index", {})
    present = [column for column in columns if column in available]
    if not present:
        return {}
    rows = engine.rows(f"SELECT collection_id, {', '.join(present)} FROM collections_index")
    return {
        str(collection): {
            **dict.fromkeys(columns, ""),
            **{column: str(fact or "") for column, fact in zip(present, facts, strict=True)},
        }
        for collection, *facts in rows
    }


#: collection_id → column → text.
_facts: PerEngine[Engine, dict[str, dict[str, str]]] = PerEngine(_read_facts)

#: Column → collection_id → values; a column is added at its first use.
_values: PerEngine[Engine, dict[str, dict[str, tuple[str, ...]]]] = PerEngine(lambda _engine: {})
