"""The text of a manifest → what each line of it names, whatever its format.

Commands of s5cmd, lists of identifiers, .tcia, CSV and TSV, JSON.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import InvalidQueryError
from ...query import Engine, known_texts
from ..identifiers import is_uid, split_uids

__all__ = [
    "EXPECTED",
    "KEYS",
    "UUID",
    "Entry",
    "Problem",
    "UnknownLine",
    "kind_of",
    "parse",
    "strange",
    "unknown_line",
]

#: In characters.
LONGEST_LINE = 1_000_000

EXPECTED = (
    "expected an s5cmd manifest, a table (CSV or TSV) with a column such as SeriesInstanceUID, "
    "JSON, a .tcia manifest, or a list of UIDs"
)


@dataclass(frozen=True)
class UnknownLine:
    """A line of a manifest that gives no series."""

    #: From 1.
    number: int
    #: The line, or what of it is not known; shortened.
    text: str
    #: Why, in words.
    reason: str

    def __str__(self) -> str:
        return f"line {self.number:,}: {self.reason}"


class Entry(NamedTuple):
    """Something to look up."""

    number: int
    #: The line, for messages.
    text: str
    #: "uid" (of a series or a study), or as in `_NAMES`.
    kind: str
    value: str
    collection: str = ""


class Problem(NamedTuple):
    """Why something names no series, in words."""

    reason: str


#: Names of columns and keys, without case and signs → what is in them. IDC's portal says
#: crdc_series_uuid (earlier series_uuid, gcs_url), TCIA "Series Instance UID" or "Series UID".
_NAMES = {
    "seriesinstanceuid": "series",
    "seriesuid": "series",
    "crdcseriesuuid": "uuid",
    "seriesuuid": "uuid",
    "seriesawsurl": "url",
    "seriesgcsurl": "url",
    "awsurl": "url",
    "gcsurl": "url",
    "url": "url",
    "studyinstanceuid": "study",
    "studyuid": "study",
    "patientid": "patient",
    "collectionid": "collection",
    "collection": "collection",
}
#: What is looked up of a row: the first of these that it has.
KEYS = ("series", "uuid", "url", "study", "patient")

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r"(s3|gs|https?)://", re.IGNORECASE)
#: A text that a spreadsheet would take for a formula, made harmless as in `write`.
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def _name(column: str) -> str | None:
    return _name_of(column[:100])


@functools.lru_cache(1000)
def _name_of(column: str) -> str | None:
    return _NAMES.get(re.sub(r"[\W_]+", "", column).casefold())


def kind_of(text: str) -> str | None:
    """What an identifier looks like; None if like none."""
    if is_uid(text):
        return "uid"
    if UUID.fullmatch(text):
        return "uuid"
    return "url" if _ADDRESS.match(text) else None


def unknown_line(number: int, text: str, reason: str) -> UnknownLine:
    """The same, with a text that can be shown."""
    text = text.strip()
    text = text if len(text) <= 200 else text[:199] + "…"
    return UnknownLine(number, "".join(c if c.isprintable() else "\ufffd" for c in text), reason)


def strange(text: str) -> str:
    """The reason of a text that is like no identifier."""
    return f"{text[:80]!r} is no UID, crdc_series_uuid or address of a series"


# --- formats -------------------------------------------------------------------------------


def parse(engine: Engine, text: str) -> Iterator[Entry | UnknownLine]:
    """What the lines name, to be looked up, and those that can name nothing.

    Args:
        engine: tells which column of a table without a header has series.
        text: with line ends as in Unix.

    Raises:
        InvalidQueryError: it begins as JSON does, and is none, or has nothing of ours.
    """
    if text.lstrip()[:1] in ("{", "["):
        content = _json(text)
        if content is not None:
            yield from content
            return
    lines = text.split("\n")
    if any(line.lstrip().casefold().startswith(_TCIA_LIST) for line in lines):
        yield from _tcia(lines)
        return
    table = _header(lines) or _guessed_header(engine, lines)
    if table is not None:
        yield from _table(lines, *table)
        return
    for number, line in enumerate(lines, 1):
        yield from _line(number, line)


def _line(number: int, line: str) -> Iterator[Entry | UnknownLine]:
    """A command of s5cmd, or identifiers.

    Commands as the portal writes them (IDC's user guide, learn.canceridc.dev, "Cohort manifests")
    and as idc-index reads them (github.com/ImagingDataCommons/idc-index,
    tests/study_manifest_gcs.s5cmd and tests/prior_version_manifest.s5cmd).
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return
    problem = _unreadable(line)
    if problem is None and line.split(None, 1)[0] in _COMMANDS:
        found = _source(line)
        if not isinstance(found, Problem):
            yield Entry(number, line, "url", found)
            return
        problem = found.reason
    if problem is None:
        pieces = split_uids(line)
        kinds = [kind_of(piece) for piece in pieces]
        if len(pieces) == 1 or (pieces and None not in kinds):
            for piece, kind in zip(pieces, kinds, strict=True):
                yield Entry(number, piece, kind or "uid", piece)
            return
        problem = strange(pieces[kinds.index(None)] if pieces else line)
    yield unknown_line(number, line, problem)


def _unreadable(line: str) -> str | None:
    if len(line) > LONGEST_LINE:
        return _too_long(line)
    return "it holds a NUL character, as no text does" if "\0" in line else None


def _too_long(line: str) -> str:
    return f"a line of {len(line):,} characters; expected {LONGEST_LINE:,} at most"


# s5cmd

_COMMANDS = frozenset(
    (
        *("s5cmd", "cp", "sync", "mv", "rm", "ls", "du", "mb", "rb", "cat", "pipe", "run"),
        *("select", "head", "presign", "bucket-version", "version"),
    )
)
#: Options of s5cmd 2.3 with a value.
_VALUED = frozenset(
    (
        *("--endpoint-url", "--numworkers", "--retry-count", "-r", "--log", "--profile"),
        *("--credentials-file", "--concurrency", "-c", "--part-size", "-p", "--storage-class"),
        *("--source-region", "--destination-region", "--request-payer", "--addressing-style"),
        *("--sse", "--acl"),
    )
)
#: Options by which not all of a series is meant.
_PARTIAL = frozenset(("--include", "--exclude", "--version-id"))
_QUOTED = re.compile(r"\"[^\"\\]*\"|'[^']*'")
_WORD = re.compile(rf"(?:{_QUOTED.pattern}|[^\s\"']+)+")
_SHELL = re.compile(r"[;|&<>]")


def _words(line: str) -> list[str]:
    """What shlex.split gives for a line of plain and quoted words, in a tenth of the time."""
    if '"' not in line and "'" not in line:
        return line.split()
    return [word.strip("\"'") for word in _WORD.findall(line)]


def _source(line: str) -> str | Problem:
    """The address that a command of s5cmd copies from; the destination is ignored."""
    if "`" in line or "$(" in line:
        return Problem("it would have a shell run something")
    bare = _QUOTED.sub("", line) if '"' in line or "'" in line else line
    found = _SHELL.search(bare)
    if found:
        return Problem(f"it holds {found[0]!r}, as commands of a shell do")
    try:
        words = shlex.split(line) if '"' in bare or "'" in bare or "\\" in line else _words(line)
    except ValueError:
        return Problem("a quote is not closed")
    words.reverse()
    command, given = "", []
    while words:
        word = words.pop()
        if word.startswith("-"):
            option = word.split("=")[0]
            if option in _PARTIAL:
                return Problem(f"{option} names some of the files, and only series are read")
            if option in _VALUED and "=" not in word and words:
                words.pop()
        elif not command:
            command = "" if word == "s5cmd" else word
            if command not in ("", "cp", "sync"):
                return Problem(f"the command {command[:80]!r}: only cp and sync are read")
        else:
            given.append(word)
    if not 1 <= len(given) <= 2:
        return Problem(f"{len(given):,} arguments; expected the address of a series and a folder")
    if not _ADDRESS.match(given[0]):
        return Problem(f"{given[0][:80]!r} is not the address of a series")
    for destination in given[1:]:
        if _ADDRESS.match(destination):
            return Problem(f"it would write to {destination[:80]!r}")
        if ".." in destination and ".." in re.split(r"[/\\]", destination):
            return Problem(f"its folder {destination[:80]!r} leads elsewhere")
    return given[0]


# .tcia

_TCIA_LIST = "listofseriestodownload="


def _tcia(lines: Sequence[str]) -> Iterator[Entry | UnknownLine]:
    """The NBIA Data Retriever's: settings, then ListOfSeriesToDownload= and a UID a line.

    As TCIA's own begin: downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/...
    """
    listed = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().casefold().startswith(_TCIA_LIST):
            listed = True
            yield from _line(number, line.lstrip()[len(_TCIA_LIST) :])
        elif listed or not re.match(r"\s*[A-Za-z]\w*=", line):
            yield from _line(number, line)


# CSV and TSV

#: What the portal's web application writes above the columns of a cohort, one cell a row.
_PREAMBLE = re.compile(
    r"\W*(Manifest for cohort|User:|Filters:|Date generated:|Total records found:|NOTE:"
    r"|IDC Data Version|Total manifest size)",
    re.IGNORECASE,
)
#: So many lines are looked at to see whether there is a header, and what is in which column.
_SAMPLE = 50


def _cells(text: str, delimiter: str) -> list[str]:
    # Some descriptions in the index do hold a NUL, and the csv of Python 3.10 takes none.
    text = text.replace("\0", "\ufffd")
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error:  # a cell that is too long, or a lone quote or line end in an odd place
        return [cell.strip().strip('"') for cell in text.split(delimiter)]


def _sample(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    filled = (
        (number, line)
        for number, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("#") and len(line) <= LONGEST_LINE
    )
    return itertools.islice(filled, _SAMPLE)


def _header(lines: Sequence[str]) -> tuple[int, str, list[str | None]] | None:
    """The first row after the header, the delimiter, and what is in each column."""
    for number, line in _sample(lines):
        for delimiter in ",\t;":
            cells = _cells(line, delimiter)
            names = [_name(cell) for cell in cells]
            if any(name in KEYS for name in names) and not any(map(kind_of, cells)):
                return number + 1, delimiter, names
    return None


def _guessed_header(
    engine: Engine, lines: Sequence[str]
) -> tuple[int, str, list[str | None]] | None:
    """The same of a table without a header: the one column with series, or else studies."""
    sample = [line for _, line in _sample(lines)]
    for delimiter in "\t,;":
        rows = [_cells(line, delimiter) for line in sample]
        widths = {len(row) for row in rows}
        if len(widths) != 1 or widths <= {0, 1}:
            continue
        cells = {cell for row in rows for cell in row}
        uids = [cell for cell in cells if is_uid(cell)]
        for name, meant in (
            ("series", known_texts(engine, "SeriesInstanceUID", uids)),
            ("uuid", {cell for cell in cells if kind_of(cell) == "uuid"}),
            ("url", {cell for cell in cells if kind_of(cell) == "url"}),
            ("study", known_texts(engine, "StudyInstanceUID", uids)),
        ):
            found = [not meant.isdisjoint(column) for column in zip(*rows, strict=True)]
            if any(found):  # in several columns: a list, of which all is meant
                names = [name if one else None for one in found]
                return (0, delimiter, names) if sum(found) == 1 else None
    return None


def _table(
    lines: Sequence[str], start: int, delimiter: str, names: Sequence[str | None]
) -> Iterator[Entry | UnknownLine]:
    for number, line in enumerate(lines[: max(0, start - 1)], 1):
        if not _PREAMBLE.match(line):
            yield from _line(number, line)
    index = start
    while index < len(lines):
        number, line = index + 1, lines[index]
        index += 1
        stripped = line.strip()
        if not stripped:
            continue
        if len(line) > LONGEST_LINE:
            yield unknown_line(number, line, _too_long(line))
            continue
        cells = _cells(line, delimiter)
        if line.count('"') % 2:
            joined = _joined(lines, index, delimiter, len(names))
            if joined is not None:
                cells, index = joined
        if stripped.startswith("#") and len(cells) != len(names):
            continue
        row = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
        yield _of_row(number, line, row)


def _joined(
    lines: Sequence[str], after: int, delimiter: str, width: int
) -> tuple[list[str], int] | None:
    """The cells of a row that goes on, inside quotes, in the next lines; and the line after it.

    None if it does not: a quote that is never closed must not swallow the rows that follow.
    """
    quotes = lines[after - 1].count('"')
    for end in range(after + 1, min(after + 20, len(lines)) + 1):
        quotes += lines[end - 1].count('"')
        if quotes % 2:
            continue
        try:
            rows = list(
                csv.reader(
                    (one.replace("\0", "\ufffd") + "\n" for one in lines[after - 1 : end]),
                    delimiter=delimiter,
                )
            )
        except csv.Error:
            return None
        swallowed = (piece for cell in rows[0] if "\n" in cell for piece in split_uids(cell))
        if len(rows) == 1 and len(rows[0]) == width and not any(map(kind_of, swallowed)):
            return [cell.strip() for cell in rows[0]], end
        return None
    return None


def _of_row(number: int, text: str, row: Mapping[str, str]) -> Entry | UnknownLine:
    """The entry of a row: the most exact of its keys."""
    for key in KEYS:
        value = row.get(key, "")
        if _DEFUSED.match(value):
            value = value[1:]
        if not value:
            continue
        if key != "patient":
            return Entry(number, text, key, value)
        collection = row.get("collection", "")
        if not collection:
            return unknown_line(number, text, "a PatientID needs a collection_id beside it")
        return Entry(number, text, key, value, collection)
    return unknown_line(number, text, "nothing in this row names a series, a study or a patient")


# JSON


def _json(text: str) -> Iterator[Entry | UnknownLine] | None:
    """The entries of JSON, or of one JSON object a line (as the portal writes); None if neither."""
    try:
        content = _loaded(text)
    except ValueError as error:
        first = text.lstrip().split("\n", 1)[0]
        if first.startswith("{") and isinstance(_loaded_or_none(first), dict):
            return _json_lines(text)
        # Lists of Python are read as plain ones; but not half of JSON that broke off.
        if text.lstrip()[0] == "[" and text.rstrip()[-1] == "]" and '"' not in text:
            return None
        raise InvalidQueryError(f"it begins as JSON does, but is none: {error}") from error
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for found in re.finditer(r'"([^"\\]*)"', line):
            line_of.setdefault(found[1], number)
    entries = list(_walked(content, line_of))
    if (
        not entries
        and content != []
        and not (isinstance(content, dict) and any(map(_name, content)))
    ):
        raise InvalidQueryError(f"nothing in this JSON is known: {EXPECTED}")
    return iter(entries)


def _json_lines(text: str) -> Iterator[Entry | UnknownLine]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        problem = _unreadable(line)
        content = None if problem else _loaded_or_none(line)
        if content is None:
            yield unknown_line(number, line, problem or "it is no JSON")
            continue
        found = list(_walked(content, {}, number))
        yield from found or [_of_row(number, line, {})]


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _loaded_or_none(text: str) -> Any:
    try:
        return _loaded(text)
    except ValueError:
        return None


def _walked(
    content: object, line_of: Mapping[str, int], number: int = 1
) -> Iterator[Entry | UnknownLine]:
    """The entries in JSON: texts in lists, and objects with keys as the columns of tables."""
    stack: list[tuple[str | None, object]] = [("uid", content)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, list):
            stack.extend((key, one) for one in reversed(value))
        elif isinstance(value, dict):
            named = {_name(name): one for name, one in value.items() if isinstance(one, str)}
            row = {name: one.strip() for name, one in named.items() if name and one.strip()}
            if not row.keys().isdisjoint(KEYS):
                first = next(row[name] for name in KEYS if name in row)
                yield _of_row(line_of.get(first, number), first, row)
            within = [(name, one) for name, one in value.items() if isinstance(one, list | dict)]
            stack.extend((_name(name), one) for name, one in reversed(within))
        elif isinstance(value, str):
            kind = kind_of(value.strip())
            if key is not None or kind is not None:  # lists of other things are no manifest
                kind = kind if key in (None, "uid") else key
                where = line_of.get(value, number)
                yield Entry(where, value, kind or "uid", value.strip())
        elif key is not None:
            reason = "it is a number or the like; expected text in quotes"
            yield unknown_line(number, str(value), reason)
