"""The Download button, and what it set going."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, Instance, Unicode, observe

from .._util import human_duration, human_size, plural
from ..download import DEFAULT_TEMPLATE, MAX_GB, DownloadJob, DownloadPlan, PlannedSeries, Progress
from ..errors import DownloadError, IDCError, LargeDownloadError
from ..selection import Selection
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .on_disk import OnDisk
from .state import BrowserState

__all__ = ["DownloadWidget"]

logger = logging.getLogger(__name__)

#: So many series are listed at the end, those that failed first.
MOST_ROWS = 200

#: So many of the last lines of the log are shown.
MOST_LINES = 200

#: So many speeds are shown, one a second.
MOST_RATES = 60

ACTIVE = ("running", "paused", "verifying")

#: Seconds that the end of a cancelled download may take.
CANCEL_PATIENCE = 10.0


class DownloadWidget(Closable, anywidget.AnyWidget):
    """A button that downloads a selection, with progress, Cancel, and a report at the end.

    >>> DownloadWidget(client.cohort(collection_id="nsclc_radiomics").select())

    Args:
        selection: what to download.
        state: instead of `selection`: what is selected there, now and later.
        download_dir: where to; a person can change it in the widget.
        endpoint_url: as of `Selection.download`; by default that of the state's client.
        template: as of `Selection.download`.
        layout: as of every ipywidgets widget.
    """

    _esm = script("download")
    _css = style("download")

    selection = Instance(Selection, allow_none=True)
    """What the button downloads. Type: Selection; default: None, the button is disabled."""

    download_dir = Unicode("idc_data")
    """Where to; a relative one is below the kernel's working folder. Type: str."""

    job = Instance(DownloadJob, allow_none=True)
    """The download that was started last. Type: DownloadJob; default: None."""

    paths = Dict()
    """The files of the complete series of `job`, when it has ended. Set in the job's thread.

    Type: {SeriesInstanceUID: [Path]}; default: {}.
    """

    done_hint = Unicode("The widget's .paths has the files.")
    """What is said when all is complete. Type: str."""

    _offer = Dict().tag(sync=True)
    """What the button says. Type: {text, hint, enabled}."""

    _folder = Dict().tag(sync=True)
    """Where files go. Type: {given, resolved}."""

    _status = Dict().tag(sync=True)
    """How the job is doing, see `describe`; `number` counts up. Type: dict."""

    _message = Unicode().tag(sync=True)
    """Why no download could be started; empty when all is well. Type: str."""

    _question = Unicode().tag(sync=True)
    """What a download would do that is so large that a person is asked; empty if nobody is."""

    def __init__(
        self,
        selection: Selection | None = None,
        *,
        state: BrowserState | None = None,
        download_dir: str | os.PathLike[str] = "idc_data",
        endpoint_url: str | None = None,
        template: str | None = None,
        **keywords: Any,
    ) -> None:
        allowed = ["selection", "state", "download_dir", "endpoint_url", "template", "done_hint"]
        check_keywords("DownloadWidget", keywords, [*allowed, "layout"])
        if selection is not None and state is not None:
            raise TypeError("pass a selection or a state, not both: a state has its own selection")
        keywords.setdefault("layout", {"margin": "0", "width": "auto"})
        self.state = state
        self.template = template or DEFAULT_TEMPLATE
        if endpoint_url is None and state is not None:
            endpoint_url = state.client.endpoint_url
        self.endpoint_url = endpoint_url
        self._starting = threading.Lock()
        self._telling = threading.Lock()
        self._number = self._reports = 0
        self._rates: deque[float] = deque(maxlen=MOST_RATES)
        self._rated = 0.0  # when the last of them was taken
        self._job_selection: Selection | None = None
        #: Ends the observation of `job`.
        self._unfollow_job: Callable[[], object] = lambda: None
        #: What is on the disk of series, for grids.
        self.on_disk = OnDisk(self._plan_of, lambda: Path(self._folder["resolved"]))
        super().__init__(
            selection=selection if state is None else state.selection,
            download_dir=os.fspath(download_dir),
            **keywords,
        )
        self._on_close(self.on_disk.close)
        self._on_close(lambda: self._unfollow_job())
        self._show_folder()
        self.on_msg(self._on_message)
        if state is not None:
            self._follow(state, self._on_state, ["selection", "series"])
        self._show_offer()

    # --- what a person does ----------------------------------------------------------------

    def start(self, *, max_GB: float | None = MAX_GB) -> DownloadJob:
        """Starts to download `selection` into `download_dir`; returns at once.

        While that very selection is being downloaded, its job is returned.

        Args:
            max_GB: refuse if more is still to fetch, in GB (10^9 bytes); None for no limit.

        Raises:
            DownloadError: nothing is selected, another download runs here, it is larger than
                `max_GB`, or cannot be planned: see `Selection.download`.
        """
        with self._starting:
            if self.job is not None and self.job.is_cancelling:
                self.job.wait(CANCEL_PATIENCE)
            self._show_folder()
            if self.job is not None and self.job.state in ACTIVE:
                if self._job_selection == self.selection and (
                    str(self.job.plan.folder) == self._folder["resolved"]
                ):
                    return self.job
                raise DownloadError(
                    f"a download into {self.job.plan.folder} is running here; "
                    "wait for it, or cancel it first"
                )
            if self.selection is None or not len(self.selection):
                raise DownloadError("nothing is selected; remove a filter or pick other rows")
            if not self.download_dir:
                raise DownloadError("no folder is given; type one, such as idc_data")
            plan = self.selection.plan(
                self.download_dir, template=self.template, endpoint_url=self.endpoint_url
            )
            plan.check_consent(max_GB)
            self._job_selection = self.selection
            job = DownloadJob(plan)
            self._unfollow_job()
            self._unfollow_job = job.on_change(self._on_job)
            self.job = job
            self.paths = {}
            self._message = ""
            # From this thread, so that every front end hears of it and begins to ask for more.
            self._tell(job)
            return job.start()

    def retry(self) -> DownloadJob:
        """Runs the last download again, for what is not complete; returns at once.

        Raises:
            DownloadError: nothing has been downloaded here.
        """
        if self.job is None:
            raise DownloadError("there is no download to retry; press Download first")
        return self.job.retry()

    def cancel(self) -> None:
        """Stops the download, if one runs; complete files are kept."""
        if self.job is not None and self.job.state in ACTIVE:
            self.job.cancel()

    def _plan_of(self, uids: Sequence[str]) -> DownloadPlan:
        """Where these series would go."""
        assert self.state is not None, "a grid of series has one"
        return Selection.of(self.state.client.engine, uids).plan(
            self.download_dir,
            template=self.template,
            endpoint_url=self.endpoint_url,
            check_disk=False,
        )

    # --- what it says ----------------------------------------------------------------------

    def _on_state(self, _change: Any) -> None:
        assert self.state is not None
        with self.state.reporting(clears=False):
            self.selection = self.state.selection
            # What was picked may be all there is: another text for an equal selection.
            self._show_offer()

    @observe("selection")
    def _on_selection(self, _change: Any) -> None:
        self._question = ""  # it was about another download
        self._show_offer()

    @observe("download_dir")
    def _on_download_dir(self, _change: Any) -> None:
        self._question = ""
        self._show_folder()

    def _show_folder(self) -> None:
        resolved = os.path.abspath(os.path.expanduser(self.download_dir))
        self._folder = {"given": self.download_dir, "resolved": resolved}
        self.on_disk.look()

    def _show_offer(self) -> None:
        series = len(self.selection) if self.selection is not None else 0
        if self.selection is None or not series:
            self._offer = {
                "text": "Download",
                "hint": "Nothing to download: no series is selected.",
                "enabled": False,
            }
            return
        count, noun = plural(series, "series").split(" ")
        size = human_size(self.selection.size_MB * 1e6)
        words = [count, noun]
        if self.state is not None:
            words = [count, "picked", noun] if self.state.series else ["all", count, noun]
        text = f"Download {' '.join(words)} · {size}"
        self._offer = {"text": text, "hint": "", "enabled": True}

    def _on_job(self, job: DownloadJob) -> None:
        """Called in the job's thread whenever there is news."""
        if job is not self.job:
            return
        if job.state not in ACTIVE:
            self.paths = job.paths
        self._tell(job)
        self.on_disk.follow(job)

    def _tell(self, job: DownloadJob) -> None:
        with self._telling:
            # The first report of a running job comes before it has reached the server.
            self._reports = self._reports + 1 if job.state == "running" else 0
            status = describe(job, connected=self._reports > 1, hint=self.done_hint)
            self._number += 1
            self._status = {"number": self._number, **status, "rates": self._rated_by(job)}

    def _rated_by(self, job: DownloadJob) -> list[float]:
        """The speeds of the last minute in MB/s, one a second."""
        if job.state not in ACTIVE:
            self._rates.clear()
        elif job.progress.MB_per_s is not None and time.monotonic() >= self._rated + 1:
            self._rated = time.monotonic()
            self._rates.append(round(job.progress.MB_per_s, 2))
        return list(self._rates)

    # --- messages of the front end ---------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"kind": "start", "folder": str(folder), "sure": bool(sure)}:
                self._message = self._question = ""
                try:
                    self.download_dir = folder.strip()
                    self.start(max_GB=None if sure else MAX_GB)
                except LargeDownloadError as error:
                    self._question = error.preview
                except Exception as error:
                    self._explain(error)
                finally:
                    self.send({"kind": "answer"})
            case {"kind": "pause"} if self.job is not None:
                self.job.pause()
            case {"kind": "go on"} if self.job is not None:
                self.job.resume()
            case {"kind": "cancel"}:
                self.cancel()
            case {"kind": "retry"}:
                self._message = ""
                try:
                    self.retry()
                except Exception as error:
                    self._explain(error)
            case {"kind": "paths"}:
                paths = chain.from_iterable(self.paths.values())
                self.send({"kind": "paths", "text": "\n".join(map(str, paths))})
            case {"kind": "folder", "folder": str(folder)}:
                self.download_dir = folder.strip()
            case {"kind": "poll", "number": int(number)}:
                # Where what a thread sends does not arrive, this answer does.
                news = self._status if self._status.get("number", 0) > number else None
                self.send({"kind": "status", "status": news})

    def _explain(self, error: Exception) -> None:
        if not isinstance(error, IDCError):
            logger.error("a download could not be started", exc_info=error)
        self._message = str(error) if isinstance(error, IDCError) else repr(error)


