"""Parse tables: CSV and TSV, with or without a header."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...query import Engine, is_uid, known_texts
from ..identifiers import split_uids
from .entries import (
    KEYS,
    MAX_LINE_CHARACTERS,
    Entry,
    UnknownLine,
    kind_of,
    meaning_of,
    row_entry,
    unknown_line,
)
from .lines import parse_line, too_long

__all__ = ["Layout", "find_layout", "parse_table"]

#: This many lines at the beginning are searched for a header or a column of identifiers.
SAMPLE_LINES = 50
#: The largest number of lines of a row, whose cells may contain line ends.
MAX_LINES_PER_ROW = 20

#: Lines that the portal's web application writes above the table of a cohort, one cell per line.
_PREAMBLE = re.compile(
    r"\W*(Manifest for cohort|User:|Filters:|Date generated:|Total records found:|NOTE:"
    r"|IDC Data Version|Total manifest size)",
    re.IGNORECASE,
)


class Layout(NamedTuple):
    """The start and the columns of a table.

    Args:
        start: Index of the first line after the header.
        delimiter: The character between two cells.
        columns: The meaning of each column, see `entries.meaning_of`; None for a column that is not
            read.
    """

    start: int
    delimiter: str
    columns: list[str | None]


def find_layout(engine: Engine, lines: Sequence[str]) -> Layout | None:
    """Return the layout of the table in these lines; None if there is no table.

    Args:
        engine: The engine whose index is searched if the table has no header.
        lines: The lines of the manifest.
    """
    return _from_header(lines) or _from_values(engine, lines)


def _from_header(lines: Sequence[str]) -> Layout | None:
    for index, line in _sample(lines):
        for delimiter in ",\t;":
            cells = _cells(line, delimiter)
            columns = [meaning_of(cell) for cell in cells]
            if any(column in KEYS for column in columns) and not any(map(kind_of, cells)):
                return Layout(index + 1, delimiter, columns)
    return None


def _from_values(engine: Engine, lines: Sequence[str]) -> Layout | None:
    """Return the layout of a table without a header, if exactly one column identifies series.

    If no column identifies series, a column of StudyInstanceUIDs is taken. If several columns do,
    the lines are not a table but lists of identifiers, and each identifier is read.
    """
    sample = [line for _, line in _sample(lines)]
    for delimiter in "\t,;":
        rows = [_cells(line, delimiter) for line in sample]
        widths = {len(row) for row in rows}
        if len(widths) != 1 or widths <= {0, 1}:
            continue
        cells = {cell for row in rows for cell in row}
        uids = [cell for cell in cells if is_uid(cell)]
        for meaning, identifiers in (
            ("series", known_texts(engine, "SeriesInstanceUID", uids)),
            ("uuid", {cell for cell in cells if kind_of(cell) == "uuid"}),
            ("url", {cell for cell in cells if kind_of(cell) == "url"}),
            ("study", known_texts(engine, "StudyInstanceUID", uids)),
        ):
            matches = [not identifiers.isdisjoint(column) for column in zip(*rows, strict=True)]
            if any(matches):
                columns = [meaning if is_match else None for is_match in matches]
                return Layout(0, delimiter, columns) if sum(matches) == 1 else None
    return None


def parse_table(lines: Sequence[str], layout: Layout) -> Iterator[Entry | UnknownLine]:
    """Yield the identifiers in a table, and an `UnknownLine` for each row without any."""
    start, delimiter, columns = layout
    for number, line in enumerate(lines[: max(0, start - 1)], 1):
        if not _PREAMBLE.match(line):
            yield from parse_line(number, line)
    index = start
    while index < len(lines):
        number, line = index + 1, lines[index]
        index += 1
        stripped = line.strip()
        if not stripped:
            continue
        if len(line) > MAX_LINE_CHARACTERS:
            yield unknown_line(number, line, too_long(line))
            continue
        cells = _cells(line, delimiter)
        if line.count('"') % 2:
            joined = _join_lines(lines, index, delimiter, len(columns))
            if joined is not None:
                cells, index = joined
        if stripped.startswith("#") and len(cells) != len(columns):
            continue
        row = {name: cell for name, cell in zip(columns, cells, strict=False) if name and cell}
        yield row_entry(number, line, row)


def _sample(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the first lines with their indices; skip comments and empty or too long lines."""
    filled = (
        (index, line)
        for index, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("#") and len(line) <= MAX_LINE_CHARACTERS
    )
    return itertools.islice(filled, SAMPLE_LINES)


def _cells(text: str, delimiter: str) -> list[str]:
    text = _without_nul(text)
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error:  # a cell that is too long, or a quote or line end in an odd place
        return [cell.strip().strip('"') for cell in text.split(delimiter)]


def _without_nul(text: str) -> str:
    # Some descriptions in the index contain a NUL, which the csv module of Python 3.10 rejects.
    return text.replace("\0", "\ufffd")


def _join_lines(
    lines: Sequence[str], after: int, delimiter: str, width: int
) -> tuple[list[str], int] | None:
    """Return the cells of a row that continues in the next lines, because a quote is open.

    Args:
        lines: All lines.
        after: Index of the second line of the row.
        delimiter: The delimiter of the table.
        width: The number of cells per row.

    Returns:
        The cells, and the index of the line after the row. None if the lines do not form one row.
        For example, the quote may never be closed; the next rows must then not become a part of
        this row.
    """
    quotes = lines[after - 1].count('"')
    for end in range(after + 1, min(after + MAX_LINES_PER_ROW, len(lines)) + 1):
        quotes += lines[end - 1].count('"')
        if quotes % 2:
            continue
        try:
            text = (_without_nul(line) + "\n" for line in lines[after - 1 : end])
            rows = list(csv.reader(text, delimiter=delimiter))
        except csv.Error:
            return None
        swallowed = (piece for cell in rows[0] if "\n" in cell for piece in split_uids(cell))
        if len(rows) == 1 and len(rows[0]) == width and not any(map(kind_of, swallowed)):
            return [cell.strip() for cell in rows[0]], end
        return None
    return None
