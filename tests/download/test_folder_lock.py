"""FolderLock: jobs of several processes in the same or nested folders, and strange lock files."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import (
    assert_identical,
    file_name,
    make_plan,
    run_script,
    small,
    until,
)
from support.s3server import S3Server, series_objects

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    disk,
    folder_lock,
    lock_file,
    record,
    s5cmd,
    work_folder,
)

if sys.platform == "win32":
    pytest.skip("the tests use fcntl, which Windows lacks", allow_module_level=True)

import fcntl

#: Code that a process runs before its job, to imitate file systems. On NFS, a lock belongs to the
#: whole process, and needs a descriptor that is open for writing.
NFS = "import fcntl; fcntl.flock = fcntl.lockf"
NO_LOCKS = (
    "import errno, fcntl; "
    "exec('def refuse(file, how): raise OSError(errno.ENOLCK, str())'); fcntl.flock = refuse"
)
#: Code that a process runs before its job, to imitate another computer. This computer does not see
#: the locks of that process.
OTHER_HOST = (
    "import fcntl, socket; fcntl.flock = lambda file, how: None; "
    "socket.gethostname = lambda: 'elsewhere'"
)


#: The name of a lock file; it comes before all random names.
LOCK_NAME = f"{0:032x}.lock"


def no_locks(_file: int, _how: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("disk", ["local", "NFS"])
def test_another_process_is_seen(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    if disk == "NFS":
        monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    row = small(1, series_size_MB=3.0)
    plan = make_plan(server, tmp_path / "data", row)
    server.rate_MB_s = 0.5
    script = run_script(plan, row, before=NFS if disk == "NFS" else "", code="time.sleep(100)")
    assert script.stdout is not None and script.stdout.readline() != "0\n"
    job = DownloadJob(plan)
    assert job.wait(60) == "failed"
    assert job.error is not None and f"(pid {script.pid} on " in job.error
    script.kill()
    script.communicate()
    server.rate_MB_s = None
    assert job.retry().wait(60) == "complete", (job.error, job.failed)
    assert not (plan.folder / folder_lock.WORK_FOLDER).exists(), "nothing is left behind"


def test_jobs_of_one_process_see_each_other_on_nfs(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS, a process does not see its own locks, and easily loses them."""
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    test_another_job_of_this_session_by_another_path(server, tmp_path)


@pytest.mark.parametrize("kind", ["no locks", "other host"])
def test_two_jobs_without_locks_both_complete(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks if kind == "no locks" else lambda *_: None)
    rows = [small(i, instanceCount=3, series_size_MB=1.0) for i in (1, 2, 3)]
    plan = make_plan(server, tmp_path / "data", *rows)
    server.rate_MB_s = 0.5
    script = run_script(
        plan,
        *rows,
        before=NO_LOCKS if kind == "no locks" else OTHER_HOST,
        code="print(job.wait(), job.failed, job.error, job.log)",
    )
    assert script.stdout is not None and script.stdout.readline() != "0\n"
    job = DownloadJob(plan, workers=4, backoff=0.1)
    assert job.wait(100) == "complete", (job.failed, job.error, job.log)
    output, errors = script.communicate(timeout=300)
    assert output.startswith("complete {} None"), (output, errors)
    assert_identical(plan, server)
    assert server.count("GET") <= 2 * len(server.objects), "each file is fetched twice at most"


@pytest.mark.parametrize("kind", ["no locks", "other host"])
def test_only_files_at_rest_are_removed_beside_another_job(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    folder = plan.series[0].folder
    folder.mkdir(parents=True)
    new, old = (folder / f"{file_name(1)}{number}" for number in (11111, 22222))
    new.touch()
    old.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks if kind == "no locks" else lambda *_: None)
        one, two = (folder_lock.FolderLock(plan) for _ in range(2))
        if kind == "other host":
            patch.setattr(socket, "gethostname", lambda: "elsewhere")
        one.lock()
        folder_lock._own_files.clear()  # as in another process, which has its own dict
        patch.undo()
        patch.setattr(fcntl, "flock", no_locks if kind == "no locks" else lambda *_: None)
        two.lock()
        assert not two.is_alone(folder)
        disk.remove_unfinished_files(folder, is_alone=lambda: two.is_alone(folder))
        assert new.exists() and not old.exists()
        one.release()
        assert two.is_alone(folder)
        disk.remove_unfinished_files(folder, is_alone=lambda: two.is_alone(folder))
        assert not new.exists()
        two.release()
    assert not (plan.folder / folder_lock.WORK_FOLDER).exists()


