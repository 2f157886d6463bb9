"""DownloadJob runs a DownloadPlan in the background and tells the truth about it.

The files on disk are the only evidence: a series is complete when its folder holds exactly as
many files and bytes as the index says, whatever was reported on the way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..errors import DownloadError
from ..units import human_size, plural
from . import disk, s5cmd
from .plan import DownloadPlan, PlannedSeries
from .preview import remember_rate

__all__ = ["DownloadJob", "Progress", "State"]

State = Literal["planned", "running", "verifying", "complete", "incomplete", "cancelled", "failed"]
FINISHED: frozenset[State] = frozenset({"complete", "incomplete", "cancelled", "failed"})

LOOK_EVERY = 0.2  # seconds between two looks at the disk, and so between two calls of an observer
SPEED_WINDOW = 5.0  # seconds
GRACE = 5.0  # seconds that s5cmd has to end after it was asked to
CONNECT_TIMEOUT = 5.0  # seconds for one address of the server
REACH_TIMEOUT = 15.0  # seconds for all of them, and for finding its name

_log = logging.getLogger(__name__)


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
        stall_timeout: seconds without a byte after which the download is given up.
    """

    def __init__(
        self,
        plan: DownloadPlan,
        *,
        workers: int = 64,
        on_change: Callable[[DownloadJob], object] | None = None,
        stall_timeout: float = 60.0,
    ) -> None:
        if workers < 1:
            raise DownloadError(f"workers must be at least 1, not {workers}")
        self.plan = plan
        self.workers = workers
        self.stall_timeout = stall_timeout
        self._observers: list[Callable[[DownloadJob], object]] = [on_change] if on_change else []
        self._lock = threading.Lock()
        self._state: State = "planned"
        self._thread: threading.Thread | None = None
        self._reset()

    def _reset(self) -> None:
        self._error: str | None = None
        self._paths: dict[str, list[Path]] = {}
        self._failed: dict[str, str] = {}
        self._lines: deque[str] = deque(maxlen=500)
        self._progress = Progress(0, self.plan.size_bytes, 0, self.plan.instances)
        self._cancelled = threading.Event()
        self._finished = threading.Event()

    # What a person sees

    @property
    def state(self) -> State:
        """What it is at.

        "planned", "running", "verifying", then one of "complete" (every series is), "incomplete"
        (some are not: see `failed`), "cancelled", "failed" (it could not start: see `error`).
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
    def paths(self) -> dict[str, list[Path]]:
        """The files of each complete series, by SeriesInstanceUID; known at the end."""
        return {uid: list(paths) for uid, paths in self._paths.items()}

    @property
    def failed(self) -> dict[str, str]:
        """Why a series is not complete, by SeriesInstanceUID; known at the end."""
        return dict(self._failed)

    @property
    def log(self) -> tuple[str, ...]:
        """The last 500 lines of what was done and of what s5cmd complained about."""
        return tuple(self._lines)

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
        claimed = _claim(self.plan)
        self._thread = threading.Thread(
            target=self._run, args=(claimed, self._finished), name="DownloadJob", daemon=True
        )
        self._thread.start()
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
        self._cancelled.set()
        with self._lock:
            if self._state != "planned":
                return  # the thread sees the event
            self._failed = {
                series.SeriesInstanceUID: "cancelled before it started"
                for series in self.plan.series
            }
            self._state = "cancelled"
        self._finished.set()
        self._notify()

    def wait(self, timeout: float | None = None) -> State:
        """Block until it is finished, starting it if need be; returns its state.

        By then its observers have been called. An observer that waits itself is not blocked.

        Args:
            timeout: seconds; then the state may be "running". None waits for ever.

        Raises:
            KeyboardInterrupt: Ctrl-C, or the Stop button of a notebook; the job is cancelled.
        """
        self.start()
        if threading.current_thread() is self._thread:
            return self._state
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        try:
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

    def _run(self, claimed: bool, finished: threading.Event) -> None:
        self._notify()
        try:
            if not claimed:
                raise DownloadError(
                    f"another download is writing into the same folders of {self.plan.folder}; "
                    "wait for it or cancel it"
                )
            reasons = self._fetch()
            self._set_state("verifying")
            self._verify(reasons)
            state = self._verdict()
        except Exception as error:
            state = "failed"
            self._explain(error)
        if claimed:
            _release(self.plan)
        self._set_state(state)
        finished.set()  # not self._finished: an observer may have called retry()

    def _explain(self, error: Exception) -> None:
        """Say of every series that is not complete that `error` kept it from being fetched."""
        if not isinstance(error, DownloadError):
            _log.error("%r failed unexpectedly", self, exc_info=error)
        self._error = str(error) if isinstance(error, DownloadError) else repr(error)
        self._lines.append(self._error)
        self._paths = self.plan.complete()
        uids = (series.SeriesInstanceUID for series in self.plan.series)
        self._failed = {uid: self._error for uid in uids if uid not in self._paths}

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

    def _fetch(self) -> dict[str, str]:
        """Fetch what is missing; what went wrong, by SeriesInstanceUID."""
        disk.check_folder(self.plan.folder)
        meter = _Meter(self.plan)
        for series, files in self.plan.survey():
            if self._cancelled.is_set():
                return {}
            disk.remove_temps(series.folder)
            meter.add(series, series.gather(files))
        self._progress = meter.progress()
        missing = list(meter.pending.values())
        self._lines.append(f"{len(missing)} of {plural(len(self.plan.series), 'series')} to fetch")
        if not missing:
            return {}
        disk.check_space(self.plan.folder, meter.bytes_total - meter.bytes_done)
        _reach(self.plan.endpoint_url, self._cancelled)
        if self._cancelled.is_set():
            return {}
        return self._transfer(meter, [_line(track) for track in missing])

    def _transfer(self, meter: _Meter, lines: list[str]) -> dict[str, str]:
        start, before = time.monotonic(), meter.bytes_done
        process = s5cmd.Process(lines, endpoint_url=self.plan.endpoint_url, workers=self.workers)
        try:
            ended = self._follow(process, meter)
        finally:
            process.stop(GRACE)
        seconds = time.monotonic() - start
        if seconds >= 1:  # shorter ones are mostly the time to connect
            remember_rate((meter.bytes_done - before) / 1e6 / seconds)
        return meter.reasons(ended)

    def _follow(self, process: s5cmd.Process, meter: _Meter) -> str | None:
        """Take in what the process does until it ends, is cancelled or stalls; why, if known."""
        speed = _Speed()
        last_move = next_look = time.monotonic()
        while not self._cancelled.is_set():
            with suppress(queue.Empty):
                event = process.events.get(timeout=max(0.0, next_look - time.monotonic()))
                last_move = time.monotonic()
                if event is None:
                    code = process.exit_code or 0
                    return f"s5cmd was ended by signal {-code}" if code < 0 else None
                meter.take(event)
                if not isinstance(event, s5cmd.FileDone):
                    self._lines.append(_described(event))
            now = time.monotonic()
            if now < next_look:
                continue
            if meter.look(2 * self.workers):
                last_move = now
            elif now - last_move > self.stall_timeout:
                # The bytes may have come to a folder that we did not think of
                if not meter.look(None):
                    self._lines.append(f"no data for {self.stall_timeout:g} s, giving up")
                    return f"no data for {self.stall_timeout:g} s"
                last_move = now
            # Many files make looking slow: let it take a tenth of the time at most
            next_look = now + max(LOOK_EVERY, 10 * (time.monotonic() - now))
            self._report(meter, speed, now)
        return None

    def _report(self, meter: _Meter, speed: _Speed, now: float) -> None:
        bytes_done = max(meter.bytes_done, self._progress.bytes_done)
        files_done = max(meter.files_done, self._progress.files_done)
        speed.add(now, bytes_done)
        progress = meter.progress(bytes_done, files_done, speed.MB_per_s)
        if progress != self._progress:
            self._progress = progress
            self._notify()

    def _verify(self, reasons: dict[str, str]) -> None:
        """Count every series on the disk: `paths`, `failed` and the final progress."""
        meter = _Meter(self.plan)
        for series, files in self.plan.survey():
            track = meter.add(series, {path.name: size for path, size in files.items()})
            if series.is_complete(files):
                try:
                    self._paths[series.SeriesInstanceUID] = series.settle(files)
                except DownloadError as error:
                    self._failed[series.SeriesInstanceUID] = str(error)
                continue
            reason = reasons.get(series.SeriesInstanceUID)
            if reason is None and self._cancelled.is_set():
                reason = "cancelled"
            arrived = track.in_words()
            self._failed[series.SeriesInstanceUID] = f"{reason}; {arrived}" if reason else arrived
        self._progress = meter.progress()


@dataclass(slots=True)
class _Track:
    """What of one series is there."""

    series: PlannedSeries
    files: dict[str, int]  # whole ones: name to bytes
    growing: dict[str, int] = field(default_factory=dict)  # unfinished: final name to bytes
    whole_bytes: int = 0  # of `files`
    counted: tuple[int, int] = (0, 0)  # bytes and files as they are in the meter's totals
    problem: str | None = None

    def __post_init__(self) -> None:
        self.whole_bytes = sum(self.files.values())

    def done(self) -> tuple[int, int]:
        """Bytes and files, never more than the series has."""
        # An unfinished file that will replace a truncated one counts for what it has more
        growth = sum(max(0, n - self.files.get(f, 0)) for f, n in self.growing.items())
        return (
            min(self.whole_bytes + growth, self.series.size_bytes),
            min(len(self.files), self.series.instances),
        )

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
                f"the folder has {files} .dcm files where the series has {instances}: "
                f"move the others away from {self.series.folder}"
            )
        return f"{files} of {instances} files arrived, {there} of {size}"


class _Meter:
    """Counts what has arrived, from s5cmd's lines and from the files that grow."""

    def __init__(self, plan: DownloadPlan) -> None:
        self.bytes_total, self.files_total = plan.size_bytes, plan.instances
        self.bytes_done = self.files_done = 0
        self.pending: dict[str, _Track] = {}  # by bucket/prefix, in the order of the lines
        self._tracks: dict[str, _Track] = {}  # the same, and those that became complete

    def add(self, series: PlannedSeries, files: dict[str, int]) -> _Track:
        """Begin with the files that are there."""
        track = _Track(series, files)
        if not series.is_complete(files):
            location = f"{series.bucket}/{series.prefix}"
            self.pending[location] = self._tracks[location] = track
        self._recount(track)
        return track

    def take(self, event: s5cmd.Event) -> None:
        """Take in what s5cmd said."""
        if isinstance(event, s5cmd.Noise):
            return
        location, _, name = event.source.removeprefix("s3://").rpartition("/")
        track = self._tracks.get(location)
        if track is None:
            return
        if isinstance(event, s5cmd.Problem):
            track.problem = event.message
            if name == "*":  # the whole line failed: nothing more will come of it
                self.pending.pop(location, None)
            return
        track.file_done(name, event.size_bytes)
        self._recount(track)
        if track.done() == (track.series.size_bytes, track.series.instances):
            self.pending.pop(location, None)

    def look(self, limit: int | None) -> bool:
        """Look at the unfinished files of the first `limit` pending series; whether they grew.

        s5cmd takes its lines in order and has as many in work as it has workers.
        """
        before = self.bytes_done
        for track in islice(self.pending.values(), limit):
            track.growing = {
                name: disk.allocated(path) for path, name in disk.temps(track.series.folder).items()
            }
            self._recount(track)
        return self.bytes_done != before

    def _recount(self, track: _Track) -> None:
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

    def reasons(self, otherwise: str | None) -> dict[str, str]:
        """Why series did not arrive, by SeriesInstanceUID: their own problem, or the common one."""
        reasons = {}
        for track in self._tracks.values():
            if track.problem:
                reasons[track.series.SeriesInstanceUID] = s5cmd.in_plain_words(track.problem)
            elif otherwise:
                reasons[track.series.SeriesInstanceUID] = otherwise
        return reasons


