"""DownloadJob: its states, observers and methods, with the real s5cmd and a slow server."""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from support.downloads import (
    assert_identical,
    is_running,
    names,
    refusing_server,
    run_script,
    small,
    until,
)
from support.s3server import CHUNK, S3Server, series_objects

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    Progress,
    disk,
    folder_lock,
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
    assert repr(job) == "DownloadJob(complete: 1 series, 70.5 MB of 70.5 MB)"
    assert server.count("GET") == 134

    again = DownloadJob(ct_plan)
    server.requests.clear()
    assert again.wait() == "complete" and again.paths == job.paths
    assert server.requests == [], "complete series are not requested"


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


def test_starting_twice_starts_once(server: S3Server, plan: Plan) -> None:
    job = DownloadJob(plan(small()))
    assert job.start() is job.start() is job
    job.wait()
    assert job.start().state == "complete"
    assert server.count("GET") == 10


# --- progress and observers -----------------------------------------------------------------


#: An unfinished file is measured in blocks, so it may seem larger by one block.
BLOCK = 4096


def test_progress(server: S3Server, plan: Plan) -> None:
    two = plan(small(1, series_size_MB=1.0), small(2, instanceCount=1, series_size_MB=8.0))
    assert DownloadJob(plan(small(1, series_size_MB=1.0))).wait() == "complete"
    server.allow(0)
    seen: list[tuple[str, Progress]] = []
    start = time.monotonic()
    job = DownloadJob(two, on_change=lambda job: seen.append((job.state, job.progress))).start()
    for sent in range(1_000_000, 8_000_000, 1_000_000):
        server.allow(1_000_000)
        # Only the unfinished file can show progress. The server sends 64 KB at a time.
        until(lambda sent=sent: job.progress.bytes_done > 1_000_000 + sent - CHUNK)
        assert job.progress.bytes_done <= 1_000_000 + sent + BLOCK
        assert job.progress.files_done == 10
    server.allow(None)
    assert job.wait() == "complete"
    seconds = time.monotonic() - start
    states = [state for state, _ in seen]
    assert list(dict.fromkeys(states)) == ["running", "verifying", "complete"]
    assert len(seen) <= 5 * seconds + 4, "at most five calls per second"
    running = [progress for state, progress in seen[1:] if state == "running"]
    assert running[0].bytes_done >= 1_000_000, "files on disk count from the start"
    done = [progress.bytes_done for progress in running]
    assert done == sorted(done) and done[-1] <= 9_000_000
    assert len(set(done)) >= 7
    for late in running:
        if late.MB_per_s:
            assert late.seconds_left is not None
            assert late.seconds_left == pytest.approx((9e6 - late.bytes_done) / 1e6 / late.MB_per_s)
    assert seen[-1][1] == Progress(9_000_000, 9_000_000, 11, 11)