def test_a_file_system_that_does_not_count_links(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda file: without_links(fstat(file)))
    job = DownloadJob(plan)
    assert job.wait(60) == "complete"
    gone = []

    def vanish(_file: int, path: Path) -> bool:
        gone.append(path)
        return False

    monkeypatch.setattr(folder_lock, "_lock_new", vanish)
    lock = folder_lock.FolderLock(plan)
    lock.lock()
    assert len(gone) == folder_lock._REGISTER_TRIES, "the tries are bounded"
    lock.release()


def without_links(status: os.stat_result) -> os.stat_result:
    return os.stat_result((*status[:3], 0, *status[4:10]))


def test_many_files_of_others_delay_a_job_once(
    tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(server, tmp_path / "data" / "below", small(1))
    home = tmp_path / "data" / folder_lock.WORK_FOLDER
    home.mkdir(parents=True)
    waited = []

    class Never(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return self.is_set()

    monkeypatch.setattr(folder_lock, "_MAX_DELAY_SECONDS", 1.0)
    with ExitStack() as stack:
        for number in range(100):
            file = stack.enter_context((home / f"{number:032x}.lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        lock = folder_lock.FolderLock(plan)
        lock.lock(Never())
        assert 0.9 < sum(waited) < 1.1
        lock.release()
        cancelled, count = Never(), len(waited)
        cancelled.set()
        lock = folder_lock.FolderLock(plan)
        lock.lock(cancelled)
        assert len(waited) == count
        lock.release()


def test_work_folders_that_anybody_could_have_made_are_ignored(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    home = tmp_path / folder_lock.WORK_FOLDER
    home.mkdir()
    assert work_folder.is_trusted(tmp_path)
    os.chown(home, 12345, 12345)
    assert work_folder.is_trusted(tmp_path), "nobody else may write there"
    tmp_path.chmod(0o775)
    assert work_folder.is_trusted(tmp_path), "the group is trusted"
    tmp_path.chmod(0o1777)
    assert not work_folder.is_trusted(tmp_path)
    os.chown(home, 0, 0)
    assert work_folder.is_trusted(tmp_path)
    home.rmdir()
    assert not work_folder.is_trusted(tmp_path)


def test_jobs_of_a_shared_folder_see_each_other(server: S3Server, tmp_path: Path) -> None:
    """Check that users who may write into the folder can use its work folder and lock files."""
    plan = make_plan(server, tmp_path / "data", small(1))
    plan.folder.mkdir()
    plan.folder.chmod(0o2775)
    umask = os.umask(0o077)
    try:
        lock = folder_lock.FolderLock(plan)
        lock.lock()
    finally:
        os.umask(umask)
    home = plan.folder / folder_lock.WORK_FOLDER
    assert home.stat().st_mode & 0o070 == 0o020 | home.stat().st_mode & 0o050
    [path] = home.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    lock.release()


def test_a_forked_child_does_not_keep_the_lock(server: S3Server, tmp_path: Path) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    lock = folder_lock.FolderLock(plan)
    lock.lock()
    child = os.fork()
    if child == 0:
        time.sleep(100)
        os._exit(0)
    try:
        assert lock._path is not None
        with lock._path.open() as file:
            assert folder_lock.try_lock(file.fileno(), shared=True) is False
            os.close(lock._file)  # as when this process is killed
            until(lambda: folder_lock.try_lock(file.fileno(), shared=True), 30)
        lock._file = os.open(os.devnull, os.O_RDONLY)
        lock.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


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
        assert script.communicate(timeout=300) == ("complete {} None\n", "")
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
    assert job.wait(60) == "failed"
    assert job.error is not None and f"(pid {script.pid} on " in job.error
    other = DownloadJob(plan(second, small(2, collection_id="nlst"), name))
    assert other.wait(60) == "complete", (other.error, other.failed)
    script.kill()
    script.communicate()
    server.rate_MB_s = None
    assert job.retry().wait(60) == "complete", (job.error, job.failed)
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
    assert second.wait(60) == "failed"
    assert second.error is not None and "another download of this session" in second.error
    assert "end it" not in second.error and "wait for it or cancel it" in second.error
    server.rate_MB_s = None
    assert first.wait(60) == "complete" and second.retry().wait(60) == "complete"


def test_one_of_two_simultaneous_jobs_gets_the_folder(tmp_path: Path) -> None:
    code = """
        import pathlib, sys, time
        import pyarrow as pa
        from idc_widgets.download import DownloadPlan, folder_lock
        from idc_widgets.errors import DownloadError

        name, data, flags = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])

        def together(step):
            (flags / f"{step} {name}").touch()
            deadline = time.monotonic() + 300
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
        outputs = sorted(script.communicate(timeout=300)[0] for script in scripts)
        assert outputs == ["locked\n", "refused\n"]
    assert not list(tmp_path.rglob(folder_lock.WORK_FOLDER))


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder", "huge"])
def test_lock_files_that_no_job_made(server: S3Server, tmp_path: Path, kind: str) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    path = plan.folder / folder_lock.WORK_FOLDER / LOCK_NAME
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
    assert job.wait(60) == "complete", (job.error, job.failed)
    assert os.path.lexists(path), "only a file with the content of a lock file is removed"


def test_a_lock_file_that_cannot_be_read(server: S3Server, tmp_path: Path) -> None:
    """Check that the lock file protects its own folder, and no folder below."""
    plan = make_plan(server, tmp_path / "data", small(1))
    below = make_plan(server, tmp_path / "data" / "below", small(1))
    path = plan.folder / folder_lock.WORK_FOLDER / LOCK_NAME
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)
        fcntl.flock(file, fcntl.LOCK_EX)
        job = DownloadJob(plan)
        assert job.wait(60) == "failed"
        assert job.error is not None and "(pid unknown on unknown)" in job.error
        assert DownloadJob(below).wait(60) == "complete"
    assert job.retry().wait(60) == "complete"
    assert path.exists(), "only a file with the content of a lock file is removed"


def test_an_orphaned_s5cmd_is_identified_by_pid_and_start_time(
    server: S3Server, three: DownloadPlan
) -> None:
    """Check the start time, too, because another process may have got the same pid."""
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
        stale = home / LOCK_NAME
        stale.write_text(f'{text}{{"pid": {bystander.pid}, "started": "{started}"}}\n')
        job = DownloadJob(three)
        job.wait(60)
        assert bystander.poll() is None and not stale.exists()
        assert job.state == "complete"
        bystander.kill()


@pytest.mark.parametrize(
    ("text", "is_of_a_job"),
    [
        ("", True),
        ('{"pid": 1, "host": "", "folders": 5}', False),
        ('{"pid": 1, "host": 1}\n5\n{"pid": "x"}\n[]', True),
        ("[1]", False),
        ('{"folders": []}', False),
        ("[" * 100_000, False),
        ("\0", False),
    ],
)
def test_a_stale_lock_file_may_contain_anything(
    server: S3Server, three: DownloadPlan, text: str, is_of_a_job: bool
) -> None:
    stale = three.folder / folder_lock.WORK_FOLDER / LOCK_NAME
    stale.parent.mkdir(parents=True)
    stale.write_text(text)
    long_ago = time.time() - 3600
    os.utime(stale, (long_ago, long_ago))
    job = DownloadJob(three)
    assert job.wait(60) == "complete", (job.error, job.log)
    assert stale.exists() == (not is_of_a_job)


@pytest.mark.parametrize("where", ["chosen folder", "folder above"])
def test_files_of_others_are_not_taken_for_lock_files(
    server: S3Server, tmp_path: Path, where: str
) -> None:
    """Somebody else may have put a link to a project of ours in the place of the work folder."""
    plan = make_plan(server, tmp_path / "shared" / "data", small(1))
    project, place = tmp_path / "project", plan.folder
    project.mkdir()
    (project / "uv.lock").write_text("version = 1\n")
    (project / "empty.lock").touch()
    (project / LOCK_NAME).write_text('{"pid": 1, "host": "elsewhere", "folders": []}')
    os.utime(project / LOCK_NAME, (0, 0))
    if where == "folder above":
        place = plan.folder.parent
    place.mkdir(parents=True)
    place.chmod(0o777)
    (place / folder_lock.WORK_FOLDER).symlink_to(project)
    mode = project.stat().st_mode
    job = DownloadJob(plan)
    job.wait(60)
    if where == "folder above":
        assert job.state == "complete", (job.error, job.failed)
    else:
        assert job.state == "failed"
        assert job.error is not None and ".idc_widgets is a link to another folder; " in job.error
    assert sorted(os.listdir(project)) == sorted([LOCK_NAME, "empty.lock", "uv.lock"])
    assert project.stat().st_mode == mode
    assert (place / folder_lock.WORK_FOLDER).is_symlink()


def test_other_lock_files_in_the_work_folder_stay(server: S3Server, tmp_path: Path) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    other = plan.folder / folder_lock.WORK_FOLDER / "poetry.lock"
    other.parent.mkdir(parents=True)
    other.touch()
    assert DownloadJob(plan).wait(60) == "complete"
    assert other.exists()


def test_a_job_without_a_lock_file_does_not_count_as_alone(
    server: S3Server, tmp_path: Path
) -> None:
    plan = make_plan(server, tmp_path / "data", small(1))
    plan.folder.mkdir()
    (plan.folder / folder_lock.WORK_FOLDER).touch()
    lock = folder_lock.FolderLock(plan)
    lock.lock()
    assert not lock.is_alone(plan.series[0].folder)
    lock.release()


@pytest.mark.parametrize("space", ["other", None, "own"])
def test_a_pid_of_another_container_is_not_taken_for_one_of_this(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str | None
) -> None:
    """Two containers of one computer may have the same host name; the disk may have no locks."""
    monkeypatch.setattr(fcntl, "flock", no_locks)
    plan = make_plan(server, tmp_path / "data", small(1))
    folder = plan.series[0].folder
    folder.mkdir(parents=True)
    growing = folder / f"{file_name(1)}11111"
    growing.touch()
    child = subprocess.Popen(["true"])
    child.wait()  # a pid that no process has here
    lock = folder_lock.FolderLock(plan)
    lock.lock()
    assert lock._path is not None
    owner = json.loads(lock._path.read_text().splitlines()[0])
    other = lock._path.with_name(LOCK_NAME)
    if space is None:
        monkeypatch.setattr(lock_file, "pid_space", lambda: None)
    spaces = {"own": owner["pid_space"], "other": "elsewhere", None: None}
    owner |= {"pid": child.pid, "pid_space": spaces[space]}
    other.write_text(json.dumps(owner))
    is_known_as_ended = space == "own" and owner["pid_space"] is not None
    assert lock.is_alone(folder) == is_known_as_ended
    long_ago = time.time() - 3600
    os.utime(other, (long_ago, long_ago))
    assert lock.is_alone(folder), "its job has been silent for an hour"
    other.touch()
    lock.release()
    job = DownloadJob(plan)
    assert job.wait(60) == "complete", (job.error, job.failed)
    assert other.exists() == (not is_known_as_ended)
    assert growing.exists() == (not is_known_as_ended)


def test_the_flat_form_moves_no_files_out_of_the_target_of_a_link(
    server: S3Server, tmp_path: Path
) -> None:
    row = small(1)
    server.objects |= series_objects([row])
    rows, url = pa.Table.from_pylist([row]), server.url
    own = DownloadPlan.make(rows, tmp_path / "own", template="%crdc_series_uuid", endpoint_url=url)
    assert DownloadJob(own).wait(60) == "complete"
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / folder_lock.WORK_FOLDER).symlink_to(tmp_path / "own")
    flat = DownloadPlan.make(rows, shared, template="flat", endpoint_url=url)
    job = DownloadJob(flat)
    assert job.wait(60) == "failed"
    assert job.error is not None and "is a link" in job.error
    assert_identical(own, server)
