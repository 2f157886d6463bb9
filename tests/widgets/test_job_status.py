"""The status of a download job as the front end shows it."""

from __future__ import annotations

from pathlib import Path

from idc_widgets.download import DownloadJob, DownloadPlan, PlannedSeries
from idc_widgets.widgets.job_status import MAX_ROWS, job_status


def job_of(tmp_path: Path, count: int) -> DownloadJob:
    """Return a job, not started, of `count` series with one file of 10 bytes each."""
    series = tuple(
        PlannedSeries(f"1.{i}", "bucket", f"p{i}", tmp_path / f"1.{i}", 1, 10) for i in range(count)
    )
    return DownloadJob(DownloadPlan(series, tmp_path, "http://127.0.0.1:9"))


def test_a_long_report_is_cut_off(tmp_path: Path) -> None:
    job = job_of(tmp_path, MAX_ROWS + 100)
    job.cancel()
    status = job_status(job)
    assert len(status["rows"]) == MAX_ROWS
    assert status["more"] == 100
    assert status["rows"][0] == [
        "1.0",
        str(tmp_path / "1.0"),
        False,
        "cancelled before it started",
    ]


def test_a_cancelled_job_can_be_resumed(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2)
    job.cancel()
    status = job_status(job)
    assert (status["state"], status["title"]) == ("cancelled", "Cancelled")
    assert status["detail"] == (
        "0 of 2 files are kept; press Resume, or Download for the present selection"
    )
    assert status["can_retry"]
    assert not status["active"]


def test_a_job_connects_before_it_downloads(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2)
    status = job_status(job, is_connected=False)
    assert (status["title"], status["detail"]) == ("Connecting", "http://127.0.0.1:9")
    status = job_status(job)
    assert (status["title"], status["detail"]) == ("Downloading", "0 of 20 bytes · 0 of 2 files")
    assert status["active"]
    assert status["rows"] == []
    assert status["percent"] == 0
