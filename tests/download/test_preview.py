"""The preview of a download."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support.downloads import index_row, partly_downloaded, small
from support.s3server import S3Server

from idc_widgets import IDCClient
from idc_widgets.download import DownloadJob, DownloadPlan, preview

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
Plan = Callable[..., DownloadPlan]


@pytest.fixture
def no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_rate", None)


def test_preview(tmp_path: Path, no_rate: None) -> None:
    plan = partly_downloaded(tmp_path)
    before = plan.preview()
    assert (before.series, before.files, before.size_bytes) == (3, 9, 50_000_006)
    assert (before.files_to_fetch, before.bytes_to_fetch) == (6, 49_999_997)
    assert before.non_commercial == {"CC BY-NC 4.0": 2}
    assert before.seconds is None and before.fits
    assert before.free_bytes == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    lines = str(before).splitlines()
    assert lines[0] == f"3 series, 9 files, 50.0 MB, into {tmp_path}"
    assert lines[1] == "still to fetch: 6 files, 50.0 MB"
    assert lines[2].startswith("free on the disk: ") and lines[2].endswith(" must be left")
    assert lines[3:] == ["2 series are for non-commercial use (CC BY-NC 4.0)"]
    assert repr(before) == f"Preview({lines[0]}; {lines[1]})"
    assert all(line in before._repr_html_() for line in lines)

    preview.remember_rate(10.0)
    preview.remember_rate(0.0)  # a download that fetched nothing has no rate
    assert plan.preview().seconds == pytest.approx(5.0, rel=1e-3)
    assert "about 5 s at 10.0 MB/s, the rate of the last download" in str(plan.preview())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_or_link_in_the_place_of_the_record_is_not_read(tmp_path: Path) -> None:
    """In a shared folder, anybody may have put it there. Opening a pipe waits for its writer."""
    plan = partly_downloaded(tmp_path)
    record = tmp_path / "idc_download.json"
    os.mkfifo(record)
    previews: list[preview.Preview] = []
    thread = threading.Thread(target=lambda: previews.append(plan.preview()), daemon=True)
    thread.start()
    thread.join(30)
    assert previews and not previews[0].changed_files
    record.unlink()
    # According to this record, every file was changed since its download
    entry = {"ended": "2000-01-01T00:00:00+00:00", "series": {"1.2.2": ["complete", 3, 20]}}
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"format": "idc_download 1", "downloads": [entry]}))
    record.symlink_to(other)
    assert plan.preview().changed_files == 0
    record.unlink()
    other.rename(record)
    assert plan.preview().changed_files == 1


def test_preview_of_a_complete_download(tmp_path: Path) -> None:
    plan = partly_downloaded(tmp_path)
    done = DownloadPlan(plan.series[:1], plan.folder, plan.endpoint_url).preview()
    assert (done.files_to_fetch, done.bytes_to_fetch, done.seconds) == (0, 0, 0.0)
    assert str(done).splitlines()[1:] == [
        "everything is on disk already",
        "1 series is for non-commercial use (CC BY-NC 4.0)",
    ]


def test_preview_without_files_and_without_space(tmp_path: Path) -> None:
    licenses = ["CC BY-NC 4.0", "CC BY-NC 3.0", "CC BY-NC 4.0", None, "CC BY 3.0"]
    rows = [
        index_row(i, license_short_name=name, series_size_MB=1e9) for i, name in enumerate(licenses)
    ]
    plan = DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path / "new", check_disk=False)
    before = plan.preview()
    assert not before.fits
    text = str(before)
    assert "still to fetch: 50 files, 5,000.0 TB; nothing is on disk yet" in text
    assert "must be left: NOT ENOUGH" in text
    assert "3 series are for non-commercial use (2 CC BY-NC 4.0, 1 CC BY-NC 3.0)" in text
    assert "the license of 1 series is not known" in text
    assert not (tmp_path / "new").exists()


def test_licenses_are_those_of_the_selection(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(collection_id=["nsclc_radiomics", "4d_lung"]).select()
    shown = selection.plan(tmp_path, check_disk=False).preview()
    assert shown.licenses == {one.name: one.series for one in selection.licenses()}
    marked = {one.name for one in selection.licenses() if one.non_commercial}
    assert set(shown.non_commercial) == marked and marked


def test_the_rate_is_remembered(
    server: S3Server, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_rate", None)
    server.rate_MB_s = 2
    first, second = plan(small(1, series_size_MB=4.0)), plan(small(2, series_size_MB=30.0))
    assert second.preview().seconds is None
    assert DownloadJob(first).wait() == "complete"
    seconds = second.preview().seconds
    assert seconds is not None and seconds > 10, "30 MB at 2 MB/s or less"
