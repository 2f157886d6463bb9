"""`idc_download.json`, beside the data: what was asked, by what, and what became of it.

Several selections may go to one folder, from several processes: each has one entry in the list
`downloads`, and a file that is not ours is never lost.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import platform
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .._util import VERSION, is_non_commercial, locked
from . import s5cmd
from .plan import DownloadPlan
from .report import ReportRow

__all__ = [
    "FILE_NAME",
    "FORMAT",
    "RecordedSeries",
    "now",
    "record_path",
    "recorded_series",
    "write",
]

FILE_NAME = "idc_download.json"

FORMAT = "idc_download 1"
_LARGEST = 1 << 28  # bytes of a file that is read; 1,000,000 series take 110 MB
_PATIENCE = 30.0  # seconds to wait for another job that writes the file

_log = logging.getLogger(__name__)


class _NotOursError(Exception):
    """The file there is not one that we wrote."""


class RecordedSeries(NamedTuple):
    """The series of one download in a record."""

    uids: list[str]
    data_version: str


def record_path(folder: str | os.PathLike[str]) -> Path:
    """Return the path of the record of the downloads into `folder`."""
    return Path(folder, FILE_NAME)


def recorded_series(content: Any) -> list[RecordedSeries] | None:
    """Return the series per download of a record; None if `content` is not a record.

    Args:
        content: The parsed JSON of a file.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: `content` is damaged, or not an object.
    """
    if content.get("format") != FORMAT:
        return None
    return [
        RecordedSeries([str(uid) for uid in dict(entry["series"])], str(entry["data_version"]))
        for entry in content["downloads"]
    ]


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write(plan: DownloadPlan, rows: Iterable[ReportRow], *, state: str, started: str) -> list[str]:
    """Put the entry of this download into the file in the plan's folder, and keep all others.

    The entry of an earlier download of the same series to the same places, from the same data
    version, is replaced. A file that is no such record, or damaged, is renamed to
    ``idc_download.json.bak-1`` (or the next number). Without the folder nothing is written.

    Args:
        plan: what was to be fetched.
        rows: what became of it.
        state: of the job as a whole.
        started: when it began, as of `now`.

    Returns:
        Lines for the log: what stood in the way. Nothing is raised, as the data matters more.
    """
    path = plan.folder / FILE_NAME
    try:
        if not plan.series or not plan.folder.is_dir():
            return []
        entry = _entry(plan, rows, state, started)
        with _locked(plan.folder / f".{FILE_NAME}.lock"):
            lines = []
            try:
                earlier = _read(path)
            except _NotOursError as error:
                aside = _set_aside(path)
                lines = [f"{path} {error}: it is {aside.name} now"]
                earlier = []
            for one in earlier:
                if one.get("id") == entry["id"]:
                    entry["first_started"] = one.get("first_started", started)
            others = [one for one in earlier if one.get("id") != entry["id"]]
            _replace(path, [*others, entry])
        return lines
    except OSError as error:
        return [f"{path} was not written: {error.strerror or error}"]
    except Exception as error:
        _log.exception("%s was not written", path)
        return [f"{path} was not written: {error!r}"]


def _entry(
    plan: DownloadPlan, rows: Iterable[ReportRow], state: str, started: str
) -> dict[str, Any]:
    series: dict[str, list[object]] = {}
    licenses: Counter[str] = Counter()
    dois: Counter[str] = Counter()
    states: Counter[str] = Counter()
    files = size = 0
    provenance = plan.provenance
    only = {one.SeriesInstanceUID: one.only for one in plan.series if one.only is not None}
    for row in rows:
        uid = row.SeriesInstanceUID
        series[uid] = [row.state, row.files, row.size_bytes]
        if row.reason or uid in only:
            series[uid].append(row.reason[:500] if row.reason else None)
        if uid in only:
            uids = provenance.instances.get(uid, {})
            series[uid].append({name: uids.get(name) for name in sorted(only[uid])})
        states[row.state] += 1
        files += row.files
        size += row.size_bytes
        if row.license:
            licenses[row.license] += 1
        if row.source_DOI:
            dois[row.source_DOI] += 1
    return {
        "id": _identity(plan),
        "state": state,
        "first_started": started,
        "started": started,
        "ended": now(),
        "data_version": provenance.data_version,
        "template": provenance.template,
        "filters": provenance.filters,
        "code": provenance.code,
        "endpoint_url": plan.endpoint_url,
        "versions": {
            "idc_widgets": VERSION,
            "s5cmd": s5cmd.version(),
            "Python": platform.python_version(),
        },
        "licenses": [
            {"name": name, "series": count, "non_commercial": is_non_commercial(name)}
            for name, count in licenses.most_common()
        ],
        "source_DOIs": dict(dois.most_common()),
        "series_states": dict(states.most_common()),
        "files": files,
        "files_expected": plan.instances,
        "bytes": size,
        "bytes_expected": plan.size_bytes,
        # "instances" only where not all of a series was asked for: their SOPInstanceUIDs, by file
        "series_columns": ["state", "files", "bytes", "reason", "instances"],
        "series": series,
    }


def _identity(plan: DownloadPlan) -> str:
    """The same for the same objects that go to the same places."""
    digest = hashlib.sha256(str(plan.provenance.data_version).encode())
    root = len(str(plan.folder))
    for line in sorted(
        f"{one.SeriesInstanceUID} {one.bucket}/{one.prefix} {str(one.folder)[root:]}"
        + "".join(f"\n{name}" for name in sorted(one.only or ()))
        for one in plan.series
    ):
        digest.update(f"\n{line}".encode())
    return digest.hexdigest()[:16]


def _read(path: Path) -> list[dict[str, Any]]:
    """The downloads that are recorded there.

    Raises:
        _NotOursError: something else is there, or it is damaged.
        OSError: it cannot be read; or it is a folder (that of a series, maybe), a pipe or such.
    """
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return []
    if stat.S_ISLNK(there.st_mode):
        raise _NotOursError("is a link")
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EEXIST, "something that is no file has this name")
    if there.st_size > _LARGEST:
        raise _NotOursError("is too large")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _NotOursError("cannot be understood") from error
    match content:
        case {"format": str(name), "downloads": list(downloads)} if name == FORMAT:
            if all(
                isinstance(one, dict) and isinstance(one.get("series"), dict) for one in downloads
            ):
                return downloads
    raise _NotOursError("was not written by this version of idc_widgets")


def _set_aside(path: Path) -> Path:
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.bak-{number}")):
        number += 1
    os.rename(path, aside)
    return aside


def _replace(path: Path, downloads: list[dict[str, Any]]) -> None:
    part = path.with_name(f".{path.name}.tmp")
    with suppress(FileNotFoundError):
        part.unlink()  # of a process that was killed
    try:
        # "x": if somebody put a link there, nothing is written through it
        with part.open("x", encoding="ascii", newline="\n") as file:
            file.writelines(_lines(downloads))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _lines(downloads: list[dict[str, Any]]) -> Iterator[str]:
    """JSON with one line a series: half the time and space of indented JSON, and people find it."""
    yield f'{{"format": {_json(FORMAT)},\n "downloads": ['
    for number, entry in enumerate(downloads):
        yield ",\n {" if number else "\n {"
        for name, value in entry.items():
            if name != "series":
                yield f"\n  {_json(name)}: {_json(value)},"
        yield '\n  "series": {'
        for place, (uid, known) in enumerate(entry["series"].items()):
            yield f"{',' if place else ''}\n   {_json(uid)}: {_json(known)}"
        yield "\n  }}"
    yield "\n ]}\n"


# ASCII only; a filter may be any object
_json = json.JSONEncoder(default=repr).encode


# One writer at a time, in this process and in others


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until nobody else is in such a block for this lock file.

    Raises:
        OSError: that takes too long, or the file cannot be made.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        with locked(path) as ours:
            if ours is not False:  # without locks, one job at a time is all we can hope for
                yield
                return
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "another download is writing it")
        time.sleep(0.02)
