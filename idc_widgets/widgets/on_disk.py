"""What is on the disk of the series that a grid shows, or on its way there.

Only the few series that are seen are looked at, in the folder where a download would put them, so
what an earlier session fetched is known as well, and nothing has to be kept. Disks can be slow: a
thread looks, and a grid hears when there is news.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ..download import DownloadJob, DownloadPlan, PlannedSeries, temps
from ..errors import IDCError

__all__ = ["COMPLETE", "FAILED", "FETCHING", "PARTLY", "QUEUED", "OnDisk"]

COMPLETE, PARTLY, FETCHING, QUEUED, FAILED = (
    "✓ complete",
    "◐ partly",
    "↓ fetching",
    "· queued",
    "✕ failed",
)

#: Seconds between two looks while a download runs.
_PAUSE = 1.0
#: So many series are remembered.
_MOST = 10_000

_log = logging.getLogger(__name__)


class OnDisk:
    """Of each series, what is on the disk of it.

    Args:
        plan: plans these series, by UID, for the folder of now.
        folder: where they would be.
    """

    def __init__(
        self, plan: Callable[[Sequence[str]], DownloadPlan], folder: Callable[[], Path]
    ) -> None:
        self._plan, self._folder = plan, folder
        self._callbacks: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._seen: list[str] = []
        self._states: dict[str, str] = {}
        self._planned: tuple[Path | None, dict[str, PlannedSeries | None]] = (None, {})
        self._job: DownloadJob | None = None
        self._job_state = ""
        self._is_looking = self._again = False
        self._looked = 0.0

    def states(self, uids: Sequence[str]) -> list[str]:
        """The last that is known of these series, which are seen from now on; "" for nothing."""
        with self._lock:
            self._seen = list(uids)
            known = [self._states.get(uid, "") for uid in uids]
        self.look()
        return known

    def on_news(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back, in a thread, when the state of a series on the screen changes.

        Returns:
            A function that removes the callback.
        """
        self._callbacks.append(callback)
        self.look()

        def remove() -> None:
            with suppress(ValueError):  # removed before
                self._callbacks.remove(callback)

        return remove

    def close(self) -> None:
        """Remove all callbacks; a thread that is looking at the disk ends without a report."""
        self._callbacks.clear()

    def follow(self, job: DownloadJob) -> None:
        """There is news of a job, the last one that was started."""
        state = job.state
        is_new = (job, state) != (self._job, self._job_state)
        self._job, self._job_state = job, state
        if is_new or time.monotonic() > self._looked + _PAUSE:
            self.look()

    def look(self) -> None:
        """Looks at the disk now; returns at once."""
        with self._lock:
            self._again = True
            if self._is_looking or not self._callbacks:
                return
            self._is_looking = True
        threading.Thread(target=self._look, name="idc_widgets-on_disk", daemon=True).start()

    def _look(self) -> None:
        while True:
            with self._lock:
                if not self._again or not self._callbacks:
                    self._is_looking = False
                    return
                self._again, uids = False, self._seen
            self._looked = time.monotonic()
            found = dict.fromkeys(uids, "")
            try:
                found = dict(zip(uids, self._now(uids), strict=True))
            except (IDCError, OSError) as error:  # the Download button will tell why
                _log.debug("nothing is known of the disk: %s", error)
            except Exception:
                _log.exception("what is on the disk cannot be told")
            with self._lock:
                is_news = any(self._states.get(uid, "") != state for uid, state in found.items())
                if len(self._states) > _MOST:
                    self._states.clear()
                self._states.update(found)
            if is_news:
                for callback in list(self._callbacks):
                    try:
                        callback()
                    except Exception:
                        _log.exception("a grid cannot show what is on the disk")

    def _now(self, uids: Sequence[str]) -> list[str]:
        folder, job = self._folder(), self._job
        in_job = job if job is not None and job.plan.folder == folder else None
        if not folder.is_dir() and (in_job is None or in_job.is_finished):
            return [""] * len(uids)
        was_at, planned = self._planned
        if was_at != folder or len(planned) > _MOST:
            planned = {}
        if missing := [uid for uid in uids if uid not in planned]:
            planned |= self._plans(missing)
        self._planned = folder, planned
        known = [planned.get(uid) for uid in uids]
        return ["" if one is None else _state(one, in_job) for one in known]

    def _plans(self, uids: Sequence[str]) -> dict[str, PlannedSeries | None]:
        """Each planned; None for one that cannot be, as a row of a table of one's own may be bad.

        Raises:
            IDCError: none can be planned, or they cannot be planned together.
        """
        found: dict[str, PlannedSeries | None] = dict.fromkeys(uids)
        try:
            series = self._plan(uids).series
        except IDCError:
            good = [uid for uid in uids if self._can_be_planned(uid)]
            if not good or len(good) == len(uids):
                raise
            series = self._plan(good).series
        return found | {one.SeriesInstanceUID: one for one in series}

    def _can_be_planned(self, uid: str) -> bool:
        with suppress(IDCError):
            self._plan([uid])
            return True
        return False


def _state(series: PlannedSeries, job: DownloadJob | None) -> str:
    files = series.files()
    if series.is_complete(files):
        return COMPLETE
    uid = series.SeriesInstanceUID
    if job is not None and not job.is_finished and uid in job.plan:
        if job.state == "paused":
            return PARTLY if files else QUEUED
        return FETCHING if files or temps(series.folder) else QUEUED
    if job is not None and uid in job.failed and job.state != "cancelled":
        return FAILED
    return PARTLY if files else ""
