"""How far a download is: counted from what s5cmd says and from the files that grow."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from .._util import human_size, plural
from . import disk, s5cmd
from .plan import DownloadPlan, PlannedSeries

__all__ = ["Ended", "Meter", "Progress", "Speed", "Track"]

SPEED_WINDOW = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is. Bytes and files that were there before count as done; MB = 10^6."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    MB_per_s: float | None = None
    """Over the last seconds; None while that is not known, and at the end."""
    seconds_left: float | None = None

    @property
    def fraction(self) -> float:
        """From 0 to 1; an empty download is done."""
        return self.bytes_done / self.bytes_total if self.bytes_total else 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Why s5cmd came to its end before everything was there."""

    reason: str
    may_pass: bool = True
    stalled: frozenset[str] | None = None
    """The locations that this is about, if not all; the others were going well."""
    fits_all: bool = True
    """False if it explains missing files only, not ones of another size."""


@dataclass(slots=True)
class Track:
    """What of one series is there."""

    series: PlannedSeries
    files: dict[str, int]  # whole ones: name to bytes
    growing: dict[str, int] = field(default_factory=dict)  # unfinished: final name to bytes
    whole_bytes: int = 0  # of `files`
    fetched: tuple[int, int] = (0, 0)  # bytes and files, of what s5cmd told
    counted: tuple[int, int] = (0, 0)  # bytes and files as they are in the meter's totals
    was_done: bool = False  # as it is in the meter's totals
    problem: str | None = None
    may_pass: bool = False  # whether trying again may bring more
    moved: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Unfinished files: path to bytes, and when they were last seen to grow."""
    awaited: set[str] = field(default_factory=set)
    """If only some objects are wanted: the names of those of which s5cmd has not told yet."""

    def __post_init__(self) -> None:
        self.whole_bytes = sum(self.files.values())
        self.awaited = set(self.series.lacking(self.files))

    def done(self) -> tuple[int, int]:
        """Bytes and files, never more than the series has."""
        # An unfinished file that will replace a truncated one counts for what it has more
        growth = sum(max(0, n - self.files.get(f, 0)) for f, n in self.growing.items())
        return (
            min(self.whole_bytes + growth, self.series.size_bytes),
            min(len(self.files), self.series.instances),
        )

    def is_done(self) -> bool:
        """Whether all has arrived, as far as is known."""
        there = (self.whole_bytes, len(self.files))
        if there != (self.series.size_bytes, self.series.instances):
            return False
        return self.series.only is None or self.series.only == self.files

    def is_too_much(self) -> bool:
        """Whether more was fetched of it than the whole series has."""
        size_bytes, files = self.fetched
        size_bytes += sum(self.growing.values())
        return size_bytes > self.series.size_bytes or files > self.series.instances

    def file_done(self, name: str, size_bytes: int) -> None:
        self.whole_bytes += size_bytes - self.files.get(name, 0)
        self.files[name] = size_bytes

    def in_words(self) -> str:
        files, instances = len(self.files), self.series.instances
        there, size = human_size(self.whole_bytes), human_size(self.series.size_bytes)
        if there == size:  # say what differs
            there, size = f"{self.whole_bytes:,}", f"{self.series.size_bytes:,} bytes"
        if files > instances:
            return (
                f"the folder has {plural(files, 'file')} where the series has {instances:,}: "
                f"delete {self.series.folder} and try again"
            )
        odd = ": the server has others than the index tells of" if files == instances else ""
        return f"{files:,} of {plural(instances, 'file')} arrived, {there} of {size}{odd}"


class Meter:
    """Counts what has arrived, from s5cmd's lines and from the files that grow."""

    def __init__(self, plan: DownloadPlan) -> None:
        self.bytes_total, self.files_total = plan.size_bytes, plan.instances
        self.bytes_done = self.files_done = self.series_done = 0
        self.found: dict[str, tuple[int, int]] = {}  # whole files and bytes, by SeriesInstanceUID
        self.excess: set[str] = set()
        """The locations of series of which more came than there is."""
        self.pending: dict[str, Track] = {}  # by bucket/prefix, in the order of the lines
        self._tracks: dict[str, Track] = {}  # the same, and those that became complete

    def add(self, series: PlannedSeries, files: dict[str, int]) -> Track:
        """Begin with the files that are there."""
        track = Track(series, files)
        if not series.is_complete(files):
            location = f"{series.bucket}/{series.prefix}"
            self.pending[location] = self._tracks[location] = track
        self._recount(track)
        return track

    def expect(self, tracks: list[Track]) -> None:
        """Only these are to come, in this order."""
        self.excess.clear()
        self._tracks = {f"{t.series.bucket}/{t.series.prefix}": t for t in tracks}
        self.pending = dict(self._tracks)

    def take(self, event: s5cmd.Event) -> bool:
        """Take in what s5cmd said; whether that is news."""
        if isinstance(event, s5cmd.Noise):
            return False
        location, _, name = event.source.removeprefix("s3://").rpartition("/")
        track = self._tracks.get(location)
        if track is None:
            return False
        track.awaited.discard(name)
        if isinstance(event, s5cmd.Problem):
            # That which stays is told rather than that which passes
            passes = s5cmd.may_pass(event.message)
            if track.problem is None or not passes:
                track.problem = event.message
            track.may_pass |= passes
            is_over = name == "*"  # the whole line failed: nothing more will come of it
            is_news = True
        else:
            is_news = track.files.get(name) != event.size_bytes  # some servers list for ever
            if is_news:
                track.fetched = track.fetched[0] + event.size_bytes, track.fetched[1] + 1
            track.growing.pop(name, None)
            track.file_done(name, event.size_bytes)
            if track.is_too_much():
                self.excess.add(location)
            self._recount(track)
            is_over = track.is_done()
        if is_over or (track.series.only is not None and not track.awaited):
            self.pending.pop(location, None)
        return is_news

    def look(self, limit: int | None, now: float = 0.0) -> bool:
        """Look at the unfinished files of the first `limit` pending series; whether they grew.

        s5cmd takes its lines in order and has as many in work as it has workers.

        Args:
            limit: None looks at all.
            now: seconds on any clock, for `stalled`.
        """
        before = self.bytes_done
        for location, track in islice(self.pending.items(), limit):
            temps = disk.temps(track.series.folder)
            if not temps and not track.growing:
                continue
            growing: dict[str, int] = {}
            moved: dict[str, tuple[int, float]] = {}
            for path, name in temps.items():
                size = growing[name] = disk.allocated(path)
                known = track.moved.get(path)
                moved[path] = known if known and known[0] == size else (size, now)
            for name in track.growing.keys() - growing.keys() - track.files.keys():
                # It has its final name, and s5cmd's line that says so is on its way
                growing[name] = disk.allocated(os.path.join(track.series.folder, name))
            track.growing, track.moved = growing, moved
            self._recount(track)
            if track.is_too_much():
                self.excess.add(location)
        return self.bytes_done != before

    def stalled(self, since: float, limit: int | None) -> tuple[frozenset[str], int]:
        """Which series have files that have not grown since then, by location; and how many."""
        found, files = set(), 0
        for location, track in islice(self.pending.items(), limit):
            still = sum(moved <= since for _, moved in track.moved.values())
            if still:
                found.add(location)
                files += still
        return frozenset(found), files

    def _recount(self, track: Track) -> None:
        self.found[track.series.SeriesInstanceUID] = len(track.files), track.whole_bytes
        self.series_done += track.is_done() - track.was_done
        track.was_done = track.is_done()
        done = track.done()
        self.bytes_done += done[0] - track.counted[0]
        self.files_done += done[1] - track.counted[1]
        track.counted = done

    def progress(
        self,
        bytes_done: int | None = None,
        files_done: int | None = None,
        MB_per_s: float | None = None,
    ) -> Progress:
        """The counts so far, or those given."""
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

    def failures(self, ended: Ended | None) -> dict[str, tuple[str, bool]]:
        """Why series did not arrive, by SeriesInstanceUID, and whether that may pass.

        Their own problem, or why s5cmd ended, or "" if nobody said a word.
        """
        found: dict[str, tuple[str, bool]] = {}
        for location, track in self._tracks.items():
            uid = track.series.SeriesInstanceUID
            if track.is_done():
                continue
            if track.problem:
                found[uid] = s5cmd.in_plain_words(track.problem), track.may_pass
            elif ended and ended.stalled is not None:
                if location in ended.stalled:
                    found[uid] = ended.reason, ended.may_pass
            elif ended and (ended.fits_all or len(track.files) < track.series.instances):
                found[uid] = ended.reason, ended.may_pass
            else:
                found[uid] = "" if track.files else _SILENCE, False
        return found


_SILENCE = (
    "s5cmd left all its files out without a word, as it does with files that are newer than this "
    "computer's clock (see whether the clock is right), or not named as IDC names them"
)


class Speed:
    """MB/s over a sliding window."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now: float, bytes_done: int) -> None:
        self._points.append((now, bytes_done))
        while self._points[0][0] < now - SPEED_WINDOW:
            self._points.popleft()

    @property
    def MB_per_s(self) -> float | None:
        (start, before), (now, after) = self._points[0], self._points[-1]
        return (after - before) / 1e6 / (now - start) if now - start >= 1.0 else None
