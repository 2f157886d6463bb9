"""The check that the server can be reached."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from support.downloads import (
    refusing_server,
    small,
)

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
