"""The entries of a manifest, and the forms of identifiers and column names in them."""

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
    "NotASeries",
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
    """A line of a manifest that names no series of the index.

    Args:
        number: The first line has number 1.
        text: The line, or the part of it that is not known; shortened.
        reason: The reason why it names no series.
    """

    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number:,}: {self.reason}"


class Entry(NamedTuple):
    """An identifier in a manifest, to be looked up in the index.

    Args:
        number: The number of the line.
        text: The line, or the part of it with the identifier, for messages.
        kind: "uid" (of a series or a study), or one of `KEYS`.
        value: The identifier.
        collection: The collection_id of a patient.
    """

    number: int
    text: str
    kind: str
    value: str
    collection: str = ""


class NotASeries(NamedTuple):
    """A text that names no series, and the reason why."""

    reason: str


#: Name of a column or a JSON key → its content. Names are in lower case without punctuation. IDC's
#: portal writes crdc_series_uuid (earlier: series_uuid and gcs_url); TCIA writes "Series Instance
#: UID" or "Series UID".
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
#: The kinds of identifiers, the most exact first. Of a row, only the first kind is looked up.
KEYS = ("series", "uuid", "url", "study", "patient")

ADDRESS = re.compile(r"(s3|gs|https?)://", re.IGNORECASE)
#: A text to which `write` has added an apostrophe, so that it is not a formula in a spreadsheet.
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r]")


def meaning_of(column: str) -> str | None:
    """Return what a column or a JSON key contains: one of `KEYS`, "collection" or None.

    >>> meaning_of("Series Instance UID"), meaning_of("PatientID"), meaning_of("Modality")
    ('series', 'patient', None)
    """
    return _meaning_of(column[:100])


@functools.lru_cache(1000)
def _meaning_of(column: str) -> str | None:
    return _MEANINGS.get(re.sub(r"[\W_]+", "", column).casefold())


def kind_of(text: str) -> str | None:
    """Return the kind of identifier that a text looks like: "uid", "uuid", "url" or None.

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
    """Return the reason for a text that does not look like an identifier."""
    return f"{text[:80]!r} is not a UID, a crdc_series_uuid or the address of a series"


def row_entry(number: int, text: str, row: Mapping[str, str]) -> Entry | UnknownLine:
    """Return the entry of a row of a table; it has the most exact identifier of the row.

    Args:
        number: The number of the line.
        text: The line, for messages.
        row: Meaning of a column → cell of the row.
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
