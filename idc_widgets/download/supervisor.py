"""Carries out a plan: runs s5cmd, watches it, tries again, and verifies what is on disk.

The files on disk are the only evidence. A series is complete when its folder holds exactly as many
files and bytes as the index says, whatever s5cmd reported on the way.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .._util import plural
from ..errors import DownloadError, unknown_message
from . import dicom, disk, record, s5cmd, s5cmd_errors
from .changed_files import sizes_on_server
from .controls import Controls
from .folder_lock import FolderLock
from .outcome import Outcome, State
from .plan import DownloadPlan
from .planned_series import PlannedSeries
from .preflight import check_server
from .preview import remember_rate
from .progress import (
    SLOW_WINDOW_SECONDS,
    ProgressTracker,
    Slowness,
    Speed,
    StopReason,
    TrackedSeries,
)
from .verification import Survey, check_headers, finalize, verify

__all__ = ["KILL_GRACE_SECONDS", "Options", "Supervisor", "Verify"]

Verify = Literal["size", "dicom"]

POLL_SECONDS = 0.2  # between two looks at the disk, and so between two reports of progress
KILL_GRACE_SECONDS = 5.0  # how long s5cmd may take to end after SIGTERM
MAX_LOG_LINE_CHARACTERS = 2000
_MAX_BACKOFF_SECONDS = 3600.0

_log = logging.getLogger(__name__)

_HALTED = StopReason("", stalled=frozenset())  # by `cancel` or `pause`: no series is to blame
_EXCESSIVE = "the server has more or larger files than the index lists"


class _DiskFullError(Exception):
    """s5cmd reports that nothing more can be written."""


@dataclass(frozen=True)
class Options:
    """How a plan is carried out; see the arguments of `DownloadJob`."""

    workers: int
    stall_timeout: float
    tries: int
    backoff: float
    verify: Verify

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("tries", self.tries)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise DownloadError(f"{name} must be a whole number, 1 at least, not {value!r}")
        if not (_is_number(self.stall_timeout) and self.stall_timeout > 0):
            raise DownloadError(
                f"stall_timeout must be a positive number of seconds, not {self.stall_timeout!r}"
            )
        if not (_is_number(self.backoff) and 0 <= self.backoff <= _MAX_BACKOFF_SECONDS):
            raise DownloadError(
                f"backoff must be a number of seconds from 0 to {_MAX_BACKOFF_SECONDS:,.0f}, "
                f"not {self.backoff!r}"
            )
        if self.verify not in ("size", "dicom"):
            raise DownloadError(unknown_message("kind of verify", self.verify, ("size", "dicom")))
        if self.verify == "dicom":
            dicom.check_installed()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Supervisor:
    """One run of a plan.

    Args:
        plan: What to fetch, and where to.
        options: How to fetch and verify it.
        controls: Switches that the run obeys.
        outcome: Where the run records its results.
        set_state: Called with "paused", "running" and "verifying".
        notify: Called when the progress has changed.
    """

    def __init__(
        self,
        plan: DownloadPlan,
        options: Options,
        controls: Controls,
        outcome: Outcome,
        *,
        set_state: Callable[[State], None],
        notify: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._options = options
        self._controls = controls
        self._outcome = outcome
        self._set_state = set_state
        self._notify = notify
        #: The first line that s5cmd prints, if no line reports a file or an error. Such a line says
        #: why s5cmd cannot work. None until s5cmd prints a line; "" after a file or an error.
        self._first_noise: str | None = None
        #: The SeriesInstanceUIDs of the series whose files were compared with the server.
        self._compared: set[str] = set()

    def run(self, lock: FolderLock) -> State:
        """Fetch, verify and record; return the final state."""
        started = record.now()
        state: State
        try:
            if not lock.is_reserved:
                raise DownloadError(
                    f"another download is writing into the same folders of {self._plan.folder}; "
                    "wait for it or cancel it"
                )
            reasons, survey = self._fetch(lock)
            self._set_state("verifying")
            verify(self._outcome, survey or self._plan.survey(), reasons, lock, self._controls)
            if self._options.verify == "dicom":
                check_headers(self._outcome, self._controls)
            self._outcome.needs_check = False
            state = self._final_state()
        except Exception as error:
            state = "failed"
            self._fail(error, lock)
        if lock.is_locked:
            rows = list(self._outcome.report_rows(self._plan))
            if not lock.made_root or any(row.files for row in rows):  # else nothing was fetched
                problems = record.write(self._plan, rows, state=state, started=started)
                self._outcome.lines += problems
        return state

    def _final_state(self) -> State:
        if not self._outcome.failed:
            return "complete"
        return "cancelled" if self._controls.cancelled.is_set() else "incomplete"

    def _fail(self, error: Exception, lock: FolderLock) -> None:
        """Give `error` as the reason for every series that is not complete."""
        if not isinstance(error, DownloadError):
            _log.error("the download of %r failed unexpectedly", self._plan, exc_info=error)
        message = str(error) if isinstance(error, DownloadError) else repr(error)
        outcome = self._outcome
        outcome.error = message
        self._log_line(message)
        outcome.paths, outcome.failed = {}, {}
        tracker = ProgressTracker(self._plan)
        outcome.on_disk = tracker.on_disk
        for series, files in self._plan.survey():
            tracker.add(series, series.names(files))
            # Files that are not in their final folder are moved, unless another job may use them
            is_final = all(path.parent == series.destination for path in files)
            is_verified = self._options.verify == "size" and (is_final or lock.is_locked)
            if is_verified and series.is_complete(files):
                finalize(outcome, series, files)
            else:
                outcome.failed[series.SeriesInstanceUID] = message
        outcome.settle(tracker)

    def _log_line(self, line: str) -> None:
        self._outcome.lines.append(line)

    # --- fetching ------------------------------------------------------------------------------

    def _fetch(self, lock: FolderLock) -> tuple[dict[str, str], Survey | None]:
        """Fetch the missing files, and try again if that may help.

        Returns:
            The last problem of each series, by SeriesInstanceUID; and the survey of the disk, or
            None if files may have arrived after the survey.
        """
        disk.check_folder(self._plan.folder)
        lock.lock(self._controls.cancelled)
        reasons: dict[str, str] = {}
        # SeriesInstanceUID → number of failed tries; set to `Options.tries` when trying again
        # cannot help.
        tries: Counter[str] = Counter()
        while (looked := self._look(lock)) is not None:
            tracker, survey = looked
            missing = [t for t in tracker.pending.values() if tries[t.uid] < self._options.tries]
            if missing or not tries:
                total = plural(len(self._plan.series), "series")
                self._log_line(f"{len(missing):,} of {total} to fetch")
            if not missing:
                return reasons, survey
            if not self._controls.unpaused.is_set():
                self._wait_for_resume()
                continue
            is_first = not tries
            if is_first:
                disk.check_space(self._plan.folder, tracker.bytes_total - tracker.bytes_done)
            missing.sort(key=lambda tracked: tries[tracked.uid])  # series without problems first
            tracker.restrict_to(missing)
            stop = self._transfer(tracker, missing, lock, is_first)
            for tracked in tracker.pending.values():  # a killed s5cmd leaves unfinished files
                self._remove_unfinished_files(tracked.series, lock)
            failures = tracker.failures(stop)
            # If only s5cmd says that a series is complete, count a try, so that this loop ends
            tries.update(tracked.uid for tracked in missing if tracked.is_complete())
            for uid, (why, is_temporary) in failures.items():
                reasons[uid] = why
                tries[uid] = tries[uid] + 1 if is_temporary else self._options.tries
            # Failed series cause no delay if other series are still waiting for their turn
            incomplete = sum(not tracked.is_complete() for tracked in missing)
            self._back_off(failures, tries, others_wait=len(failures) < incomplete)
        return reasons, None

    def _remove_unfinished_files(self, series: PlannedSeries, lock: FolderLock) -> None:
        folder = series.folder
        disk.remove_unfinished_files(folder, is_alone=lambda: lock.is_alone(folder))

    def _look(self, lock: FolderLock) -> tuple[ProgressTracker, Survey] | None:
        """Count the files on disk, and remove unfinished ones; return None if cancelled."""
        tracker, survey = ProgressTracker(self._plan), []
        for series, files in self._plan.survey():
            if self._controls.cancelled.is_set():
                return None
            self._remove_unfinished_files(series, lock)
            tracker.add(series, series.stage(files))
            survey.append((series, files))
        self._outcome.advance(tracker)
        return tracker, survey

    def _wait_for_resume(self) -> None:
        self._log_line("paused")
        self._set_state("paused")
        self._controls.unpaused.wait()
        self._compared.clear()
        if not self._controls.cancelled.is_set():
            self._log_line("resumed")
            self._set_state("running")

    def _back_off(
        self, failures: dict[str, tuple[str, bool]], tries: Counter[str], *, others_wait: bool
    ) -> None:
        """Wait before failed series are tried again; return at once if none is."""
        retried = [uid for uid in failures if tries[uid] < self._options.tries]
        if not retried:
            return
        (why, _), *more = Counter(failures[uid][0] for uid in retried).most_common()
        number = max(tries[uid] for uid in retried)
        doubled = self._options.backoff * 2.0 ** min(number - 1, 50)
        seconds = 0.0 if others_wait else min(doubled, _MAX_BACKOFF_SECONDS)
        self._log_line(
            f"trying {plural(len(retried), 'series')} again in {seconds:g} s "
            f"(try {number + 1} of {self._options.tries}): {why}{' and others' if more else ''}"
        )
        self._controls.halted.wait(seconds)

    def _transfer(
        self,
        tracker: ProgressTracker,
        missing: list[TrackedSeries],
        lock: FolderLock,
        is_first: bool,
    ) -> StopReason | None:
        """Run s5cmd; return why it stopped early, or None."""
        try:
            check_server(self._plan.endpoint_url, self._controls.halted)
        except DownloadError as error:
            if is_first:
                raise  # nothing has worked yet: the address may be wrong
            return StopReason(str(error))
        if self._controls.halted.is_set():
            return _HALTED
        self._keep_changed_files(tracker, missing)
        if self._controls.halted.is_set():  # perhaps before all changed files were found
            return _HALTED
        lines = [line for tracked in missing for line in _command_lines(tracked)]
        start, before = time.monotonic(), tracker.bytes_done
        self._first_noise = None
        process = s5cmd.Process(
            lines, endpoint_url=self._plan.endpoint_url, workers=self._options.workers
        )
        try:
            lock.record_process(process)
            return self._watch(process, tracker, lock)
        finally:
            process.stop(KILL_GRACE_SECONDS)
            seconds = time.monotonic() - start
            if seconds >= 1:  # in shorter runs, connecting takes most of the time
                remember_rate((tracker.bytes_done - before) / 1e6 / seconds)

    def _keep_changed_files(self, tracker: ProgressTracker, missing: list[TrackedSeries]) -> None:
        """Rename files that were changed since they were downloaded, so that nothing is lost.

        A run compares each series with the server once, and once more after each pause.
        """
        partly = {t.uid: t for t in missing if t.files and t.uid not in self._compared}
        sizes = sizes_on_server(
            (tracked.series for tracked in partly.values()),
            self._plan.endpoint_url,
            self._controls.halted,
        )
        kept = 0
        for uid, tracked in partly.items():
            if uid not in sizes:
                continue
            on_server = sizes[uid]
            for name, size in list(tracked.files.items()):
                if on_server.get(name, size) != size:
                    try:
                        kept += tracked.series.keep_aside(name)
                    except OSError as error:
                        tracked.problem = f"{name} was changed, and cannot be renamed: {error}"
                        self._log_line(tracked.problem)
                        tracked.awaited.discard(name)  # otherwise s5cmd would overwrite the file
                        continue
                    tracker.remove_file(tracked, name)
        self._compared.update(tracked.uid for tracked in missing)
        if kept:
            self._log_line(
                f"{plural(kept, 'file')} {'was' if kept == 1 else 'were'} changed since the "
                "download: kept as <name>.changed-1 or the next number"
            )

    def _watch(
        self, process: s5cmd.Process, tracker: ProgressTracker, lock: FolderLock
    ) -> StopReason | None:
        """Follow s5cmd until it ends, stalls or is halted; return why it stopped early, or None."""
        speed = Speed()
        stall_timeout, workers = self._options.stall_timeout, self._options.workers
        stall_message = f"no data for {stall_timeout:g} s"
        slowness = Slowness(max(SLOW_WINDOW_SECONDS, 2 * stall_timeout))
        last = next_look = time.monotonic()
        awake = last_growth = 0.0  # seconds, without those in which this machine was asleep
        window = 2 * workers  # s5cmd may work on so many series at the same time
        done_since: float | None = None  # when the last pending series was done
        while not self._controls.halted.is_set():
            # Read events only at each look: waking up for every file costs far more
            ended = process.ended.wait(min(max(0.0, next_look - time.monotonic()), 0.5))
            now = time.monotonic()
            awake, last = awake + min(now - last, 1.0), now
            if not ended and now < next_look:
                continue
            try:
                if self._read_events(process, tracker):
                    last_growth = awake
            except _DiskFullError:
                return StopReason("the disk is full", is_temporary=False)
            if ended:
                return _reason_for_exit(process.exit_code or 0, self._first_noise)
            if tracker.excessive:
                # A server that keeps listing objects would otherwise fill the disk
                blamed = frozenset(tracker.excessive)
                return StopReason(_EXCESSIVE, is_temporary=False, stalled=blamed)
            done_since = (done_since or awake) if not tracker.pending else None
            if done_since is not None and awake - done_since > KILL_GRACE_SECONDS:
                return None  # every series was reported: s5cmd is busy with something unwanted
            cost = time.thread_time()
            if tracker.poll(window, awake):
                last_growth = awake
            elif awake - last_growth > stall_timeout:
                # The data may have arrived in a series outside the window
                if not tracker.poll(None, awake):
                    return StopReason(stall_message)
                last_growth = awake
            stalled, files = tracker.stalled(awake - stall_timeout, window)
            # Stop for stalled files only if they occupy half of the workers, or no other file grows
            if stalled and (2 * files >= workers or awake - last_growth > stall_timeout / 4):
                return StopReason(stall_message, stalled=stalled)
            is_slow = slowness.is_too_slow(awake, tracker.bytes_done, tracker.files_done)
            if is_slow and disk.has_blocks(self._plan.folder):
                return StopReason(str(slowness))
            self._report(tracker, speed, now)
            lock.keep_alive()
            # Looking is slow if there are many files: spend at most a tenth of the time on it, and
            # a fiftieth of a processor
            cost = time.thread_time() - cost
            next_look = now + max(POLL_SECONDS, 10 * (time.monotonic() - now), 50 * cost)
        return _HALTED

    def _read_events(self, process: s5cmd.Process, tracker: ProgressTracker) -> bool:
        """Count and log the new events of s5cmd; return whether something arrived.

        Raises:
            _DiskFullError: Nothing more can be written.
        """
        has_news = False
        for event in process.drain_events():
            has_news |= tracker.update(event)
            if not isinstance(event, s5cmd.FileDone):
                self._log_line(_in_log(event))
            if not isinstance(event, s5cmd.Noise):
                self._first_noise = ""
            elif self._first_noise is None:
                self._first_noise = _in_log(event)
            if isinstance(event, s5cmd.Problem) and s5cmd_errors.is_disk_full(event.message):
                raise _DiskFullError
        return has_news

    def _report(self, tracker: ProgressTracker, speed: Speed, now: float) -> None:
        speed.add(now, max(tracker.bytes_done, self._outcome.progress.bytes_done))
        if self._outcome.advance(tracker, speed.MB_per_s):
            self._notify()


def _command_lines(tracked: TrackedSeries) -> list[str]:
    """Return the commands of s5cmd that fetch the missing files of a series."""
    series = tracked.series
    source = series.bucket, series.prefix, series.folder
    if series.only is not None:
        return [s5cmd.cp_file_line(*source, name) for name in sorted(tracked.awaited)]
    return [s5cmd.cp_line(*source, resume=bool(tracked.files))]


def _reason_for_exit(exit_code: int, first_noise: str | None) -> StopReason | None:
    """Return why s5cmd ended too early; None if it has tried every object.

    Args:
        exit_code: The exit code of s5cmd.
        first_noise: The first line that s5cmd printed, if no line reports a file or an error.
    """
    if exit_code in (126, 127):  # from setpriv or a shell: the program does not start
        return StopReason("s5cmd cannot be started, see the log", is_temporary=False)
    if exit_code < 0:
        return StopReason(f"s5cmd was ended by signal {-exit_code}")
    # Exit code 1 means that s5cmd has reported problems, or that it received SIGTERM
    message = f"s5cmd ended before it was done (exit code {exit_code})"
    if first_noise:  # such as "Incorrect Usage" or "error while loading shared libraries"
        message = f"{message}: {s5cmd_errors.in_plain_words(first_noise[:200])}"
    return StopReason(message, fits_all=False) if exit_code else None


def _in_log(event: s5cmd.Problem | s5cmd.Noise) -> str:
    if isinstance(event, s5cmd.Noise):
        return event.text[:MAX_LOG_LINE_CHARACTERS]
    return f"{event.source}: {event.message}"[:MAX_LOG_LINE_CHARACTERS]
