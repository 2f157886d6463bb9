"""The progress bar in the terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from support.downloads import (
    small,
)
from support.s3server import S3Server

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
)

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
Plan = Callable[..., DownloadPlan]


def test_a_bar_in_the_terminal(
    server: S3Server, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    server.rate_MB_s = 5
    before = set(threading.enumerate())
    job = DownloadJob(plan(small(1), small(2, series_size_MB=2.5)))
    assert job.wait(progress=True) == "complete"
    said = capfd.readouterr().err
    assert "2 of 2 series: 100%" in said and "2.60M/2.60M" in said and "B/s" in said
    assert not job._observers and {t.name for t in set(threading.enumerate()) - before} <= {
        "DownloadJob"
    }
