"""Before s5cmd starts: the check that the server can be reached, and the list of its files."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.downloads import file_name, plan_rows, refusing_server, small, until
from support.fileserver import Drip, FileServer

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    preflight,
)

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
Plan = Callable[..., DownloadPlan]


def test_a_refused_connection(plan: Plan) -> None:
    assert DownloadJob(plan(small(1))).wait() == "complete"
    start = time.monotonic()
    with refusing_server() as url:
        job = DownloadJob(plan(small(1), small(2), endpoint_url=url))
        assert job.wait(60) == "failed"
    assert time.monotonic() - start < 20
    assert job.error is not None and url in job.error and "cannot be reached" in job.error
    assert job.failed == {"1.2.2": job.error}
    assert list(job.paths) == ["1.2.1"], "complete series are still listed"


def test_an_unknown_host_name(plan: Plan) -> None:
    job = DownloadJob(plan(small(), endpoint_url="http://no-such-host.invalid"))
    assert job.wait(60) == "failed"
    assert job.error is not None and "http://no-such-host.invalid" in job.error


def test_a_server_that_does_not_answer(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    monkeypatch.setattr(preflight, "SERVER_TIMEOUT_SECONDS", 0.5)
    assert DownloadJob(plan(small())).wait(60) == "failed"
    monkeypatch.setattr(preflight, "SERVER_TIMEOUT_SECONDS", 60)
    job = DownloadJob(plan(small())).start()
    time.sleep(0.1)
    job.cancel()
    assert job.wait(60) == "cancelled"
    release.set()


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("DownloadJob-preflight", "the server cannot be checked"),
        ("DownloadJob-list", "the files on the server cannot be listed"),
    ],
)
def test_a_thread_that_is_not_started_is_named_with_the_next_step(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, refused: str, message: str
) -> None:
    partly = plan(small())
    folder = partly.series[0].folder
    folder.mkdir(parents=True)
    (folder / file_name(1)).write_bytes(b"changed")
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    job = DownloadJob(partly)
    assert job.wait(60) == "failed"
    assert job.error is not None and job.error.startswith(f"{message}: can't start new thread; ")
    assert "raise the limit of processes" in job.error


@pytest.mark.parametrize("how", ["cancel", "exit"])
def test_a_listing_that_arrives_slowly_delays_neither_cancel_nor_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with FileServer() as server:
        server.fault = lambda request: Drip("body")
        plan = plan_rows(tmp_path, small(), endpoint_url=server.url)
        folder = plan.series[0].folder
        folder.mkdir(parents=True)
        (folder / file_name(1)).write_bytes(b"changed")
        if how == "exit":
            code = f"""
                import sys, time
                import pyarrow as pa
                from idc_widgets.download import DownloadJob, DownloadPlan
                rows = pa.Table.from_pylist([{small()!r}])
                plan = DownloadPlan.make(rows, {str(tmp_path)!r}, template="%SeriesInstanceUID",
                                         endpoint_url={server.url!r})
                DownloadJob(plan).start()
                sys.stdin.readline()
                print("leaves")
                """
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            until(lambda: server.requests)
            assert process.communicate("\n", timeout=30)[0] == "leaves\n"
        else:
            job = DownloadJob(plan).start()
            until(lambda: server.requests)
            job.cancel()
            assert job.wait(30) == "cancelled"
        assert (folder / file_name(1)).read_bytes() == b"changed"
