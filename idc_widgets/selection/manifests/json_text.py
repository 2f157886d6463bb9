"""Parse JSON, also with one object per line: lists of identifiers, and objects with known keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import InvalidQueryError
from .entries import (
    EXPECTED,
    KEYS,
    Entry,
    UnknownLine,
    kind_of,
    meaning_of,
    row_entry,
    unknown_line,
)
from .lines import unreadable

__all__ = ["parse_json"]


def parse_json(text: str) -> Iterator[Entry | UnknownLine] | None:
    """Return the identifiers in a JSON text, or in a text with one JSON object per line.

    Returns:
        None if the text is a list as Python prints it. The caller then reads it as a list of
        identifiers.

    Raises:
        InvalidQueryError: The text is not JSON, or contains neither identifiers nor known keys.
    """
    try:
        content = _load(text)
    except ValueError as error:
        first = text.lstrip().split("\n", 1)[0]
        if first.startswith("{") and isinstance(_load_or_none(first), dict):
            return _parse_json_lines(text)
        # Truncated JSON must raise an error: a part of a list must not be taken for all of it.
        if text.lstrip()[0] == "[" and text.rstrip()[-1] == "]" and '"' not in text:
            return None
        raise InvalidQueryError(
            f"the manifest starts like JSON, but is not valid: {error}"
        ) from error
    number_of: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for match in re.finditer(r'"([^"\\]*)"', line):
            number_of.setdefault(match[1], number)
    entries = list(_entries(content, number_of))
    has_our_keys = isinstance(content, dict) and any(map(meaning_of, content))
    if not entries and content != [] and not has_our_keys:
        raise InvalidQueryError(f"nothing in this JSON is recognized: {EXPECTED}")
    return iter(entries)


def _parse_json_lines(text: str) -> Iterator[Entry | UnknownLine]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        problem = unreadable(line)
        content = None if problem else _load_or_none(line)
        if content is None:
            yield unknown_line(number, line, problem or "it is not JSON")
            continue
        entries = list(_entries(content, {}, number))
        yield from entries or [row_entry(number, line, {})]


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _load_or_none(text: str) -> Any:
    try:
        return _load(text)
    except ValueError:
        return None


def _entries(
    content: object, number_of: Mapping[str, int], number: int = 1
) -> Iterator[Entry | UnknownLine]:
    """Yield the identifiers in parsed JSON, at any depth.

    An identifier is a text in a list, or the value of a known key.

    Args:
        content: The parsed JSON.
        number_of: Text → the number of the line that has it.
        number: The line number for a text that is not in `number_of`.
    """
    stack: list[tuple[str | None, object]] = [("uid", content)]
    while stack:
        meaning, value = stack.pop()
        if isinstance(value, list):
            stack.extend((meaning, item) for item in reversed(value))
        elif isinstance(value, dict):
            texts = {meaning_of(key): text for key, text in value.items() if isinstance(text, str)}
            row = {name: text.strip() for name, text in texts.items() if name and text.strip()}
            if not row.keys().isdisjoint(KEYS):
                first = next(row[key] for key in KEYS if key in row)
                yield row_entry(number_of.get(first, number), first, row)
            inner = [(key, item) for key, item in value.items() if isinstance(item, list | dict)]
            stack.extend((meaning_of(key), item) for key, item in reversed(inner))
        elif isinstance(value, str):
            kind = kind_of(value.strip())
            if meaning is not None or kind is not None:  # skip other texts of an unknown key
                kind = kind if meaning in (None, "uid") else meaning
                place = number_of.get(value, number)
                yield Entry(place, value, kind or "uid", value.strip())
        elif meaning is not None:
            reason = "it is not text; expected an identifier in quotes"
            yield unknown_line(number, str(value), reason)
