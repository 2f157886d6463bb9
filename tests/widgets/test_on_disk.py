"""The column "On disk" of the series grid: the state of the files of each series."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.downloads import file_name
from support.s3server import Request, S3Server, series_objects

from idc_widgets.client import IDCClient
from idc_widgets.errors import InvalidQueryError
from idc_widgets.query import RowSource, Sort
from idc_widgets.widgets.download import DownloadWidget
from idc_widgets.widgets.grid.columns import ON_DISK
from idc_widgets.widgets.grid.level_grids import SeriesGrid
from idc_widgets.widgets.on_disk import COMPLETE, FAILED, FETCHING, PARTLY, QUEUED, OnDisk
from idc_widgets.widgets.state import BrowserState

UIDS = [f"s.{i}" for i in range(4)]


class View:
    """Stands for a grid: it records the states that a grid would show."""

    def __init__(self, columns: Any, _options: Any) -> None:
        from ipywidgets import Label

        self.columns = columns
        self.widget = Label()
        self.on_pick = self.on_sort = self.on_columns = lambda _callback: None
        self.on_row = self.on_details = self.on_pick
        self.shown: list[str] = []

    def show(self, rows: RowSource, picked: Any) -> None:
        self.rows = rows
        self.refresh()

    def set_columns(self, columns: Any, _choices: Any) -> None:
        self.columns = columns

    def show_nothing(self, reason: str) -> None: ...

    def pick(self, picked: Any) -> None: ...

    def refresh(self) -> None:
        self.shown = self.rows.window(0, 40).get(ON_DISK.name, [])


@pytest.fixture
def client(tmp_path: Path) -> IDCClient:
    """Return a client of a user's table: four series of four files, 200 kB each."""
    path = tmp_path / "own.csv"
    names = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality"
    rows = [f"{uid},1,p,mine,CT,s3://bucket/prefix-{uid}/*,4,0.2" for uid in UIDS]
    path.write_text("\n".join([f"{names},series_aws_url,instanceCount,series_size_MB", *rows]))
    return IDCClient(path)


@pytest.fixture
def s3(client: IDCClient) -> Iterator[S3Server]:
    with S3Server(series_objects(client.cohort().series().to_dict("records"))) as server:
        yield server


@pytest.fixture
def shown(client: IDCClient, s3: S3Server, tmp_path: Path) -> tuple[DownloadWidget, View]:
    return show(client, s3, tmp_path / "data")


def show(client: IDCClient, s3: S3Server, folder: Path) -> tuple[DownloadWidget, View]:
    state = BrowserState(client)
    download = DownloadWidget(state=state, folder=folder, endpoint_url=s3.url)
    grid = SeriesGrid(state, download=download, view=View)
    view = grid._view
    assert isinstance(view, View)
    return download, view


def until(condition: Callable[[], bool], view: View) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, view.shown
        time.sleep(0.02)


def test_series_without_files_have_no_state(shown: tuple[DownloadWidget, View]) -> None:
    download, view = shown
    assert view.columns[0] == ON_DISK
    assert view.shown == [""] * 4
    assert ON_DISK not in SeriesGrid(download.state, view=View)._view.columns


def test_the_states_are_shown_without_the_column_of_uids(
    shown: tuple[DownloadWidget, View], tmp_path: Path
) -> None:
    download, view = shown
    download.state.columns = {"series": ("Modality", "on_disk")}
    assert download.state.message == ""
    assert [column.name for column in view.columns] == ["Modality", "on_disk"]
    assert view.shown == [""] * 4
    assert view.rows.values([range(1, 3)])[ON_DISK.name] == [""] * 2


def test_the_column_can_be_hidden(shown: tuple[DownloadWidget, View]) -> None:
    download, view = shown
    download.state.columns = {"series": ("Modality",)}
    assert [column.name for column in view.columns] == ["Modality"]
    assert ON_DISK.name not in view.rows.window(0, 4)
    download.state.columns = {"series": ("on_disk",)}
    assert view.shown == [""] * 4
    other = SeriesGrid(download.state, view=View)._view
    assert ON_DISK not in other.columns, "a grid without a download has no such column"
    assert len(other.columns) == 12
    with pytest.raises(InvalidQueryError, match="on_disk"):
        download.state.columns = {"study": ("on_disk",)}
    download.state.columns = {}
    assert view.columns[0] == ON_DISK


def test_from_queued_to_complete(shown: tuple[DownloadWidget, View], s3: S3Server) -> None:
    download, view = shown
    seen: set[str] = set()
    s3.rate_MB_s = 0.2
    s3.fail = lambda request: 404 if "prefix-s.2" in request.key else None
    job = download.start()
    while not job.is_finished:
        seen.update(view.shown)
        time.sleep(0.01)
    until(lambda: view.shown == [COMPLETE, COMPLETE, FAILED, COMPLETE], view)
    assert seen & {QUEUED, FETCHING}
    s3.fail, s3.rate_MB_s = lambda _request: None, None
    download._handle_custom_msg({"kind": "retry", "view": "a", "number": 1}, [])
    assert job.wait() == "complete", (job.failed, job.log)
    until(lambda: view.shown == [COMPLETE] * 4, view)
    assert len(download.paths) == 4


def test_files_of_an_earlier_session(
    shown: tuple[DownloadWidget, View], client: IDCClient, s3: S3Server, tmp_path: Path
) -> None:
    shown[0].start().wait()
    folders = {series.SeriesInstanceUID: series.folder for series in shown[0].job.plan.series}
    next(folders["s.1"].iterdir()).unlink()
    for file in folders["s.3"].iterdir():
        file.unlink()
    _, later = show(client, s3, tmp_path / "data")
    until(lambda: later.shown == [COMPLETE, PARTLY, COMPLETE, ""], later)


