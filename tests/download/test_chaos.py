"""A hundred interruptions at random moments: reports stay true, and every series completes."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.downloads import assert_identical, make_plan, run_script, small
from support.s3server import S3Server

from idc_widgets.download import DownloadJob, DownloadPlan, folder_lock, record, s5cmd

SEED = int(os.environ.get("IDC_WIDGETS_CHAOS_SEED", random.randrange(10**6)))
JOBS, INTERRUPTIONS, INTERRUPTIONS_PER_JOB = 30, 100, 4
WORKERS = 4
KINDS = {"cancel": 4, "pause": 4, "SIGTERM": 4, "SIGKILL": 4, "kill python": 2}


def rows(chance: random.Random) -> list[dict[str, object]]:
    return [
        small(i, instanceCount=chance.randint(1, 6), series_size_MB=chance.randint(60, 200) / 1e3)
        for i in range(1, chance.randint(3, 6))
    ]


def check(job: DownloadJob, server: S3Server) -> None:
    """Assert that every series that is reported as complete is complete, byte by byte."""
    by_uid = {series.SeriesInstanceUID: series for series in job.plan.series}
    complete = tuple(by_uid[uid] for uid in job.paths)
    assert_identical(DownloadPlan(complete, job.plan.folder, job.plan.endpoint_url), server)
    assert all(len(paths) == by_uid[uid].instances for uid, paths in job.paths.items())
    assert (job.state == "complete") == (len(complete) == len(by_uid)), (job.state, job.failed)


def started(plan: DownloadPlan) -> DownloadJob:
    return DownloadJob(plan, workers=WORKERS, backoff=0.05).start()


def interrupt(kind: str, job: DownloadJob, chance: random.Random) -> list[str]:
    """Interrupt a running job in one of several ways.

    Returns:
        What was done; empty if the job ended before that.
    """
    deadline = time.monotonic() + 10
    while not s5cmd.Process._running and job.state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(chance.random() * 0.12)
    running = list(s5cmd.Process._running)
    if not running or job.state != "running":
        job.wait(30)
        return []
    if kind == "cancel":
        job.cancel()
        assert job.wait(10) in ("cancelled", "complete")
    elif kind == "pause":
        job.pause()
        time.sleep(chance.random() * 0.05)
        job.resume()
    else:
        os.kill(running[0].pid, getattr(signal, kind))
        time.sleep(chance.random() * 0.05)
        if chance.random() < 0.5:
            job.cancel()  # while it handles the signal, or is trying again
            if job.wait(10) == "cancelled":
                return [kind, "cancel"]
    return [kind]


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.timeout(
    1200
)  # half a minute, but a busy machine takes ten times that for so many processes
def test_chaos(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"IDC_WIDGETS_CHAOS_SEED={SEED}")
    done: Counter[str] = Counter()
    number = 0
    while number < JOBS or done.total() < INTERRUPTIONS:
        number += 1
        with S3Server() as server:
            interruptions = torment(server, tmp_path / str(number), chance)
        done.update(interruptions)
    print(number, "jobs,", dict(done))
    assert min(done.values()) > 0 and len(done) == len(KINDS), "every kind of interruption happened"


def torment(server: S3Server, folder: Path, chance: random.Random) -> Counter[str]:
    """Interrupt a download several times, then let it complete; count the interruptions."""
    wanted = rows(chance)
    plan = make_plan(server, folder, *wanted)
    server.rate_MB_s = chance.uniform(0.5, 1.5)
    done: Counter[str] = Counter()
    job = started(plan)
    for _ in range(INTERRUPTIONS_PER_JOB):
        [kind] = chance.choices(list(KINDS), list(KINDS.values()))
        if kind == "kill python":
            job.cancel()
            done["cancel"] += job.wait(10) == "cancelled"
            # Half of them without the death signal of Linux, so that s5cmd outlives its parent
            before = chance.choice(["", "s5cmd._death_signal_prefix = lambda: []"])
            script = run_script(plan, *wanted, code="time.sleep(60)", before=before)
            assert script.stdout is not None
            if job.state != "complete":
                script.stdout.readline()
                time.sleep(chance.random() * 0.1)
            script.kill()
            script.communicate()
            done[kind] += job.state != "complete"
            job = started(plan)
            continue
        done.update(interrupt(kind, job, chance))
        if job.state not in ("running", "paused", "verifying"):
            check(job, server)
        if job.state == "complete":
            break
        if job.state in ("cancelled", "incomplete"):
            job = job.retry() if chance.random() < 0.5 else started(plan)
    server.rate_MB_s = None
    if job.wait(30) != "complete":  # the last interruption may have been a cancel
        check(job, server)
        assert job.state != "failed", (job.error, job.log)
        job = started(plan)
        assert job.wait(30) == "complete", (job.state, job.error, job.failed, job.log)
    check(job, server)
    assert job.progress.fraction == 1
    assert not (folder / folder_lock.WORK_FOLDER).exists()
    left = {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".dcm"}
    assert left == {record.FILE_NAME}
    twice = server.count("GET") - len(server.objects)
    assert twice <= WORKERS * done.total(), (twice, done)
    return +done
