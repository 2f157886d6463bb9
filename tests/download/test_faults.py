"""Real faults of servers, disks and processes: they are reported in plain words, then removed.

Every test makes four checks. The job ends in the expected state. The files in `paths` are complete
and have the right bytes. `failed` explains each other series. After the fault is removed, `retry`
completes these series.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.downloads import (
    assert_identical,
    is_running,
    make_plan,
    names,
    run_script,
    small,
    until,
)
from support.s3server import Fault, Request, S3Server, content

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    folder_lock,
    s5cmd,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and mounts")

UIDS = ["1.2.1", "1.2.2", "1.2.3"]
LARGE = 0.4  # MB of a series that takes a while at a low rate
#: MB of a series that takes many seconds at a low rate. So the fault comes before the end even on
#: a busy machine.
LONG = 4.0


def bad_key(server: S3Server) -> str:
    return max(key for _, key in server.objects if key.startswith("00000002"))


def check(job: DownloadJob, server: S3Server, state: str) -> None:
    """Assert what holds at the end of every job."""
    assert job.state == state, (job.error, job.failed, job.log)
    assert set(job.paths) | set(job.failed) == {s.SeriesInstanceUID for s in job.plan.series}
    assert not set(job.paths) & set(job.failed)
    assert all(job.failed.values())
    for series in job.plan.series:
        keys = {k: v for k, v in server.objects.items() if k[1].startswith(series.prefix)}
        if series.SeriesInstanceUID in job.paths:
            paths = job.paths[series.SeriesInstanceUID]
            assert sorted(f"{series.prefix}/{path.name}" for path in paths) == sorted(
                key for _, key in keys
            )
            for path in paths:
                key = f"{series.prefix}/{path.name}"
                assert path.read_bytes() == b"".join(content(key, keys[series.bucket, key]))
        if series.folder.exists():
            left = [name for name in os.listdir(series.folder) if not name.endswith(".dcm")]
            assert left == [], "no unfinished file is left"
    assert not (job.plan.folder / folder_lock.WORK_FOLDER).exists()


def lift_and_retry(job: DownloadJob, server: S3Server) -> None:
    server.fail = lambda request: None
    server.rate_MB_s = None
    assert job.retry().wait(60) == "complete", (job.error, job.failed, job.log)
    check(job, server, "complete")
    assert job.progress.fraction == 1


def pid_of(job: DownloadJob) -> int:
    until(lambda: s5cmd.Process._running and job.progress.bytes_done > 0)
    [process] = s5cmd.Process._running
    return process.pid


# --- answers of the server ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words", "passes"),
    [
        (503, "the server is overloaded, try again later (S", True),
        (500, "the server has a fault, try again later (Internal", True),
        (403, "the server refuses access (AccessDenied", False),
        (404, "not on the server (NoSuchKey", False),
        ("truncate", "the connection failed (unexpected EOF)", True),
        ("reset", "the connection failed (read tcp", True),
        ("stall", "no data for 2 s", True),
    ],
)
def test_a_fault_of_one_object(
    server: S3Server, three: DownloadPlan, fault: Fault, words: str, passes: bool
) -> None:
    bad = bad_key(server)
    server.fail = lambda request: fault if request.key == bad else None
    job = DownloadJob(three, tries=2, backoff=0.05, stall_timeout=2 if fault == "stall" else 60)
    job.wait(60)
    check(job, server, "incomplete")
    assert list(job.failed) == ["1.2.2"]
    assert job.failed["1.2.2"].startswith(words)
    assert "9 of 10 files arrived, 90.0 kB of 100.0 kB" in job.failed["1.2.2"]
    again = [line for line in job.log if "again in" in line]
    assert len(again) == passes and all("(try 2 of 2)" in line for line in again)
    tries = 2 if passes else 1
    requests = 1 if fault in (403, 404, "stall") else 1 + s5cmd.REQUEST_RETRIES
    gets = server.keys("GET").count(bad)
    # The second try begins with HEAD requests, which may fail, too
    heads = server.keys("HEAD").count(bad)
    assert requests <= gets and gets + heads in (tries * requests, tries * requests + tries - 1)
    assert server.count("GET") == 29 + gets, "nothing else was fetched twice"
    assert server.count("LIST") == 3 + tries - 1, "complete series are not listed again"
    lift_and_retry(job, server)


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "not on the server"), (403, "the server refuses"), (503, "the server is overloaded")],
)
def test_a_fault_of_a_whole_series(
    server: S3Server, three: DownloadPlan, status: int, words: str
) -> None:
    server.fail = lambda r: status if r.method == "LIST" and r.key.startswith("00000002") else None
    job = DownloadJob(three, tries=1)
    job.wait(60)
    check(job, server, "incomplete")
    assert list(job.failed) == ["1.2.2"]
    assert job.failed["1.2.2"].startswith(words)
    lift_and_retry(job, server)


def test_an_empty_prefix(server: S3Server, three: DownloadPlan) -> None:
    everything = dict(server.objects)
    server.objects = {k: v for k, v in everything.items() if not k[1].startswith("00000002")}
    job = DownloadJob(three)
    job.wait(60)
    check(job, server, "incomplete")
    assert job.failed["1.2.2"].startswith("not on the server (no object found)")
    server.objects = everything
    lift_and_retry(job, server)


def test_a_transient_error_is_retried(server: S3Server, three: DownloadPlan) -> None:
    bad = bad_key(server)
    seen = server.requests
    server.fail = lambda r: 503 if r.key == bad and [s.key for s in seen].count(bad) <= 3 else None
    job = DownloadJob(three, backoff=0.1)
    job.wait(60)
    check(job, server, "complete")
    [line] = [line for line in job.log if "again" in line and "trying" in line]
    assert line.startswith("trying 1 series again in 0.1 s (try 2 of 3): the server is overloaded")


def test_the_wait_before_a_try_can_be_cancelled(server: S3Server, three: DownloadPlan) -> None:
    server.fail = lambda request: 500
    job = DownloadJob(three, backoff=60).start()
    until(lambda: any("again in 60 s" in line for line in job.log))
    start = time.monotonic()
    job.cancel()
    assert job.wait(60) == "cancelled" and time.monotonic() - start < 30
    check(job, server, "cancelled")
    lift_and_retry(job, server)


def test_the_delay_doubles_with_each_try(server: S3Server, three: DownloadPlan) -> None:
    server.fail = lambda request: 500 if request.method == "LIST" else None
    job = DownloadJob(three, tries=4, backoff=0.02)
    job.wait(60)
    check(job, server, "incomplete")
    waits = [line.split(" in ")[1].split(" (")[0] for line in job.log if "trying" in line]
    assert waits == ["0.02 s", "0.04 s", "0.08 s"]
    lift_and_retry(job, server)


def test_a_stalled_file_does_not_hold_up_the_others(server: S3Server, tmp_path: Path) -> None:
    """Check that a stalled file is noticed while others grow; the others are fetched once."""
    plan = make_plan(server, tmp_path / "data", small(2), small(3, series_size_MB=3.0))
    bad, stalls = bad_key(server), []

    def fail(request: Request) -> Fault:
        if request.key == bad and not stalls:
            stalls.append(request)
            return "stall"
        return None

    server.fail = fail
    server.rate_MB_s = 1.0
    job = DownloadJob(plan, workers=8, stall_timeout=2, backoff=0.05)
    job.wait(60)
    check(job, server, "complete")
    assert stalls and any("no data for 2 s" in line for line in job.log)
    assert server.count("GET") == 21


def test_stalled_files_do_not_take_all_workers(server: S3Server, tmp_path: Path) -> None:
    """Check that s5cmd is restarted, with other series first, when half of its workers stall."""
    plan = make_plan(server, tmp_path / "data", small(2), small(3, series_size_MB=3.0))
    bad = bad_key(server)
    server.fail = lambda request: "stall" if request.key == bad else None
    server.rate_MB_s = 1.0
    job = DownloadJob(plan, workers=2, stall_timeout=2, backoff=0.05, tries=2)
    job.wait(60)
    check(job, server, "incomplete")
    assert list(job.paths) == ["1.2.3"] and job.failed["1.2.2"].startswith("no data for 2 s")
    lift_and_retry(job, server)


# --- the server comes and goes --------------------------------------------------------------


def test_connection_refused(server: S3Server, three: DownloadPlan) -> None:
    server.go_away()
    job = DownloadJob(three)
    job.wait(60)
    check(job, server, "failed")
    assert job.error and "cannot be reached (Connection refused)" in job.error
    assert job.failed == dict.fromkeys(UIDS, job.error)
    server.come_back()
    lift_and_retry(job, server)


@pytest.mark.parametrize("back", [True, False])
def test_a_server_that_goes_away(server: S3Server, tmp_path: Path, back: bool) -> None:
    plan = make_plan(server, tmp_path / "data", *(small(i, series_size_MB=LONG) for i in (1, 2, 3)))
    server.rate_MB_s = 1.0
    job = DownloadJob(plan, workers=3, tries=8 if back else 2, backoff=0.1).start()
    until(lambda: job.progress.files_done > 2)
    server.go_away()
    if back:
        time.sleep(0.5)
        server.come_back()
        server.rate_MB_s = None
        job.wait(60)
        check(job, server, "complete")
        assert any("trying" in line for line in job.log)
        return
    job.wait(60)
    check(job, server, "incomplete")
    assert job.failed and all("cannot be reached" in why for why in job.failed.values())
    server.come_back()
    lift_and_retry(job, server)


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_server_with_a_wrong_clock(server: S3Server, three: DownloadPlan, date: str) -> None:
    server.date = date
    server.modified = "1970-01-01T00:00:00.000Z"
    job = DownloadJob(three)
    job.wait(60)
    check(job, server, "complete")


def test_objects_newer_than_our_clock(server: S3Server, three: DownloadPlan) -> None:
    """Check that a reason is given: s5cmd skips these objects silently and exits with 0."""
    server.modified = "2100-01-01T00:00:00.000Z"
    job = DownloadJob(three)
    job.wait(60)
    check(job, server, "incomplete")
    assert list(job.failed) == UIDS
    assert all("check the clock" in why for why in job.failed.values())
    server.modified = "2024-01-01T00:00:00.000Z"
    lift_and_retry(job, server)


# --- the disk -------------------------------------------------------------------------------


@contextmanager
def done_as_root(do: list[str], undo: list[str]) -> Iterator[None]:
    done = subprocess.run(do, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(do)}: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(undo, check=True)


def test_a_disk_that_fills(server: S3Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    with done_as_root(mount, ["umount", "-l", str(disk)]):
        plan = make_plan(server, disk / "data", *(small(i, series_size_MB=LARGE) for i in (1, 2)))
        server.rate_MB_s = 0.8
        job = DownloadJob(plan, workers=2).start()
        until(lambda: job.progress.files_done > 2)
        with (disk / "ballast").open("wb") as ballast, pytest.raises(OSError):
            while True:
                os.write(ballast.fileno(), b"x" * 4096)
        job.wait(60)
        check(job, server, "incomplete")
        assert job.failed and all("the disk is full" in why for why in job.failed.values())
        assert not any("trying" in line for line in job.log), "another try cannot help"
        (disk / "ballast").unlink()
        lift_and_retry(job, server)


def _chattr(folder: Path) -> tuple[list[str], list[str]]:
    if os.geteuid() == 0:  # permission bits do not bind root
        return ["chattr", "+i", str(folder)], ["chattr", "-i", str(folder)]
    return ["chmod", "555", str(folder)], ["chmod", "755", str(folder)]


def test_a_folder_that_becomes_read_only(server: S3Server, three: DownloadPlan) -> None:
    folder = three.series[1].folder
    folder.mkdir(parents=True)
    with done_as_root(*_chattr(folder)):
        job = DownloadJob(three)
        job.wait(60)
        check(job, server, "incomplete")
        assert list(job.failed) == ["1.2.2"]
        assert job.failed["1.2.2"].startswith("the folder cannot be written to")
        assert not any("trying" in line for line in job.log)
    lift_and_retry(job, server)


def test_a_disk_that_becomes_read_only(server: S3Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "none", str(disk)]
    with done_as_root(mount, ["umount", "-l", str(disk)]):
        plan = make_plan(server, disk / "data", *(small(i) for i in (1, 2)))
        remount = ["mount", "-o", "remount,ro", str(disk)]
        writable = ["mount", "-o", "remount,rw", str(disk)]
        with done_as_root(remount, writable):
            job = DownloadJob(plan)
            job.wait(60)
            check(job, server, "failed")
            assert job.error and "Read-only file system; choose another folder" in job.error
        lift_and_retry(job, server)


# --- signals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [("SIGTERM", "s5cmd ended before it was done (exit"), ("SIGKILL", "s5cmd was ended by sig")],
)
@pytest.mark.parametrize("tries", [1, 3])
def test_s5cmd_is_killed(
    server: S3Server, tmp_path: Path, name: str, words: str, tries: int
) -> None:
    plan = make_plan(server, tmp_path / "data", small(1), small(2, series_size_MB=LONG))
    server.rate_MB_s = 0.5
    job = DownloadJob(plan, workers=2, tries=tries, backoff=0.05).start()
    until(lambda: job.progress.files_done >= 12)
    os.kill(pid_of(job), getattr(signal, name))
    until(lambda: s5cmd.Process._running == set())
    server.rate_MB_s = None
    job.wait(60)
    if tries == 1:
        check(job, server, "incomplete")
        assert job.failed and all(why.startswith(words) for why in job.failed.values())
        lift_and_retry(job, server)
    else:
        check(job, server, "complete")
        assert any(words in line for line in job.log if "trying" in line)
    assert server.count("GET") <= 20 + 2, "at most one file per worker was fetched twice"


def test_a_machine_that_was_asleep(server: S3Server, tmp_path: Path) -> None:
    plan = make_plan(server, tmp_path / "data", small(1, series_size_MB=LONG))
    server.rate_MB_s = 0.5
    job = DownloadJob(plan, workers=2, stall_timeout=20).start()
    pid = pid_of(job)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(pid, signal.SIGCONT)
    server.rate_MB_s = None
    job.wait(60)
    check(job, server, "complete")
    assert server.count("GET") == 10 and not any("trying" in line for line in job.log)


def test_an_s5cmd_that_stays_suspended(server: S3Server, tmp_path: Path) -> None:
    plan = make_plan(server, tmp_path / "data", small(1, series_size_MB=LONG))
    server.rate_MB_s = 0.5
    job = DownloadJob(plan, workers=2, stall_timeout=2, backoff=0.05).start()
    os.kill(pid_of(job), signal.SIGSTOP)
    job.wait(60)
    check(job, server, "complete")
    assert any("no data for 2 s" in line for line in job.log if "trying" in line)


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("dies_with_us", [True, False])
def test_the_python_process_is_killed(
    server: S3Server, tmp_path: Path, signal_name: str, dies_with_us: bool
) -> None:
    """Check that the next job removes what the killed Python process could not."""
    if dies_with_us and not s5cmd._death_signal_prefix():
        pytest.skip("setpriv is missing: it is part of util-linux, on Linux only")
    row = small(1, series_size_MB=3.0)
    plan = make_plan(server, tmp_path / "data", row)
    server.rate_MB_s = 0.5
    before = "" if dies_with_us else "s5cmd._death_signal_prefix = lambda: []"
    script = run_script(plan, row, code="time.sleep(60)", before=before)
    assert script.stdout is not None
    pid = int(script.stdout.readline())
    # While the script runs, another job must not write into its folders
    job = DownloadJob(plan)
    assert job.wait(60) == "failed"
    assert job.error and f"(pid {script.pid} on " in job.error and "wait for it" in job.error
    assert is_running(pid)
    script.send_signal(getattr(signal, signal_name))
    script.communicate(timeout=60)
    if dies_with_us:
        until(lambda: not is_running(pid), 30)
    else:
        assert is_running(pid), "s5cmd outlives its parent for a while"
    there = {name for name in names(plan) if name.endswith(".dcm")}
    server.requests.clear()
    server.rate_MB_s = None
    assert job.retry().wait(60) == "complete", (job.error, job.failed, job.log)
    until(lambda: not is_running(pid), 30)  # it may be a zombie for a moment
    check(job, server, "complete")
    assert len(server.keys("GET")) <= 10 - len(there)


# --- resuming -------------------------------------------------------------------------------


def test_a_file_with_too_many_bytes_is_replaced(server: S3Server, three: DownloadPlan) -> None:
    DownloadJob(three).wait(60)
    first, second, *_ = names(three, 1)
    with (three.series[1].folder / first).open("ab") as file:
        file.write(b"surplus")
    os.truncate(three.series[1].folder / second, 5)
    server.requests.clear()
    job = DownloadJob(three)
    job.wait(60)
    for name, end in ((first, b"surplus"), (second, b"")):
        kept = three.series[1].folder / f"{name}.changed-1"
        assert kept.read_bytes().endswith(end)
        kept.unlink()
    check(job, server, "complete")
    prefix = three.series[1].prefix
    assert server.requests[0] == Request("LIST", "bucket", f"{prefix}/")
    assert sorted(server.keys("GET")) == [f"{prefix}/{name}" for name in (first, second)]
    assert {request.key.split("/")[0] for request in server.requests} == {prefix}


def test_files_of_the_user_do_not_count(server: S3Server, three: DownloadPlan) -> None:
    DownloadJob(three).wait(60)
    folder = three.series[1].folder
    gone, *others = sorted(folder.iterdir())
    (folder / f"._{others[0].name}").write_bytes(b"what a Mac leaves")
    assert DownloadJob(three).wait(60) == "complete"
    mine = folder / "my favorite slice.dcm"  # as large as the missing file
    gone.rename(mine)
    server.fail = lambda request: 403 if gone.name in request.key else None
    job = DownloadJob(three)
    assert job.wait(60) == "incomplete"
    assert list(job.failed) == ["1.2.2"] and "9 of 10 files" in job.failed["1.2.2"]
    server.fail = lambda request: None
    assert job.retry().wait(60) == "complete"
    assert gone.is_file() and mine.is_file() and gone in job.paths["1.2.2"]
    assert mine not in job.paths["1.2.2"]


def test_a_server_that_has_more_files(server: S3Server, three: DownloadPlan) -> None:
    series = three.series[1]
    for i in range(10_000):
        name = f"{i:08x}-ffff-0000-0000-000000000000.dcm"
        server.objects[series.bucket, f"{series.prefix}/{name}"] = 10
    job = DownloadJob(three)
    assert job.wait(60) == "incomplete"
    assert list(job.failed) == ["1.2.2"]
    assert job.failed["1.2.2"].startswith("the server has more or larger files than")
    assert not any("again in" in line for line in job.log)
    assert len(list(series.folder.iterdir())) < 5000


def test_a_server_that_has_a_larger_file(
    server: S3Server, three: DownloadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idc_widgets.download.supervisor.KILL_GRACE_SECONDS", 0.5)
    series = three.series[1]
    bad = bad_key(server)
    size = server.objects[series.bucket, bad]
    server.objects[series.bucket, bad] = 10**10
    server.rate_MB_s = 20
    job = DownloadJob(three)
    assert job.wait(60) == "incomplete"
    assert list(job.failed) == ["1.2.2"]
    assert job.failed["1.2.2"].startswith("the server has more or larger files than")
    # An additional object of that size does not keep the series from being completed
    extra = series.bucket, f"{series.prefix}/ffffffff-ffff-0000-0000-000000000000.dcm"
    server.objects |= {(series.bucket, bad): size, extra: 10**10}
    assert job.retry().wait(60) == "complete", (job.failed, job.log)
    assert len(job.paths["1.2.2"]) == 10


def test_a_server_that_lists_for_ever(
    server: S3Server, three: DownloadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idc_widgets.download.supervisor.KILL_GRACE_SECONDS", 0.5)
    server.lists_for_ever = True
    job = DownloadJob(three)
    assert job.wait(60) == "complete", job.failed
    check(job, server, "complete")
    # The server repeats this page for ever, and now the page lacks a file of the series
    last = max(three.series[0].folder.iterdir())
    last.unlink()
    del server.objects[three.series[0].bucket, f"{three.series[0].prefix}/{last.name}"]
    job = DownloadJob(three, stall_timeout=2, tries=1)
    assert job.wait(60) == "incomplete"
    assert job.failed["1.2.1"].startswith("no data for 2 s; 9 of 10 files arrived")


def test_stale_unfinished_files_are_removed(server: S3Server, three: DownloadPlan) -> None:
    series = three.series[1]
    series.folder.mkdir(parents=True)
    name = bad_key(server).split("/")[1]
    (series.folder / f"{name}123456").write_bytes(b"half")
    mine = series.folder / "notes.txt"
    mine.write_text("mine")
    assert DownloadJob(three).wait(60) == "complete"
    assert len(names(three, 1)) == 11 and mine.exists()
    assert_identical_but(three, server, mine)


def assert_identical_but(plan: DownloadPlan, server: S3Server, mine: Path) -> None:
    mine.unlink()
    assert_identical(plan, server)


# --- pausing --------------------------------------------------------------------------------


def test_pause_and_resume(server: S3Server, tmp_path: Path) -> None:
    plan = make_plan(server, tmp_path / "data", small(1, series_size_MB=LONG))
    server.rate_MB_s = 0.5
    job = DownloadJob(plan, workers=2)
    job.pause()
    assert job.start().state == "running", "a job that is not started cannot be paused"
    until(lambda: job.progress.files_done >= 3)
    job.pause()
    until(lambda: job.state == "paused")
    assert s5cmd.Process._running == set()
    there = names(plan)
    assert len(there) >= 3 and all(name.endswith(".dcm") for name in there)
    requests = len(server.requests)
    assert job.wait(0.3) == "paused" and len(server.requests) == requests
    server.rate_MB_s = None
    threading.Timer(0.2, job.resume).start()
    assert job.wait(60) == "complete", "wait() waits through a pause"
    check(job, server, "complete")
    assert server.count("GET") <= 10 + 2


@pytest.mark.parametrize("act", ["cancel", "twice"])
def test_a_pause_that_is_cancelled_or_repeated(server: S3Server, tmp_path: Path, act: str) -> None:
    plan = make_plan(server, tmp_path / "data", small(1, series_size_MB=LONG))
    server.rate_MB_s = 0.5
    job = DownloadJob(plan, workers=2).start()
    until(lambda: job.progress.files_done >= 1)
    job.pause()
    if act == "twice":
        job.resume()
        job.pause()
        until(lambda: job.state == "paused")
        job.resume()
        job.resume()
        server.rate_MB_s = None
        assert job.wait(60) == "complete"
        return
    until(lambda: job.state == "paused")
    job.cancel()
    assert job.wait(60) == "cancelled"
    check(job, server, "cancelled")
    lift_and_retry(job, server)


def test_without_a_fault_everything_is_complete(three: DownloadPlan, server: S3Server) -> None:
    """Check that the jobs of this file fail only because of their faults."""
    job = DownloadJob(three)
    job.wait(60)
    check(job, server, "complete")
    assert server.count("GET") == 30 and server.count("LIST") == 3


def test_the_server_counts_requests(server: S3Server, tmp_path: Path) -> None:
    series = make_plan(server, tmp_path / "data", small(instanceCount=1))
    DownloadJob(series).wait()
    prefix = series.series[0].prefix
    assert [r for r in server.requests if r.method == "LIST"] == [
        Request("LIST", "bucket", f"{prefix}/")
    ]
    (key,) = server.keys("GET", prefix)
    assert ("bucket", key) in server.objects