# --- a job in words ------------------------------------------------------------------------


def describe(job: DownloadJob, *, connected: bool = True, hint: str = "") -> dict[str, Any]:
    """What a widget shows of a job.

    Args:
        job: the job.
        connected: whether a running one has reached the server.
        hint: where the files are, said when all is complete.

    Returns:
        state; active: whether Cancel makes sense; title: the state in one word; detail: one line;
        percent: of the bytes; folder: where to; files: how many are known to be complete;
        can_retry: whether it has ended, and something is not complete; rows: [name, place,
        complete, outcome] a series, when it has ended; more: how many series have no row; log: the
        last lines.
    """
    active = job.state in ("planned", *ACTIVE)
    title, detail = _in_words(job, connected, hint)
    # What failed as a whole has one reason, and a list would only repeat it.
    rows, more = ([], 0) if active or job.state == "failed" else _rows(job)
    return {
        "state": job.state,
        "active": active,
        "title": title,
        "detail": detail,
        "percent": round(100 * job.progress.fraction, 1),
        "folder": str(job.plan.folder),
        "files": 0 if active else sum(map(len, job.paths.values())),
        "can_retry": not active and job.state != "complete",
        "rows": rows,
        "more": more,
        "log": [line[:400] for line in job.log[-MOST_LINES:]],
    }


