"""A download that runs in the background: its state, and the methods to follow and control it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .._util import MORE_THREADS, Callbacks, PublicNames, fork_safe, html_facts, human_size
from ..errors import DownloadError
from .controls import Controls
from .folder_lock import FolderLock
from .outcome import FINISHED, Outcome, State
from .plan import DownloadPlan
from .progress import Progress
from .progress_bar import progress_bar
from .report import as_dataframe, files_dataframe, missing_message
from .supervisor import KILL_GRACE_SECONDS, Options, Supervisor, Verify

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DownloadJob"]

_WAIT_STEP_SECONDS = 0.5  # on Windows, Ctrl-C is noticed only between two waits

_log = logging.getLogger(__name__)


class DownloadJob(PublicNames):
    """A download that runs in the background: start it, follow it, wait for it, cancel it.

    If the plan was carried out in part before, the job fetches only the missing files.

    >>> job = DownloadJob(plan).start()     # doctest: +SKIP
    >>> job.result()["1.3.6.1.4.1..."]      # doctest: +SKIP
    [PosixPath('/home/me/idc/...dcm'), ...]

    In a coroutine or a notebook cell, ``await job`` waits for the end, too. ``with job:`` starts
    the job, and waits for its end after the block. If the block raises an error, the job is
    cancelled.

    Args:
        plan: What to fetch, and where to.
        workers: The number of parallel transfers.
        on_change: Called with the job; see the method `on_change`.
        stall_timeout: Files that receive no data for so many seconds are tried again.
        tries: How often a series is tried if its problem is temporary: a busy server, a broken or
            stalled connection, an s5cmd that was killed. Other problems are final at once.
        backoff: Seconds before the second try; they double for each further try, up to an hour.
        verify: "size" counts the files and bytes of each series. "dicom" also reads the header of
            every file with pydicom, to check which series it belongs to.

    Raises:
        DownloadError: An argument is wrong, or pydicom is missing.
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
        self.plan = plan
        self.options = Options(workers, stall_timeout, tries, backoff, verify)
        self._observers = Callbacks(_log, "an observer of a download failed")
        if on_change is not None:
            self._observers.add(on_change)
        self._lock = fork_safe(threading.Lock())
        self._state: State = "planned"
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()  # of the process that runs the thread
        self._reset()

    def _reset(self) -> None:
        outcome = Outcome(self.plan, needs_check=self.options.verify == "dicom")
        # Nothing below raises, so a job is reset completely or not at all
        self._outcome, self._controls, self._finished = outcome, Controls(), threading.Event()

    # --- following it --------------------------------------------------------------------------

    # For completions, jedi must know the type, and it cannot infer that of a `Literal`.
    @property
    def state(self) -> str:
        """The state of the job.

        Before the end: "planned", "running", "paused" (from `pause` to `resume`) or "verifying".
        At the end: "complete" (every series is), "incomplete" (some series are not, see `failed`),
        "cancelled" or "failed" (the job could not run, see `error`).
        """
        return self._state

    @property
    def error(self) -> str | None:
        """Why the state is "failed", in plain words."""
        return self._outcome.error

    @property
    def progress(self) -> Progress:
        """The bytes and files so far; they never decrease while the job runs."""
        return self._outcome.progress

    @property
    def series_done(self) -> int:
        """The number of complete series, as far as is known."""
        return self._outcome.series_done

    @property
    def paths(self) -> dict[str, list[Path]]:
        """The files of each complete series, by SeriesInstanceUID; known at the end."""
        return {uid: list(paths) for uid, paths in self._outcome.paths.items()}

    @property
    def failed(self) -> dict[str, str]:
        """Why a series is not complete, by SeriesInstanceUID; known at the end."""
        return dict(self._outcome.failed)

    @property
    def report(self) -> pd.DataFrame:
        """A table with one row per series: its state now or, after the end, its final state.

        The columns are SeriesInstanceUID; state: "complete", "partly", "missing", or "failed" if
        there was a problem; reason; files and files_expected; size_MB and size_MB_expected
        (MB = 10^6 bytes); folder; license and source_DOI, if the plan comes from a `Selection`.
        """
        return as_dataframe(self._outcome.report_rows(self.plan))

    @property
    def log(self) -> tuple[str, ...]:
        """The last 500 lines: the steps of the job, and what s5cmd printed about problems."""
        return tuple(self._outcome.lines)

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended, in any state."""
        return self._state in FINISHED

    @property
    def is_cancelling(self) -> bool:
        """Whether `cancel` was called and the job has not ended yet."""
        return self._controls.cancelled.is_set() and not self._finished.is_set()

    def __repr__(self) -> str:
        return f"DownloadJob({self.state}: {len(self.plan.series):,} series, {self._bytes()})"

    def _repr_html_(self) -> str:
        series = f"{self.series_done:,} of {len(self.plan.series):,} complete"
        failed = f"{len(self.failed):,}; see job.failed" if self.failed else ""
        facts = {"state": self.state, "series": series, "size": self._bytes(), "failed": failed}
        facts |= {"error": self.error or "", "folder": str(self.plan.folder)}
        return html_facts("DownloadJob", facts.items())

    def _bytes(self) -> str:
        return f"{human_size(self.progress.bytes_done)} of {human_size(self.plan.size_bytes)}"

    def on_change(self, callback: Callable[[DownloadJob], object]) -> Callable[[], None]:
        """Call `callback(job)` at every change of state and, while it runs, of progress.

        The callback is called in the thread of the job, at most about five times per second. Its
        exceptions are logged.

        Args:
            callback: Called with this job; what it returns is ignored.

        Returns:
            A function that removes the callback.
        """
        return self._observers.add(callback)

    # --- controlling it ------------------------------------------------------------------------

    def start(self) -> DownloadJob:
        """Start the job in the background, unless it was started before; return it.

        If the job cannot be started, for example because there are too many threads, its state is
        "failed" and `error` is the reason.

        Raises:
            DownloadError: The job runs in a parent process, of which this one is a fork. The
                methods that control it raise this, too.
        """
        self._check_process()
        with self._lock:
            if self._state != "planned":
                return self
            self._state, self._pid = "running", os.getpid()
            finished = self._finished
        # After an interrupt in `Thread.start`, it is not known whether the thread will run. So both
        # this method and the thread try to acquire a lock, and the one that gets it ends the job.
        responsible = threading.Lock()
        lock: FolderLock | None = None
        try:
            # Reserve the folders here, not in the thread: the job that is started first gets them
            lock = FolderLock(self.plan)
            self._thread = threading.Thread(
                target=self._run,
                args=(lock, finished, responsible),
                name="DownloadJob",
                daemon=True,
            )
            self._thread.start()
        except BaseException as error:
            if responsible.acquire(blocking=False):
                self._end_before_start(error, lock, finished)
            if not isinstance(error, Exception):
                raise
        return self

    def _check_process(self) -> None:
        """Refuse a job that runs in a parent process: a fork copies its state, but no threads."""
        if self._pid != os.getpid() and self._state not in ("planned", *FINISHED):
            raise DownloadError(
                f"this download runs in another process (pid {self._pid}), of which this process "
                "is a fork; wait for it or cancel it there"
            )

    def _end_before_start(
        self, error: BaseException, lock: FolderLock | None, finished: threading.Event
    ) -> None:
        """Set the state "failed": the thread of the job cannot be started because of `error`."""
        _log.error("%r cannot be started", self, exc_info=error)
        try:
            if lock is not None:
                lock.release()
            is_thread_missing = isinstance(error, RuntimeError) and "new thread" in str(error)
            reason = f"{error}; {MORE_THREADS}" if is_thread_missing else repr(error)
            self._outcome.error = f"the download cannot be started: {reason}"
            self._outcome.fail_remaining(self.plan, self._outcome.error)
        finally:
            try:
                self._set_state("failed")
            finally:
                finished.set()

    def retry(self) -> DownloadJob:
        """Run a finished job again, and return it. Only incomplete series are fetched."""
        with self._lock:
            if self._state in FINISHED:
                self._reset()
                self._state = "planned"
        return self.start()

    def cancel(self) -> None:
        """Stop the job; return at once. Complete series stay, unfinished files are removed.

        A job that was not started becomes "cancelled"; a finished job stays as it is.
        """
        self._check_process()
        with self._lock:
            self._controls.cancel()
            if self._state != "planned":
                return  # the thread obeys the controls
            try:
                self._outcome.fail_remaining(self.plan, "cancelled before it started")
            finally:
                self._state = "cancelled"
                self._finished.set()
        self._notify()

    def pause(self) -> None:
        """Pause a running job until `resume`; return at once.

        Finished files stay. Files that are unfinished now are fetched again after the pause.
        """
        self._check_process()
        with self._lock:
            if self._state in ("running", "paused"):
                self._controls.pause()

    def resume(self) -> None:
        """End a pause, if there is one."""
        self._check_process()
        with self._lock:
            self._controls.resume()

    def wait(
        self,
        timeout: float | None = None,
        *,
        progress: bool | Callable[[Progress], object] | None = None,
    ) -> State:
        """Start the job if necessary, block until it is finished, and return its state.

        When this returns, all observers have been called. A call by an observer does not block.

        Args:
            timeout: Seconds after which to return although the job is still running. None waits
                without a limit, also during a pause.
            progress: True to show a progress bar while waiting; or a function to call with the
                `Progress` whenever it changes, in the thread of the job.

        Raises:
            KeyboardInterrupt: Ctrl-C, or the Stop button of a notebook; the job is cancelled.
        """
        self.start()
        if threading.current_thread() is self._thread or self._pid != os.getpid():
            return self._state
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        try:
            with self._shown(progress):
                while (left := deadline - time.monotonic()) > 0:
                    finished = self._finished
                    is_finished = finished.wait(min(left, _WAIT_STEP_SECONDS))
                    if is_finished and finished is self._finished:
                        break  # otherwise, retry() was called in between
        except KeyboardInterrupt:
            self.cancel()
            self._finished.wait(2 * KILL_GRACE_SECONDS)
            raise
        return self._state

    @contextmanager
    def _shown(self, progress: bool | Callable[[Progress], object] | None) -> Iterator[None]:
        """Show the progress while the block runs."""
        if callable(progress):
            remove = self.on_change(lambda job: progress(job.progress))
            try:
                yield
            finally:
                remove()
        else:
            with progress_bar(self) if progress else nullcontext():
                yield

    def result(
        self,
        timeout: float | None = None,
        *,
        progress: bool | Callable[[Progress], object] | None = None,
    ) -> dict[str, list[Path]]:
        """Wait for the end as `wait` does, and return `paths` if every series is complete.

        Raises:
            DownloadError: Some series are missing; the message says how many, and why the first
                one is. The others are in `paths`, and `retry` fetches the rest.
            TimeoutError: The job is still running after `timeout` seconds.
        """
        state = self.wait(timeout, progress=progress)
        if state not in FINISHED:
            raise TimeoutError(f"the download is still {state}; it continues")
        if state != "complete":
            raise DownloadError(missing_message(self.plan, state, self.failed, self.error))
        return self.paths

    def files(self) -> pd.DataFrame:
        """Return one row per file of the complete series, as for a training list.

        Returns:
            The columns PatientID, SeriesInstanceUID, Modality and path; empty before the end.
        """
        return files_dataframe(self.plan, self._outcome.paths)

    def __enter__(self) -> DownloadJob:
        """Start the job if necessary, and return it."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the end; if the block raised an error, cancel the job first."""
        if kind is not None:
            self.cancel()
        self.wait()

    def __await__(self) -> Generator[object, None, DownloadJob]:
        """Start the job if necessary, wait without blocking the event loop, and return the job.

        Cancelling the task that awaits it cancels the job.
        """
        return self._until_finished().__await__()

    async def _until_finished(self) -> DownloadJob:
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def look(job: DownloadJob) -> None:
            if job.state in FINISHED:
                with suppress(RuntimeError):  # the loop was closed in the meantime
                    loop.call_soon_threadsafe(finished.set)

        remove = self.on_change(look)
        try:
            self.start()
            look(self)  # it may have finished before the observer was added
            await finished.wait()
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            remove()
        return self

    # --- its thread ----------------------------------------------------------------------------

    def _run(
        self, lock: FolderLock, finished: threading.Event, responsible: threading.Lock
    ) -> None:
        if not responsible.acquire(blocking=False):
            return
        state: State = "failed"
        outcome = self._outcome
        try:
            self._notify()
            supervisor = Supervisor(
                self.plan,
                self.options,
                self._controls,
                outcome,
                set_state=self._set_state,
                notify=self._notify,
            )
            state = supervisor.run(lock)
        except BaseException as error:  # even SystemExit of an observer, so that wait() returns
            _log.error("%r ended unexpectedly", self, exc_info=error)
            outcome.error = outcome.error or f"the download ended unexpectedly: {error!r}"
            outcome.fail_remaining(self.plan, outcome.error)
        finally:
            try:
                lock.release()
            finally:
                try:
                    self._set_state(state)
                finally:
                    finished.set()  # not self._finished: an observer may have called retry()

    def _set_state(self, state: State) -> None:
        with self._lock:
            self._state = state
        self._notify()

    def _notify(self) -> None:
        self._observers.call(self)
