"""The record `idc_download.json` beside the data: what was selected, how, and what became of it.

Several selections may go to one folder, from several processes: each has an entry in the list
`downloads`. A file of that name that is not a record is renamed, never overwritten.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import platform
import random
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .._util import VERSION, is_non_commercial, locked, read_regular, write_whole
from . import disk, s5cmd
from .path_template import RECORD_NAME
from .plan import DownloadPlan
from .report import ReportRow

__all__ = [
    "FILE_NAME",
    "FORMAT",
    "MAX_RECORD_BYTES",
    "now",
    "record_path",
    "recorded_series",
    "write",
]

FILE_NAME = RECORD_NAME

FORMAT = "idc_download 1"
MAX_RECORD_BYTES = 1 << 28  # 1,000,000 series take 110 MB
_LOCK_TIMEOUT_SECONDS = 30.0  # to wait for another job that is writing the file
_LOCK_POLL_SECONDS = 0.02
_UNLOCKED_TRIES = 5  # how often to write without a lock, until the file has the entry
_MAX_REASON_CHARACTERS = 500

_log = logging.getLogger(__name__)


class _NotARecordError(Exception):
    """The file is not a record that this version can add to. Its path precedes the message."""


class RecordedSeries(NamedTuple):
    """The series of one download in a record."""

    uids: list[str]
    data_version: str


def record_path(folder: str | os.PathLike[str]) -> Path:
    """Return the path of the record of the downloads into `folder`."""
    return Path(folder, FILE_NAME)


def recorded_series(content: Any) -> list[RecordedSeries] | None:
    """Return the series of each download in a record; None if `content` is not a record.

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
    """Return the current time in UTC (ISO 8601, to the second)."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write(plan: DownloadPlan, rows: Iterable[ReportRow], *, state: str, started: str) -> list[str]:
    """Add an entry for a download to the record in the folder of the plan.

    The entry replaces the entry of an earlier download with the same series, places and data
    version. Other entries are kept. A file that is damaged or not a record is renamed to
    ``idc_download.json.bak-1`` (or the next number). Nothing is written if the folder does not
    exist.

    Args:
        plan: What was to be fetched.
        rows: What became of it.
        state: The state of the job as a whole.
        started: When it began, as `now` returns it.

    Returns:
        Problems, as lines for the log. They are not raised, because the data matters more.
    """
    path = plan.folder / FILE_NAME
    try:
        if not plan.series or not plan.folder.is_dir():
            return []
        entry = _entry(plan, rows, state, started)
        lines: list[str] = []
        for _ in range(_UNLOCKED_TRIES):
            with _locked(plan.folder / f".{FILE_NAME}.lock") as is_locked:
                _add(path, entry, lines, only_writer=is_locked)
            # Without locks, another process may have replaced the file in between
            if is_locked or any(other.get("id") == entry["id"] for other in _read(path)):
                break
            time.sleep(random.uniform(0.1, 0.3))
        return lines
    except OSError as error:
        return [f"{path} was not written: {error.strerror or error}"]
    except Exception as error:
        _log.exception("%s was not written", path)
        return [f"{path} was not written: {error!r}"]


def _add(path: Path, entry: dict[str, Any], lines: list[str], *, only_writer: bool) -> None:
    """Add an entry to the record at `path`; append messages about problems to `lines`."""
    try:
        earlier = _read(path)
    except _NotARecordError as error:
        aside = disk.set_aside(path, "bak")
        lines.append(f"{path} {error}: it is {aside.name} now")
        earlier = []
    others = []
    for other in earlier:
        if other.get("id") == entry["id"]:
            entry["first_started"] = other.get("first_started", entry["started"])
        else:
            others.append(other)
    write_whole(path, _lines([*others, entry]), only_writer=only_writer)


def _entry(
    plan: DownloadPlan, rows: Iterable[ReportRow], state: str, started: str
) -> dict[str, Any]:
    series: dict[str, list[object]] = {}
    licenses: Counter[str] = Counter()
    dois: Counter[str] = Counter()
    states: Counter[str] = Counter()
    files = size = 0
    provenance = plan.provenance
    only = {part.SeriesInstanceUID: part.only for part in plan.series if part.only is not None}
    for row in rows:
        uid = row.SeriesInstanceUID
        series[uid] = [row.state, row.files, row.size_bytes]
        if row.reason or uid in only:
            series[uid].append(row.reason[:_MAX_REASON_CHARACTERS] if row.reason else None)
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
        "files_expected": plan.files,
        "bytes": size,
        "bytes_expected": plan.size_bytes,
        # "instances" only for a series that was fetched in part: SOPInstanceUIDs by file name
        "series_columns": ["state", "files", "bytes", "reason", "instances"],
        "series": series,
    }


def _identity(plan: DownloadPlan) -> str:
    """Return the same hash for all plans that fetch the same objects to the same places."""
    digest = hashlib.sha256(str(plan.provenance.data_version).encode())
    root = len(str(plan.folder))
    for line in sorted(
        f"{series.SeriesInstanceUID} {series.location} {str(series.folder)[root:]}"
        + "".join(f"\n{name}" for name in sorted(series.only or ()))
        for series in plan.series
    ):
        digest.update(f"\n{line}".encode())
    return digest.hexdigest()[:16]


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a record; none if there is no such file.

    Raises:
        _NotARecordError: The file is damaged, or not a record.
        OSError: It cannot be read, or is a folder (perhaps that of a series), a pipe or the like.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return []
    if stat.S_ISLNK(status.st_mode):
        raise _NotARecordError("is a link")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EEXIST, "something that is not a file has this name")
    if status.st_size > MAX_RECORD_BYTES:
        raise _NotARecordError("is too large")
    try:
        content = json.loads(read_regular(path, MAX_RECORD_BYTES))
    except PermissionError as error:
        raise _NotARecordError("belongs to another user and cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise _NotARecordError("is not valid JSON") from error
    match content:
        case {"format": str(name), "downloads": list(downloads)} if name == FORMAT:
            if all(
                isinstance(entry, dict) and isinstance(entry.get("series"), dict)
                for entry in downloads
            ):
                return downloads
    raise _NotARecordError("was not written by this version of idc_widgets")


def _lines(downloads: list[dict[str, Any]]) -> Iterator[str]:
    """Yield JSON with one line per series: readable, and half the size of indented JSON."""
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


_json = json.JSONEncoder(default=repr).encode  # ASCII only; the value of a filter may be any object


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; wait for other threads and processes that hold it.

    Yields:
        False if the lock cannot be held: the file system has no locks, or another user left the
        file behind.

    Raises:
        OSError: The wait takes too long, or the file cannot be created.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while True:
        with _locked_once(path) as is_ours:
            if is_ours is not False:
                yield is_ours is True
                return
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "another download is writing it")
        time.sleep(_LOCK_POLL_SECONDS)


@contextmanager
def _locked_once(path: Path) -> Iterator[bool | None]:
    """Try once to hold a lock file.

    Yields:
        Whether this process holds the lock; None if the file system has no locks, or if this user
        may not open the file, which another user may have left behind.
    """
    with ExitStack() as stack:
        try:
            is_ours = stack.enter_context(locked(path))
        except PermissionError:
            is_ours = None
        yield is_ours
