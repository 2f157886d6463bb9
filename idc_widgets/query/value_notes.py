"""Titles and descriptions of collections and analysis results, from two small tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any, NamedTuple

from .engine import Engine
from .per_engine import PerEngine

__all__ = ["NOTED_COLUMNS", "ValueNote", "value_notes"]

#: Column → the table that describes its values, and the columns of that table.
_SOURCES = {
    "collection_id": ("collections_index", ("collection_name", "sources", "description")),
    "analysis_result_id": ("analysis_results_index", ("analysis_result_title", "description")),
}

#: The columns whose values have titles and descriptions.
NOTED_COLUMNS = tuple(_SOURCES)

_MAX_TITLE, _MAX_DESCRIPTION = 160, 320
#: Longer texts are cut before they are cleaned, so that a hostile table costs no time.
_MAX_READ_CHARACTERS = 4_000

_TAG = re.compile(r"<[^<>]{0,200}>")


class ValueNote(NamedTuple):
    """What is known about a value. A text is empty if it is not known."""

    title: str
    description: str


def value_notes(engine: Engine, column: str) -> dict[str, ValueNote]:
    """Return value → its title and description, as plain text.

    The result is empty if the column has no such texts, or the engine not the table with them.

    Args:
        engine: The engine whose tables are read, once.
        column: A column of the index; see `NOTED_COLUMNS`.
    """
    by_column = _notes.of(engine)
    if column not in by_column:
        by_column[column] = _read(engine, column)
    return by_column[column]


def _read(engine: Engine, column: str) -> dict[str, ValueNote]:
    table, wanted = _SOURCES.get(column, ("", ()))
    available = engine.tables().get(table, {})
    present = [name for name in wanted if name in available]
    if column not in available or not present:
        return {}
    rows = engine.rows(f"SELECT {column}, {', '.join(present)} FROM {table}")
    return {
        str(value): _note(dict(zip(present, facts, strict=True)))
        for value, *facts in rows
        if value is not None
    }


def _note(facts: Mapping[str, Any]) -> ValueNote:
    name = str(facts.get("collection_name") or "")
    title = str(facts.get("analysis_result_title") or "")
    title = title or _title_of_images(facts.get("sources") or ()) or name
    title = _plain(title, _MAX_TITLE)
    if name and len(title) > len(name):  # the title may repeat the name of the collection
        title = title.removesuffix(f"({name})").strip() or title
        title = title.removeprefix(f"{name}:").strip() or title
    return ValueNote(title, _plain(str(facts.get("description") or ""), _MAX_DESCRIPTION))


def _title_of_images(sources: Iterable[Any]) -> str:
    """Return the title of the data set that the images come from."""
    titles = [
        str(source.get("source_title") or "")
        for source in sources
        if isinstance(source, Mapping) and source.get("source_type") == "original_data"
    ]
    # Slides that IDC has converted are often the second part of a collection.
    titles.sort(key=lambda title: "DICOM converted" in title)
    return next(filter(None, titles), "")


def _plain(text: str, limit: int) -> str:
    """Return a text without tags and line ends, and not longer than `limit`."""
    words = " ".join(unescape(_TAG.sub("", text[:_MAX_READ_CHARACTERS])).split())
    return words if len(words) <= limit else words[: limit - 2].rsplit(" ", 1)[0] + " …"


#: Column → value → note; a column is added at its first use.
_notes: PerEngine[Engine, dict[str, dict[str, ValueNote]]] = PerEngine(lambda _engine: {})
