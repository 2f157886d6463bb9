"""The states and results of a job: `Supervisor` records the results, `DownloadJob` shows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from .plan import DownloadPlan
from .progress import Progress, ProgressTracker
from .report import ReportRow, report_rows

__all__ = ["FINISHED", "Outcome", "State"]

State = Literal[
    "planned", "running", "paused", "verifying", "complete", "incomplete", "cancelled", "failed"
]
FINISHED: frozenset[State] = frozenset({"complete", "incomplete", "cancelled", "failed"})

MAX_KEPT_LOG_LINES = 500


class Outcome:
    """The results of one run of a job: its progress and, at the end, the files of each series."""

    def __init__(self, plan: DownloadPlan, *, needs_check: bool = False) -> None:
        self.plan = plan
        self.error: str | None = None
        """Why the run failed as a whole."""
        self.paths: dict[str, list[Path]] = {}
        """The files of each complete series, by SeriesInstanceUID; set at the end."""
        self.failed: dict[str, str] = {}
        """Why a series is not complete, by SeriesInstanceUID; set at the end."""
        self.problems: set[str] = set()
        """The series in `failed` that have a problem and are not merely unfinished."""
        self.on_disk: dict[str, tuple[int, int]] = {}
        """The number of finished files and their bytes, by SeriesInstanceUID."""
        self.needs_check = needs_check
        """Whether the headers of the files of complete series are still to be read."""
        self.lines: deque[str] = deque(maxlen=MAX_KEPT_LOG_LINES)
        """The last lines of the log."""
        self.progress = Progress(0, plan.size_bytes, 0, plan.files)
        self.series_done = 0

    def advance(self, tracker: ProgressTracker, MB_per_s: float | None = None) -> bool:
        """Raise the counts to those of a tracker; return whether the progress changed."""
        bytes_done = max(tracker.bytes_done, self.progress.bytes_done)
        files_done = max(tracker.files_done, self.progress.files_done)
        self.series_done = max(tracker.series_done, self.series_done)
        progress = tracker.progress(bytes_done, files_done, MB_per_s)
        is_news = progress != self.progress
        self.progress = progress
        return is_news

    def report_rows(self, plan: DownloadPlan) -> Iterator[ReportRow]:
        """Yield one row per series: its state now or, after the end, its final state."""
        unchecked = "its files are not read yet" if self.needs_check else None
        return report_rows(plan, self.on_disk, self.failed, self.problems, unchecked)

    def settle(self, tracker: ProgressTracker) -> None:
        """Copy the final counts of a tracker, even if they are lower."""
        self.progress, self.series_done = tracker.progress(), tracker.series_done

    def fail_remaining(self, plan: DownloadPlan, reason: str) -> None:
        """Give `reason` for every series that is not complete."""
        uids = (series.SeriesInstanceUID for series in plan.series)
        self.failed |= {uid: reason for uid in uids if uid not in self.paths}