def test_an_invalid_row_does_not_hide_the_others(
    client: IDCClient, s3: S3Server, tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(path.read_text().replace("prefix-s.2/*,4,0.2", "prefix-s.2/*,,0.2"))
    bad = IDCClient(path)
    good = bad.cohort(SeriesInstanceUID=["s.0", "s.1"]).select()
    assert good.download(tmp_path / "data", endpoint_url=s3.url).wait() == "complete"
    download, view = show(bad, s3, tmp_path / "data")
    until(lambda: view.shown == [COMPLETE, COMPLETE, "", ""], view)
    # With this template all series share a folder, so nobody knows the series of the file.
    download.template = "%collection_id"
    (tmp_path / "else" / "mine").mkdir(parents=True)
    (tmp_path / "else" / "mine" / file_name(0)).write_bytes(b"123")
    download.folder = str(tmp_path / "else")
    until(lambda: view.shown == [""] * 4, view)


def test_a_paused_series_is_not_being_fetched(
    shown: tuple[DownloadWidget, View], s3: S3Server
) -> None:
    download, view = shown
    may_continue = threading.Event()

    def wait_for_the_rest(request: Request) -> None:
        is_other = "prefix-s.0" not in request.key
        if is_other or (request.method == "GET" and s3.count("GET") > 2):
            may_continue.wait(60)

    s3.fail = wait_for_the_rest
    job = download.start()
    until(lambda: job.progress.files_done == 2, view)
    until(lambda: view.shown == [FETCHING, QUEUED, QUEUED, QUEUED], view)
    job.pause()
    until(lambda: view.shown == [PARTLY, QUEUED, QUEUED, QUEUED], view)
    may_continue.set()
    job.resume()
    assert job.wait() == "complete"
    until(lambda: view.shown == [COMPLETE] * 4, view)


def test_an_unexpected_error_is_logged_and_the_disk_examined_again(
    shown: tuple[DownloadWidget, View],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    download, view = shown
    download.start().wait()
    until(lambda: view.shown == [COMPLETE] * 4, view)

    def fail(*_: object) -> Any:
        raise ZeroDivisionError("unexpected")

    with monkeypatch.context() as patch:
        patch.setattr(download.on_disk, "_examine", fail)
        download.on_disk.look()
        until(lambda: view.shown == [""] * 4, view)
    download.on_disk._callbacks._functions.insert(0, fail)
    download.on_disk.look()
    until(lambda: view.shown == [COMPLETE] * 4, view)
    assert {record.message for record in caplog.records} == {
        "cannot examine the files of the series",
        "cannot show the state of the files",
    }
    assert caplog.text.count("ZeroDivisionError: unexpected") == len(caplog.records)


def test_another_folder_is_examined(shown: tuple[DownloadWidget, View], tmp_path: Path) -> None:
    download, view = shown
    download.start().wait()
    until(lambda: view.shown == [COMPLETE] * 4, view)
    download.folder = str(tmp_path / "elsewhere")
    until(lambda: view.shown == [""] * 4, view)


def test_the_column_cannot_be_sorted(shown: tuple[DownloadWidget, View]) -> None:
    rows = shown[1].rows
    with pytest.raises(InvalidQueryError, match="cannot be sorted"):
        rows.sorted(Sort("on_disk"))
    assert list(rows.sorted(Sort("SeriesInstanceUID")).window(0, 1)) == list(rows.window(0, 1))


def test_a_retry_without_a_download_is_explained(shown: tuple[DownloadWidget, View]) -> None:
    download, _ = shown
    download._handle_custom_msg({"kind": "retry", "view": "a", "number": 1}, [])
    assert "no download to retry" in download._message


def test_paths_for_the_clipboard(
    shown: tuple[DownloadWidget, View], monkeypatch: pytest.MonkeyPatch
) -> None:
    download, _ = shown
    sent: list[Any] = []
    monkeypatch.setattr(download, "send", sent.append)
    download.start().wait()
    assert download._status["files"] == 16
    download._handle_custom_msg({"kind": "paths"}, [])
    [message] = sent
    lines = message["text"].splitlines()
    assert sorted(lines) == sorted(str(path) for paths in download.paths.values() for path in paths)


def test_a_removed_callback_is_not_called(shown: tuple[DownloadWidget, View]) -> None:
    download, view = shown
    calls: list[str] = []
    remove = download.on_disk.on_news(lambda: calls.append("called"))
    remove()
    remove()  # removing twice does nothing
    download.start().wait()
    until(lambda: view.shown == [COMPLETE] * 4, view)
    assert calls == []


def test_after_close_the_disk_is_not_examined(
    shown: tuple[DownloadWidget, View], monkeypatch: pytest.MonkeyPatch
) -> None:
    download, view = shown
    on_disk = download.on_disk
    download.close()
    until(lambda: not on_disk._is_looking, view)
    examined: list[Any] = []
    monkeypatch.setattr(on_disk, "_examine", lambda uids: examined.append(uids) or [])
    on_disk.look()
    assert on_disk.states(UIDS) == [""] * 4
    assert not on_disk._is_looking
    assert examined == []


def test_a_thread_that_cannot_be_started_is_tried_again(monkeypatch, tmp_path):
    on_disk = OnDisk(lambda _uids: None, lambda: tmp_path)
    called = threading.Event()

    def refused(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        on_disk.on_news(called.set)
    assert not on_disk._is_looking
    on_disk._states["1.2"] = "something else"
    on_disk.states(["1.2"])
    assert called.wait(30)
