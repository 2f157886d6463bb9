"""Finds files that were changed after their download, so that they are kept under another name.

s5cmd gives a file its final name only when it is whole. So if a file has the name of an object but
another size, somebody has changed it, or has copied it incompletely. Before the object is fetched
again, the file is renamed to `<name>.changed-1` (or the next number).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from .._util import NoThreadError, in_threads, read_regular
from ..errors import DownloadError
from .path_template import RECORD_NAME
from .planned_series import PlannedSeries

__all__ = ["changed_since", "completion_times", "sizes_on_server"]

_MAX_RECORD_BYTES = 1 << 24  # reading a larger one would delay a preview
_OBJECTS_PER_PAGE = 1_000
_WORKERS = 16
_CLOCK_SECONDS = 2.0  # accepted difference, as the record has times in whole seconds


def sizes_on_server(
    series: Iterable[PlannedSeries], endpoint_url: str, stop: threading.Event
) -> dict[str, Mapping[str, int]]:
    """Return the size of each object, by SeriesInstanceUID and object name.

    Args:
        series: The series. The server lists only those that are wanted whole: for the others, the
            plan has the sizes.
        endpoint_url: The S3 server.
        stop: When this is set, the function returns early with an incomplete result.

    Returns:
        The sizes; series that the server does not list are left out.

    Raises:
        DownloadError: The system does not start another thread.
    """
    # Late: the library requests takes 5 MB, and most downloads list nothing here.
    from .._util import HttpError, list_objects, open_http

    known: dict[str, Mapping[str, int]] = {}
    whole: list[PlannedSeries] = []
    for item in series:
        if item.only is None:
            whole.append(item)
        else:
            known[item.SeriesInstanceUID] = item.only

    def list_share(share: Sequence[PlannedSeries]) -> dict[str, Mapping[str, int]]:
        listed: dict[str, Mapping[str, int]] = {}
        with open_http() as http:  # one session per thread
            for item in share:
                if stop.is_set():
                    break
                prefix = f"{item.prefix}/"
                with suppress(HttpError):
                    # A faulty server may list without end
                    pages = item.instances // _OBJECTS_PER_PAGE + 2
                    objects = list_objects(
                        http, endpoint_url, item.bucket, prefix, max_pages=pages, stop=stop
                    )
                    listed[item.SeriesInstanceUID] = {
                        entry.key.removeprefix(prefix): entry.size for entry in objects
                    }
        return listed

    shares = [share for start in range(_WORKERS) if (share := whole[start::_WORKERS])]
    name = "DownloadJob-list"
    try:
        for listed in in_threads(list_share, shares, workers=_WORKERS, name=name, stop=stop):
            known |= listed
    except NoThreadError as error:
        raise DownloadError(f"the files on the server cannot be listed: {error}") from error
    return known


def completion_times(folder: Path) -> dict[str, float]:
    """Return the POSIX time when each series was last recorded as complete, by SeriesInstanceUID.

    The result is empty if the record of `folder` is missing, damaged, large, or not a regular file.
    """
    times: dict[str, float] = {}
    with suppress(OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        content = read_regular(folder / RECORD_NAME, _MAX_RECORD_BYTES)
        for entry in json.loads(content)["downloads"]:
            ended = datetime.fromisoformat(entry["ended"]).timestamp()
            for uid, (state, *_) in entry["series"].items():
                if state == "complete":
                    times[uid] = max(ended, times.get(uid, 0.0))
    return times


def changed_since(series: PlannedSeries, files: Mapping[Path, int], completed: float | None) -> int:
    """Estimate how many files of an incomplete series were changed, without a server.

    Args:
        series: The series.
        files: Its files on disk, path to bytes.
        completed: When the series was recorded as complete, as POSIX time; None if unknown.
    """
    if series.only is not None:
        names = series.names(files)
        return len(series.missing_objects(names).keys() & names.keys())
    changed = 0
    if completed is not None:
        for path in files:
            with suppress(OSError):
                changed += path.stat().st_mtime > completed + _CLOCK_SECONDS
    is_certain = len(files) >= series.instances or sum(files.values()) > series.size_bytes
    return max(changed, int(is_certain and len(files) <= series.instances))
