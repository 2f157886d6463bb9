"""The state of a job, and what it has reached: `DownloadJob` shows it, `Supervisor` fills it."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Literal

from .plan import DownloadPlan
from .progress import Progress, ProgressTracker

__all__ = ["FINISHED", "Outcome", "State"]

State = Literal[
    "planned", "running", "paused", "verifying", "complete", "incomplete", "cancelled", "failed"
]
FINISHED: frozenset[State] = frozenset({"complete", "incomplete", "cancelled", "failed"})

MAX_LOG_LINES = 500


class Outcome:
    """What one run of a job has reached so far and, at its end, what became of each series."""

    def __init__(self, plan: DownloadPlan) -> None:
        self.error: str | None = None
        """Why the run failed as a whole."""
        self.paths: dict[str, list[Path]] = {}
        """The files of each complete series, by SeriesInstanceUID; set at the end."""
        self.failed: dict[str, str] = {}
        """Why a series is not complete, by SeriesInstanceUID; set at the end."""
        self.problems: set[str] = set()
        """Those of `failed` that have a problem and are not merely unfinished."""
        self.on_disk: dict[str, tuple[int, int]] = {}
        """Finished files and their bytes, by SeriesInstanceUID."""
        self.is_checked = False
        """Whether every complete series was verified as the option `verify` demands."""
        self.lines: deque[str] = deque(maxlen=MAX_LOG_LINES)
        """The log."""
        self.progress = Progress(0, plan.size_bytes, 0, plan.instances)
        self.series_done = 0

    def advance(self, tracker: ProgressTracker, MB_per_s: float | None = None) -> bool:
        """Take over the counts of a tracker, but no lower ones; return whether that is news."""
        bytes_done = max(tracker.bytes_done, self.progress.bytes_done)
        files_done = max(tracker.files_done, self.progress.files_done)
        self.series_done = max(tracker.series_done, self.series_done)
        progress = tracker.progress(bytes_done, files_done, MB_per_s)
        is_news = progress != self.progress
        self.progress = progress
        return is_news

    def settle(self, tracker: ProgressTracker) -> None:
        """Take over the final counts of a tracker, even if they are lower."""
        self.progress, self.series_done = tracker.progress(), tracker.series_done

    def fail_remaining(self, plan: DownloadPlan, reason: str) -> None:
        """Give `reason` for every series that is not complete."""
        uids = (series.SeriesInstanceUID for series in plan.series)
        self.failed |= {uid: reason for uid in uids if uid not in self.paths}
