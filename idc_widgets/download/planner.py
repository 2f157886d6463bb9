"""Turns rows of an index into planned series, and makes all checks that need no disk.

Each path that is planned here is legal on Linux, macOS and Windows, never leaves the folder that
the user chose, and belongs to one series alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._util import plural
from ..errors import DownloadError
from .locations import SERIES_URL, bucket_at
from .path_template import (
    FORMS,
    WORK_FOLDER,
    Template,
    file_tag,
    folded,
    is_missing,
    max_path_length,
    path_length,
)
from .planned_series import PlannedSeries
from .s5cmd import OBJECT_NAME

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["absolute_folder", "plan_series"]

_REQUIRED_COLUMNS = ("SeriesInstanceUID", "series_aws_url", "instanceCount", "series_size_MB")

#: The columns that describe a series in the preview and in `DownloadJob.files`. Rows may lack them.
_DESCRIPTIONS = ("license_short_name", "PatientID", "Modality")

_ADDRESS = re.compile(r"(s3|gs|https?|ftp|file):/", re.IGNORECASE)  # a Path turns "//" into "/"

_COUNT_LIMIT = 1 << 63  # more than the files or bytes of any series
_FILE_NAME_CHARACTERS = len("00000000-0000-0000-0000-000000000000.dcm")
_TEMP_SUFFIX_CHARACTERS = 10  # digits that s5cmd adds to the name of an unfinished file


def absolute_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder to download into; `~` is the home folder.

    Raises:
        DownloadError: It is not a path that s5cmd can write to.
    """
    text: Any = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(text, str):
        raise DownloadError(f"{folder!r} is not a folder: expected a path as text or as a Path")
    if not text:
        raise DownloadError("the folder has no name; pass '.' for the current folder")
    if _ADDRESS.match(text):
        raise DownloadError(f"{text!r} is an address; choose a folder on this computer")
    try:
        expanded = os.path.expanduser(text)
        root = os.path.abspath(expanded)
    except ValueError:  # no user can have such a name; the checks below report it
        expanded = root = text
    except OSError as error:
        raise DownloadError(
            f"the folder {text!r} is relative to the current folder, which no longer exists "
            f"({error.strerror}); pass an absolute path, like '/home/me/idc_data'"
        ) from error
    # s5cmd takes * and ? in a destination for wildcards, its lines end at control characters, and
    # it refuses names that are not Unicode (a lone surrogate in Python)
    if bad := sorted(set(re.findall(r"[*?\x00-\x1f\x7f-\x9f\ud800-\udfff]", root))):
        raise DownloadError(
            f"the folder {root!r} has characters that a folder for downloads cannot have: "
            f"{' '.join(map(repr, bad))}; choose another folder"
        )
    if expanded.startswith("~"):
        raise DownloadError(
            f"{text!r} is the home folder of a user who does not exist; for a folder of that name "
            f"here, pass {f'./{text}'!r}"
        )
    return Path(root)


def plan_series(
    rows: pa.Table,
    root: Path,
    template: str,
    source: str,
    *,
    only: Mapping[str, Mapping[str, int]] | None,
    platform: str,
) -> tuple[PlannedSeries, ...]:
    """Plan where the objects of each row go.

    The arguments and the errors are those of `DownloadPlan.make`.
    """
    for column in _REQUIRED_COLUMNS:
        if column not in rows.column_names:
            raise DownloadError(f"the rows have no column {column}, which a download needs")
    series = tuple(_plan_rows(rows, root, template, source))
    if only is not None:
        series = _restricted(series, only)
    _check_folders_are_separate(series, template)
    _check_path_lengths(rows, root, series, platform)
    return series


def _plan_rows(rows: pa.Table, root: Path, template: str, source: str) -> Iterator[PlannedSeries]:
    columns = set(rows.column_names)
    parsed = Template.parse(template, columns | {"crdc_series_uuid"})
    wanted = parsed.columns.union(_REQUIRED_COLUMNS, _DESCRIPTIONS) & columns
    try:
        dicts = rows.select(sorted(wanted)).to_pylist()
    except UnicodeDecodeError as error:
        raise DownloadError(f"a text in the rows is not Unicode: {error.object!r}") from error
    for row in dicts:
        bucket, prefix = _location(row, source)
        count, size = _amount(row)
        if is_missing(row.get("crdc_series_uuid")):
            row["crdc_series_uuid"] = prefix  # for IDC's own series, both are the same
        if template == "flat":
            folder, final_folder = root / WORK_FOLDER / file_tag(prefix), root
        else:
            folder, final_folder = root.joinpath(*parsed.fill(row)), None
        license, patient, modality = map(row.get, _DESCRIPTIONS)
        yield PlannedSeries(
            row["SeriesInstanceUID"],
            bucket,
            prefix,
            folder,
            count,
            size,
            license,
            final_folder,
            PatientID=patient,
            Modality=modality,
        )


