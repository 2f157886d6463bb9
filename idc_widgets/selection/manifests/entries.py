"""What a line of a manifest can name, and how identifiers and names of columns are recognized."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ...query import is_uid, is_uuid

__all__ = [
    "ADDRESS",
    "EXPECTED",
    "KEYS",
    "MAX_LINE_CHARACTERS",
    "Entry",
    "Problem",
    "UnknownLine",
    "kind_of",
    "meaning_of",
    "not_an_identifier",
    "row_entry",
    "unknown_line",
]

MAX_LINE_CHARACTERS = 1_000_000
MAX_SHOWN_CHARACTERS = 200

EXPECTED = (
    "expected an s5cmd manifest, a table (CSV or TSV) with a column such as SeriesInstanceUID, "
    "JSON, a .tcia manifest, or a list of UIDs"
)


@dataclass(frozen=True)
class UnknownLine:
    """A line of a manifest that names no series of the index."""

    #: The first line has number 1.
    number: int
    #: The line, or the part of it that is not known; shortened.
    text: str
    #: Why it names no series, in words.
    reason: str

    def __str__(self) -> str:
        return f"line {self.number:,}: {self.reason}"


class Entry(NamedTuple):
    """An identifier in a manifest, to be looked up in the index."""

    number: int
    #: The line, or the part of it with the identifier, for messages.
    text: str
    #: "uid" (of a series or a study), or one of `KEYS`.
    kind: str
    value: str
    #: The collection_id of a patient.
    collection: str = ""


class Problem(NamedTuple):
    """Why a text names no series."""

    reason: str


#: What columns and keys of JSON contain, by their names in lower case without punctuation. IDC's
#: portal writes crdc_series_uuid (once series_uuid and gcs_url); TCIA writes "Series Instance UID"
#: or "Series UID".
_MEANINGS = {
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
#: The kinds of identifiers, the most exact first. Only the first that a row has is looked up.
KEYS = ("series", "uuid", "url", "study", "patient")

ADDRESS = re.compile(r"(s3|gs|https?)://", re.IGNORECASE)
#: Text with the apostrophe that `write` puts before what a spreadsheet takes for a formula.
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r]")


def meaning_of(column: str) -> str | None:
    """Return what a column or a key contains: one of `KEYS` or "collection"; None if unknown.

    >>> meaning_of("Series Instance UID"), meaning_of("PatientID"), meaning_of("Modality")
    ('series', 'patient', None)
    """
    return _meaning_of(column[:100])


@functools.lru_cache(1000)
def _meaning_of(column: str) -> str | None:
    return _MEANINGS.get(re.sub(r"[\W_]+", "", column).casefold())


def kind_of(text: str) -> str | None:
    """Return the kind of identifier that a text looks like: "uid", "uuid" or "url", or None.

    >>> kind_of("1.2.3"), kind_of("s3://idc-open-data/"), kind_of("nlst")
    ('uid', 'url', None)
    """
    if is_uid(text):
        return "uid"
    if is_uuid(text):
        return "uuid"
    return "url" if ADDRESS.match(text) else None


def unknown_line(number: int, text: str, reason: str) -> UnknownLine:
    """Return an UnknownLine whose text is short and printable."""
    text = text.strip()
    text = text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"
    return UnknownLine(number, "".join(c if c.isprintable() else "\ufffd" for c in text), reason)


def not_an_identifier(text: str) -> str:
    """Return the reason for a text that looks like no identifier."""
    return f"{text[:80]!r} is not a UID, a crdc_series_uuid or the address of a series"


def row_entry(number: int, text: str, row: Mapping[str, str]) -> Entry | UnknownLine:
    """Return the entry of a row of a table, for the most exact identifier that it has.

    Args:
        number: The number of the line.
        text: The line, for messages.
        row: The cells by the meanings of their columns.
    """
    for key in KEYS:
        value = row.get(key, "")
        if _ESCAPED_FORMULA.match(value):
            value = value[1:]
        if not value:
            continue
        if key != "patient":
            return Entry(number, text, key, value)
        collection = row.get("collection", "")
        if not collection:
            return unknown_line(number, text, "a PatientID needs a collection_id in the same row")
        return Entry(number, text, key, value, collection)
    return unknown_line(number, text, "nothing in this row names a series, a study or a patient")
