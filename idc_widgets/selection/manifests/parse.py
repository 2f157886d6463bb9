"""Parse a manifest of any format into entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...query import Engine
from .entries import Entry, UnknownLine
from .json_text import parse_json
from .lines import parse_line
from .tables import find_layout, parse_table

__all__ = ["parse"]


def parse(engine: Engine, text: str) -> Iterator[Entry | UnknownLine]:
    """Yield the identifiers in a manifest, and the lines that cannot name a series.

    Args:
        engine: The engine. If the text is a table without a header, its values are looked up in the
            index, to find the column that identifies the series.
        text: The manifest, with Unix line ends.

    Raises:
        InvalidQueryError: The text starts like JSON but is not valid, or has no known keys.
    """
    if text.lstrip()[:1] in ("{", "["):
        entries = parse_json(text)
        if entries is not None:
            yield from entries
            return
    lines = text.split("\n")
    if any(line.lstrip().casefold().startswith(_TCIA_LIST) for line in lines):
        yield from _parse_tcia(lines)
        return
    layout = find_layout(engine, lines)
    if layout is not None:
        yield from parse_table(lines, layout)
        return
    for number, line in enumerate(lines, 1):
        yield from parse_line(number, line)


#: The setting (in lower case) after which a .tcia manifest lists the UIDs.
_TCIA_LIST = "listofseriestodownload="
_TCIA_SETTING = re.compile(r"\s*[A-Za-z]\w*=")


def _parse_tcia(lines: Sequence[str]) -> Iterator[Entry | UnknownLine]:
    """Parse a manifest of TCIA's NBIA Data Retriever: settings, then one UID per line.

    The first setting of TCIA's own manifests is
    downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/...
    """
    is_in_list = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().casefold().startswith(_TCIA_LIST):
            is_in_list = True
            yield from parse_line(number, line.lstrip()[len(_TCIA_LIST) :])
        elif is_in_list or not _TCIA_SETTING.match(line):
            yield from parse_line(number, line)