def _in_words(job: DownloadJob, connected: bool, hint: str) -> tuple[str, str]:
    progress, total = job.progress, len(job.plan.series)
    files = f"{progress.files_done:,} of {plural(progress.files_total, 'file')}"
    if job.state == "complete":
        size = human_size(progress.bytes_total)
        return "Complete", f"{plural(progress.files_total, 'file')} · {size} · {hint}".rstrip(" ·")
    if job.state == "cancelled":
        return "Cancelled", f"{files} are kept; press Go on, or Download for what is chosen now"
    if job.state == "incomplete":
        done = f"{total - len(job.failed):,} of {total:,} series are complete"
        return "Incomplete", f"{done}; press Retry failed to fetch the rest"
    if job.state == "failed":
        return "Failed", job.error or "see the log"
    if job.state == "paused":
        return "Paused", f"{files} · {_arrived(progress)}"
    if job.state == "verifying":
        return "Verifying", f"{files} · {human_size(progress.bytes_total)}"
    if not connected:
        return "Connecting", job.plan.endpoint_url
    return "Downloading", " · ".join(_speed_words(progress, files))


def _arrived(progress: Progress) -> str:
    done, total = human_size(progress.bytes_done), human_size(progress.bytes_total)
    if done.split()[1] == total.split()[1]:
        done = done.split()[0]  # "35.1 of 70.5 MB" names the unit once
    return f"{done} of {total}"


def _speed_words(progress: Progress, files: str) -> list[str]:
    words = [_arrived(progress), files]
    if progress.MB_per_s is not None:
        words.append(f"{progress.MB_per_s:,.1f} MB/s")
    if progress.seconds_left is not None:
        words.append(f"{human_duration(progress.seconds_left)} left")
    return words


def _rows(job: DownloadJob) -> tuple[list[list[Any]], int]:
    failed, series = job.failed, job.plan.series
    ordered = chain(
        (one for one in series if one.SeriesInstanceUID in failed),
        (one for one in series if one.SeriesInstanceUID not in failed),
    )
    rows = [_row(job, one, failed.get(one.SeriesInstanceUID)) for one in islice(ordered, MOST_ROWS)]
    return rows, len(series) - len(rows)


def _row(job: DownloadJob, series: PlannedSeries, reason: str | None) -> list[Any]:
    below = series.destination.relative_to(job.plan.folder).as_posix()
    name = series.SeriesInstanceUID if below == "." else below
    outcome = f"{plural(series.instances, 'file')} · {human_size(series.size_bytes)}"
    return [name, str(series.destination), reason is None, reason or outcome]
