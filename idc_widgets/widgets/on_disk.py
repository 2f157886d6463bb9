"""Finds out which of the series in a grid are on disk: complete, being fetched, or neither.

Only the few series on the screen are examined, in the folder where a download would put them. So
files of an earlier session are found, too, and nothing has to be stored. Disks can be slow, so a
thread examines them, and calls back when a state changes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .._util import Callbacks, call_in_forked_children, fork_safe
from ..download import DownloadJob, DownloadPlan, PlannedSeries, unfinished_files
from ..errors import IDCError

__all__ = ["COMPLETE", "FAILED", "FETCHING", "PARTLY", "QUEUED", "OnDisk"]

COMPLETE, PARTLY, FETCHING, QUEUED, FAILED = (
    "✓ complete",
    "◐ partly",
    "↓ fetching",
    "· queued",
    "✕ failed",
)

#: The pause between two examinations while a download runs.
PAUSE_SECONDS = 1.0

#: The number of series whose state and plan are remembered.
MAX_REMEMBERED_SERIES = 10_000

_log = logging.getLogger(__name__)


class OnDisk:
    """The state of the files of each series on the screen.

    Args:
        plan: Plans the download of series, given by UID, into the present folder.
        folder: Returns the present download folder.
    """

    def __init__(
        self, plan: Callable[[Sequence[str]], DownloadPlan], folder: Callable[[], Path]
    ) -> None:
        self._plan, self._folder = plan, folder
        self._callbacks = Callbacks(_log, "cannot show the state of the files")
        #: Guards the states and the flags of the thread.
        self._lock = fork_safe(threading.Lock())
        self._shown_uids: list[str] = []
        self._states: dict[str, str] = {}
        #: A folder, and the plans of series in it by SeriesInstanceUID; None if planning failed.
        self._planned: tuple[Path | None, dict[str, PlannedSeries | None]] = (None, {})
        self._job: DownloadJob | None = None
        self._job_state = ""
        self._is_looking = self._has_to_look = False
        call_in_forked_children(self)
        self._look_time = 0.0  # when the disk was last examined (`time.monotonic`)

    def after_fork(self) -> None:
        """Note that a forked child does not have the thread that examines the disk."""
        self._is_looking = False

    def states(self, uids: Sequence[str]) -> list[str]:
        """Return the last known states of the series on the screen, and examine them again.

        Args:
            uids: SeriesInstanceUIDs; they replace the ones that were on the screen before.

        Returns:
            One of the constants of this module per series, or "" if there are no files.
        """
        with self._lock:
            self._shown_uids = list(uids)
        states = self.known_states(uids)
        self.look()
        return states

    def known_states(self, uids: Sequence[str]) -> list[str]:
        """Return the last known states of any series, without examining them."""
        with self._lock:
            return [self._states.get(uid, "") for uid in uids]

    def on_news(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back, in a thread, when the state of a series on the screen changes.

        Returns:
            A function that removes the callback.
        """
        remove = self._callbacks.add(callback)
        self.look()
        return remove

    def close(self) -> None:
        """Remove all callbacks. A thread that is examining the disk ends without calling back."""
        self._callbacks.clear()

    def follow(self, job: DownloadJob) -> None:
        """Examine the disk after a change of the last job, at most once per `PAUSE_SECONDS`."""
        state = job.state
        has_changed = (job, state) != (self._job, self._job_state)
        self._job, self._job_state = job, state
        if has_changed or time.monotonic() > self._look_time + PAUSE_SECONDS:
            self.look()

    def look(self) -> None:
        """Start to examine the disk, and return at once."""
        with self._lock:
            self._has_to_look = True
            if self._is_looking or not self._callbacks:
                return
            self._is_looking = True
        try:
            threading.Thread(target=self._look, name="idc_widgets-on_disk", daemon=True).start()
        except BaseException as error:
            with self._lock:
                self._is_looking = False
            if not isinstance(error, RuntimeError):
                raise
            _log.warning("no thread to examine the files with: %s", error)

    def _look(self) -> None:
        try:
            self._look_while_needed()
        except BaseException:
            with self._lock:
                self._is_looking = False
            raise

    def _look_while_needed(self) -> None:
        while True:
            with self._lock:
                if not self._has_to_look or not self._callbacks:
                    self._is_looking = False
                    return
                self._has_to_look, uids = False, self._shown_uids
            self._look_time = time.monotonic()
            states = dict.fromkeys(uids, "")
            try:
                states = dict(zip(uids, self._examine(uids), strict=True))
            except (IDCError, OSError) as error:  # a download would report the same error
                _log.debug("the state of the files is unknown: %s", error)
            except Exception:
                _log.exception("cannot examine the files of the series")
            with self._lock:
                has_news = any(self._states.get(uid, "") != state for uid, state in states.items())
                if len(self._states) > MAX_REMEMBERED_SERIES:
                    self._states.clear()
                self._states.update(states)
            if has_news:
                self._callbacks.call()

    def _examine(self, uids: Sequence[str]) -> list[str]:
        """Return the present states of series."""
        folder, job = self._folder(), self._job
        job_here = job if job is not None and job.plan.folder == folder else None
        if not folder.is_dir() and (job_here is None or job_here.is_finished):
            return [""] * len(uids)
        planned_folder, planned = self._planned
        if planned_folder != folder or len(planned) > MAX_REMEMBERED_SERIES:
            planned = {}
        if missing := [uid for uid in uids if uid not in planned]:
            planned |= self._plan_each(missing)
        self._planned = folder, planned
        plans = [planned.get(uid) for uid in uids]
        return ["" if series is None else _state(series, job_here) for series in plans]

    def _plan_each(self, uids: Sequence[str]) -> dict[str, PlannedSeries | None]:
        """Plan series; the result is None for a series that cannot be planned.

        In a user's own table, a single row may be invalid.

        Raises:
            IDCError: No series can be planned; or each series can, but not all of them together.
        """
        planned: dict[str, PlannedSeries | None] = dict.fromkeys(uids)
        try:
            plan = self._plan(uids)
        except IDCError:
            valid = [uid for uid in uids if self._can_be_planned(uid)]
            if not valid or len(valid) == len(uids):
                raise
            plan = self._plan(valid)
        return planned | {series.SeriesInstanceUID: series for series in plan.series}

    def _can_be_planned(self, uid: str) -> bool:
        with suppress(IDCError):
            self._plan([uid])
            return True
        return False


def _state(series: PlannedSeries, job: DownloadJob | None) -> str:
    """Return the state of a series, which `job` may be downloading."""
    files = series.files()
    if series.is_complete(files):
        return COMPLETE
    uid = series.SeriesInstanceUID
    if job is not None and not job.is_finished and uid in job.plan:
        if job.state == "paused":
            return PARTLY if files else QUEUED
        return FETCHING if files or unfinished_files(series.folder) else QUEUED
    if job is not None and uid in job.failed and job.state != "cancelled":
        return FAILED
    return PARTLY if files else ""
