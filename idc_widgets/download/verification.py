"""Verifies a download: counts the files of each series on disk, and reads their headers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import DownloadError
from . import dicom
from .controls import Controls
from .folder_lock import FolderLock
from .outcome import Outcome
from .planned_series import PlannedSeries
from .progress import ProgressTracker

__all__ = ["Survey", "check_headers", "finalize", "verify"]

Survey = Iterable[tuple[PlannedSeries, dict[Path, int]]]
"""Series with their files on disk, path to bytes, as `DownloadPlan.survey` yields them."""

_TRIES = 5  # how often to verify a series, because another job may be moving its files
_PAUSE_SECONDS = 0.2


def verify(
    outcome: Outcome,
    survey: Survey,
    reasons: dict[str, str],
    lock: FolderLock,
    controls: Controls,
) -> None:
    """Count the files of every series on disk, and set the final outcome.

    Args:
        outcome: Where the results are recorded.
        survey: The files on disk.
        reasons: The problem of each series that had one, by SeriesInstanceUID.
        lock: Tells whether another job may be moving the same files.
        controls: Tell whether the download was cancelled.
    """
    outcome.problems = {uid for uid, why in reasons.items() if why}
    tracker = ProgressTracker(outcome.plan)
    outcome.on_disk = tracker.on_disk
    for series, seen in survey:
        uid, files = series.SeriesInstanceUID, _finalized(outcome, series, seen, lock)
        tracked = tracker.add(series, series.names(files))
        if uid in outcome.paths or uid in outcome.failed:
            continue
        reason = reasons.get(uid)
        if not reason and controls.cancelled.is_set():
            reason = "cancelled"
        arrived = tracked.describe()
        outcome.failed[uid] = f"{reason}; {arrived}" if reason else arrived
    outcome.settle(tracker)


def _finalized(
    outcome: Outcome, series: PlannedSeries, files: dict[Path, int], lock: FolderLock
) -> dict[Path, int]:
    """Finalize a series if it is complete; return its files on disk.

    In the flat form, the jobs of two computers without common locks may move the same files at the
    same time. So if another job may be there and the files change, this tries again.
    """
    uid = series.SeriesInstanceUID
    for tries_left in reversed(range(_TRIES)):
        if series.is_complete(files):
            outcome.failed.pop(uid, None)
            finalize(outcome, series, files)
        is_done = uid in outcome.paths or series.final_folder is None
        if is_done or not tries_left or lock.is_alone(series.folder):
            break
        time.sleep(_PAUSE_SECONDS)
        before, files = files, series.files()
        if files == before:
            break
    return files


def finalize(outcome: Outcome, series: PlannedSeries, files: dict[Path, int]) -> None:
    """Move the files of a complete series to their final folder, and add it to the outcome."""
    uid = series.SeriesInstanceUID
    try:
        outcome.paths[uid] = series.finalize(files)
    except DownloadError as error:
        outcome.failed[uid] = str(error)


def check_headers(outcome: Outcome, controls: Controls) -> None:
    """Mark complete series as failed if their headers show wrong files."""
    wrong = dicom.find_wrong_series(outcome.paths, controls.cancelled)
    outcome.problems.update(uid for uid in wrong if wrong[uid] != dicom.CANCELLED)
    outcome.failed.update(wrong)
    for uid in wrong:
        del outcome.paths[uid]
