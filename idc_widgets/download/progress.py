"""How far a download is: counted from what s5cmd reports and from the files that grow."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from .._util import human_duration, human_size, plural
from . import disk, s5cmd, s5cmd_errors
from .plan import DownloadPlan
from .planned_series import PlannedSeries

__all__ = ["Progress", "ProgressTracker", "Slowness", "Speed", "StopReason", "TrackedSeries"]

SPEED_WINDOW_SECONDS = 5.0
SLOW_WINDOW_SECONDS = 300.0
LEAST_BYTES_PER_SECOND = 1_000
_BYTES_PER_FILE = 10_000  # added to the rate for each finished file, as small files take time, too


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is. Files that were on disk before it started count as done.

    Args:
        bytes_done: The number of bytes that have arrived.
        bytes_total: The number of bytes of all files.
        files_done: The number of files that have arrived.
        files_total: The number of all files.
        MB_per_s: The rate over the last 5 s (MB = 10^6 bytes); None until it is known, and at the
            end.
        seconds_left: The seconds that the rest takes at that rate.
    """

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    MB_per_s: float | None = None
    seconds_left: float | None = None

    @property
    def fraction(self) -> float:
        """The part of the bytes that is done, from 0 to 1; 1 for a download without bytes."""
        return self.bytes_done / self.bytes_total if self.bytes_total else 1.0


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why s5cmd stopped before every file had arrived.

    Args:
        message: The reason in plain words.
        is_temporary: Whether another try may succeed.
        stalled: The locations (`bucket/prefix`) of the series that caused this; None if all series
            did.
        fits_all: False if the reason explains missing files, but not files of the wrong size.
    """

    message: str
    is_temporary: bool = True
    stalled: frozenset[str] | None = None
    fits_all: bool = True


@dataclass(slots=True)
class TrackedSeries:
    """One series while it is fetched: which of its files are on disk, and which are growing.

    Args:
        series: The series.
        files: The bytes of each finished file, by name.
        growing: The bytes of each unfinished file, by final name.
        growth: The last state of each unfinished file, by path, and when it changed on the clock of
            `poll`.
        finished_bytes: The bytes of all finished files.
        fetched: How many bytes and files s5cmd has reported.
        reported: The names of the files that s5cmd has reported.
        counted: How many bytes and files of this series the totals of the tracker include.
        was_complete: Whether the tracker has counted this series as done.
        problem: The error that s5cmd reported; a permanent error has precedence over a temporary
            one.
        is_temporary: Whether another try may fetch more.
        awaited: If only some objects are wanted, the names of those that s5cmd has not reported
            yet.
    """

    series: PlannedSeries
    files: dict[str, int]
    growing: dict[str, int] = field(default_factory=dict)
    growth: dict[str, tuple[disk.FileState | None, float]] = field(default_factory=dict)
    finished_bytes: int = 0
    fetched: tuple[int, int] = (0, 0)
    reported: set[str] = field(default_factory=set)
    counted: tuple[int, int] = (0, 0)
    was_complete: bool = False
    problem: str | None = None
    is_temporary: bool = False
    awaited: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.finished_bytes = sum(self.files.values())
        self.awaited = set(self.series.missing_objects(self.files))

    @property
    def uid(self) -> str:
        """The SeriesInstanceUID."""
        return self.series.SeriesInstanceUID

    def counts(self) -> tuple[int, int]:
        """Return the bytes and files on disk, but not more than the series has."""
        # An unfinished file that will replace a truncated one adds only its additional bytes
        growth = sum(max(0, n - self.files.get(f, 0)) for f, n in self.growing.items())
        return (
            min(self.finished_bytes + growth, self.series.size_bytes),
            min(len(self.files), self.series.instances),
        )

    def is_complete(self) -> bool:
        """Return whether every file has arrived, as far as is known."""
        # The total size is kept, because adding it up at each look would take long.
        if not self.series.fits(len(self.files), self.finished_bytes):
            return False
        return self.series.only is None or self.series.only == self.files

    def is_excessive(self) -> bool:
        """Return whether more bytes or files were fetched than the series has."""
        size_bytes, files = self.fetched
        # The s5cmd of another job may be fetching a file that our s5cmd has finished
        size_bytes += sum(n for name, n in self.growing.items() if name not in self.reported)
        return size_bytes > self.series.size_bytes or files > self.series.instances

    def add_file(self, name: str, size_bytes: int) -> None:
        """Count a finished file; it replaces an earlier file of that name."""
        self.finished_bytes += size_bytes - self.files.get(name, 0)
        self.files[name] = size_bytes

    def describe(self) -> str:
        """Describe how much of an incomplete series has arrived."""
        files, instances = len(self.files), self.series.instances
        size, expected = human_size(self.finished_bytes), human_size(self.series.size_bytes)
        if size == expected:  # equal after rounding: show exact numbers
            size, expected = f"{self.finished_bytes:,}", f"{self.series.size_bytes:,} bytes"
        if files > instances:
            return (
                f"the folder has {plural(files, 'file')} where the series has {instances:,}: "
                f"delete {self.series.folder} and try again"
            )
        odd = ": the server has other files than the index lists" if files == instances else ""
        return f"{files:,} of {plural(instances, 'file')} arrived, {size} of {expected}{odd}"


class ProgressTracker:
    """Counts what has arrived, from s5cmd's events and from the files that grow."""

    def __init__(self, plan: DownloadPlan) -> None:
        self.bytes_total, self.files_total = plan.size_bytes, plan.files
        self.bytes_done = self.files_done = self.series_done = 0
        self.on_disk: dict[str, tuple[int, int]] = {}
        """The number of finished files and their bytes, by SeriesInstanceUID."""
        self.excessive: set[str] = set()
        """The locations of series with more or larger files than the index lists."""
        self.pending: dict[str, TrackedSeries] = {}
        """Series that are not complete, by location, in the order of s5cmd's lines."""
        self._tracked: dict[str, TrackedSeries] = {}  # `pending`, and series that have left it

    def add(self, series: PlannedSeries, files: dict[str, int]) -> TrackedSeries:
        """Add a series, starting from the files that are on disk (name to bytes)."""
        tracked = TrackedSeries(series, files)
        if not series.is_complete(files):
            self.pending[series.location] = self._tracked[series.location] = tracked
        self._recount(tracked)
        return tracked

    def restrict_to(self, tracked: list[TrackedSeries]) -> None:
        """Expect only these series, in this order."""
        self.excessive.clear()
        self._tracked = {item.series.location: item for item in tracked}
        self.pending = dict(self._tracked)

    def remove_file(self, tracked: TrackedSeries, name: str) -> None:
        """Stop counting a file, because it was renamed."""
        tracked.finished_bytes -= tracked.files.pop(name)
        self._recount(tracked)

    def update(self, event: s5cmd.Event) -> bool:
        """Count an event of s5cmd; return whether it reports something new."""
        if isinstance(event, s5cmd.Noise):
            return False
        location, _, name = event.source.removeprefix("s3://").rpartition("/")
        tracked = self._tracked.get(location)
        if tracked is None:
            return False
        tracked.awaited.discard(name)
        if isinstance(event, s5cmd.Problem):
            # Prefer a permanent error to a temporary one
            is_temporary = s5cmd_errors.is_temporary(event.message)
            if tracked.problem is None or not is_temporary:
                tracked.problem = event.message
            tracked.is_temporary |= is_temporary
            is_over = name == "*"  # the whole command failed: it fetches nothing more
            is_news = True
        else:
            is_news = tracked.files.get(name) != event.size_bytes  # a server may list a file twice
            if is_news:
                size_bytes, files = tracked.fetched
                tracked.fetched = size_bytes + event.size_bytes, files + 1
                tracked.reported.add(name)
            tracked.growing.pop(name, None)
            tracked.add_file(name, event.size_bytes)
            if tracked.is_excessive():
                self.excessive.add(location)
            self._recount(tracked)
            is_over = tracked.is_complete()
        if is_over or (tracked.series.only is not None and not tracked.awaited):
            self.pending.pop(location, None)
        return is_news

    def poll(self, limit: int | None, now: float = 0.0) -> bool:
        """Measure unfinished files of the first `limit` pending series; return whether any changed.

        Any change of size, blocks or time counts: not every file system reports all three.
        s5cmd takes its lines in order and works on as many at a time as it has workers.

        Args:
            limit: How many pending series to look at; None for all.
            now: Seconds on any clock, for `stalled`.
        """
        before, is_moving = self.bytes_done, False
        for location, tracked in islice(self.pending.items(), limit):
            unfinished = disk.unfinished_files(tracked.series.folder)
            if not unfinished and not tracked.growing:
                continue
            growing: dict[str, int] = {}
            growth: dict[str, tuple[disk.FileState | None, float]] = {}
            for path, name in unfinished.items():
                growing[name], state = disk.file_state(path)
                known = tracked.growth.get(path)
                is_moving |= known is not None and known[0] != state
                growth[path] = known if known and known[0] == state else (state, now)
            for name in tracked.growing.keys() - growing.keys() - tracked.files.keys():
                # s5cmd has given it its final name, and will report that soon
                growing[name] = disk.allocated_bytes(os.path.join(tracked.series.folder, name))
            tracked.growing, tracked.growth = growing, growth
            self._recount(tracked)
            if tracked.is_excessive():
                self.excessive.add(location)
        return is_moving or self.bytes_done != before

    def stalled(self, since: float, limit: int | None) -> tuple[frozenset[str], int]:
        """Find unfinished files that have not changed since a point in time.

        Args:
            since: Seconds on the clock of `poll`.
            limit: How many pending series to look at; None for all.

        Returns:
            The locations of their series, and the number of files.
        """
        locations, files = set(), 0
        for location, tracked in islice(self.pending.items(), limit):
            still = sum(last_change <= since for _, last_change in tracked.growth.values())
            if still:
                locations.add(location)
                files += still
        return frozenset(locations), files

    def _recount(self, tracked: TrackedSeries) -> None:
        self.on_disk[tracked.uid] = len(tracked.files), tracked.finished_bytes
        is_complete = tracked.is_complete()
        self.series_done += is_complete - tracked.was_complete
        tracked.was_complete = is_complete
        counts = tracked.counts()
        self.bytes_done += counts[0] - tracked.counted[0]
        self.files_done += counts[1] - tracked.counted[1]
        tracked.counted = counts

    def progress(
        self,
        bytes_done: int | None = None,
        files_done: int | None = None,
        MB_per_s: float | None = None,
    ) -> Progress:
        """Return the progress, with the given counts or, by default, those so far."""
        bytes_done = self.bytes_done if bytes_done is None else bytes_done
        files_done = self.files_done if files_done is None else files_done
        left = (self.bytes_total - bytes_done) / 1e6
        return Progress(
            bytes_done,
            self.bytes_total,
            files_done,
            self.files_total,
            MB_per_s,
            left / MB_per_s if MB_per_s else None,
        )

    def failures(self, stop: StopReason | None) -> dict[str, tuple[str, bool]]:
        """Explain why series did not arrive.

        Args:
            stop: Why s5cmd stopped early; None if it did not.

        Returns:
            SeriesInstanceUID to the reason, and whether another try may help. The reason is the
            error that s5cmd reported for the series, else the reason why s5cmd stopped, else "".
        """
        failures: dict[str, tuple[str, bool]] = {}
        for location, tracked in self._tracked.items():
            if tracked.is_complete():
                continue
            if tracked.problem:
                failure = s5cmd_errors.in_plain_words(tracked.problem), tracked.is_temporary
            elif stop and stop.stalled is not None:
                if location not in stop.stalled:
                    continue
                failure = stop.message, stop.is_temporary
            elif stop and (stop.fits_all or len(tracked.files) < tracked.series.instances):
                failure = stop.message, stop.is_temporary
            else:
                failure = "" if tracked.files else _SILENCE, False
            failures[tracked.uid] = failure
        return failures


