"""Everything about a row of a grid, as the panel of details shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from urllib.parse import quote

from .._util import is_non_commercial, plain_text, plural
from ..client import IDCClient
from ..errors import InvalidQueryError, unknown_message
from ..index import COLLECTION_FACETS, COLUMNS, LEVELS, column_info, read_schema
from ..query import (
    Cohort,
    DataSource,
    Window,
    collection_sources,
    collection_values,
    result_sources,
    row_source,
)
from ..selection import filters_as_code, slide_studies, viewer_url
from .cell_text import MISSING, cell_text
from .state import narrow

__all__ = ["MAX_SERIES", "VIEWER_COLUMNS", "RowContent", "row_code", "row_content", "viewer_links"]

#: Maximum number of series of a row that are read. The largest patient of IDC 25 has 2,756 series.
MAX_SERIES = 5_000
#: Maximum number of values that are shown of a column, if the series of a row have several.
MAX_VALUES = 5
#: Maximum numbers of studies with a link to the viewer, and of data sets with a description.
MAX_LINKS = 10
#: Maximum characters of a value, a title, a description, and a citation.
MAX_VALUE_CHARACTERS, MAX_TITLE_CHARACTERS = 1_000, 300
MAX_DESCRIPTION_CHARACTERS, MAX_CITATION_CHARACTERS = 4_000, 2_000

#: The columns that `viewer_links` needs.
VIEWER_COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "StudyDate")

_DOI = re.compile(r"10\.\d{4,9}/[!-~]{1,200}")


class Field(TypedDict):
    """A column. ``values`` are texts with their numbers of series, the most frequent first.

    A missing value among several is "–". Without values, ``more`` is 0 if all are missing, or the
    number of series if each has a value of its own.
    """

    name: str
    label: str
    kind: str
    description: str
    values: list[tuple[str, int]]
    more: int


class Collection(TypedDict):
    """The collection of a row."""

    id: str
    title: str
    description: str
    facts: list[tuple[str, str]]


class Source(TypedDict):
    """A data set with series of the row. ``doi_url`` is "" if its DOI is missing or is no DOI."""

    kind: str
    id: str
    title: str
    description: str
    license: str
    non_commercial: bool
    citation: str
    doi: str
    doi_url: str


class RowContent(TypedDict):
    """Everything about a row. All texts are plain; the addresses begin with "https://".

    ``title`` and ``summary`` say what the row is. ``identifier`` is a label and a value, ``code``
    is Python code for the cohort of the row, ``viewers`` are labels and addresses.
    """

    title: str
    summary: str
    identifier: tuple[str, str]
    code: str
    viewers: list[tuple[str, str]]
    more_viewers: int
    fields: list[Field]
    collection: Collection
    sources: list[Source]
    more_sources: int


def row_content(client: IDCClient, level: str, key: Any) -> RowContent:
    """Return everything about a row of a grid.

    Args:
        client: The data.
        level: "patient", "study" or "series".
        key: A pair (collection_id, PatientID) for a patient, else the UID.

    Raises:
        InvalidQueryError: There is no such level or row.
    """
    if level not in LEVELS:
        raise InvalidQueryError(unknown_message("level", level, LEVELS))
    cohort = narrow(client.cohort(), level, (key,))
    series = row_source(cohort, "series").window(0, MAX_SERIES)
    if not series["SeriesInstanceUID"]:
        raise InvalidQueryError(f"there is no {level} {key!r}; expected the key of a row")
    row = series if level == "series" else row_source(cohort, level).window(0, 1)
    viewers = viewer_links(client, series, is_whole=level != "series")
    of_collection = collection_sources(client.engine, str(series["collection_id"][0]))
    sources = _sources(client, series, of_collection[1:])
    column = LEVELS[level].key[-1]
    return {
        "title": f"{level.capitalize()} details",
        "summary": _summary(level, row, series),
        "identifier": (column_info(column).label, str(series[column][0])),
        "code": row_code(cohort),
        "viewers": viewers[:MAX_LINKS],
        "more_viewers": max(0, len(viewers) - MAX_LINKS),
        "fields": _fields(level, row, series),
        "collection": _collection(client, str(series["collection_id"][0]), of_collection[:1]),
        "sources": sources[:MAX_LINKS],
        "more_sources": max(0, len(sources) - MAX_LINKS),
    }


# --- the row -------------------------------------------------------------------------------


def _summary(level: str, row: Window, series: Window) -> str:
    """Return one line that says what a row is."""

    def values(name: str) -> str | None:
        texts = {cell_text("text", value, MAX_VALUE_CHARACTERS) for value in series[name]}
        return ", ".join(sorted(filter(None, texts))[:MAX_VALUES]) or None

    def count(name: str, noun: str) -> str | None:
        return None if row[name][0] is None else plural(row[name][0], noun)

    parts = {
        "patient": lambda: [values("PatientSex"), values("PatientAge"), count("studies", "study")],
        "study": lambda: [values("Modality"), values("StudyDescription"), values("StudyDate")],
        "series": lambda: [values("Modality"), values("SeriesDescription")],
    }[level]()
    is_series = level == "series"
    parts.append(count("instanceCount", "file") if is_series else count("series", "series"))
    parts.append(
        cell_text(
            "size", row["series_size_MB" if is_series else "size_MB"][0], MAX_TITLE_CHARACTERS
        )
    )
    return " · ".join(filter(None, parts))


def _fields(level: str, row: Window, series: Window) -> list[Field]:
    """Return the columns of a level, and then the other columns of the index."""
    schema = read_schema("index")
    described = schema.columns if schema is not None else {}
    names = dict.fromkeys((*LEVELS[level].columns, *COLUMNS))
    if level != "series":  # the row has their sums
        del names["instanceCount"], names["series_size_MB"]
    return [
        _field(name, series[name] if name in series else row[name], described) for name in names
    ]


def _field(name: str, values: list[Any], described: Mapping[str, tuple[str, str]]) -> Field:
    info = column_info(name)
    counts = Counter(values)
    shown = counts.most_common(MAX_VALUES)
    if len(counts) == len(values) > MAX_VALUES:
        shown = []
    texts = [(cell_text(info.kind, value, MAX_VALUE_CHARACTERS), count) for value, count in shown]
    is_missing = len(texts) == 1 and texts[0][0] is None
    return {
        "name": name,
        "label": info.label,
        "kind": info.kind,
        "description": described[name][1] if name in described else info.description,
        "values": [] if is_missing else [(text or MISSING, count) for text, count in texts],
        "more": len(counts) - len(texts),
    }


# --- what can be done with it --------------------------------------------------------------


def row_code(cohort: Cohort) -> str:
    """Return Python code that selects the series of a row."""
    return f"client.cohort({filters_as_code(cohort)}).select()"


def viewer_links(client: IDCClient, series: Window, *, is_whole: bool) -> list[tuple[str, str]]:
    """Return labels and addresses of the viewer, one for each study.

    Args:
        client: The data.
        series: The series of a row, with `VIEWER_COLUMNS`.
        is_whole: Whether to show all series of each study. An address that lists them may be too
            long for the viewer.
    """
    studies: dict[str, list[str]] = {}
    dates: dict[str, str] = {}
    for study, uid, date in zip(*(series[name] for name in VIEWER_COLUMNS), strict=True):
        studies.setdefault(study, []).append(uid)
        dates.setdefault(study, date or study)
    slides = slide_studies(client.engine, studies)
    return [
        (
            "Open in the viewer" if len(studies) == 1 else f"View study {dates[study]}",
            viewer_url(study, () if is_whole else uids, is_of_slides=study in slides),
        )
        for study, uids in studies.items()
    ]


# --- where it comes from -------------------------------------------------------------------


def _collection(client: IDCClient, collection: str, described: list[DataSource]) -> Collection:
    """Return the collection of a row; of one that is not described, only the identifier."""
    whole = described[0] if described else DataSource("")
    values = {
        name: collection_values(client.engine, name).get(collection, ())
        for name in COLLECTION_FACETS
    }
    return {
        "id": collection,
        "title": plain_text(whole.title, MAX_TITLE_CHARACTERS),
        "description": plain_text(whole.description, MAX_DESCRIPTION_CHARACTERS),
        "facts": [
            (column_info(name).label, plain_text(", ".join(texts), MAX_VALUE_CHARACTERS))
            for name, texts in values.items()
            if texts
        ],
    }


def _sources(
    client: IDCClient, series: Window, of_collection: Iterable[DataSource]
) -> list[Source]:
    """Return the data sets of the series, those with most series first.

    Args:
        client: The data.
        series: The series.
        of_collection: The data sets of their collection.
    """
    columns = ("analysis_result_id", "source_DOI", "license_short_name")
    counts = Counter(zip(*(series[name] for name in columns), strict=True))
    results = result_sources(client.engine, {result for result, *_ in counts if result})
    by_doi = {source.doi.casefold(): source for source in of_collection if source.doi}
    sources = []
    for (result, doi, license_), _count in counts.most_common():
        if result:
            described = results.get(result, DataSource(""))
        else:
            described = by_doi.get((doi or "").casefold(), DataSource(""))
        sources.append(_source(result or "", doi or described.doi, license_ or "", described))
    return sources


def _source(result: str, doi: str, license_: str, described: DataSource) -> Source:
    return {
        "kind": "Analysis result" if result else "Collection",
        "id": cell_text("text", result, MAX_VALUE_CHARACTERS) or "",
        "title": plain_text(described.title, MAX_TITLE_CHARACTERS),
        "description": plain_text(described.description, MAX_DESCRIPTION_CHARACTERS),
        "license": cell_text("text", license_, MAX_VALUE_CHARACTERS) or "",
        "non_commercial": is_non_commercial(license_),
        "citation": plain_text(described.citation, MAX_CITATION_CHARACTERS),
        "doi": cell_text("text", doi, MAX_VALUE_CHARACTERS) or "",
        "doi_url": doi_url(doi),
    }


def doi_url(doi: str) -> str:
    """Return the address of a DOI; "" if the text is not a DOI.

    >>> doi_url("10.7937/k9/tcia.2015.pf0m9rei"), doi_url("javascript:alert(1)")
    ('https://doi.org/10.7937/k9/tcia.2015.pf0m9rei', '')
    """
    return f"https://doi.org/{quote(doi)}" if _DOI.fullmatch(doi) else ""
