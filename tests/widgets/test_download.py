"""The Download button: what it offers, and how it shows the job that it starts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.own_table import OwnTable
from support.s3server import S3Server, series_objects

from idc_widgets.client import IDCClient
from idc_widgets.errors import DownloadError
from idc_widgets.query import listed_values
from idc_widgets.widgets.download import DownloadWidget
from idc_widgets.widgets.facets import FacetDropdown
from idc_widgets.widgets.state import BrowserState

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def own(own_table: OwnTable) -> IDCClient:
    """Return a client of a user's table: three series of four files, 200 kB each."""
    rows = [f's.{i},1,"{HOSTILE}",mine,CT,s3://bucket/prefix-{i}/*,4,0.2' for i in range(3)]
    return own_table("Modality,series_aws_url,instanceCount,series_size_MB", *rows)


@pytest.fixture
def s3(own: IDCClient) -> Iterator[S3Server]:
    rows = own.cohort().series().to_dict("records")
    with S3Server(series_objects(rows)) as server:
        yield server


@pytest.fixture
def widget(own: IDCClient, s3: S3Server, tmp_path: Path) -> DownloadWidget:
    return DownloadWidget(own.cohort().select(), folder=tmp_path / "data", endpoint_url=s3.url)


def click(widget: DownloadWidget, kind: str, **content: object) -> None:
    """Press a button: send the message of the front end, with the number of the next click."""
    number = int(widget._answered.rpartition(":")[2] or 0) + 1
    widget._handle_custom_msg({"kind": kind, "view": "a", "number": number, **content}, [])


def press(widget: DownloadWidget, folder: str | None = None, *, sure: bool = False) -> None:
    """Send what the front end sends when Download is pressed."""
    folder = widget.folder if folder is None else folder
    click(widget, "start", folder=folder, sure=sure)


def never_complete(s3: S3Server) -> None:
    """Send only half of the series s.2, so that no download ends before the test continues."""
    s3.fail = lambda request: (
        "stall" if request.method == "GET" and request.key.startswith("prefix-2/") else None
    )


def complete_again(s3: S3Server) -> None:
    s3.fail = lambda _request: None


def start_without_end(widget, s3: S3Server) -> None:
    """Press Download, and wait until the first file is there; the download does not end."""
    never_complete(s3)
    press(widget)
    until(lambda: widget.job.progress.files_done)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait(widget: DownloadWidget, *states: str) -> dict:
    """Wait until the widget shows a status with one of these states, and return it."""
    deadline = time.monotonic() + 300
    while widget._status.get("state") not in states:
        assert time.monotonic() < deadline, widget._status
        time.sleep(0.02)
    return widget._status


def test_the_button_names_what_it_downloads(state):
    widget = DownloadWidget(state=state)
    assert widget._offer["text"] == "Download all 4,926 series · 45.3 GB"
    state.pick(patients=["LUNG1-365"])
    assert widget._offer["text"] == "Download all 12 series · 115.9 MB"
    uids = list(state.cohort.where(Modality="CT").select().uids)
    state.pick(series=uids)
    assert widget._offer["text"] == "Download 1 picked series · 70.5 MB"
    alone = DownloadWidget(state.selection)
    assert alone._offer["text"] == "Download 1 series · 70.5 MB"


def test_the_button_says_picked_even_if_all_series_are_picked(own):
    state = BrowserState(own)
    widget = DownloadWidget(state=state)
    state.pick(series=[f"s.{i}" for i in range(3)])
    assert widget._offer["text"] == "Download 3 picked series · 600.0 kB"


def test_the_server_of_the_client_is_used(own, s3, tmp_path):
    client = IDCClient(engine=own.engine, endpoint_url=s3.url)
    widget = DownloadWidget(client.cohort().select(), folder=tmp_path / "data")
    assert widget.start().plan.endpoint_url == s3.url
    assert len(widget.job.result()) == 3
    state = BrowserState(client)
    state.pick(series=["s.1"])
    of_state = DownloadWidget(state=state, folder=tmp_path / "other")
    assert of_state.start().plan.endpoint_url == s3.url
    assert list(of_state.job.result()) == ["s.1"]
    assert state.selection.plan(tmp_path).endpoint_url == s3.url