def _location(row: Mapping[str, Any], source: str) -> tuple[str, str]:
    """Return the bucket and the prefix of the objects of a series."""
    uid = row["SeriesInstanceUID"]
    if not uid:
        raise DownloadError("a row has no SeriesInstanceUID")
    url = SERIES_URL.fullmatch(str(row["series_aws_url"]))
    if not url:
        raise DownloadError(
            f"series {uid} has no location to fetch it from (series_aws_url is "
            f"{row['series_aws_url']!r}, not like 's3://bucket/uuid/*')"
        )
    bucket, prefix = url.groups()
    try:
        return bucket_at(source, bucket), prefix
    except DownloadError as error:
        raise DownloadError(f"series {uid}: {error}") from None


def _amount(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of files of a series, and their total bytes."""
    uid, count, size = row["SeriesInstanceUID"], row["instanceCount"], row["series_size_MB"]
    if not _is_within(count, 1, _COUNT_LIMIT) or count % 1:
        raise DownloadError(f"series {uid} has no count of its files (instanceCount is {count!r})")
    if not _is_within(size, 0, _COUNT_LIMIT / 1e6):
        raise DownloadError(f"series {uid} has no size (series_size_MB is {size!r})")
    return int(count), round(float(size) * 1e6)


def _is_within(value: Any, least: int, limit: float) -> bool:
    """Return whether a value is a number, and least <= value < limit; False for NaN."""
    return isinstance(value, (int, float, Decimal)) and least <= value < limit


def _restricted(
    series: tuple[PlannedSeries, ...], only: Mapping[str, Mapping[str, int]]
) -> tuple[PlannedSeries, ...]:
    """Return the series, each reduced to the objects that `only` names for it, if any."""
    if unknown_uids := only.keys() - {planned.SeriesInstanceUID for planned in series}:
        raise DownloadError(f"series {min(unknown_uids)} is in `only`, but has no row")
    for uid, files in only.items():
        if not files:
            raise DownloadError(f"no object of series {uid} is wanted; expected at least one")
        for name, size in files.items():
            if not OBJECT_NAME.fullmatch(name):
                raise DownloadError(
                    f"{name!r} of series {uid} is not the name of an object; expected one like "
                    "'00000000-0000-0000-0000-000000000000.dcm'"
                )
            if not isinstance(size, int) or size < 0:
                raise DownloadError(f"the object {name} of series {uid} has no size ({size!r})")

    def restricted(planned: PlannedSeries) -> PlannedSeries:
        files = dict(only.get(planned.SeriesInstanceUID, {}))
        if not files:
            return planned
        size = sum(files.values())
        return replace(planned, only=files, instances=len(files), size_bytes=size)

    return tuple(map(restricted, series))


def _check_folders_are_separate(series: tuple[PlannedSeries, ...], template: str) -> None:
    """Raise if two series are the same or share a folder on a disk that ignores letter case."""
    seen: dict[str, PlannedSeries] = {}
    uids: set[str] = set()
    for planned in series:
        uid = planned.SeriesInstanceUID
        if uid in uids:
            raise DownloadError(f"series {uid} has two rows; expected one row per series")
        uids.add(uid)
        other = seen.setdefault(folded(str(planned.folder)), planned)
        if other is planned:
            continue
        own = f"{FORMS.get(template, template)}/%SeriesInstanceUID".lstrip("/")
        raise DownloadError(
            f"two series would share the folder {planned.folder}: {other.SeriesInstanceUID} and "
            f"{uid}; give each its own with the template {own!r}"
        )


def _longest_path(series: PlannedSeries, platform: str) -> int:
    """Return the length of the longest path that a file of this series ever has."""
    unfinished = (
        path_length(series.folder, platform) + 1 + _FILE_NAME_CHARACTERS + _TEMP_SUFFIX_CHARACTERS
    )
    if series.final_folder is None:
        return unfinished
    final = path_length(series.final_folder, platform)
    tag = len(series.folder.name.encode())
    return max(unfinished, final + 1 + tag + 1 + _FILE_NAME_CHARACTERS)


def _check_path_lengths(
    rows: pa.Table, root: Path, series: tuple[PlannedSeries, ...], platform: str
) -> None:
    """Raise if a path is longer than the platform allows, and say what would fit."""
    limit, who_says = max_path_length(platform)
    lengths = [_longest_path(planned, platform) for planned in series]
    too_long = [planned for planned, length in zip(series, lengths, strict=True) if length > limit]
    if not too_long:
        return
    needed = max(lengths)
    for other in ("short", "flat", "%crdc_series_uuid"):
        with suppress(DownloadError):  # the rows lack a column of this template
            others = _plan_rows(rows, root, other, "aws")
            longest = max(_longest_path(planned, platform) for planned in others)
            needed = min(needed, longest)
            if longest <= limit:
                advice = f"use the template {other!r}, or a folder with a shorter path"
                break
    else:
        length = path_length(root, platform)
        unit = who_says.split()[-1]
        advice = (
            f"choose a folder with a shorter path, of at most {max(0, limit - needed + length):,} "
            f"{unit}: {root} has {length:,}"
        )
    first = too_long[0]
    raise DownloadError(
        f"the paths of {len(too_long):,} of {plural(len(series), 'series')} would be too long: "
        f"{who_says}, and series {first.SeriesInstanceUID} needs {_longest_path(first, platform):,}"
        f" in {first.folder}; {advice}"
    )