_SILENCE = (
    "s5cmd skipped all its files without a message, as it does with files that are newer than "
    "this computer's clock (check the clock), or that are not named as IDC names them"
)


class Speed:
    """The rate of a download over a sliding window."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now: float, bytes_done: int) -> None:
        """Add a measurement: seconds on any clock, and the bytes done by then."""
        self._points.append((now, bytes_done))
        while self._points[0][0] < now - SPEED_WINDOW_SECONDS:
            self._points.popleft()

    @property
    def MB_per_s(self) -> float | None:
        """The rate in MB/s (10^6 bytes); None until the measurements span a second."""
        (start, before), (now, after) = self._points[0], self._points[-1]
        return (after - before) / 1e6 / (now - start) if now - start >= 1.0 else None


class Slowness:
    """Notices that data still arrive, but too slowly for the download ever to end.

    Args:
        seconds: The rate is the mean over so many seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since: float | None = None
        self._last = self._arrived = 0

    def is_too_slow(self, now: float, bytes_done: int, files_done: int) -> bool:
        """Return whether less than `LEAST_BYTES_PER_SECOND` arrived; called often.

        Args:
            now: Seconds on any clock.
            bytes_done: The bytes done by then.
            files_done: The files done by then.
        """
        done = bytes_done + _BYTES_PER_FILE * files_done
        if self._since is None:
            self._since, self._last = now, done
        # The count decreases if s5cmd begins a file again
        self._arrived += max(0, done - self._last)
        self._last = done
        elapsed = now - self._since
        if elapsed < self.seconds:
            return False
        is_slow = self._arrived < LEAST_BYTES_PER_SECOND * elapsed
        self._since, self._arrived = now, 0
        return is_slow

    def __str__(self) -> str:
        rate = human_size(LEAST_BYTES_PER_SECOND)
        return f"less than {rate} per second for {human_duration(self.seconds)}"
