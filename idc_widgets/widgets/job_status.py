"""The status of a download job as the front end shows it."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain, islice
from typing import Any

from .._util import human_duration, human_size, plural
from ..download import DownloadJob, PlannedSeries, Progress

__all__ = ["ACTIVE_STATES", "RecentSpeeds", "job_status"]

#: The states of a started job that Cancel can end.
ACTIVE_STATES = ("running", "paused", "verifying")

#: How many of the last seconds the chart of the speed shows.
SPEED_HISTORY_SECONDS = 60

#: The number of series that the report lists, failed ones first.
MAX_ROWS = 200

#: How many of the last lines of the log are shown.
MAX_SHOWN_LOG_LINES = 200

#: The number of characters of a line of the log.
MAX_SHOWN_LINE_CHARACTERS = 400


class RecentSpeeds:
    """The speeds of a job in the last minute."""

    def __init__(self) -> None:
        self._MB_per_s: deque[float] = deque(maxlen=SPEED_HISTORY_SECONDS)
        self._taken_at = 0.0  # `time.monotonic` of the last one

    def of(self, job: DownloadJob) -> list[float]:
        """Return the speeds in MB/s, one per second; none after the end of the job."""
        if job.state not in ACTIVE_STATES:
            self._MB_per_s.clear()
        elif job.progress.MB_per_s is not None and time.monotonic() >= self._taken_at + 1:
            self._taken_at = time.monotonic()
            self._MB_per_s.append(round(job.progress.MB_per_s, 2))
        return list(self._MB_per_s)


def job_status(job: DownloadJob, *, is_connected: bool = True, hint: str = "") -> dict[str, Any]:
    """Return the status of a job for the front end.

    Args:
        job: The job.
        is_connected: Whether a running job has reached the server.
        hint: Where to find the files; shown when all are complete.

    Returns:
        A dict of:

        - state: `DownloadJob.state`;
        - active: whether Cancel has an effect;
        - title: the state as one word;
        - detail: one line that explains the state;
        - percent: the bytes on disk, in percent of all bytes;
        - folder: the download folder;
        - files: after the end, the number of files that are known to be complete;
        - can_retry: whether the job has ended and a series is not complete;
        - rows: after the end, [name, folder, is complete, outcome] per series;
        - more: the number of series without a row;
        - log: the last lines of the log.
    """
    is_active = not job.is_finished
    title, detail = _title_and_detail(job, is_connected, hint)
    # A job that failed as a whole has a single reason, which a list would only repeat.
    rows, more = ([], 0) if is_active or job.state == "failed" else _rows(job)
    return {
        "state": job.state,
        "active": is_active,
        "title": title,
        "detail": detail,
        "percent": round(100 * job.progress.fraction, 1),
        "folder": str(job.plan.folder),
        "files": 0 if is_active else sum(map(len, job.paths.values())),
        "can_retry": not is_active and job.state != "complete",
        "rows": rows,
        "more": more,
        "log": [line[:MAX_SHOWN_LINE_CHARACTERS] for line in job.log[-MAX_SHOWN_LOG_LINES:]],
    }


def _title_and_detail(job: DownloadJob, is_connected: bool, hint: str) -> tuple[str, str]:
    progress, total = job.progress, len(job.plan.series)
    files = f"{progress.files_done:,} of {plural(progress.files_total, 'file')}"
    match job.state:
        case "complete":
            size = human_size(progress.bytes_total)
            all_files = plural(progress.files_total, "file")
            return "Complete", f"{all_files} · {size} · {hint}".rstrip(" ·")
        case "cancelled":
            kept = f"{files} are kept"
            return "Cancelled", f"{kept}; press Resume, or Download for the present selection"
        case "incomplete":
            complete = f"{total - len(job.failed):,} of {total:,} series are complete"
            return "Incomplete", f"{complete}; press Retry failed to fetch the rest"
        case "failed":
            return "Failed", job.error or "see the log"
        case "paused":
            return "Paused", f"{files} · {_size_done(progress)}"
        case "verifying":
            return "Verifying", f"{files} · {human_size(progress.bytes_total)}"
    if not is_connected:
        return "Connecting", job.plan.endpoint_url
    return "Downloading", " · ".join(_speed_and_time(progress, files))


def _size_done(progress: Progress) -> str:
    done, total = human_size(progress.bytes_done), human_size(progress.bytes_total)
    if done.split()[1] == total.split()[1]:
        done = done.split()[0]  # if both have the same unit, name it once: "35.1 of 70.5 MB"
    return f"{done} of {total}"


def _speed_and_time(progress: Progress, files: str) -> list[str]:
    parts = [_size_done(progress), files]
    if progress.MB_per_s is not None:
        parts.append(f"{progress.MB_per_s:,.1f} MB/s")
    if progress.seconds_left is not None:
        parts.append(f"{human_duration(progress.seconds_left)} left")
    return parts


def _rows(job: DownloadJob) -> tuple[list[list[Any]], int]:
    """Return the rows of the report, and the number of series without a row."""
    failed, planned = job.failed, job.plan.series
    ordered = chain(
        (series for series in planned if series.SeriesInstanceUID in failed),
        (series for series in planned if series.SeriesInstanceUID not in failed),
    )
    rows = [
        _row(job, series, failed.get(series.SeriesInstanceUID))
        for series in islice(ordered, MAX_ROWS)
    ]
    return rows, len(planned) - len(rows)


def _row(job: DownloadJob, series: PlannedSeries, reason: str | None) -> list[Any]:
    path = series.destination.relative_to(job.plan.folder).as_posix()
    name = series.SeriesInstanceUID if path == "." else path
    outcome = f"{plural(series.instances, 'file')} · {human_size(series.size_bytes)}"
    return [name, str(series.destination), reason is None, reason or outcome]
