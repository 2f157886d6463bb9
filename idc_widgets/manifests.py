"""Manifests: lists of series in files, as other tools write them and as we do.

What is read is only parsed and looked up in the index. No line of it is ever run, and no path or
address of it is used.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import os
import re
import shlex
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from .arguments import known_texts
from .cohort import Cohort
from .conditions import OneOf
from .engine import Engine
from .errors import InvalidQueryError, unknown
from .uids import MOST_UIDS, find_uids, is_uid, split_uids
from .units import human_size, plural

if TYPE_CHECKING:
    import pyarrow as pa

    from .selection import Selection

__all__ = ["Manifest", "ManifestFormat", "UnknownLine", "read_manifest", "write_manifest"]

ManifestFormat: TypeAlias = Literal["s5cmd", "csv", "uids"]

#: Larger is no manifest: one with all of IDC's series is 70 MB.
MOST_BYTES = 200_000_000
#: In characters.
LONGEST_LINE = 1_000_000

#: IDC's buckets at AWS, and at Google; the last one in manifests from before 2023.
BUCKETS = frozenset(
    (
        *("idc-open-data", "idc-open-data-cr", "idc-open-data-two"),
        *("idc-open-cr", "idc-open-idc1", "public-datasets-idc"),
    )
)

_EXPECTED = (
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


@dataclass(frozen=True, repr=False)
class Manifest:
    """What a manifest means in this version of the index."""

    #: The series that are known.
    selection: Selection
    #: The other lines, by number. A line that names several things may be there several times.
    unknown: tuple[UnknownLine, ...]

    def __str__(self) -> str:
        """In words.

        >>> str(client.read_manifest("manifest.s5cmd"))
        "312 series; 1 line is not known: line 7: the command 'rm': only cp and sync are read"
        """
        words = plural(len(self.selection), "series")
        if not self.unknown:
            return words
        lines = len({one.number for one in self.unknown})
        shown = "; ".join(map(str, self.unknown[:3]))
        more = f"; and {len(self.unknown) - 3:,} more" if len(self.unknown) > 3 else ""
        are = "is" if lines == 1 else "are"
        return f"{words}; {plural(lines, 'line')} {are} not known: {shown}{more}"

    __repr__ = __str__


def read_manifest(engine: Engine, source: str | os.PathLike[str]) -> Manifest:
    """Reads a manifest; arguments and errors as of `IDCClient.read_manifest`."""
    text = _text_of(source)
    entries: list[_Entry] = []
    unknowns: list[UnknownLine] = []
    for one in _parsed(engine, text):
        if isinstance(one, UnknownLine):
            unknowns.append(one)
        else:
            entries.append(one)
    series, not_found = _look_up(engine, entries)
    unknowns = sorted([*unknowns, *not_found], key=lambda one: one.number)
    if not series and not any(_kind(one.value) or one.collection for one in entries):
        # A list of nothing, as we write one of an empty selection, has a header or a comment.
        if unknowns:
            first = unknowns[0]
            shown = f"line {first.number:,} is {first.text[:80]!r} ({first.reason})"
            raise InvalidQueryError(f"nothing in it is known: {_EXPECTED}; {shown}")
        if not text.strip():
            raise InvalidQueryError(f"the manifest is empty: {_EXPECTED}")
    return Manifest(Cohort(engine).of_series(series).select(), tuple(unknowns))


# --- text ----------------------------------------------------------------------------------


def _text_of(source: str | os.PathLike[str]) -> str:
    anything: Any = source
    if not isinstance(anything, str | os.PathLike):
        raise InvalidQueryError(
            f"{str(source)[:80]!r} is neither a path nor the text of a manifest"
        )
    is_text = isinstance(source, str) and ("\n" in source or "\r" in source)
    if not is_text and os.path.isfile(source):
        try:
            with open(source, "rb") as file:
                _check_size(os.fstat(file.fileno()).st_size)
                text = _decoded(file.read(MOST_BYTES))
        except OSError as error:
            raise InvalidQueryError(f"{source} cannot be read: {error.strerror}") from error
    elif isinstance(source, str) and (is_text or any(map(_kind, split_uids(source)))):
        _check_size(len(source))
        text = source
    else:
        raise InvalidQueryError(f"{str(source)[:200]!r} is no file")
    # Not splitlines(): editors number lines by these alone.
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise InvalidQueryError(
            f"a manifest of {human_size(size)}; expected {human_size(MOST_BYTES)} at most"
        )


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


# --- what a line names ---------------------------------------------------------------------


class _Entry(NamedTuple):
    """Something to look up."""

    number: int
    #: The line, for messages.
    text: str
    #: "uid" (of a series or a study), or as in `_NAMES`.
    kind: str
    value: str
    collection: str = ""


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
_KEYS = ("series", "uuid", "url", "study", "patient")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r"(s3|gs|https?)://", re.IGNORECASE)
#: A text that a spreadsheet would take for a formula, made harmless as `_harmless` does.
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def _name(column: str) -> str | None:
    return _name_of(column[:100])


@functools.lru_cache(1000)
def _name_of(column: str) -> str | None:
    return _NAMES.get(re.sub(r"[\W_]+", "", column).casefold())


def _kind(text: str) -> str | None:
    """What an identifier looks like; None if like none."""
    if is_uid(text):
        return "uid"
    if _UUID.fullmatch(text):
        return "uuid"
    return "url" if _ADDRESS.match(text) else None


def _unknown(number: int, text: str, reason: str) -> UnknownLine:
    text = text.strip()
    text = text if len(text) <= 200 else text[:199] + "…"
    return UnknownLine(number, "".join(c if c.isprintable() else "\ufffd" for c in text), reason)


def _strange(text: str) -> str:
    return f"{text[:80]!r} is no UID, crdc_series_uuid or address of a series"


# --- formats -------------------------------------------------------------------------------


def _parsed(engine: Engine, text: str) -> Iterator[_Entry | UnknownLine]:
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


def _line(number: int, line: str) -> Iterator[_Entry | UnknownLine]:
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
        if not isinstance(found, _Problem):
            yield _Entry(number, line, "url", found)
            return
        problem = found.reason
    if problem is None:
        pieces = split_uids(line)
        kinds = [_kind(piece) for piece in pieces]
        if len(pieces) == 1 or (pieces and None not in kinds):
            for piece, kind in zip(pieces, kinds, strict=True):
                yield _Entry(number, piece, kind or "uid", piece)
            return
        problem = _strange(pieces[kinds.index(None)] if pieces else line)
    yield _unknown(number, line, problem)


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


class _Problem(NamedTuple):
    reason: str


def _words(line: str) -> list[str]:
    """What shlex.split gives for a line of plain and quoted words, in a tenth of the time."""
    return [word.strip("\"'") for word in _WORD.findall(line)]


def _source(line: str) -> str | _Problem:
    """The address that a command of s5cmd copies from; the destination is ignored."""
    if "`" in line or "$(" in line:
        return _Problem("it would have a shell run something")
    bare = _QUOTED.sub("", line) if '"' in line or "'" in line else line
    found = _SHELL.search(bare)
    if found:
        return _Problem(f"it holds {found[0]!r}, as commands of a shell do")
    try:
        words = shlex.split(line) if '"' in bare or "'" in bare or "\\" in line else _words(line)
    except ValueError:
        return _Problem("a quote is not closed")
    words.reverse()
    command, given = "", []
    while words:
        word = words.pop()
        if word.startswith("-"):
            option = word.split("=")[0]
            if option in _PARTIAL:
                return _Problem(f"{option} names some of the files, and only series are read")
            if option in _VALUED and "=" not in word and words:
                words.pop()
        elif not command:
            command = "" if word == "s5cmd" else word
            if command not in ("", "cp", "sync"):
                return _Problem(f"the command {command[:80]!r}: only cp and sync are read")
        else:
            given.append(word)
    if not 1 <= len(given) <= 2:
        return _Problem(f"{len(given):,} arguments; expected the address of a series and a folder")
    if not _ADDRESS.match(given[0]):
        return _Problem(f"{given[0][:80]!r} is not the address of a series")
    for destination in given[1:]:
        if _ADDRESS.match(destination):
            return _Problem(f"it would write to {destination[:80]!r}")
        if ".." in re.split(r"[/\\]", destination):
            return _Problem(f"its folder {destination[:80]!r} leads elsewhere")
    return given[0]


# .tcia

_TCIA_LIST = "listofseriestodownload="


def _tcia(lines: Sequence[str]) -> Iterator[_Entry | UnknownLine]:
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
            if any(name in _KEYS for name in names) and not any(map(_kind, cells)):
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
            ("uuid", {cell for cell in cells if _kind(cell) == "uuid"}),
            ("url", {cell for cell in cells if _kind(cell) == "url"}),
            ("study", known_texts(engine, "StudyInstanceUID", uids)),
        ):
            found = [not meant.isdisjoint(column) for column in zip(*rows, strict=True)]
            if any(found):  # in several columns: a list, of which all is meant
                names = [name if one else None for one in found]
                return (0, delimiter, names) if sum(found) == 1 else None
    return None


def _table(
    lines: Sequence[str], start: int, delimiter: str, names: Sequence[str | None]
) -> Iterator[_Entry | UnknownLine]:
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
            yield _unknown(number, line, _too_long(line))
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
        if len(rows) == 1 and len(rows[0]) == width and not any(map(_kind, swallowed)):
            return [cell.strip() for cell in rows[0]], end
        return None
    return None


def _of_row(number: int, text: str, row: Mapping[str, str]) -> _Entry | UnknownLine:
    """The entry of a row: the most exact of its keys."""
    for key in _KEYS:
        value = row.get(key, "")
        if _DEFUSED.match(value):
            value = value[1:]
        if not value:
            continue
        if key != "patient":
            return _Entry(number, text, key, value)
        collection = row.get("collection", "")
        if not collection:
            return _unknown(number, text, "a PatientID needs a collection_id beside it")
        return _Entry(number, text, key, value, collection)
    return _unknown(number, text, "nothing in this row names a series, a study or a patient")


# JSON


def _json(text: str) -> Iterator[_Entry | UnknownLine] | None:
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
        raise InvalidQueryError(f"nothing in this JSON is known: {_EXPECTED}")
    return iter(entries)


def _json_lines(text: str) -> Iterator[_Entry | UnknownLine]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        problem = _unreadable(line)
        content = None if problem else _loaded_or_none(line)
        if content is None:
            yield _unknown(number, line, problem or "it is no JSON")
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
) -> Iterator[_Entry | UnknownLine]:
    """The entries in JSON: texts in lists, and objects with keys as the columns of tables."""
    stack: list[tuple[str | None, object]] = [("uid", content)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, list):
            stack.extend((key, one) for one in reversed(value))
        elif isinstance(value, dict):
            named = {_name(name): one for name, one in value.items() if isinstance(one, str)}
            row = {name: one.strip() for name, one in named.items() if name and one.strip()}
            if not row.keys().isdisjoint(_KEYS):
                first = next(row[name] for name in _KEYS if name in row)
                yield _of_row(line_of.get(first, number), first, row)
            within = [(name, one) for name, one in value.items() if isinstance(one, list | dict)]
            stack.extend((_name(name), one) for name, one in reversed(within))
        elif isinstance(value, str):
            kind = _kind(value.strip())
            if key is not None or kind is not None:  # lists of other things are no manifest
                kind = kind if key in (None, "uid") else key
                where = line_of.get(value, number)
                yield _Entry(where, value, kind or "uid", value.strip())
        elif key is not None:
            reason = "it is a number or the like; expected text in quotes"
            yield _unknown(number, str(value), reason)


# --- looking up ----------------------------------------------------------------------------


def _look_up(engine: Engine, entries: Iterable[_Entry]) -> tuple[set[str], list[UnknownLine]]:
    """The series that are meant, and what is not known."""
    texts: dict[str, dict[str, None]] = {kind: {} for kind in ("uid", *_KEYS)}
    readable, unknowns = [], []
    for one in entries:
        if one.value.isprintable() and one.collection.isprintable():
            texts[one.kind][one.value] = None
            readable.append(one)
        else:
            odd = "it holds characters that no identifier has"
            unknowns.append(_unknown(one.number, one.text, odd))
    series, uid_reasons = _look_up_uids(engine, texts)
    found, address_reasons = _look_up_addresses(engine, texts)
    series |= found
    pairs = {(one.collection, one.value) for one in readable if one.kind == "patient"}
    found, strangers = _look_up_patients(engine, pairs)
    series |= found
    reason: str | None
    for one in readable:
        if one.kind == "patient":
            reason = strangers.get((one.collection, one.value))
        elif one.kind in ("uuid", "url"):
            reason = address_reasons.get(one.value)
        else:
            reason = uid_reasons.get((one.kind, one.value))
        if reason is not None:
            unknowns.append(_unknown(one.number, one.text, reason))
    return series, unknowns


_Texts: TypeAlias = Mapping[str, Mapping[str, None]]


def _look_up_uids(engine: Engine, texts: _Texts) -> tuple[set[str], dict[tuple[str, str], str]]:
    """The series of the UIDs, and why not of (kind, UID)."""
    series = known_texts(engine, "SeriesInstanceUID", [*texts["series"], *texts["uid"]])
    others = [uid for uid in texts["uid"] if uid not in series]
    studies = known_texts(engine, "StudyInstanceUID", [*texts["study"], *others])
    known = {"series": series, "study": studies, "uid": series | studies}
    rest = [(kind, uid) for kind in known for uid in texts[kind] if uid not in known[kind]]
    right = sorted({uid for _, uid in rest if is_uid(uid)})
    prior: dict[str, int] = {}
    for start in range(0, len(right), MOST_UIDS):
        prior.update(find_uids(engine, right[start : start + MOST_UIDS]).prior)
    words = {"series": "series", "study": "study", "uid": "series or study"}
    reasons = {}
    for kind, uid in rest:
        if uid in prior:
            reasons[kind, uid] = f"only prior versions of IDC had it, until v{prior[uid]}: {uid}"
        elif is_uid(uid):
            reasons[kind, uid] = f"no {words[kind]} of data {engine.data_version} is {uid}"
        else:
            reasons[kind, uid] = _strange(uid)
    of_studies = {uid for uid in studies if uid in texts["study"] or uid not in series}
    meant = {uid for uid in series if uid in texts["series"] or uid in texts["uid"]}
    if of_studies:
        meant.update(Cohort(engine).of_studies(of_studies).select().uids)
    return meant, reasons


def _look_up_patients(
    engine: Engine, pairs: Iterable[tuple[str, str]]
) -> tuple[set[str], dict[tuple[str, str], str]]:
    wanted = set(pairs)
    if not wanted:
        return set(), {}
    rows = _rows(engine, ("collection_id", "PatientID"), "PatientID", {one for _, one in wanted})
    known = wanted.intersection(rows)
    reasons = {
        pair: f"no patient {pair[1][:80]!r} in a collection {pair[0][:80]!r}"
        for pair in wanted - known
    }
    return set(Cohort(engine).of_patients(known).select().uids if known else ()), reasons


def _look_up_addresses(engine: Engine, texts: _Texts) -> tuple[set[str], dict[str, str]]:
    """The series of crdc_series_uuids and addresses, and why not of them."""
    reasons: dict[str, str] = {}
    uuid_of: dict[str, str] = {}
    exact: dict[str, str] = {}  # as the index would have it; for tables of one's own
    for text in texts["uuid"]:
        if _UUID.fullmatch(text):
            uuid_of[text] = text.lower()
        else:
            reasons[text] = f"{text[:80]!r} is no crdc_series_uuid"
    for text in texts["url"]:
        found = _address(text)
        if isinstance(found, _Problem):
            reasons[text] = found.reason
            continue
        bucket, key = found
        exact[text] = f"s3://{bucket}/{key.rstrip('*').rstrip('/')}/*"
        problem = _no_series(bucket, key)
        if problem is None:
            uuid_of[text] = key[:36].lower()
        else:
            reasons[text] = problem
    series_of = dict(
        _rows(
            engine,
            ("crdc_series_uuid", "SeriesInstanceUID"),
            "crdc_series_uuid",
            set(uuid_of.values()),
        )
    )
    by_address = _rows(
        engine,
        ("series_aws_url", "SeriesInstanceUID"),
        "series_aws_url",
        {exact[text] for text in exact if uuid_of.get(text) not in series_of},
    )
    there = {address for address, _ in by_address}
    missing = {
        text: one
        for text, one in uuid_of.items()
        if one not in series_of and exact.get(text) not in there
    }
    prior = _prior_uuids(engine, set(missing.values()))
    for text, one in missing.items():
        default = f"no series of data {engine.data_version} has the crdc_series_uuid {one}"
        reasons[text] = prior.get(one, default)
    for text, address in exact.items():
        if address in there:
            reasons.pop(text, None)
    return {*series_of.values(), *(uid for _, uid in by_address)}, reasons


_HOSTS = (
    re.compile(r"(?:s3|gs)://([^/]+)/(.*)", re.IGNORECASE),
    re.compile(
        r"https?://([a-z0-9.-]+)\.(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com|storage\.googleapis\.com)"
        r"/(.*)",
        re.IGNORECASE,
    ),
    re.compile(
        r"https?://(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com|storage\.(?:googleapis|cloud\.google)"
        r"\.com)/([^/]+)/(.*)",
        re.IGNORECASE,
    ),
)
_KEY = re.compile(rf"{_UUID.pattern}(/|/\*|/\*\.dcm)?", re.IGNORECASE)


def _address(text: str) -> tuple[str, str] | _Problem:
    """The bucket and the key of an address."""
    for host in _HOSTS:
        found = host.fullmatch(text)
        if found:
            return found[1], found[2]
    return _Problem(f"{text[:80]!r} is not the address of a series at AWS or Google")


def _no_series(bucket: str, key: str) -> str | None:
    """Why an address is not that of one series of IDC; None if it is."""
    if ".." in key.split("/"):
        return f"its path {key[:80]!r} leads elsewhere"
    if not _KEY.fullmatch(key):
        if re.search(r"[*?\[]", key.removesuffix("*")):
            return f"{key[:80]!r} is a pattern; expected one series, <crdc_series_uuid>/*"
        return f"{key[:80]!r} is not all of one series; expected <crdc_series_uuid>/*"
    return None if bucket in BUCKETS else f"{bucket[:80]!r} is not a bucket of IDC"


def _prior_uuids(engine: Engine, uuids: set[str]) -> dict[str, str]:
    """What to say of those that a prior version of IDC had."""
    if not uuids or "prior_versions_index" not in engine.tables():
        return {}
    columns = ("crdc_series_uuid", "SeriesInstanceUID", "max_idc_version")
    last: dict[str, tuple[int, str]] = {}
    for one, uid, version in _rows(engine, columns, columns[0], uuids, "prior_versions_index"):
        last[one] = max(last.get(one, (0, "")), (version, uid))
    current = known_texts(engine, "SeriesInstanceUID", {uid for _, uid in last.values()})
    return {
        one: (
            f"what series {uid} was until v{version}; it has changed since"
            if uid in current
            else f"only prior versions of IDC had it, until v{version}: series {uid}"
        )
        for one, (version, uid) in last.items()
    }


def _rows(
    engine: Engine, columns: Sequence[str], column: str, values: set[str], table: str = "index"
) -> list[Any]:
    """These columns, all distinct, of the rows with one of these values in a column."""
    if not values:
        return []
    params: list[object] = []

    def bind(value: object) -> str:
        params.append(value)
        return "?"

    where = OneOf(column, tuple(sorted(values))).sql(bind)
    return engine.rows(f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {where}", params)


# --- writing -------------------------------------------------------------------------------

_SUFFIXES: Mapping[str, ManifestFormat] = {
    "": "s5cmd",
    ".s5cmd": "s5cmd",
    ".csv": "csv",
    ".txt": "uids",
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "s5cmd": ("series_aws_url",),
    "csv": (
        *("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"),
        *("crdc_series_uuid", "series_aws_url", "license_short_name"),
        *("instanceCount", "series_size_MB"),
    ),
    "uids": ("SeriesInstanceUID",),
}


def write_manifest(
    cohort: Cohort, path: str | os.PathLike[str], format: ManifestFormat | None = None
) -> Path:
    """Writes a manifest of a cohort; arguments and errors as of `Selection.to_manifest`."""
    target = Path(path)
    if format is None:
        if target.suffix.casefold() not in _SUFFIXES:
            raise InvalidQueryError(
                f"which format {target.name!r} is to have is not known: expected a name that ends "
                'in .s5cmd, .csv or .txt, or format="s5cmd", "csv" or "uids"'
            )
        format = _SUFFIXES[target.suffix.casefold()]
    elif format not in _COLUMNS:
        raise InvalidQueryError(unknown("format", format, _COLUMNS))
    where, params = cohort.predicate
    table = cohort.engine.query(
        f"SELECT {', '.join(_COLUMNS[format])} FROM index WHERE {where} ORDER BY SeriesInstanceUID",
        params,
    )
    write = {"s5cmd": _s5cmd_lines, "csv": _csv_lines, "uids": _uid_lines}[format]
    lines = write(table, cohort.engine.data_version, target.name)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def _values(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _s5cmd_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    today = datetime.now(timezone.utc).date().isoformat()
    run = f"s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run {shlex.quote(name)}"
    for comment in (
        f"{plural(table.num_rows, 'series')} of the NCI Imaging Data Commons, data {data_version}, "
        f"written on {today} by idc_widgets",
        "To download them into this folder, install s5cmd (https://github.com/peak/s5cmd) and run:",
        f"  {run}",
    ):
        # Names are others' to choose, and a line end in one must not begin a command.
        yield f"# {''.join(c if c.isprintable() else '?' for c in comment)}\n"
    for (url,) in _values(table):
        # A manifest is run by other programs: nothing but an address may get into it.
        if url is None or not re.fullmatch(r"s3://[A-Za-z0-9\-_./*]+", url):
            raise InvalidQueryError(f"{url!r} is not the address of a series in S3")
        yield f"cp {url} .\n"


def _csv_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    line: list[str] = []

    class _Line:
        def write(self, text: str) -> None:
            line.append(text)

    writer = csv.writer(_Line(), lineterminator="\n")
    for row in itertools.chain([table.column_names], _values(table)):
        writer.writerow([_harmless(value) if isinstance(value, str) else value for value in row])
        yield line.pop()


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _uid_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    for (uid,) in _values(table):
        if uid.startswith("#") or split_uids(uid) != [uid] or not uid.isprintable():
            raise InvalidQueryError(f"{uid!r} cannot be in a list of UIDs")
        yield f"{uid}\n"
