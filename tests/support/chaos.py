"""Downloads that are interrupted at random, with rival downloads, on disks with and without locks.

`tests/download/test_chaos.py` runs a few of them, and `benchmarks/chaos.py` runs many.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.downloads import assert_identical, make_plan, run_script, small
from support.s3server import S3Server, content

from idc_widgets.download import DownloadJob, folder_lock, record, s5cmd

WORKERS = 4
INTERRUPTIONS_PER_JOB = 5
PATIENCE_SECONDS = 360.0
KINDS = {"cancel": 4, "pause": 4, "SIGTERM": 4, "SIGKILL": 4, "kill python": 2, "rival": 3}

#: Kind of disk → code that a process runs before its job. On NFS, flock takes a lock that belongs
#: to the process and needs a descriptor that is open for writing. Some mounts have no locks at all.
DISKS = {
    "local": "",
    "NFS": "import fcntl; fcntl.flock = fcntl.lockf",
    "no locks": (
        "import errno, fcntl; "
        "exec('def refuse(file, how): raise OSError(errno.ENOLCK, str())'); fcntl.flock = refuse"
    ),
}


@contextmanager
def disk_of_kind(kind: str) -> Iterator[None]:
    """Give this process the locks of a kind of disk, as `DISKS` does for other processes."""

    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    flock: Any = fcntl.flock
    try:
        if kind != "local":
            fcntl.flock = fcntl.lockf if kind == "NFS" else refuse  # type: ignore[assignment]
        yield
    finally:
        fcntl.flock = flock


class Torment:
    """One folder of a few series: interrupt its download several times, then let it complete.

    Args:
        server: The server of the series.
        folder: The folder.
        chance: The random numbers that decide what happens.
        disk: One of `DISKS`. The caller must be in a `disk_of_kind` block.
    """

    def __init__(self, server: S3Server, folder: Path, chance: random.Random, disk: str) -> None:
        self.server, self.folder, self.chance, self.disk = server, folder, chance, disk
        self.rows = [
            small(
                i,
                instanceCount=chance.randint(1, 6),
                series_size_MB=chance.randint(60, 200) / 1e3,
            )
            for i in range(1, chance.randint(3, 6))
        ]
        self.plan = make_plan(server, folder, *self.rows)
        self.done: Counter[str] = Counter()
        self._rivals: list[subprocess.Popen[str]] = []

    def run(self) -> Counter[str]:
        """Interrupt and complete the download; return the number of interruptions of each kind."""
        self.server.rate_MB_s = self.chance.uniform(0.5, 1.5)
        job = self._started()
        try:
            for _ in range(INTERRUPTIONS_PER_JOB):
                job = self._disturb(job)
                if job.state == "complete":
                    break
            self.server.rate_MB_s = None
            self._end_rivals()
        finally:
            for rival in self._rivals:
                rival.kill()
                rival.communicate()
        self._complete(job)
        return +self.done

    def _started(self) -> DownloadJob:
        return DownloadJob(self.plan, workers=WORKERS, backoff=0.05).start()

    def _script(self, *, code: str, survives: bool = False) -> subprocess.Popen[str]:
        before = "; ".join(
            part
            for part in (DISKS[self.disk], "s5cmd._death_signal_prefix = lambda: []" * survives)
            if part
        )
        return run_script(self.plan, *self.rows, code=code, before=before)

    def _disturb(self, job: DownloadJob) -> DownloadJob:
        [kind] = self.chance.choices(list(KINDS), list(KINDS.values()))
        if kind == "kill python":
            return self._kill_python(job)
        if kind == "rival":
            end = "print(job.wait(), job.error, job.failed)"
            self._rivals.append(self._script(code=end))
            time.sleep(self.chance.random() * 2)
            self.done[kind] += 1
        else:
            self.done.update(self._interrupt(kind, job))
        if job.is_finished:
            self.check(job)
        if job.is_finished and job.state != "complete":
            job = job.retry() if self.chance.random() < 0.5 else self._started()
        return job

    def _kill_python(self, job: DownloadJob) -> DownloadJob:
        job.cancel()
        self.done["cancel"] += job.wait(PATIENCE_SECONDS) == "cancelled"
        # Half of the scripts do not use Linux's death signal, so their s5cmd outlives them
        script = self._script(code="time.sleep(600)", survives=self.chance.random() < 0.5)
        assert script.stdout is not None
        if job.state != "complete":
            script.stdout.readline()
            time.sleep(self.chance.random() * 0.1)
        script.kill()
        script.communicate()
        self.done["kill python"] += job.state != "complete"
        return self._started()

    def _interrupt(self, kind: str, job: DownloadJob) -> list[str]:
        """Interrupt a job; return the interruptions, or an empty list if the job had ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not s5cmd.Process._running and job.state == "running":
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(self.chance.random() * 0.12)
        running = list(s5cmd.Process._running)
        if not running or job.state != "running":
            job.wait(PATIENCE_SECONDS)
            return []
        if kind == "cancel":
            job.cancel()
            assert job.wait(PATIENCE_SECONDS) in ("cancelled", "complete")
        elif kind == "pause":
            job.pause()
            time.sleep(self.chance.random() * 0.05)
            job.resume()
        else:
            os.kill(running[0].pid, getattr(signal, kind))
            time.sleep(self.chance.random() * 0.05)
            if self.chance.random() < 0.5:
                job.cancel()  # while the job handles the signal, or tries again
                if job.wait(PATIENCE_SECONDS) == "cancelled":
                    return [kind, "cancel"]
        return [kind]

    def _end_rivals(self) -> None:
        for rival in self._rivals:
            output, errors = rival.communicate(timeout=PATIENCE_SECONDS)
            _, state = output.split()[:2]
            assert state in ("complete", "incomplete", "failed"), (output, errors)
            if state == "complete":
                for series in self.plan.series:
                    assert series.is_complete(series.files()), output
            elif self.disk == "no locks":
                raise AssertionError(f"without locks, the rival completed: {output} {errors}")

    def _complete(self, job: DownloadJob) -> None:
        # The last interruption may have been a cancel, or a rival may have locked the folder
        if job.wait(PATIENCE_SECONDS) != "complete":
            self.check(job)
            job = self._started()
            assert job.wait(PATIENCE_SECONDS) == "complete", (
                job.state,
                job.error,
                job.failed,
                job.log,
            )
        elif self._rivals:
            job = self._started()  # removes the files of killed processes
            assert job.wait(PATIENCE_SECONDS) == "complete"
        self.check(job)
        assert job.progress.fraction == 1
        assert_identical(self.plan, self.server)
        assert not (self.folder / folder_lock.WORK_FOLDER).exists()
        left = {path.name for path in self.folder.rglob("*") if path.is_file()}
        left -= {key.rpartition("/")[2] for _, key in self.server.objects}
        assert left == {record.FILE_NAME}
        twice = self.server.count("GET") - len(self.server.objects)
        if not self.done["rival"]:
            assert twice <= WORKERS * self.done.total(), (twice, self.done)

    def check(self, job: DownloadJob) -> None:
        """Assert that every series that is reported as complete is complete, byte by byte."""
        by_uid = {series.SeriesInstanceUID: series for series in job.plan.series}
        for uid, paths in job.paths.items():
            series = by_uid[uid]
            assert len(paths) == series.instances
            for path in paths:
                key = f"{series.prefix}/{path.name}"
                expected = b"".join(content(key, self.server.objects[series.bucket, key]))
                assert path.read_bytes() == expected
        if job.state != "failed":
            assert (job.state == "complete") == (len(job.paths) == len(by_uid)), job.failed
        else:  # the rival may have completed all series meanwhile
            assert job.error is not None and "is downloading into the same folders" in job.error


def run_chaos(
    folder: Path, seed: int, disk: str, *, jobs: int, interruptions: int
) -> tuple[int, Counter[str]]:
    """Interrupt downloads until both `jobs` and `interruptions` are reached.

    Args:
        folder: An empty folder.
        seed: The seed of the random numbers.
        disk: One of `DISKS`.
        jobs: The minimum number of downloads. Each has a folder of its own.
        interruptions: The minimum number of interruptions, of all downloads together.

    Returns:
        The number of downloads, and the number of interruptions of each kind.
    """
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    number = 0
    with disk_of_kind(disk):
        while number < jobs or done.total() < interruptions:
            number += 1
            with S3Server() as server:
                done.update(Torment(server, folder / str(number), chance, disk).run())
    return number, done


__all__ = ["DISKS", "KINDS", "Torment", "disk_of_kind", "run_chaos"]