def test_nothing_to_download(state):
    for widget in (DownloadWidget(), DownloadWidget(state=state)):
        state.filters = state.filters.where(Modality="XC")
        assert not widget._offer["enabled"]
        assert "no series is selected" in widget._offer["hint"]
        with pytest.raises(DownloadError, match="nothing is selected"):
            widget.start()
        press(widget)
        assert "nothing is selected" in widget._message


def test_a_download_from_press_to_paths(widget, tmp_path):
    changes = []
    widget.observe(lambda change: changes.append(change["new"]), "paths")
    widget.done_hint = "browser.paths has the files"
    press(widget)
    status = wait(widget, "complete")
    assert status["title"] == "Complete"
    assert status["detail"] == "12 files · 600.0 kB · browser.paths has the files"
    assert status["percent"] == 100
    assert not status["active"]
    assert [row[2:] for row in status["rows"]] == [[True, "4 files · 200.0 kB"]] * 3
    assert status["more"] == 0
    assert widget.paths == widget.job.paths == changes[-1]
    assert len(widget.paths["s.0"]) == 4
    assert all(path.is_relative_to(tmp_path / "data") for path in widget.paths["s.0"])


def test_the_progress_is_described(widget, s3):
    s3.rate_MB_s = 0.2
    never_complete(s3)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "_status")
    widget.start()
    until(lambda: any(status["detail"].endswith(" left") for status in list(seen)))
    widget.cancel()
    wait(widget, "cancelled")
    assert seen[0]["title"] == "Connecting"
    detail = next(status["detail"] for status in seen if status["detail"].endswith(" left"))
    assert detail.count(" · ") == 3
    assert "of 600.0 kB · " in detail and "MB/s" in detail
    assert [status["number"] for status in seen] == sorted({s["number"] for s in seen})


def test_cancel_keeps_files_and_download_resumes(widget, s3):
    start_without_end(widget, s3)
    click(widget, "cancel")
    status = wait(widget, "cancelled")
    assert status["title"] == "Cancelled"
    assert status["detail"].endswith(
        "of 12 files are kept; press Resume, or Download for the present selection"
    )
    assert status["rows"][0][2] is False
    complete_again(s3)
    press(widget)
    assert wait(widget, "complete")["percent"] == 100


def test_a_second_start_during_a_download(widget, s3, own):
    never_complete(s3)
    job = widget.start()
    assert widget.start() is job
    widget.selection = own.cohort(SeriesInstanceUID="s.1").select()
    with pytest.raises(DownloadError, match="is running here"):
        widget.start()
    widget.cancel()
    wait(widget, "cancelled")


def test_failed_series_are_listed_first(widget, s3):
    s3.fail = lambda request: 404 if "prefix-1" in request.key else None
    press(widget)
    status = wait(widget, "incomplete")
    assert status["title"] == "Incomplete"
    assert status["detail"].startswith("2 of 3 series are complete; ")
    assert [row[2] for row in status["rows"]] == [False, True, True]
    assert "s.1" in status["rows"][0][0]
    assert set(widget.paths) == {"s.0", "s.2"}


def test_an_unreachable_server(own, tmp_path):
    widget = DownloadWidget(
        own.cohort().select(), folder=tmp_path, endpoint_url="http://127.0.0.1:9"
    )
    press(widget)
    status = wait(widget, "failed")
    assert status["title"] == "Failed"
    assert "cannot be reached" in status["detail"]
    assert status["rows"] == []  # the reason is not repeated for every series