class _Speed:
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


def _line(track: _Track) -> str:
    # `cp` first: `sync` asks for every single object what it is; `sync` then: `cp` fetches all
    make = s5cmd.sync_line if track.files else s5cmd.cp_line
    return make(track.series.bucket, track.series.prefix, track.series.folder)


def _described(event: s5cmd.Problem | s5cmd.Noise) -> str:
    if isinstance(event, s5cmd.Noise):
        return event.text[:2000]
    return f"{event.source}: {event.message}"[:2000]


# Reaching the server: s5cmd itself needs minutes to say that nobody is there


def _reach(endpoint_url: str, cancelled: threading.Event) -> None:
    """Make sure that somebody listens at the endpoint, unless a proxy is in front of it.

    Raises:
        DownloadError: nobody does.
    """
    url = urlsplit(endpoint_url)
    if os.environ.get(f"{url.scheme}_proxy") or os.environ.get(f"{url.scheme.upper()}_PROXY"):
        return  # the way leads through the proxy; s5cmd will tell
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # In its own thread, because to look up a name can take long and cannot be interrupted
    threading.Thread(
        target=lambda: answer.put(_connect(host, port)), name="DownloadJob-reach", daemon=True
    ).start()
    problem: str | None = "no answer"
    deadline = time.monotonic() + REACH_TIMEOUT
    while time.monotonic() < deadline and not cancelled.is_set():
        with suppress(queue.Empty):
            problem = answer.get(timeout=LOOK_EVERY)
            break
    if problem and not cancelled.is_set():
        raise DownloadError(
            f"the server {endpoint_url} cannot be reached ({problem}); "
            "check the network connection, and whether a firewall blocks it"
        )


def _connect(host: str, port: int) -> str | None:
    """None if a TCP connection can be made to any address of `host`, else why not."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
    except socket.gaierror:
        return f"the name {host} cannot be found"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)
    return None


# Two jobs in one process do not write into the same folder at a time

_claims: set[str] = set()
_claims_lock = threading.Lock()


def _folders(plan: DownloadPlan) -> set[str]:
    return {os.path.normcase(series.folder).casefold() for series in plan.series}


def _claim(plan: DownloadPlan) -> bool:
    folders = _folders(plan)
    with _claims_lock:
        if not _claims.isdisjoint(folders):
            return False
        _claims.update(folders)
        return True


def _release(plan: DownloadPlan) -> None:
    with _claims_lock:
        _claims.difference_update(_folders(plan))
