"""The report of a download: one row per series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.downloads import file_name, plan_rows, recorded_downloads, small
from support.s3server import S3Server

from idc_widgets.download import DownloadJob, DownloadPlan, report

Plan = Callable[..., DownloadPlan]


def test_report_of_every_state(server: S3Server, plan: Plan) -> None:
    four = plan(small(1), small(2), small(3), small(4))
    gone = four.series[1].prefix
    server.objects = {key: it for key, it in server.objects.items() if gone not in key[1]}
    short = four.series[2].prefix
    last = max(key for key in server.objects if short in key[1])
    del server.objects[last]
    more = four.series[3].folder
    more.mkdir(parents=True)
    (more / file_name(1)).write_bytes(b"12345")
    job = DownloadJob(four)
    before = job.report
    assert list(before.state) == ["missing", "missing", "missing", "partly"]
    assert list(before.files) == [0, 0, 0, 1]
    assert job.wait() == "incomplete"
    frame = job.report
    assert list(frame.columns) == list(report.REPORT_COLUMNS)
    assert list(frame.SeriesInstanceUID) == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
    assert list(frame.state) == ["complete", "failed", "partly", "partly"]
    assert list(frame.files) == [10, 0, 9, 11]
    assert list(frame.files_expected) == [10] * 4
    assert frame.size_MB[0] == 0.100001 == frame.size_MB_expected[0]
    assert frame.size_MB[3] == pytest.approx(0.100006)
    assert frame.folder[0] == str(four.series[0].folder)
    assert frame.reason.isna().tolist() == [True, False, False, False]
    assert dict(zip(frame.SeriesInstanceUID[1:], frame.reason[1:], strict=True)) == job.failed
    assert frame.license.isna().all() and frame.source_DOI.isna().all(), "the rows do not have them"

    [entry] = recorded_downloads(four)
    assert entry["state"] == "incomplete"
    assert entry["series_states"] == {"partly": 2, "complete": 1, "failed": 1}
    assert entry["series"]["1.2.1"] == ["complete", 10, 100_001]
    assert entry["series"]["1.2.2"] == ["failed", 0, 0, job.failed["1.2.2"]]
    assert (entry["files"], entry["files_expected"]) == (30, 40)


def test_report_while_it_runs(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 2
    two = plan(small(1), small(2, instanceCount=2, series_size_MB=3.0))
    states: list[list[str]] = []
    job = DownloadJob(two)
    job.on_change(lambda job: states.append(list(job.report.state)))
    assert job.wait() == "complete"
    assert states[0] == ["missing", "missing"] and states[-1] == ["complete", "complete"]
    assert ["complete", "missing"] in states


def test_a_problem_of_a_complete_series_does_not_count(tmp_path: Path) -> None:
    one = plan_rows(tmp_path, small(1))
    [row] = report.report_rows(one, {"1.2.1": (10, 100_001)}, {}, problems={"1.2.1"})
    assert row.state == "complete" and row.reason is None


def test_chosen_files_that_have_wrong_sizes_are_not_complete(tmp_path: Path) -> None:
    one = plan_rows(tmp_path, small(1))
    only = {file_name(1): 3, file_name(2): 5}
    series = replace(one.series[0], instances=2, size_bytes=8, only=only)
    series.folder.mkdir(parents=True)
    for name, size_bytes in only.items():
        (series.folder / name).write_bytes(b"x" * (8 - size_bytes))
    chosen = replace(one, series=(series,))
    [row] = report.report_rows(chosen, {"1.2.1": (2, 8)}, {})
    assert (row.state, row.files, row.size_bytes) == ("partly", 2, 8)


# --- the record -----------------------------------------------------------------------------


# --- verify="dicom" -------------------------------------------------------------------------