@pytest.mark.parametrize(
    ("folder", "template", "message"),
    [
        ("  ", None, "no folder is given"),
        ("file/data", None, "file"),
        ("data", "%Modalty/%SeriesInstanceUID", "Modality"),
        ("data", "%collection_id", "would share the folder"),
    ],
)
def test_a_failed_start_is_explained(own, tmp_path, monkeypatch, folder, template, message):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    unreachable = "http://127.0.0.1:9"
    widget = DownloadWidget(own.cohort().select(), template=template, endpoint_url=unreachable)
    press(widget, folder)
    assert widget.job is None
    assert re.search(message, widget._message)
    with pytest.raises(DownloadError, match=message):
        widget.start()
    widget.template = "%SeriesInstanceUID"
    press(widget, "data")
    assert widget._message == ""
    wait(widget, "failed")


def test_the_folder_can_be_changed(widget, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    click(widget, "folder", folder=" other ")
    assert widget.folder == "other"
    assert widget._folder == {"given": "other", "resolved": str(tmp_path / "other")}


def test_a_poll_is_answered_only_if_the_status_is_new(widget, monkeypatch):
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)
    press(widget)
    wait(widget, "complete")
    widget._handle_custom_msg({"kind": "poll", "number": 0}, [])
    widget._handle_custom_msg({"kind": "poll", "number": widget._status["number"]}, [])
    assert [message["status"] for message in sent] == [widget._status, None]


def test_a_click_on_download_works_once_however_often_it_is_sent(widget):
    content = {"kind": "start", "view": "a", "number": 1, "folder": widget.folder}
    widget._handle_custom_msg({**content, "sure": False}, [])
    job = widget.job
    assert widget._answered == "a:1"
    assert job.wait() == "complete"
    widget._handle_custom_msg({**content, "sure": False}, [])
    assert widget.job is job


def test_a_click_on_download_works_after_earlier_clicks_and_before_later_ones(
    own, tmp_path, monkeypatch
):
    """The messages of two widgets may arrive in two threads, in another order than the clicks."""
    state = BrowserState(own)
    widget = DownloadWidget(state=state, folder=tmp_path)
    modality = FacetDropdown(state, "Modality")
    started = []
    monkeypatch.setattr(widget, "_start", lambda selection, _max_GB: started.append(selection))
    start = {"kind": "start", "view": "a", "page": "download", "number": 2, "after": 1}
    start = {**start, "folder": str(tmp_path), "sure": False}
    choose = {"kind": "choose", "view": "b", "page": "download", "number": 1, "after": 0}
    widget._handle_custom_msg(start, [])
    assert started == []
    again = {**choose, "number": 3, "after": 2, "values": []}
    modality._handle_custom_msg(again, [])
    modality._handle_custom_msg({**choose, "values": ["CT"]}, [])
    [selection] = started
    assert listed_values(selection.cohort.conditions, "Modality") == ("CT",)
    assert listed_values(state.filters.conditions, "Modality") == ()


def test_the_endpoint_of_the_client_is_used(own):
    client = IDCClient(engine=own.engine, endpoint_url="http://127.0.0.1:9")
    assert DownloadWidget(state=BrowserState(client)).endpoint_url == "http://127.0.0.1:9"


def test_wrong_arguments_raise_errors(state):
    with pytest.raises(TypeError, match="no argument 'download_dir'"):
        DownloadWidget(state.selection, download_dir="x")
    with pytest.raises(TypeError, match="no argument 'endpoint'; did you mean 'endpoint_url'"):
        DownloadWidget(state.selection, endpoint="x")
    with pytest.raises(TypeError, match="not both"):
        DownloadWidget(state.selection, state=state)


def test_starting_again_while_the_last_download_is_being_cancelled(widget, s3):
    never_complete(s3)
    cancelled = widget.start()
    cancelled.cancel()
    complete_again(s3)
    again = widget.start()
    assert again is not cancelled
    assert cancelled.state == "cancelled"
    assert again.wait() == "complete"


def test_another_folder_is_another_download(widget, s3, tmp_path):
    never_complete(s3)
    job = widget.start()
    assert widget.start() is job
    widget.folder = str(tmp_path / "other")
    with pytest.raises(DownloadError, match="is running here"):
        widget.start()
    job.cancel()


