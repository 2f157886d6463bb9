"""Helpers for tests of downloads: small series, their plans, and Python processes with a job."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from support.s3server import S3Server, content, series_objects

import idc_widgets
from idc_widgets import Index
from idc_widgets.download import DEFAULT_TEMPLATE, DownloadPlan, record_path

#: A CT series of the patient LUNG1-365 in nsclc_radiomics: 134 files, 70,513,634 bytes.
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


@contextmanager
def ct_server() -> Iterator[S3Server]:
    """Start a server with the files of the series `CT`."""
    table = Index.default().tables["index"]
    rows = pq.read_table(table, filters=[("SeriesInstanceUID", "=", CT)])
    with S3Server(series_objects(rows.to_pylist())) as server:
        yield server


def file_name(number: int) -> str:
    """Return a file name like those in IDC. The names sort in the order of their numbers."""
    return f"{number:08x}-0000-0000-0000-000000000000.dcm"


def small(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an index row of a small series: ten files, 100,001 bytes."""
    return {
        "SeriesInstanceUID": f"1.2.{number}",
        "series_aws_url": f"s3://bucket/{number:08}-0000-0000-0000-000000000000/*",
        "instanceCount": 10,
        "series_size_MB": 0.100001,
        **changes,
    }


def index_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an index row with every column that the default template needs."""
    return {
        "collection_id": "c",
        "PatientID": "p",
        "StudyInstanceUID": "1.2",
        "Modality": "CT",
        "SeriesInstanceUID": f"1.2.{number}",
        "series_aws_url": "s3://bucket/uuid/*",
        "instanceCount": 10,
        "series_size_MB": 0.1,
        **changes,
    }


def planned_folder(root: Path, template: str = DEFAULT_TEMPLATE, **changes: Any) -> str:
    """Return the folder that is planned for one row, relative to the download folder."""
    rows = pa.Table.from_pylist([index_row(**changes)])
    plan = DownloadPlan.make(rows, root, template=template)
    return plan.series[0].folder.relative_to(root).as_posix()


def plan_rows(folder: Path, *rows: dict[str, Any], endpoint_url: str | None = None) -> DownloadPlan:
    """Plan rows into `folder`, with a folder per series."""
    return DownloadPlan.make(
        pa.Table.from_pylist(list(rows)),
        folder,
        template="%SeriesInstanceUID",
        endpoint_url=endpoint_url,
    )


def partly_downloaded(folder: Path, template: str = "%SeriesInstanceUID") -> DownloadPlan:
    """Plan three series: one is complete on disk, one is partly there, and one is missing."""
    rows = [
        index_row(
            number,
            series_aws_url=f"s3://bucket/uuid-{number}/*",
            instanceCount=files,
            series_size_MB=size_MB,
            license_short_name=name,
        )
        for number, files, size_MB, name in [
            (1, 2, 6e-6, "CC BY-NC 4.0"),
            (2, 3, 20.0, "CC BY 4.0"),
            (3, 4, 30.0, "CC BY-NC 4.0"),
        ]
    ]
    for series, number in (("1.2.1", 1), ("1.2.1", 2), ("1.2.2", 1)):
        (folder / series).mkdir(exist_ok=True)
        (folder / series / file_name(number)).write_bytes(b"123")
    return DownloadPlan.make(pa.Table.from_pylist(rows), folder, template=template)


def recorded_downloads(plan: DownloadPlan) -> list[dict[str, Any]]:
    """Return the entries of the record in the folder of a plan."""
    content = json.loads(record_path(plan.folder).read_bytes())
    assert content["format"] == "idc_download 1"
    downloads: list[dict[str, Any]] = content["downloads"]
    return downloads


def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait until a condition holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {timeout} s"
        time.sleep(0.01)


def names(plan: DownloadPlan, number: int = 0) -> list[str]:
    """Return the sorted names in the folder of a series of the plan."""
    folder = plan.series[number].folder
    return sorted(os.listdir(folder)) if folder.exists() else []


@contextmanager
def refusing_server() -> Iterator[str]:
    """Yield an address that refuses connections: a socket holds the port, but does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def assert_identical(plan: DownloadPlan, server: S3Server) -> None:
    """Assert that every file on disk has the bytes of its object."""
    for series in plan.series:
        for name in os.listdir(series.folder):
            key = f"{series.prefix}/{name}"
            expected = b"".join(content(key, server.objects[series.bucket, key]))
            assert (series.folder / name).read_bytes() == expected


def make_plan(
    server: S3Server, folder: Path, *rows: dict[str, Any], endpoint_url: str | None = None
) -> DownloadPlan:
    """Plan rows into `folder`, with a folder per series, and put their objects on the server."""
    server.objects |= series_objects(rows)
    return plan_rows(folder, *rows, endpoint_url=endpoint_url or server.url)


def run_script(
    plan: DownloadPlan,
    *rows: dict[str, Any],
    code: str = "",
    before: str = "",
    template: str = "%SeriesInstanceUID",
) -> subprocess.Popen[str]:
    """Start a Python process that starts a job and then runs `code`.

    The first line of its output is the pid of s5cmd, or 0 if the job has finished.

    Args:
        plan: The folder and the server of the job.
        rows: The series of the job.
        code: The code to run when s5cmd is at work.
        before: The code to run before the job is made.
        template: The folder template.
    """
    begin = f"""
        import time
        import pyarrow as pa
        from idc_widgets.download import DownloadJob, DownloadPlan, s5cmd
        from idc_widgets.download.folder_lock import FolderLock
        {before}
        plan = DownloadPlan.make(pa.Table.from_pylist({list(rows)!r}), {str(plan.folder)!r},
                                 template={template!r}, endpoint_url={plan.endpoint_url!r})
        recorded, record = [], FolderLock.record_process
        def note(lock, process):
            record(lock, process)
            recorded.append(process)
        FolderLock.record_process = note
        job = DownloadJob(plan, workers=4).start()
        def is_at_work():
            return job.progress.bytes_done and s5cmd.Process._running and recorded
        # A job that was nearly complete may finish before this loop starts
        while not job._finished.is_set() and not is_at_work(): time.sleep(0.01)
        print(next((process.pid for process in s5cmd.Process._running), 0), flush=True)
        """
    script = textwrap.dedent(begin) + textwrap.dedent(code)
    root = Path(idc_widgets.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )


def is_running(pid: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
