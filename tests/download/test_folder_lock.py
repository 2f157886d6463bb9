"""FolderLock: jobs of several processes in the same or nested folders, and strange lock files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import (
    assert_identical,
    make_plan,
    run_script,
    small,
    until,
)
from support.s3server import S3Server

from idc_widgets.download import DownloadJob, DownloadPlan, folder_lock, record, s5cmd

if sys.platform == "win32":
    pytest.skip("other processes are not seen there", allow_module_level=True)

import fcntl


def test_two_processes_in_one_folder(server: S3Server, tmp_path: Path) -> None:
    server.rate_MB_s = 0.5
    rows = [small(number, series_size_MB=1.5) for number in (1, 2)]
    plans = [make_plan(server, tmp_path / "data", row) for row in rows]
    end = "job.wait(); print(job.state, job.failed, job.error)"
    scripts = [run_script(plan, row, code=end) for plan, row in zip(plans, rows, strict=True)]
    for script in scripts:
        assert script.stdout is not None and script.stdout.readline() != "0\n"
    assert len(list(plans[0].folder.glob(".idc_widgets/*.lock"))) == 2, "both jobs are running"
    server.rate_MB_s = None
    for script in scripts:
        assert script.communicate(timeout=30) == ("complete {} None\n", "")
    for plan in plans:
        assert_identical(plan, server)
    assert sorted(os.listdir(plans[0].folder)) == ["1.2.1", "1.2.2", record.FILE_NAME]
    entries = json.loads((plans[0].folder / record.FILE_NAME).read_bytes())["downloads"]
    assert sorted((*entry["series"], entry["state"]) for entry in entries) == [
        ("1.2.1", "complete"),
        ("1.2.2", "complete"),
    ]


@pytest.mark.parametrize("first", ["inner", "outer"])
@pytest.mark.parametrize("name", ["data", "link"])
def test_one_folder_inside_another(server: S3Server, tmp_path: Path, first: str, name: str) -> None:
    server.rate_MB_s = 0.5
    (tmp_path / "data" / "nlst").mkdir(parents=True)
    (tmp_path / "link").symlink_to("data")
    row = small(1, series_size_MB=3.0, collection_id="nlst")
    make_plan(server, tmp_path / "x", row, small(2))
    forms = {
        "outer": (tmp_path / "data", "%collection_id/%SeriesInstanceUID"),
        "inner": (tmp_path / "data" / "nlst", "%SeriesInstanceUID"),
    }

    def plan(which: str, row: dict[str, Any], root: str = "data") -> DownloadPlan:
        folder, template = forms[which]
        return DownloadPlan.make(
            pa.Table.from_pylist([row]),
            tmp_path / root / folder.relative_to(tmp_path / "data"),
            template=template,
            endpoint_url=server.url,
        )

    second = "inner" if first == "outer" else "outer"
    script = run_script(plan(first, row), row, code="job.wait()", template=forms[first][1])
    assert script.stdout is not None and script.stdout.readline() != "0\n"
    job = DownloadJob(plan(second, row, name))
    assert job.wait(30) == "failed"
    assert job.error is not None and f"(pid {script.pid} on " in job.error
    other = DownloadJob(plan(second, small(2, collection_id="nlst"), name))
    assert other.wait(30) == "complete", (other.error, other.failed)
    script.kill()
    script.communicate()
    server.rate_MB_s = None
    assert job.retry().wait(30) == "complete", (job.error, job.failed)
    assert_identical(job.plan, server)
    assert not list(tmp_path.rglob(folder_lock.WORK_FOLDER)), "leftovers are removed"


def test_another_job_of_this_session_by_another_path(server: S3Server, tmp_path: Path) -> None:
    server.rate_MB_s = 0.5
    (tmp_path / "other").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nlst").symlink_to(tmp_path / "other")
    first = DownloadJob(make_plan(server, tmp_path / "other", small(1, series_size_MB=3.0))).start()
    until(lambda: first.progress.bytes_done)
    rows = pa.Table.from_pylist([small(1, series_size_MB=3.0)])
    template, url = "nlst/%SeriesInstanceUID", server.url
    plan = DownloadPlan.make(rows, tmp_path / "data", template=template, endpoint_url=url)
    second = DownloadJob(plan)
    assert second.wait(30) == "failed"
    assert second.error is not None and "another download of this session" in second.error
    assert "end it" not in second.error and "wait for it or cancel it" in second.error
    server.rate_MB_s = None
    assert first.wait(30) == "complete" and second.retry().wait(30) == "complete"


def test_one_of_two_simultaneous_jobs_gets_the_folder(tmp_path: Path) -> None:
    code = """
        import pathlib, sys, time
        import pyarrow as pa
        from idc_widgets.download import DownloadPlan, folder_lock
        from idc_widgets.errors import DownloadError

        name, data, flags = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])

        def together(step):
            (flags / f"{step} {name}").touch()
            deadline = time.monotonic() + 20
            while len(list(flags.glob(f"{step} *"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.005)

        class Lock(folder_lock.FolderLock):
            def _register(self, folders):
                super()._register(folders)
                together("registered")

        rows = pa.Table.from_pylist([%r])
        lock = Lock(DownloadPlan.make(rows, data, template="x", endpoint_url="http://h"))
        try:
            lock.lock()
            print("locked")
        except DownloadError:
            print("refused")
        together("tried")
        lock.release()
        """
    (tmp_path / "flags").mkdir()
    root = Path(folder_lock.__file__).parents[2]
    for _ in range(2):
        for flag in (tmp_path / "flags").iterdir():
            flag.unlink()
        scripts = [
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code % small()), name, tmp_path / "data",
                 tmp_path / "flags"],
                stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)},
            )
            for name in "ab"
        ]  # fmt: skip
        outputs = sorted(script.communicate(timeout=60)[0] for script in scripts)
        assert outputs == ["locked\n", "refused\n"]
    assert not list(tmp_path.rglob(folder_lock.WORK_FOLDER))


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder", "huge"])
def test_lock_files_that_no_job_made(server: S3Server, tmp_path: Path, kind: str) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    path = plan.folder / folder_lock.WORK_FOLDER / "0.lock"
    path.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            (tmp_path / "mine").write_text('{"folders": []}')
            path.symlink_to(tmp_path / "mine")
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)  # a sparse file: no bytes are written
    job = DownloadJob(plan).start()
    assert job.wait(20) == "complete", (job.error, job.failed)
    assert os.path.lexists(path) == (kind != "huge"), (
        "only a regular file may come from a killed job"
    )


def test_a_lock_file_that_cannot_be_read(server: S3Server, tmp_path: Path) -> None:
    """It protects the folder that it lies in, and no folder below."""
    plan = make_plan(server, tmp_path / "data", small(1))
    below = make_plan(server, tmp_path / "data" / "below", small(1))
    path = plan.folder / folder_lock.WORK_FOLDER / "0.lock"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)
        fcntl.flock(file, fcntl.LOCK_EX)
        job = DownloadJob(plan)
        assert job.wait(20) == "failed"
        assert job.error is not None and "(pid unknown on unknown)" in job.error
        assert DownloadJob(below).wait(20) == "complete"
    assert job.retry().wait(20) == "complete"
    until(lambda: not path.parent.exists())


def test_an_orphaned_s5cmd_is_identified_by_pid_and_start_time(
    server: S3Server, three: DownloadPlan
) -> None:
    """Another process may have got the same pid."""
    with subprocess.Popen(["sleep", "60"]) as bystander:
        started = s5cmd._process(bystander.pid)[1]
        home = three.folder / folder_lock.WORK_FOLDER
        home.mkdir(parents=True)
        lock = folder_lock.FolderLock(three)
        lock.lock()
        [path] = home.iterdir()
        text = path.read_text()
        lock.release()
        home.mkdir(exist_ok=True)
        stale = home / "0.lock"
        stale.write_text(f'{text}{{"pid": {bystander.pid}, "started": "{started}"}}\n')
        job = DownloadJob(three)
        job.wait(30)
        assert bystander.poll() is None and not stale.exists()
        assert job.state == "complete"
        bystander.kill()


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"folders": 5}', '{"host": 1}\n5\n{"pid": "x"}\n[]', "[" * 100_000, "\0"]
)
def test_a_stale_lock_file_may_contain_anything(
    server: S3Server, three: DownloadPlan, text: str
) -> None:
    stale = three.folder / folder_lock.WORK_FOLDER / "0.lock"
    stale.parent.mkdir(parents=True)
    stale.write_text(text)
    job = DownloadJob(three)
    assert job.wait(30) == "complete", (job.error, job.log)
    assert not stale.exists()