def test_the_folder_shown_is_the_one_written_to(widget, tmp_path, monkeypatch):
    widget.folder = "data"
    monkeypatch.chdir(tmp_path)
    job = widget.start()
    assert widget._folder["resolved"] == str(job.plan.folder) == str(tmp_path / "data")
    assert job.wait() == "complete"


def test_a_large_download_has_to_be_confirmed_once(widget, monkeypatch):
    monkeypatch.setattr("idc_widgets.widgets.download.MAX_GB", 0.0005)
    press(widget)
    assert widget.job is None
    assert "still to fetch: 12 files, 600.0 kB" in widget._question
    assert widget._message == ""
    with pytest.raises(DownloadError, match="max_GB=1"):
        widget.start(max_GB=0.0005)
    press(widget, sure=True)
    assert widget._question == ""
    assert wait(widget, "complete")["percent"] == 100
    press(widget)
    assert widget._question == "", "nothing remains to be fetched"


def test_a_change_withdraws_the_question(widget, own, tmp_path, monkeypatch):
    monkeypatch.setattr("idc_widgets.widgets.download.MAX_GB", 0.0001)
    press(widget)
    assert "3 series" in widget._question
    widget.selection = own.cohort(SeriesInstanceUID=["s.0", "s.1"]).select()
    assert widget._question == ""
    press(widget)
    assert "2 series" in widget._question
    click(widget, "folder", folder=str(tmp_path / "other"))
    assert widget._question == ""


def test_pause_and_resume(widget, s3):
    start_without_end(widget, s3)
    click(widget, "pause")
    status = wait(widget, "paused")
    assert status["active"]
    assert status["title"] == "Paused"
    complete_again(s3)
    click(widget, "resume")
    assert wait(widget, "complete")["percent"] == 100


# --- users' observers --------------------------------------------------------------------


def test_an_observer_of_paths_that_raises_does_not_hide_the_end(widget):
    def boom(_change):
        raise ZeroDivisionError("boom")

    seen = []
    widget.observe(boom, "paths")
    widget.observe(lambda change: seen.append(change["new"]), "paths")
    press(widget)
    wait(widget, "complete")
    assert not widget._status["active"]
    widget.job.wait()
    assert seen[-1] == widget.paths
    assert len(widget.paths) == 3


def test_the_end_is_shown_before_a_slow_observer_of_paths_returns(widget):
    shown, leave = [], threading.Event()

    def slow(change):
        if change["new"]:
            shown.append(widget._status["title"])
            assert leave.wait(30)

    widget.observe(slow, "paths")
    press(widget)
    wait(widget, "complete")
    leave.set()
    widget.job.wait()
    assert shown == ["Complete"]


def test_an_observer_may_start_a_download(widget):
    jobs = []

    def again(change):
        if len(jobs) < 3:
            jobs.append(widget.start())

    widget.observe(again, ["job", "paths"])
    job = widget.start()
    assert jobs
    assert jobs[0] is job, "the same selection is being downloaded"
    widget.job.wait()


def test_the_button_takes_the_selection_of_the_state(own, s3, tmp_path):
    state = BrowserState(own)
    widget = DownloadWidget(state=state, folder=tmp_path / "data", endpoint_url=s3.url)
    state.remove_view(widget._show_selection)  # as if it were late
    state.pick(series=["s.1"])
    job = widget.start()
    assert job.plan.series[0].SeriesInstanceUID == "s.1"
    assert len(job.plan.series) == 1
    job.wait()


def test_an_observer_of_the_folder_does_not_keep_a_download_from_starting(widget, tmp_path):
    def boom(_change):
        raise ZeroDivisionError("boom")

    widget.observe(boom, "folder")
    press(widget, folder=str(tmp_path / "another"))
    wait(widget, "complete")
    assert widget._message == "ZeroDivisionError: boom"
