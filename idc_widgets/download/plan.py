"""Which object goes to which file: folder template, safe paths, checks before anything is written.

A path that this module plans is legal on Linux, macOS and Windows, never leaves the folder the
user chose, and belongs to one series alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import DownloadError, unknown
from ..units import human_size, plural
from . import disk

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DEFAULT_TEMPLATE", "DownloadPlan", "PlannedSeries"]

DEFAULT_TEMPLATE = "%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID"
"""Where a series goes below the chosen folder, unless told otherwise."""

DEFAULT_ENDPOINT = "https://s3.amazonaws.com"

_NEEDED = ("SeriesInstanceUID", "series_aws_url", "instanceCount", "series_size_MB")
_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)/(?P<prefix>[\w.-]+)/\*?", re.ASCII)

_MAX_COMPONENT = 255  # bytes; what ext4, APFS and NTFS allow
_MAX_PATH = {"win32": 259, "darwin": 1023}.get(sys.platform, 4095)
_FILE_NAME = 60  # bytes that a file name in the folder takes: "/<uuid>.dcm", and digits meanwhile

_FORBIDDEN = frozenset('/\\:*?"<>|')  # on Windows, and "/" everywhere
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I)


@dataclass(frozen=True, slots=True)
class PlannedSeries:
    """One series: where its objects are, and the folder that its files go to.

    Its objects are `s3://bucket/prefix/*`; it is complete when `folder` holds exactly `instances`
    files of `size_bytes` bytes altogether.
    """

    SeriesInstanceUID: str
    bucket: str
    prefix: str
    folder: Path
    instances: int
    size_bytes: int

    def is_complete(self, files: Mapping[str, int]) -> bool:
        """Whether `files`, name to size, are as many and as large as this series has."""
        return (len(files), sum(files.values())) == (self.instances, self.size_bytes)


@dataclass(frozen=True, repr=False)
class DownloadPlan:
    """An immutable plan of a download; make one with `DownloadPlan.make`."""

    series: tuple[PlannedSeries, ...]
    folder: Path
    endpoint_url: str

    @property
    def instances(self) -> int:
        """Files of all series."""
        return sum(series.instances for series in self.series)

    @property
    def size_bytes(self) -> int:
        """Bytes of all series, those already on disk included."""
        return sum(series.size_bytes for series in self.series)

    def __repr__(self) -> str:
        count, size = plural(len(self.series), "series"), human_size(self.size_bytes)
        return f"<DownloadPlan: {count}, {size}, from {self.endpoint_url} to {self.folder}>"

    def complete(self) -> dict[str, list[Path]]:
        """The files of the series that are complete on the disk now, by SeriesInstanceUID."""
        found = ((series, disk.dicom_files(series.folder)) for series in self.series)
        return {
            series.SeriesInstanceUID: [series.folder / name for name in sorted(files)]
            for series, files in found
            if series.is_complete(files)
        }

    @staticmethod
    def check_capacity(folder: str | os.PathLike[str], size_bytes: int) -> None:
        """Refuses what no tidying of the disk could make room for, before any row is read.

        Raises:
            DownloadError: the disk of `folder` is smaller than `size_bytes`.
        """
        disk.check_capacity(_root(folder), size_bytes)

    @classmethod
    def make(
        cls,
        rows: pa.Table,
        folder: str | os.PathLike[str],
        *,
        template: str = DEFAULT_TEMPLATE,
        endpoint_url: str | None = None,
        check_disk: bool = True,
    ) -> DownloadPlan:
        """Plan the download of `rows` into `folder`. Writes nothing that stays.

        Args:
            rows: one row a series, with the columns SeriesInstanceUID, series_aws_url
                (`s3://bucket/uuid/*`), instanceCount, series_size_MB (MB = 10^6 bytes) and those
                that the template names.
            folder: made when the download starts; `~` is the home folder.
            template: the folder of a series below `folder`. `%Column` is the row's value of that
                column (the longest column name that fits), `%%` a percent sign, `/` a new level.
                A missing value reads "unknown"; characters that a folder name cannot have
                become "_".
            endpoint_url: the S3 server; else the environment variable S3_ENDPOINT_URL, else
                https://s3.amazonaws.com.
            check_disk: False for a folder that is only looked at: it need not be writable, nor
                have space.

        Raises:
            DownloadError: a column, location, count or size is missing; the template is wrong or
                puts two series into one folder; the folder cannot be used; the disk is too full.
        """
        root = _root(folder)
        endpoint = _endpoint(endpoint_url)
        for column in _NEEDED:
            if column not in rows.column_names:
                raise DownloadError(f"the rows have no column {column}, which a download needs")
        parts = _parse_template(template, rows.column_names)
        columns = {name for part in parts for kind, name in part if kind == "column"}
        records = rows.select(sorted(columns.union(_NEEDED))).to_pylist()
        series = tuple(_plan_row(record, root, parts) for record in records)
        _refuse_shared_folders(series, template)
        plan = cls(series, root, endpoint)
        if check_disk:
            disk.check_folder(root)
            disk.check_space(root, plan.size_bytes - plan._bytes_there())
        return plan

    def _bytes_there(self) -> int:
        if not self.folder.exists():
            return 0
        return sum(
            min(series.size_bytes, sum(disk.dicom_files(series.folder).values()))
            for series in self.series
        )


_Part = list[tuple[str, str]]  # of a path: ("text", what it says) and ("column", its name)


def _root(folder: str | os.PathLike[str]) -> Path:
    root = os.path.abspath(os.path.expanduser(folder))
    # s5cmd takes * and ? in a destination for wildcards, lines end at control characters, and a
    # name that is not Unicode (a lone surrogate in Python) is refused
    if bad := sorted(set(re.findall(r"[*?\x00-\x1f\x7f-\x9f\ud800-\udfff]", root))):
        raise DownloadError(
            f"the folder {root!r} has characters that a download cannot have: "
            f"{' '.join(map(repr, bad))}; choose another folder"
        )
    return Path(root)


def _endpoint(url: str | None) -> str:
    url = (url or os.environ.get("S3_ENDPOINT_URL") or DEFAULT_ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise DownloadError(f"{url!r} is not the address of a server, like {DEFAULT_ENDPOINT}")
    return url


def _parse_template(template: str, columns: list[str]) -> list[_Part]:
    """The parts of the path that the template describes, one a folder level."""
    longest_first = sorted(filter(None, columns), key=len, reverse=True)
    names = "|".join(map(re.escape, longest_first))
    token = re.compile(rf"%(?P<column>{names})|(?P<text>%%|[^%]+)|%(?P<wrong>\w*)", re.ASCII)
    levels = [level for level in re.split(r"[/\\]+", template) if level]
    return [[_token(match, template, columns) for match in token.finditer(p)] for p in levels]


def _token(match: re.Match[str], template: str, columns: list[str]) -> tuple[str, str]:
    if match["column"]:
        return "column", match["column"]
    if match["text"]:
        return "text", match["text"].replace("%%", "%")
    if match["wrong"]:
        raise DownloadError(f"in the template: {unknown('column', match['wrong'], columns)}")
    raise DownloadError(
        f"a % in the template {template!r} names no column; a percent sign itself is %%"
    )


def _plan_row(row: Mapping[str, Any], root: Path, parts: list[_Part]) -> PlannedSeries:
    uid = row["SeriesInstanceUID"]
    if not uid:
        raise DownloadError("a row has no SeriesInstanceUID")
    url = _URL.fullmatch(str(row["series_aws_url"]))
    count, size = row["instanceCount"], row["series_size_MB"]
    if not url:
        raise DownloadError(
            f"series {uid} has no location to fetch it from (series_aws_url is "
            f"{row['series_aws_url']!r}, not like 's3://bucket/uuid/*')"
        )
    if _is_missing(count) or count < 1:
        raise DownloadError(f"series {uid} has no count of its files (instanceCount is {count})")
    if _is_missing(size) or size < 0:
        raise DownloadError(f"series {uid} has no size (series_size_MB is {size})")
    folder = root.joinpath(*(_component(_fill(part, row)) for part in parts))
    length = len(os.fsencode(folder)) + _FILE_NAME
    if length > _MAX_PATH:
        raise DownloadError(
            f"the paths of series {uid} would have {length} characters, {_MAX_PATH} are possible; "
            "choose a folder with a shorter path or a shorter template, like '%SeriesInstanceUID'"
        )
    return PlannedSeries(uid, url["bucket"], url["prefix"], folder, int(count), round(size * 1e6))


def _fill(part: _Part, row: Mapping[str, Any]) -> str:
    return "".join(text if kind == "text" else _value(row[text]) for kind, text in part)


def _value(value: object) -> str:
    text = "" if _is_missing(value) else str(value).strip()
    return text or "unknown"


def _is_missing(value: object) -> bool:
    return value is None or value != value  # a float that is not a number is not itself


@lru_cache(maxsize=1 << 16)
def _component(text: str) -> str:
    """`text` as the name of one folder, legal everywhere."""
    name = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in text)
    name = name.strip(" .") or "_"  # "..", hidden, and what Windows would drop from the end
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    encoded = name.encode()
    if len(encoded) > _MAX_COMPONENT:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        name = f"{encoded[: _MAX_COMPONENT - 17].decode(errors='ignore')}-{digest}"
    return name


def _refuse_shared_folders(series: tuple[PlannedSeries, ...], template: str) -> None:
    """Raise if two series have one folder, where upper and lower case are the same as well."""
    seen: dict[str, PlannedSeries] = {}
    for one in series:
        key = unicodedata.normalize("NFC", str(one.folder)).casefold()
        other = seen.setdefault(key, one)
        if other is one:
            continue
        if other.SeriesInstanceUID == one.SeriesInstanceUID:
            raise DownloadError(f"series {one.SeriesInstanceUID} is there twice")
        raise DownloadError(
            f"two series would share the folder {one.folder}: {other.SeriesInstanceUID} and "
            f"{one.SeriesInstanceUID}; give each its own with the template "
            f"{template.rstrip('/') + '/%SeriesInstanceUID'!r}"
        )