def test_observers_may_raise_or_be_removed(plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
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
def test_an_observer_that_raises_ends_the_wait(plan: Plan, error: type[BaseException]) -> None:
    def fatal(job: DownloadJob) -> None:
        if job.state == "verifying":
            raise error("from an observer")

    job = DownloadJob(plan(small()), on_change=fatal)
    assert job.wait(30) == "failed" and "from an observer" in str(job.error)
    assert job.failed == {"1.2.1": job.error} and job.paths == {}
    assert not (job.plan.folder / folder_lock.WORK_FOLDER).exists()
    assert DownloadJob(job.plan).wait(30) == "complete"


def test_a_thread_that_cannot_be_started(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    seen: list[str] = []
    job = DownloadJob(plan(small()), on_change=lambda job: seen.append(job.state))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        assert job.start() is job and job.wait(30) == "failed"
    assert job.error is not None and "can't start new thread; end other programs" in job.error
    assert job.failed == {"1.2.1": job.error} and seen == ["failed"]
    assert job.retry().wait(30) == "complete"


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_before_the_thread_ends_the_job(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def refuse(_path: object) -> str:
        raise error("no lock can be made")

    job = DownloadJob(plan(small()))
    with monkeypatch.context() as patch:
        patch.setattr("idc_widgets.download.folder_lock._folded", refuse)
        if issubclass(error, Exception):
            job.start()
        else:
            with pytest.raises(error):
                job.start()
    assert job.wait(30) == "failed" and job.is_finished
    assert job.error is not None and "no lock can be made" in job.error
    job.cancel()
    assert job.state == "failed", "a finished job stays as it is"
    assert folder_lock._folders_in_use == set()
    assert job.retry().wait(30) == "complete"


@pytest.mark.parametrize("runs", [False, True])
def test_an_interrupt_while_the_thread_starts(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        if self.name != "DownloadJob":
            start(self)
            return
        if runs:
            start(self)
            until(lambda: job.progress.files_done)
        raise KeyboardInterrupt

    job = DownloadJob(plan(small()))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            job.start()
        assert job.wait(30) == ("complete" if runs else "failed")
    assert folder_lock._folders_in_use == set()
    assert job.retry().wait(30) == "complete"


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


def test_progress_matches_the_bytes_on_disk(server: S3Server, plan: Plan) -> None:
    """Check that reports never exceed the disk, never fall, and are exact while nothing arrives."""
    three = plan(
        small(1, series_size_MB=4.0),
        small(2, instanceCount=1, series_size_MB=8.0),
        small(3, instanceCount=200, series_size_MB=4.0),
    )
    total = three.size_bytes
    rounding = BLOCK * 16  # one block for each file that s5cmd is writing

    def on_disk() -> int:
        there = 0
        for series in three.series:
            there += sum(disk.dicom_files(series.folder).values())
            there += sum(map(disk.allocated_bytes, disk.unfinished_files(series.folder)))
        return there

    def look(job: DownloadJob) -> None:
        seen.append((job.progress.bytes_done, on_disk()))

    seen: list[tuple[int, int]] = []
    server.allow(0)
    job = DownloadJob(three, workers=8, on_change=look).start()
    for sent in range(2_000_000, total, 2_000_000):
        server.allow(2_000_000)
        until(lambda sent=sent: on_disk() > sent - 8 * CHUNK)
        until(lambda: abs(job.progress.bytes_done - on_disk()) <= rounding)
    server.allow(None)
    assert job.wait() == "complete"
    reported = [bytes_done for bytes_done, _ in seen]
    assert len(seen) > 7 and reported == sorted(reported) and seen[-1] == (total, total)
    assert max(bytes_done - there for bytes_done, there in seen) <= rounding, seen
    assert job.series_done == 3


# --- cancel and resume ----------------------------------------------------------------------


def test_a_job_after_a_cancel_fetches_only_missing_files(
    server: S3Server, ct_plan: DownloadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_stop, stop = threading.Event(), s5cmd.Process.stop

    def stop_late(process: s5cmd.Process, grace: float) -> None:
        may_stop.wait(60)
        stop(process, grace)

    monkeypatch.setattr(s5cmd.Process, "stop", stop_late)
    server.allow(25_000_000)  # some 47 files; without a cancel, the rest would never come
    job = DownloadJob(ct_plan, workers=4).start()
    until(lambda: job.progress.files_done >= 20)
    job.cancel()
    job.cancel()
    assert job.state == "running", "cancel does not wait"
    may_stop.set()
    assert job.wait() == "cancelled"
    there = names(ct_plan)
    assert 20 <= len(there) < 134 and all(name.endswith(".dcm") for name in there)
    assert_identical(ct_plan, server)
    assert job.paths == {}
    assert job.failed[CT].startswith(f"cancelled; {len(there)} of 134 files arrived, ")
    assert job.progress.files_done == len(there)

    server.allow(None)
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


# --- what goes wrong ------------------------------------------------------------------------


def test_two_jobs_in_one_folder(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 2
    first = DownloadJob(plan(small(1, series_size_MB=2.0), small(2))).start()
    second = DownloadJob(plan(small(2), small(3))).start()
    assert second.wait(30) == "failed"
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
    assert time.monotonic() - start > 0.25
    job.cancel()
    assert job.wait(30) == "cancelled"


def test_the_result_of_a_job(server: S3Server, plan: Plan) -> None:
    row = small(1) | {"PatientID": "P-1", "Modality": "CT"}
    job = DownloadJob(plan(row, small(2)))
    assert list(job.files().columns) == ["PatientID", "SeriesInstanceUID", "Modality", "path"]
    assert job.files().empty
    seen: list[Progress] = []
    assert job.result(progress=seen.append) == job.paths
    assert seen[-1].fraction == 1 and not job._observers
    files = job.files()
    assert files.path.tolist() == [path for paths in job.paths.values() for path in paths]
    first = files[files.SeriesInstanceUID == "1.2.1"]
    assert set(first.PatientID) == {"P-1"} and set(first.Modality) == {"CT"}
    missing = plan(small(3))
    server.objects = {}
    with pytest.raises(DownloadError, match=r"1 of 1 series could not be downloaded\. The series"):
        DownloadJob(missing).result()


def test_a_result_that_takes_too_long_or_is_missing(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(series_size_MB=30.0)))
    with pytest.raises(TimeoutError, match="still running"):
        job.result(0.2)
    assert job.state == "running"
    job.cancel()
    with pytest.raises(DownloadError, match="cancelled: 1 of 1 series"):
        job.result()


def test_a_job_as_a_block(server: S3Server, plan: Plan) -> None:
    with DownloadJob(plan(small(1))) as job:
        assert job.state != "planned"
    assert job.state == "complete"
    server.rate_MB_s = 1
    slow = DownloadJob(plan(small(2, series_size_MB=30.0)))
    with pytest.raises(ZeroDivisionError), slow:
        1 / 0  # noqa: B018
    assert slow.state == "cancelled"


def test_a_job_can_be_awaited(server: S3Server, plan: Plan) -> None:
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

    assert asyncio.run(main()) > 5, "the event loop was not blocked"
    assert job.state == "complete" and not job._observers


def test_an_await_that_is_cancelled_cancels(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    job = DownloadJob(plan(small(series_size_MB=30.0)))

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.5)

    asyncio.run(main())
    assert job.wait(30) == "cancelled"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_interrupting_wait_cancels(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    row = small(series_size_MB=30.0)
    process = run_script(
        plan(row),
        row,
        code="""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore the signal
        wait = job._finished.wait
        def note(timeout):
            job._finished.wait = wait
            print("waiting", flush=True)
            return wait(timeout)
        job._finished.wait = note
        try:
            job.wait()
        except KeyboardInterrupt:
            print("interrupted", job.state)
        """,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=360)
    assert output == "interrupted cancelled\n", errors
    assert not is_running(pid) and names(plan(row)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="looks at a POSIX process")
def test_s5cmd_ends_with_the_interpreter(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 1
    row = small(series_size_MB=30.0)
    process = run_script(plan(row), row)
    output, errors = process.communicate(timeout=360)
    assert process.returncode == 0 and errors == ""
    assert not is_running(int(output)) and names(plan(row)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_is_left_running_or_open(server: S3Server, plan: Plan) -> None:
    def held() -> tuple[set[str], int]:
        # Ignore sockets: the server of this process opens and closes them
        links = (Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        pipes = [link for link in links if os.path.lexists(link) and not _is_socket(link)]
        threads = {t.name for t in threading.enumerate() if "process_request" not in t.name}
        return threads, len(pipes)

    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    DownloadJob(plan(small(1))).wait()  # the first job opens files that Python keeps open
    until(lambda: not any(t.name == "DownloadJob" for t in threading.enumerate()))
    before, children_before = held(), children()
    server.rate_MB_s = 5
    done, cancelled = DownloadJob(plan(small(2))), DownloadJob(plan(small(3, series_size_MB=30.0)))
    with refusing_server() as address:
        failed = DownloadJob(plan(small(4), endpoint_url=address))
        for job in (done, cancelled, failed):
            job.start()
        until(lambda: cancelled.progress.bytes_done > 0)
        cancelled.cancel()
        states = [job.wait() for job in (done, cancelled, failed)]
    assert states == ["complete", "cancelled", "failed"]
    until(lambda: held() == before, 30)
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
    for i in range(25):  # four jobs at a time, with four different ends
        good, cancelled, refused, clash = (
            DownloadJob(plan(small(10 * i + n if n != 3 else 3, instanceCount=2)), workers=2)
            for n in (11, 12, 3, 11)
        )
        for job in (good, cancelled, refused, clash):
            job.start()
        cancelled.cancel()
        states += [job.wait() for job in (good, cancelled, refused, clash)]
    assert states.count("complete") >= 25 and states.count("incomplete") == 25
    until(lambda: held() == before, 30)
    assert s5cmd.Process._running == set() and folder_lock._folders_in_use == set()
    left = {p.suffix for p in plan(small(1)).folder.rglob("*") if not p.is_dir()}
    assert (
        left == {".dcm", ".json"} and not (plan(small(1)).folder / folder_lock.WORK_FOLDER).exists()
    )


def _is_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except FileNotFoundError:
        return True  # closed in the meantime


# --- the server itself ----------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_wait_for_the_job_of_its_parent(
    server: S3Server, plan: Callable[..., DownloadPlan]
) -> None:
    finished = DownloadJob(plan(small(2)))
    assert finished.wait(60) == "complete"
    server.rate_MB_s = 0.1
    job = DownloadJob(plan(small(1, series_size_MB=3.0))).start()
    until(lambda: job.progress.bytes_done)
    with open_pipe() as (reader, writer), job._lock, finished._lock:
        child = os.fork()
        if child == 0:
            errors = []
            for call in (job.start, job.wait, job.cancel, job.pause, job.resume, job.retry):
                try:
                    call()
                except DownloadError as error:
                    errors.append(str(error))
            finished._finished.clear()  # as if the fork had come just before the last step
            os.write(writer, repr((errors, finished.wait())).encode())
            os._exit(0)
        try:
            assert select.select([reader], [], [], 60)[0], "the child hangs"
            errors, state = ast.literal_eval(os.read(reader, 1 << 16).decode())
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert len(errors) == 6 and state == "complete"
    assert all(f"(pid {os.getpid()})" in error for error in errors)
    server.rate_MB_s = None
    assert job.wait(60) == "complete"


@contextmanager
def open_pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)
