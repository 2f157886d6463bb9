"""The Download button, and the progress and report of the download that it starts."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, Instance, Unicode

from .._util import Callbacks, ended_context, fork_safe, human_size, plural
from ..download import DownloadJob, DownloadPlan
from ..errors import DEFAULT_FOLDER, MAX_GB, DownloadError, IDCError, LargeDownloadError
from ..selection import Selection
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .front_end_requests import FrontEndRequests
from .job_status import ACTIVE_STATES, RecentSpeeds, job_status
from .on_disk import OnDisk
from .state import BrowserState
from .static_view import StaticView, choices
from .turns import Turns, not_up_to_date
from .user_observers import Teller

__all__ = ["DownloadWidget"]

_log = logging.getLogger(__name__)

#: How long `start` waits for an earlier download that is being cancelled.
CANCEL_WAIT_SECONDS = 10.0


#: The traits that users may observe. Their observers are called after everything else.
_REPORTED_TRAITS = ("selection", "folder", "job", "paths")


class DownloadWidget(Closable, anywidget.AnyWidget):
    """A button that downloads a selection, with progress, Cancel, and a report at the end.

    After `close`, a running download continues as `job`.

    Args:
        selection: What to download.
        state: Instead of `selection`, a state; the widget then follows the state's selection.
        folder: The folder; a person can change it in the widget.
        endpoint_url: As for `Selection.download`; by default, the server of the state's client.
        template: As for `Selection.download`.
        layout: As for every ipywidgets widget.

    Raises:
        TypeError: Both a selection and a state are given, or a keyword argument is unknown.

    >>> from idc_widgets import IDCClient
    >>> cohort = IDCClient().cohort(collection_id="nsclc_radiomics")
    >>> widget = DownloadWidget(cohort.select())
    """

    _esm = script("requests", "sparkline", "download")
    _css = style("sparkline", "download")

    selection = Instance(
        Selection,
        allow_none=True,
        help="What the button downloads. Type: Selection or None, which disables the button.",
    )
    folder = Unicode(
        DEFAULT_FOLDER, help='The folder, in the working folder. Type: str; default: "idc_data".'
    )
    job = Instance(
        DownloadJob, allow_none=True, help="The last download. Type: DownloadJob; default: None."
    )
    paths = Dict(
        help="The files of the complete series of `job`; set by the thread of the job at its "
        "end. Type: {SeriesInstanceUID: [Path]}; default: {}."
    )
    done_hint = Unicode(
        "The widget's .paths has the files.",
        help="What the status says when every series is complete. Type: str.",
    )

    _offer = Dict().tag(sync=True)
    """What the button offers. Type: {text, hint, enabled}."""

    _folder = Dict().tag(sync=True)
    """The folder, as typed and as an absolute path. Type: {given, resolved}."""

    _status = Dict().tag(sync=True)
    """The status of `job`; default: {}. Type: the dict of `job_status`, with two more keys:
    `number` increases with each status, and `rates` has the speed in MB/s in each second of the
    last minute.
    """

    _message = Unicode().tag(sync=True)
    """Why no download was started; empty if one was. Type: str."""

    _question = Unicode().tag(sync=True)
    """The preview of a large download, which a person has to confirm; empty if none. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last clicks that were carried out. Type: str; see `FrontEndRequests.note`."""

    def __init__(
        self,
        selection: Selection | None = None,
        *,
        state: BrowserState | None = None,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        endpoint_url: str | None = None,
        template: str | None = None,
        **keywords: Any,
    ) -> None:
        allowed = ["selection", "state", "folder", "endpoint_url", "template", "done_hint"]
        check_keywords("DownloadWidget", keywords, [*allowed, "layout"])
        if selection is not None and state is not None:
            raise TypeError("pass a selection or a state, not both: a state has its own selection")
        keywords.setdefault("layout", {"margin": "0", "width": "auto"})
        self.state = state
        self.template = template
        if endpoint_url is None and state is not None:
            endpoint_url = state.client.endpoint_url
        self.endpoint_url = endpoint_url
        #: Held while a download is being started.
        self._starting = fork_safe(threading.RLock())
        #: The threads that are changing traits; until they are done, users' observers wait.
        self._changing: set[int] = set()
        #: Calls the users' observers. If there is a state, it does so after a turn.
        self._teller = Teller() if state is None else state.teller
        self._paths_callbacks = Callbacks(_log, "a change of the paths cannot be passed on")
        self._status_lock = fork_safe(threading.Lock())
        self._status_number = 0
        self._running_reports = 0  # how many reports in a row say that the job is running
        self._speeds = RecentSpeeds()
        self._job_selection: Selection | None = None
        #: Removes the observer of `job`.
        self._remove_job_observer: Callable[[], object] = lambda: None
        #: The state of the files of each series, for grids.
        self.on_disk = OnDisk(self._plan, lambda: Path(self._folder["resolved"]))
        super().__init__(
            selection=selection if state is None else state.selection,
            folder=os.fspath(folder),
            **keywords,
        )
        self._on_close(self.on_disk.close)
        self._on_close(self._stop_observing_job)
        self._show_folder()
        #: Without a state, there are no other clicks to wait for.
        self._turns = Turns() if state is None else state.turns
        self._requests = FrontEndRequests(self._turns, self._click)
        self.on_msg(self._on_message)
        if state is not None:
            self._show_state(state, self._show_selection, ["selection", "series"], self._show_stale)
        self._show_offer()

    # --- actions ---------------------------------------------------------------------------

    def start(self, *, max_GB: float | None = MAX_GB) -> DownloadJob:
        """Start to download `selection` into `folder`, and return at once.

        Args:
            max_GB: The most that may remain to be fetched, in GB (10^9 bytes); None for no limit.

        Returns:
            The new job. If the same selection is being downloaded to the same folder, the job
            that does so.

        Raises:
            DownloadError: Nothing is selected, another download of this widget is running, the
                download is larger than `max_GB`, or it cannot be planned (see
                `Selection.download`).
        """
        try:
            job = self._start(self._present_selection(), max_GB)
        except Exception:
            self._tell(is_python=False)  # the error that is raised here came first
            raise
        self._tell(is_python=True)
        return job

    def _present_selection(self) -> Selection | None:
        """Return the selection; wait if another thread is handling a click."""
        return self.selection if self.state is None else self.state.selection

    def _start(self, selection: Selection | None, max_GB: float | None) -> DownloadJob:
        with self._changes(), self._starting:
            return self._start_or_find(selection, max_GB)

    def latest_job(self) -> DownloadJob | None:
        """Return `job`; wait for a download that another thread is starting."""
        with self._starting:
            return self.job

    def _start_or_find(self, selection: Selection | None, max_GB: float | None) -> DownloadJob:
        """Return the running job of the same selection, or start a new one."""
        if self.job is not None and self.job.is_cancelling:
            self.job.wait(CANCEL_WAIT_SECONDS)
        self._show_folder()
        if self.job is not None and self.job.state in ACTIVE_STATES:
            if self._job_selection == selection and (
                str(self.job.plan.folder) == self._folder["resolved"]
            ):
                return self.job
            raise DownloadError(
                f"a download into {self.job.plan.folder} is running here; "
                "wait for it, or cancel it first"
            )
        if selection is None:
            raise DownloadError("nothing is selected; assign a Selection to the trait `selection`")
        if not self.folder:
            raise DownloadError(f"no folder is given; enter one, such as {DEFAULT_FOLDER}")
        plan = selection.plan(self.folder, template=self.template, endpoint_url=self.endpoint_url)
        plan.check_consent(max_GB)
        self._job_selection = selection
        job = DownloadJob(plan)
        self._stop_observing_job()
        self._remove_job_observer = job.on_change(self._on_job)
        self.job = job
        self.paths = {}
        self._message = ""
        # Some front ends do not get messages from the thread of the job. They get this message,
        # and then poll for the others.
        self._show_status(job)
        return job.start()

    def retry(self) -> DownloadJob:
        """Run the last download again for the incomplete series, and return at once.

        Raises:
            DownloadError: There was no download.
        """
        if self.job is None:
            raise DownloadError("there is no download to retry; press Download first")
        return self.job.retry()

    def cancel(self) -> None:
        """Stop the download if one is running; complete files are kept."""
        if self.job is not None and self.job.state in ACTIVE_STATES:
            self.job.cancel()

    def _plan(self, uids: Sequence[str]) -> DownloadPlan:
        """Plan the download of series by UID, to learn their folders."""
        assert self.state is not None, "only the grid of series needs this, and it has a state"
        return self.state.client.cohort(SeriesInstanceUID=uids).plan(
            self.folder,
            template=self.template,
            endpoint_url=self.endpoint_url,
            check_disk=False,
        )

    # --- what it shows ---------------------------------------------------------------------

    def _show_selection(self) -> None:
        assert self.state is not None
        self.selection = self.state.selection
        # When all series are picked, the selection stays the same, but the button's text changes.
        self._show_offer()

    def _show_stale(self, reason: str) -> None:
        hint = not_up_to_date(reason, "The button downloads what is selected now.")
        self._offer = {"text": "Download", "hint": hint, "enabled": True}

    def _notify_observers(self, event: Any) -> None:
        """Handle a change of a trait at once, and call users' observers after that."""
        name = event["name"]
        if name not in _REPORTED_TRAITS or event["type"] != "change":
            super()._notify_observers(event)
            return
        self._teller.add(self, name, event["old"], event["new"])
        try:
            if name == "selection":
                self._question = ""  # the question was about another selection
                self._show_offer()
            elif name == "folder":
                self._question = ""
                self._show_folder()
            elif name == "paths":
                self._paths_callbacks.call(event["old"], event["new"])
        finally:
            self._tell(is_python=True)

    @ended_context
    def _changes(self) -> Iterator[None]:
        """Let users' observers wait until this thread has made all its changes."""
        thread = threading.get_ident()
        if thread in self._changing:
            yield
            return
        try:
            self._changing.add(thread)
            yield
        except BaseException:  # the next call may be in another thread
            self._teller.leave()
            raise
        finally:
            self._changing.discard(thread)

    def _tell(self, *, is_python: bool) -> None:
        """Call the users' observers, unless this thread is still changing something.

        Args:
            is_python: Whether Python code made the change. If so, the first error of an observer is
                raised; otherwise, the widget shows the error.
        """
        is_in_turn = self.state is not None and self.state.is_changing()
        if is_in_turn or threading.get_ident() in self._changing:
            return
        error = self._teller.tell()
        if error is None:
            return
        if is_python:
            raise error
        if self.state is not None:
            self.state.report(error)
        else:
            _log.error("an observer failed", exc_info=error)
            self._message = f"{type(error).__name__}: {error}"

    def on_paths(self, callback: Callable[[Any, Any], object]) -> Callable[[], None]:
        """Call `callback` with the old and new `paths`; return a function that removes it."""
        return self._paths_callbacks.add(callback)

    def _show_folder(self) -> None:
        resolved = os.path.expanduser(self.folder)
        with suppress(FileNotFoundError):  # the working folder was deleted; planning reports that
            resolved = os.path.abspath(resolved)
        self._folder = {"given": self.folder, "resolved": resolved}
        self.on_disk.look()

    def _static_view(self) -> StaticView:
        facts = [] if self.state is None else choices(self.state)
        status = [("Status", str(self._status["title"]))] if self._status else []
        offer, folder = self._offer["hint"] or self._offer["text"], self._folder["given"]
        return StaticView("IDC download", [*facts, ("Offer", offer), ("Folder", folder), *status])

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

    def _stop_observing_job(self) -> None:
        self._remove_job_observer()

    def _on_job(self, job: DownloadJob) -> None:
        """Show a change of the job; the thread of the job calls this."""
        if job is not self.job:
            return
        with self._changes():
            try:
                if job.state not in ACTIVE_STATES:
                    self.paths = job.paths
            finally:
                self._show_status(job)
                self.on_disk.follow(job)
        self._tell(is_python=False)

    def _show_status(self, job: DownloadJob) -> None:
        with self._status_lock:
            # A running job makes its first report before it has reached the server.
            self._running_reports = self._running_reports + 1 if job.state == "running" else 0
            is_connected = self._running_reports > 1
            status = job_status(job, is_connected=is_connected, hint=self.done_hint)
            self._status_number += 1
            self._status = {
                "number": self._status_number,
                **status,
                "rates": self._speeds.of(job),
            }

    # --- messages of the front end ---------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"kind": "paths"}:
                paths = chain.from_iterable(self.paths.values())
                self.send({"kind": "paths", "text": "\n".join(map(str, paths))})
            case {"kind": "poll", "number": int(number)}:
                # This reply arrives even in front ends that do not get messages from a thread.
                is_new = self._status.get("number", 0) > number
                self.send({"kind": "status", "status": self._status if is_new else None})
            case {"kind": str()}:
                click = partial(self._take_click, content)
                self._requests.carry_out(self, content, click, self._answer)

    @ended_context
    def _click(self) -> Iterator[None]:
        with self._changes():
            yield
        self._tell(is_python=False)

    def _take_click(self, content: Any, _request: str) -> None:
        # The turn comes after earlier clicks and before later ones. It ends before a download
        # starts, because the start may take a while.
        with self._turns.turn():
            selection = self._present_selection()
        self._react(content, selection)

    def _answer(self, request: str) -> None:
        self._answered = self._requests.note(request)

    def _react(self, content: Any, selection: Selection | None) -> None:
        match content:
            case {"kind": "start", "folder": str(folder), "sure": bool(sure)}:
                self._message = self._question = ""
                try:
                    self.folder = folder.strip()
                    self._start(selection, None if sure else MAX_GB)
                except LargeDownloadError as error:
                    self._question = error.preview
                except Exception as error:
                    self._show_error(error)
            case {"kind": "pause"} if self.job is not None:
                self.job.pause()
            case {"kind": "resume"} if self.job is not None:
                self.job.resume()
            case {"kind": "cancel"}:
                self.cancel()
            case {"kind": "retry"}:
                self._message = ""
                try:
                    self.retry()
                except Exception as error:
                    self._show_error(error)
            case {"kind": "folder", "folder": str(folder)}:
                self.folder = folder.strip()

    def _show_error(self, error: Exception) -> None:
        if not isinstance(error, IDCError):
            _log.error("a download could not be started", exc_info=error)
        self._message = str(error) if isinstance(error, IDCError) else repr(error)
