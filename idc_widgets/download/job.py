"""DownloadJob runs a DownloadPlan in the background and tells the truth about it.

The files on disk are the only evidence: a series is complete when its folder holds exactly as
many files and bytes as the index says, whatever was reported on the way.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .._util import human_size, plural
from ..errors import DownloadError, unknown
from . import dicom, disk, record, s5cmd
from .folder_lock import Claim
from .plan import DownloadPlan, PlannedSeries
from .preflight import reach
from .preview import remember_rate
from .progress import Ended, Meter, Progress, Speed, Track
from .progress_bar import shown
from .report import Row, rows, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DownloadJob", "Progress", "State", "Verify"]

State = Literal[
    "planned", "running", "paused", "verifying", "complete", "incomplete", "cancelled", "failed"
]
Verify = Literal["size", "dicom"]
FINISHED: frozenset[State] = frozenset({"complete", "incomplete", "cancelled", "failed"})

Survey = Iterable[tuple[PlannedSeries, dict[Path, int]]]

LOOK_EVERY = 0.2  # seconds between two looks at the disk, and so between two calls of an observer
GRACE = 5.0  # seconds that s5cmd has to end after it was asked to

_log = logging.getLogger(__name__)


class DownloadJob:
    """A download that runs in the background: start it, watch it, wait for it, cancel it.

    Starting a job on a plan that was carried out in part fetches only what is missing.

    >>> job = DownloadJob(plan).start()
    >>> job.wait()                      # or, in a coroutine or a notebook cell: await job
    'complete'
    >>> job.paths["1.3.6.1.4.1..."]
    [PosixPath('/home/me/idc/...dcm'), ...]

    Args:
        plan: what to fetch, and where to.
        workers: transfers side by side.
        on_change: called with the job, see the method of that name.
        stall_timeout: seconds without a byte after which a file, or all, is tried again.
        tries: how often a series is tried, when what went wrong may pass: a busy server, a broken
            or stalled connection, an s5cmd that somebody ended. Other failures are final at once.
        backoff: seconds before the second try, and twice as many before each further one.
        verify: "size" counts the files and bytes of each series; "dicom" also reads in every file
            of which series it is, with pydicom.

    Raises:
        DownloadError: an argument is wrong, or pydicom is missing.
    """

    def __init__(
        self,
        plan: DownloadPlan,
        *,
        workers: int = 64,
        on_change: Callable[[DownloadJob], object] | None = None,
        stall_timeout: float = 60.0,
        tries: int = 3,
        backoff: float = 1.0,
        verify: Verify = "size",
    ) -> None:
        for name, value in (("workers", workers), ("tries", tries)):
            if not isinstance(value, int) or value < 1:
                raise DownloadError(f"{name} must be a whole number, 1 at least, not {value!r}")
        if not stall_timeout > 0:
            raise DownloadError(f"stall_timeout must be some seconds, not {stall_timeout!r}")
        self.plan = plan
        self.workers = workers
        self.stall_timeout = stall_timeout
        self.tries = tries
        self.backoff = backoff
        if verify not in ("size", "dicom"):
            raise DownloadError(unknown("kind of verify", verify, ("size", "dicom")))
        if verify == "dicom":
            dicom.check_installed()
        self.verify: Verify = verify
        self._observers: list[Callable[[DownloadJob], object]] = [on_change] if on_change else []
        self._lock = threading.Lock()
        self._state: State = "planned"
        self._thread: threading.Thread | None = None
        self._reset()

    def _reset(self) -> None:
        self._error: str | None = None
        self._paths: dict[str, list[Path]] = {}
        self._failed: dict[str, str] = {}
        self._found: dict[str, tuple[int, int]] = {}  # files and bytes, by SeriesInstanceUID
        self._checked = False  # whether all that is complete was checked as `verify` says
        self._problems: set[str] = set()  # SeriesInstanceUIDs that are not just unfinished
        self._lines: deque[str] = deque(maxlen=500)
        self._progress = Progress(0, self.plan.size_bytes, 0, self.plan.instances)
        self._series_done = 0
        self._cancelled = threading.Event()
        self._going = threading.Event()  # clear while it is paused
        self._going.set()
        self._halt = threading.Event()  # set by cancel and pause: let go of what you are at
        self._finished = threading.Event()

    # What a person sees

    @property
    def state(self) -> State:
        """What it is at.

        "planned", "running" ("paused" between `pause` and `resume`), "verifying", then one of
        "complete" (every series is), "incomplete" (some are not: see `failed`), "cancelled",
        "failed" (it could not start: see `error`).
        """
        return self._state

    @property
    def error(self) -> str | None:
        """Why the state is "failed", in plain words."""
        return self._error

    @property
    def progress(self) -> Progress:
        """How far it is: never backwards while it runs, and what is on the disk at the end."""
        return self._progress

    @property
    def series_done(self) -> int:
        """How many series are there, as far as is known."""
        return self._series_done

    @property
    def paths(self) -> dict[str, list[Path]]:
        """The files of each complete series, by SeriesInstanceUID; known at the end."""
        return {uid: list(paths) for uid, paths in self._paths.items()}

    @property
    def failed(self) -> dict[str, str]:
        """Why a series is not complete, by SeriesInstanceUID; known at the end."""
        return dict(self._failed)

    @property
    def report(self) -> pd.DataFrame:
        """One row a series: what is known now, and at the end what became of it.

        SeriesInstanceUID; state: "complete", "partly", "missing", or "failed" if something was
        wrong with it; reason; files and files_expected; size_MB and size_MB_expected (MB = 10^6
        bytes); folder; license and source_DOI, if the plan is of a `Selection`.
        """
        return table(self._rows())

    def _rows(self) -> Iterator[Row]:
        to_check = self.verify == "dicom" and not self._checked
        unchecked = "its files are not read yet" if to_check else None
        return rows(self.plan, self._found, self._failed, self._problems, unchecked)

    @property
    def log(self) -> tuple[str, ...]:
        """The last 500 lines of what was done and of what s5cmd complained about."""
        return tuple(self._lines)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whatever state."""
        return self._state in FINISHED

    @property
    def is_cancelling(self) -> bool:
        """Whether `cancel` was called, and it has not ended yet."""
        return self._cancelled.is_set() and not self._finished.is_set()

    def __repr__(self) -> str:
        done, total = human_size(self.progress.bytes_done), human_size(self.plan.size_bytes)
        return f"<DownloadJob {self.state}: {len(self.plan.series):,} series, {done} of {total}>"

    # What a person does

    def start(self) -> DownloadJob:
        """Begin in the background; does nothing if it has begun already. Returns the job."""
        with self._lock:
            if self._state != "planned":
                return self
            self._state = "running"
        # Claimed here, not in the thread: of two jobs, the one started first gets the folders.
        claim = Claim(self.plan)
        self._thread = threading.Thread(
            target=self._run, args=(claim, self._finished), name="DownloadJob", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:  # there are too many, or the interpreter is about to end
            claim.release()
            self._state = "planned"
            raise
        return self

    def retry(self) -> DownloadJob:
        """Run a finished job again: complete series are kept, the others fetched. Returns it."""
        with self._lock:
            if self._state in FINISHED:
                self._reset()
                self._state = "planned"
        return self.start()

    def cancel(self) -> None:
        """Stop it; returns at once. What is complete stays, no unfinished file is left behind.

        A job that was not started becomes "cancelled", one that is finished stays as it is.
        """
        with self._lock:
            self._cancelled.set()
            self._halt.set()
            self._going.set()
            if self._state != "planned":
                return  # the thread sees the event
            self._failed = {
                series.SeriesInstanceUID: "cancelled before it started"
                for series in self.plan.series
            }
            self._state = "cancelled"
            self._finished.set()
        self._notify()

    def pause(self) -> None:
        """Let it rest until `resume`; returns at once. What has arrived stays.

        Files that were on their way are fetched again then. Does nothing unless it is running.
        """
        with self._lock:
            if self._state in ("running", "paused") and not self._cancelled.is_set():
                self._going.clear()
                self._halt.set()

    def resume(self) -> None:
        """End a pause; does nothing if there is none."""
        with self._lock:
            if not self._cancelled.is_set():
                self._halt.clear()
                self._going.set()

    def wait(self, timeout: float | None = None, *, bar: bool = False) -> State:
        """Block until it is finished, starting it if need be; returns its state.

        By then its observers have been called. An observer that waits itself is not blocked.

        Args:
            timeout: seconds; then the state may be "running". None waits for ever, through a
                pause as well.
            bar: show a progress bar in the terminal meanwhile.

        Raises:
            KeyboardInterrupt: Ctrl-C, or the Stop button of a notebook; the job is cancelled.
        """
        self.start()
        if threading.current_thread() is self._thread:
            return self._state
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        try:
            with shown(self) if bar else nullcontext():
                # In steps, because Windows hears Ctrl-C only between two waits
                while (left := deadline - time.monotonic()) > 0:
                    finished = self._finished
                    if finished.wait(min(left, 0.5)) and finished is self._finished:
                        break  # else retry() was called meanwhile
        except KeyboardInterrupt:
            self.cancel()
            self._finished.wait(2 * GRACE)
            raise
        return self._state

    def __await__(self) -> Generator[object, None, DownloadJob]:
        """Wait without blocking the event loop, starting it if need be; gives the job.

        Cancelling the task that awaits cancels the job.
        """
        return self._until_finished().__await__()

    async def _until_finished(self) -> DownloadJob:
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def look(job: DownloadJob) -> None:
            if job.state in FINISHED:
                with suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(finished.set)

        remove = self.on_change(look)
        try:
            self.start()
            look(self)  # it may have been finished before we observed it
            await finished.wait()
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            remove()
        return self

    def on_change(self, callback: Callable[[DownloadJob], object]) -> Callable[[], None]:
        """Have `callback(job)` called at every change of state and, while it runs, of progress.

        It is called from the job's thread, about five times a second at most; what it raises is
        logged. Returns a function that ends this.
        """
        self._observers.append(callback)

        def remove() -> None:
            with suppress(ValueError):
                self._observers.remove(callback)

        return remove

    # What happens in the thread

    def _run(self, claim: Claim, finished: threading.Event) -> None:
        state: State = "failed"
        try:
            self._notify()
            state = self._work(claim)
        except BaseException as error:  # an observer's SystemExit, too: nobody waits for ever
            _log.error("%r ended unexpectedly", self, exc_info=error)
            self._error = self._error or f"it ended unexpectedly: {error!r}"
            uids = (series.SeriesInstanceUID for series in self.plan.series)
            self._failed |= {uid: self._error for uid in uids if uid not in self._paths}
        finally:
            try:
                claim.release()
            finally:
                try:
                    self._set_state(state)
                finally:
                    finished.set()  # not self._finished: an observer may have called retry()

    def _work(self, claim: Claim) -> State:
        """Fetch, verify and record; the state at the end."""
        started = record.now()
        state: State
        try:
            if not claim.granted:
                raise DownloadError(
                    f"another download is writing into the same folders of {self.plan.folder}; "
                    "wait for it or cancel it"
                )
            reasons, there = self._fetch(claim)
            self._set_state("verifying")
            self._verify(reasons, there or self.plan.survey())
            self._check_headers()
            state = self._verdict()
        except Exception as error:
            state = "failed"
            self._explain(error, claim)
        if claim.is_locked:
            found = list(self._rows())
            if not claim.made_root or any(row.files for row in found):  # else nothing came of it
                self._lines += record.write(self.plan, found, state=state, started=started)
        return state

    def _explain(self, error: Exception, claim: Claim) -> None:
        """Say of every series that is not complete that `error` kept it from being fetched."""
        if not isinstance(error, DownloadError):
            _log.error("%r failed unexpectedly", self, exc_info=error)
        self._error = str(error) if isinstance(error, DownloadError) else repr(error)
        self._lines.append(self._error)
        self._paths, self._failed = {}, {}
        meter = Meter(self.plan)
        self._found = meter.found
        for series, files in self.plan.survey():
            meter.add(series, series.names(files))
            # What is not where it belongs is moved, unless the folders are another job's
            is_home = all(path.parent == series.destination for path in files)
            is_told = self.verify == "size" and (is_home or claim.is_locked)
            if is_told and series.is_complete(files):
                self._settle(series, files)
            else:
                self._failed[series.SeriesInstanceUID] = self._error
        self._progress, self._series_done = meter.progress(), meter.series_done

    def _verdict(self) -> State:
        if not self._failed:
            return "complete"
        return "cancelled" if self._cancelled.is_set() else "incomplete"

    def _set_state(self, state: State) -> None:
        with self._lock:
            self._state = state
        self._notify()

    def _notify(self) -> None:
        for callback in list(self._observers):
            try:
                callback(self)
            except Exception:
                _log.exception("an observer of %r failed", self)

    def _fetch(self, claim: Claim) -> tuple[dict[str, str], Survey | None]:
        """Fetch what is missing.

        Returns:
            What went wrong, by SeriesInstanceUID; and what is on the disk, if nothing was fetched
            since that was looked up.
        """
        disk.check_folder(self.plan.folder)
        claim.lock()
        reasons: dict[str, str] = {}
        tried: Counter[str] = Counter()  # in vain; all of `tries` if trying again is no use
        while (looked := self._look()) is not None:
            meter, there = looked
            missing = [t for t in meter.pending.values() if tried[_uid(t)] < self.tries]
            count, total = len(missing), plural(len(self.plan.series), "series")
            if missing or not tried:
                self._say(f"{count:,} of {total} to fetch")
            if not missing:
                return reasons, there
            if not self._going.is_set():
                self._rest()
                continue
            first = not tried
            if first:
                disk.check_space(self.plan.folder, meter.bytes_total - meter.bytes_done)
            missing.sort(key=lambda track: tried[_uid(track)])  # the untroubled first
            meter.expect(missing)
            ended = self._transfer(meter, missing, claim, first)
            for track in meter.pending.values():  # an s5cmd that is killed leaves them behind
                disk.remove_temps(track.series.folder)
            failures = meter.failures(ended)
            # Should what s5cmd has told of not be there, it is not told of for ever
            tried.update(_uid(track) for track in missing if track.is_done())
            again: Counter[str] = Counter()
            for uid, (why, may_pass) in failures.items():
                reasons[uid] = why
                tried[uid] = tried[uid] + 1 if may_pass else self.tries
                if tried[uid] < self.tries:
                    again[why] += 1
            if not again:
                continue  # with those that were kept from it by others, if there are any
            tries = max(tried[uid] for uid in failures if tried[uid] < self.tries)
            # Nobody need wait for the sake of others who have a problem
            busy = len(failures) < len([t for t in missing if not t.is_done()])
            seconds = 0.0 if busy else self.backoff * 2 ** (tries - 1)
            (why, _), *more = again.most_common()
            self._say(
                f"trying {plural(again.total(), 'series')} again in {seconds:g} s "
                f"(try {tries + 1} of {self.tries}): {why}{' and others' if more else ''}"
            )
            self._halt.wait(seconds)
        return reasons, None

    def _look(self) -> tuple[Meter, Survey] | None:
        """What is on the disk, without unfinished files; None if it was cancelled."""
        meter, there = Meter(self.plan), []
        for series, files in self.plan.survey():
            if self._cancelled.is_set():
                return None
            disk.remove_temps(series.folder)
            meter.add(series, series.gather(files))
            there.append((series, files))
        self._take(meter)
        return meter, there

    def _rest(self) -> None:
        self._say("paused")
        self._set_state("paused")
        self._going.wait()
        if not self._cancelled.is_set():
            self._say("going on")
            self._set_state("running")

    def _say(self, line: str) -> None:
        self._lines.append(line)

    def _transfer(
        self, meter: Meter, missing: list[Track], claim: Claim, first: bool
    ) -> Ended | None:
        """Run s5cmd; why it ended early, if it did."""
        try:
            reach(self.plan.endpoint_url, self._halt)
        except DownloadError as error:
            if first:
                raise  # nothing has worked yet: the address may be wrong
            return Ended(str(error))
        if self._halt.is_set():
            return _HALTED
        lines = [line for track in missing for line in _lines(track)]
        start, before = time.monotonic(), meter.bytes_done
        process = s5cmd.Process(lines, endpoint_url=self.plan.endpoint_url, workers=self.workers)
        try:
            claim.note(process)
            return self._follow(process, meter)
        finally:
            process.stop(GRACE)
            seconds = time.monotonic() - start
            if seconds >= 1:  # shorter ones are mostly the time to connect
                remember_rate((meter.bytes_done - before) / 1e6 / seconds)

    def _follow(self, process: s5cmd.Process, meter: Meter) -> Ended | None:
        """Take in what the process does until it ends, stalls or is halted; why, if known."""
        speed = Speed()
        last = next_look = time.monotonic()
        awake = last_move = 0.0  # seconds, without those in which this machine was asleep
        window = 2 * self.workers  # series that s5cmd may have in work
        over: float | None = None  # since when nothing more is expected
        while not self._halt.is_set():
            # What it says is taken in at the next look: being woken by every file costs far more
            ended = process.ended.wait(min(max(0.0, next_look - time.monotonic()), 0.5))
            now = time.monotonic()
            awake, last = awake + min(now - last, 1.0), now
            if not ended and now < next_look:
                continue
            for event in process.told():
                if meter.take(event):
                    last_move = awake
                if not isinstance(event, s5cmd.FileDone):
                    self._say(_described(event))
                if isinstance(event, s5cmd.Problem) and s5cmd.is_disk_full(event.message):
                    return Ended("the disk is full", may_pass=False)
            if ended:
                return _end(process.exit_code or 0)
            if meter.excess:
                # A server that lists ever more would otherwise fill the disk
                return Ended(_EXCESS, may_pass=False, stalled=frozenset(meter.excess))
            over = (over or awake) if not meter.pending else None
            if over is not None and awake - over > GRACE:
                return None  # all has been told of: it is at something that nobody asked for
            cost = time.thread_time()
            if meter.look(window, awake):
                last_move = awake
            elif awake - last_move > self.stall_timeout:
                # The bytes may have come to a folder that we did not think of
                if not meter.look(None, awake):
                    return Ended(f"no data for {self.stall_timeout:g} s")
                last_move = awake
            stalled, files = meter.stalled(awake - self.stall_timeout, window)
            # Others that move are let go on, unless stalled files take half of the workers
            if stalled and (
                2 * files >= self.workers or awake - last_move > self.stall_timeout / 4
            ):
                return Ended(f"no data for {self.stall_timeout:g} s", stalled=stalled)
            self._report(meter, speed, now)
            # Many files make looking slow: a tenth of the time at most, a fiftieth of a processor
            cost = time.thread_time() - cost
            next_look = now + max(LOOK_EVERY, 10 * (time.monotonic() - now), 50 * cost)
        return _HALTED

    def _take(self, meter: Meter, MB_per_s: float | None = None) -> bool:
        """Show what the meter says, but never go backwards; whether that is news."""
        bytes_done = max(meter.bytes_done, self._progress.bytes_done)
        files_done = max(meter.files_done, self._progress.files_done)
        self._series_done = max(meter.series_done, self._series_done)
        progress = meter.progress(bytes_done, files_done, MB_per_s)
        news = progress != self._progress
        self._progress = progress
        return news

    def _report(self, meter: Meter, speed: Speed, now: float) -> None:
        speed.add(now, max(meter.bytes_done, self._progress.bytes_done))
        if self._take(meter, speed.MB_per_s):
            self._notify()

    def _verify(self, reasons: dict[str, str], survey: Survey) -> None:
        """Count every series on the disk: `paths`, `failed` and the final progress."""
        self._problems = {uid for uid, why in reasons.items() if why}
        meter = Meter(self.plan)
        self._found = meter.found
        for series, files in survey:
            track = meter.add(series, series.names(files))
            if series.is_complete(files):
                self._settle(series, files)
                continue
            reason = reasons.get(series.SeriesInstanceUID)
            if not reason and self._cancelled.is_set():
                reason = "cancelled"
            arrived = track.in_words()
            self._failed[series.SeriesInstanceUID] = f"{reason}; {arrived}" if reason else arrived
        self._progress, self._series_done = meter.progress(), meter.series_done

    def _settle(self, series: PlannedSeries, files: dict[Path, int]) -> None:
        try:
            self._paths[series.SeriesInstanceUID] = series.settle(files)
        except DownloadError as error:
            self._failed[series.SeriesInstanceUID] = str(error)

    def _check_headers(self) -> None:
        """With verify="dicom": what is complete by count and bytes, and still is not right."""
        if self.verify == "dicom":
            wrong = dicom.wrong(self._paths, self._cancelled)
            self._problems.update(uid for uid in wrong if wrong[uid] != dicom.CANCELLED)
            self._failed.update(wrong)
            for uid in wrong:
                del self._paths[uid]
        self._checked = True


_EXCESS = "the server has more files, or larger ones, than the index tells of"


def _uid(track: Track) -> str:
    return track.series.SeriesInstanceUID


_HALTED = Ended("", stalled=frozenset())  # by cancel or pause: nobody is to blame


def _end(exit_code: int) -> Ended | None:
    if exit_code in (126, 127):  # as shells have it, and setpriv
        return Ended("s5cmd cannot be started, see the log", may_pass=False)
    if exit_code < 0:
        return Ended(f"s5cmd was ended by signal {-exit_code}")
    # 1 says that there were problems, which are known, or that it was ended politely by somebody
    ended = f"s5cmd ended before it was done (exit code {exit_code})"
    return Ended(ended, fits_all=False) if exit_code else None


def _lines(track: Track) -> list[str]:
    place = track.series.bucket, track.series.prefix, track.series.folder
    if track.series.only is not None:
        return [s5cmd.cp_file_line(*place, name) for name in sorted(track.awaited)]
    return [s5cmd.cp_line(*place, resume=bool(track.files))]


def _described(event: s5cmd.Problem | s5cmd.Noise) -> str:
    if isinstance(event, s5cmd.Noise):
        return event.text[:2000]
    return f"{event.source}: {event.message}"[:2000]
