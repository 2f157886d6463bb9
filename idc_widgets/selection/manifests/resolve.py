"""Resolve a manifest into the series that it names and the lines that name none."""

from __future__ import annotations

import os
from typing import Any

from ...errors import InvalidQueryError
from ...query import Cohort, Engine
from ..files import check_size, is_file, read_text
from ..identifiers import split_uids
from .entries import EXPECTED, Entry, UnknownLine, kind_of
from .lookup import look_up
from .parse import parse

__all__ = ["resolve_manifest"]

#: The largest size of a manifest in bytes. A manifest with all series of IDC has 70 MB.
MAX_MANIFEST_BYTES = 200_000_000


def resolve_manifest(
    engine: Engine, source: str | os.PathLike[str]
) -> tuple[Cohort, tuple[UnknownLine, ...]]:
    """Return the series that a manifest names, and the lines that name none, sorted by number.

    Arguments and errors are those of `IDCClient.read_manifest`.
    """
    text = _text_of(source)
    entries: list[Entry] = []
    unknown_lines: list[UnknownLine] = []
    for parsed in parse(engine, text):
        if isinstance(parsed, UnknownLine):
            unknown_lines.append(parsed)
        else:
            entries.append(parsed)
    series, not_in_index = look_up(engine, entries)
    unknown_lines = sorted([*unknown_lines, *not_in_index], key=lambda line: line.number)
    if not series and not any(kind_of(entry.value) or entry.collection for entry in entries):
        # `to_manifest` writes a header or a comment even for an empty selection.
        if unknown_lines:
            first = unknown_lines[0]
            shown = f"line {first.number:,} is {first.text[:80]!r} ({first.reason})"
            raise InvalidQueryError(f"nothing in the manifest is recognized: {EXPECTED}; {shown}")
        if not text.strip():
            raise InvalidQueryError(f"the manifest is empty: {EXPECTED}")
    return Cohort(engine).of_series(series), tuple(unknown_lines)


def _text_of(source: str | os.PathLike[str]) -> str:
    """Return the text of a manifest from a path or a text, with Unix line ends."""
    untyped: Any = source
    if not isinstance(untyped, str | os.PathLike):
        raise InvalidQueryError(
            f"{str(source)[:80]!r} is neither a path nor the text of a manifest"
        )
    if isinstance(source, str) and _is_text(source):
        check_size("a manifest", len(source), MAX_MANIFEST_BYTES)
        text = source.removeprefix("\ufeff")
    else:
        text = read_text(source, "a manifest", MAX_MANIFEST_BYTES)
    # str.splitlines() also splits at characters that editors do not count as line ends.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_text(source: str) -> bool:
    """Return whether `source` is the text of a manifest; otherwise it is a path."""
    if "\n" in source or "\r" in source:
        return True
    if is_file(source):
        return False
    return not source.strip() or any(map(kind_of, split_uids(source)))
