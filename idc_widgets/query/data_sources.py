"""Where series come from: the collection, and the data set that was shared with IDC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .engine import Engine
from .per_engine import PerEngine

__all__ = ["DataSource", "collection_sources", "result_sources"]


@dataclass(frozen=True)
class DataSource:
    """What a collection, or a data set in it, says about itself; "" for what is unknown.

    The texts come from others, and may contain HTML.

    Args:
        title: The title.
        description: The description.
        citation: How to cite it.
        doi: The DOI without an address, such as "10.7937/k9/tcia.2015.pf0m9rei".
    """

    title: str
    description: str = ""
    citation: str = ""
    doi: str = ""


def collection_sources(engine: Engine, collection: str) -> list[DataSource]:
    """Return a collection, and then the data sets that it consists of; [] if it is unknown."""
    columns = ("collection_name", "description", "sources")
    for row in _rows(engine, "collections_index", columns, "collection_id", [collection]):
        whole = DataSource(_text(row, "collection_name"), _text(row, "description"))
        sources = row.get("sources")
        parts = [part for part in sources if isinstance(part, Mapping)] if sources else []
        return [
            whole,
            *(
                DataSource(
                    _text(part, "source_title"),
                    citation=_text(part, "citation"),
                    doi=_text(part, "source_doi"),
                )
                for part in parts
            ),
        ]
    return []


def result_sources(engine: Engine, ids: Iterable[str]) -> dict[str, DataSource]:
    """Return analysis_result_id → the analysis result; unknown ones are missing."""
    columns = ("analysis_result_title", "description", "citation", "source_DOI")
    key = "analysis_result_id"
    rows = _rows(engine, "analysis_results_index", columns, key, list(ids))
    return {
        _text(row, key): DataSource(*(_text(row, column) for column in columns)) for row in rows
    }


def _rows(
    engine: Engine, table: str, columns: Iterable[str], key: str, keys: list[str]
) -> list[dict[str, Any]]:
    """Return rows of a table by key; [] if the engine has no such table."""
    present = _present.of(engine)[table]
    if key not in present or not keys:
        return []
    selected = ", ".join([key, *(column for column in columns if column in present)])
    marks = ", ".join("?" for _ in keys)
    rows = engine.query(f"SELECT {selected} FROM {table} WHERE {key} IN ({marks})", keys)
    result: list[dict[str, Any]] = rows.to_pylist()
    return result


def _text(row: Mapping[str, Any], column: str) -> str:
    return str(row.get(column) or "")


def _find_columns(engine: Engine) -> dict[str, frozenset[str]]:
    """Return the columns of the tables of sources; none for a table that the engine lacks."""
    tables = engine.tables()
    return {
        table: frozenset(tables.get(table, ()))
        for table in ("collections_index", "analysis_results_index")
    }


#: Table → its columns; describing all tables would take longer than a query.
_present: PerEngine[Engine, dict[str, frozenset[str]]] = PerEngine(_find_columns)
