"""Manifests of a cohort: for s5cmd, for spreadsheets, and lists of UIDs."""

from __future__ import annotations

import csv
import itertools
import os
import re
import shlex
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..._util import plural
from ...errors import InvalidQueryError, unknown
from ...query import Cohort
from ..files import expand_home
from ..identifiers import split_uids

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ManifestFormat", "write_manifest"]

ManifestFormat: TypeAlias = Literal["s5cmd", "csv", "uids"]

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
    target = Path(expand_home(path))
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
        f"{_what(table, data_version)}, written on {today} by idc_widgets",
        "To download them into this folder, install s5cmd (https://github.com/peak/s5cmd) and run:",
        f"  {run}",
    ):
        yield _comment(comment)
    for (url,) in _values(table):
        # A manifest is run by other programs: nothing but an address may get into it.
        if url is None or not re.fullmatch(r"s3://[A-Za-z0-9\-_./*]+", url):
            raise InvalidQueryError(f"{url!r} is not the address of a series in S3")
        yield f"cp {url} .\n"


def _what(table: pa.Table, data_version: str) -> str:
    return (
        f"{plural(table.num_rows, 'series')} of the NCI Imaging Data Commons, data {data_version}"
    )


def _comment(text: str) -> str:
    # Names are others' to choose, and a line end in one must not begin a command.
    return f"# {''.join(c if c.isprintable() else '?' for c in text)}\n"


def _csv_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    line: list[str] = []

    class _Line:
        def write(self, text: str) -> None:
            line.append(text)

    writer = csv.writer(_Line(), lineterminator="\n")
    for row in itertools.chain([table.column_names], _values(table)):
        writer.writerow([_harmless(value) if isinstance(value, str) else value for value in row])
        yield line.pop()


#: What a spreadsheet would take for a formula.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _uid_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    if not table.num_rows:  # an empty file may be one that somebody failed to write
        yield _comment(_what(table, data_version))
    for (uid,) in _values(table):
        if uid.startswith("#") or split_uids(uid) != [uid] or not uid.isprintable():
            raise InvalidQueryError(f"{uid!r} cannot be in a list of UIDs")
        yield f"{uid}\n"
