"""Write manifests: commands for s5cmd, tables for spreadsheets, and lists of UIDs."""

from __future__ import annotations

import csv
import itertools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ..._util import one_line, plural, write_whole
from ...errors import InvalidQueryError, unknown_message
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


def write_manifest(
    cohort: Cohort, path: str | os.PathLike[str], format: ManifestFormat | None = None
) -> Path:
    """Write a manifest of a cohort; arguments and errors are those of `Selection.to_manifest`."""
    target = expand_home(path)
    if format is None:
        if target.suffix.casefold() not in _SUFFIXES:
            endings = _alternatives(filter(None, _SUFFIXES))
            formats = _alternatives(f'"{name}"' for name in _WRITERS)
            raise InvalidQueryError(
                f"the format of {target.name!r} is not clear: expected a name that ends in "
                f"{endings}, or format={formats}"
            )
        format = _SUFFIXES[target.suffix.casefold()]
    if format not in _WRITERS:
        raise InvalidQueryError(unknown_message("format", format, _WRITERS))
    writer = _WRITERS[format]
    where, params = cohort.predicate
    table = cohort.engine.query(
        f"SELECT {', '.join(writer.columns)} FROM index WHERE {where} ORDER BY SeriesInstanceUID",
        params,
    )
    write_whole(target, writer.lines(table, cohort.engine.data_version, target.name))
    return target


def _alternatives(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _s5cmd_lines(table: pa.Table, data_version: str, name: str) -> Iterator[str]:
    today = datetime.now(timezone.utc).date().isoformat()
    run = f"s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run {shlex.quote(name)}"
    for comment in (
        f"{_title(table, data_version)}, written on {today} by idc_widgets",
        "To download them into this folder, install s5cmd (https://github.com/peak/s5cmd) and run:",
        f"  {run}",
    ):
        yield _comment(comment)
    for (url,) in _rows(table):
        # Other programs run this manifest, so it must contain nothing but addresses.
        if url is None or not re.fullmatch(r"s3://[A-Za-z0-9\-_./*]+", url):
            raise InvalidQueryError(f"{url!r} is not the address of a series in S3")
        yield f"cp {url} .\n"


def _title(table: pa.Table, data_version: str) -> str:
    return (
        f"{plural(table.num_rows, 'series')} of the NCI Imaging Data Commons, data {data_version}"
    )


def _comment(text: str) -> str:
    # If the name of a file or a data version has a line end, the rest must not become a command.
    return f"# {one_line(text)}\n"


def _csv_lines(table: pa.Table, _data_version: str, _name: str) -> Iterator[str]:
    line: list[str] = []

    class _Line:
        def write(self, text: str) -> None:
            line.append(text)

    writer = csv.writer(_Line(), lineterminator="\n")
    for row in itertools.chain([table.column_names], _rows(table)):
        cells = (_escape_formula(cell) if isinstance(cell, str) else cell for cell in row)
        writer.writerow(list(cells))
        yield line.pop()


#: A text that a spreadsheet would take for a formula, or that already has an added apostrophe.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def _escape_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _uid_lines(table: pa.Table, data_version: str, _name: str) -> Iterator[str]:
    if not table.num_rows:  # without a comment, the file would be empty, as after a failed write
        yield _comment(_title(table, data_version))
    for (uid,) in _rows(table):
        if uid.startswith("#") or split_uids(uid) != [uid] or not uid.isprintable():
            raise InvalidQueryError(
                f"the SeriesInstanceUID {uid!r} cannot be written into a list of UIDs, where it "
                'would not read as one UID; use format="csv"'
            )
        yield f"{uid}\n"


class _Writer(NamedTuple):
    """A format: its columns and its lines.

    Args:
        columns: The columns of the index that it needs.
        lines: Yields the lines, given the rows, the data version and the name of the file.
    """

    columns: tuple[str, ...]
    lines: Callable[[pa.Table, str, str], Iterator[str]]


_WRITERS: Mapping[str, _Writer] = {
    "s5cmd": _Writer(("series_aws_url",), _s5cmd_lines),
    "csv": _Writer(
        (
            *("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"),
            *("crdc_series_uuid", "series_aws_url", "license_short_name"),
            *("instanceCount", "series_size_MB"),
        ),
        _csv_lines,
    ),
    "uids": _Writer(("SeriesInstanceUID",), _uid_lines),
}
