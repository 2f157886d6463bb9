"""Name the kind of an identifier that a column does not have."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ..errors import InvalidQueryError
from .engine import Engine, Parameters
from .identifier_forms import is_uid, is_uuid
from .known_values import known_texts

__all__ = ["PRIOR_TABLE", "identifier_hint"]

#: The table of the series that IDC has changed or removed.
PRIOR_TABLE = "prior_versions_index"

_UIDS = ("SeriesInstanceUID", "StudyInstanceUID")

#: Column → the columns in which a UID is searched that it does not have. Each search takes up to
#: 15 ms of CPU before the index is in memory, so it takes place only where it is likely to succeed.
_SEARCHED_FOR_UIDS = {
    "SeriesInstanceUID": ("StudyInstanceUID",),
    "StudyInstanceUID": ("SeriesInstanceUID",),
    "PatientID": ("SeriesInstanceUID", "StudyInstanceUID"),
    "crdc_series_uuid": ("SeriesInstanceUID",),
    "uids": ("PatientID",),
}

#: The columns in which a UID of earlier versions is searched.
_PRIOR_COLUMNS = (*_UIDS, "uids")

#: Columns of identifiers that are no UIDs. None of their values has the form of a UUID.
_NAMES = ("PatientID", "collection_id", "analysis_result_id", "source_DOI")

_IDENTIFIERS = (*_UIDS, *_NAMES, "crdc_series_uuid", "series_aws_url", "uids")

#: No value of a column of `_NAMES` is longer.
_MAX_NAME_CHARACTERS = 64


def identifier_hint(engine: Engine, column: str, text: str) -> str:
    """Return a hint about an identifier that a column does not have; an empty text without one.

    The hint says which kind of identifier the text is, or that only earlier versions of IDC had it.

    Args:
        engine: The engine whose tables are searched.
        column: A column of the index, or "uids" for a UID that no series and no study has.
        text: The identifier.

    >>> from idc_widgets import IDCClient
    >>> identifier_hint(IDCClient().engine, "StudyInstanceUID", "LUNG1-365")
    '; this is a PatientID, not a StudyInstanceUID'
    """
    if column not in _IDENTIFIERS:
        return ""
    if kind := _kind_in_index(engine, column, text):
        if kind == column:  # a UUID in upper case
            return f"; did you mean {text.lower()!r}?"
        return f"; this is {_with_article(kind)}, not {_with_article(column)}"
    if prior := _prior_kind(engine, column, text):
        kind, version = prior
        return (
            f"; only earlier versions of IDC had this {kind}, until v{version}: "
            f"call client.plan_prior({text!r}, folder)"
        )
    if is_uuid(text):
        return "; this has the form of a crdc_series_uuid" if column != "crdc_series_uuid" else ""
    if is_uid(text):
        return "" if column in (*_UIDS, "uids") else "; this has the form of a UID"
    return ""


def _with_article(kind: str) -> str:
    if kind == "uids":
        return "a UID of a series or study"
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def _kind_in_index(engine: Engine, column: str, text: str) -> str | None:
    """Return the column of the index that has an identifier; None if no column has it.

    Args:
        engine: The engine whose index is searched.
        column: The column that does not have the text itself.
        text: The identifier.
    """
    if is_uuid(text):
        found = known_texts(engine, "crdc_series_uuid", [text.lower()])
        return "crdc_series_uuid" if found else None
    others: Iterable[str] = ()
    if is_uid(text):
        others = _SEARCHED_FOR_UIDS.get(column, ())
    elif text.startswith("10."):
        others = ("source_DOI",)
    elif len(text) <= _MAX_NAME_CHARACTERS and text.isprintable():
        others = ("PatientID", "collection_id")
    for other in others:
        if other != column and known_texts(engine, other, [text]):
            return other
    return None


def _prior_kind(engine: Engine, column: str, text: str) -> tuple[str, int] | None:
    """Return the kind of an identifier of an earlier version of IDC, and the last such version.

    Args:
        engine: The engine whose tables are searched.
        column: The column that does not have the text; other columns are not meant for such texts.
        text: The identifier.
    """
    kinds: tuple[str, ...] = ()
    if is_uuid(text) and column == "crdc_series_uuid":
        kinds = ("crdc_series_uuid",)
    elif is_uid(text) and column in _PRIOR_COLUMNS:
        kinds = _UIDS
    if not kinds:
        return None
    params = Parameters()
    found = " OR ".join(f"{kind} = {params.bind(text.lower())}" for kind in kinds)
    # Listing the tables first would take longer than searching this one.
    with suppress(InvalidQueryError):  # there is no such table
        rows = engine.rows(
            f"SELECT {', '.join(kinds)}, max_idc_version FROM {PRIOR_TABLE} WHERE {found}", params
        )
        for index, kind in enumerate(kinds):
            versions = [row[-1] for row in rows if row[index] == text.lower()]
            if versions:
                return kind, max(versions)
    return None
