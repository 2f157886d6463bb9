"""Downloads as users start them: client.get_images and Selection.download."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from support.s3server import S3Server, series_objects

from idc_widgets import (
    DownloadError,
    IDCClient,
    InvalidQueryError,
    LargeDownloadError,
)

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


@pytest.fixture
def s3(ct: pa.Table) -> Iterator[S3Server]:
    with S3Server(series_objects(ct.to_pylist())) as server:
        yield server


def test_get_images_in_every_spelling(s3: S3Server, tmp_path: Path) -> None:
    client = IDCClient(endpoint_url=s3.url)
    assert client.get_images(CT, tmp_path, download=False) == []
    assert not s3.requests
    paths = client.get_image(seriesInstanceUid=CT, downloadDir=tmp_path)
    assert len(paths) == 134
    assert sum(path.stat().st_size for path in paths) == 70_513_634
    s3.requests.clear()
    assert client.get_images(seriesInstanceUID=[CT], downloadDir=str(tmp_path)) == paths
    assert client.get_images(CT, tmp_path, download=False) == paths
    assert not s3.requests, "complete series need no request"


def test_get_images_reports_missing_series_and_keeps_the_rest(s3: S3Server, tmp_path: Path) -> None:
    client = IDCClient(endpoint_url=s3.url)
    seg = client.get_series(patientId="LUNG1-365", modality="SEG", outputFormat="list")[0]
    with pytest.raises(DownloadError, match=rf"1 of 2 series could not be downloaded.*{seg}"):
        client.get_images([CT, seg], tmp_path)
    assert len(client.get_images(CT, tmp_path, download=False)) == 134
    with pytest.raises(InvalidQueryError, match=r"unknown SeriesInstanceUID '1\.2\.3'"):
        client.get_images("1.2.3", tmp_path)


def test_get_images_asks_before_a_large_download(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = IDCClient(endpoint_url=s3.url)
    [(large,)] = client.engine.rows(
        "SELECT SeriesInstanceUID FROM index ORDER BY series_size_MB DESC LIMIT 1"
    )
    usage = shutil.disk_usage("/")._replace(total=10**13, free=10**13)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LargeDownloadError, match=r"the limit is 50 GB.*max_GB=196"):
        client.get_images(large, tmp_path / "data")
    with pytest.raises(LargeDownloadError, match=r"the limit is 0\.07 GB"):
        client.get_images(seriesInstanceUID=CT, downloadDir=tmp_path / "data", max_GB=0.07)
    assert not s3.requests and not (tmp_path / "data").exists()
    assert len(client.get_images(CT, tmp_path / "data", True, None)) == 134
    assert len(client.get_images(CT, tmp_path / "data", max_GB=0)) == 134, (
        "nothing is left to fetch"
    )


def test_a_selection_downloads(s3: S3Server, tmp_path: Path, client: IDCClient) -> None:
    selection = client.cohort(SeriesInstanceUID=[CT]).select()

    async def download() -> str:
        job = await selection.download(
            tmp_path, template="%PatientID/%%%Modality", endpoint_url=s3.url
        )
        return str(job.state)

    assert asyncio.run(download()) == "complete"
    assert len(list((tmp_path / "LUNG1-365" / "%CT").glob("*.dcm"))) == 134
    with pytest.raises(DownloadError, match="did you mean 'PatientID'"):
        selection.plan(tmp_path, template="%PatentID/%Modality")


def test_a_download_larger_than_the_disk_is_refused_at_once(
    client: IDCClient, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=r"99\.9 TB do not fit on the disk"):
        client.cohort().select().download(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_endpoint_of_s5cmds_own_variable(
    s3: S3Server, tmp_path: Path, client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.url)
    plan = client.cohort(SeriesInstanceUID=[CT]).plan(tmp_path)
    assert plan.endpoint_url == s3.url
    assert plan.size_bytes == 70_513_634


def test_finding_files_needs_no_writable_folder(s3: S3Server, client: IDCClient) -> None:
    assert client.get_images(CT, "/proc/none", download=False) == []


@pytest.mark.parametrize("kind", ["broken link", "loop", "long name"])
def test_folders_that_cannot_exist(client: IDCClient, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / ("x" * 256 if kind == "long name" else "link")
    if kind != "long name":
        folder.symlink_to(tmp_path / ("nowhere" if kind == "broken link" else "link"))
    with pytest.raises(DownloadError, match="too long" if kind == "long name" else "broken link"):
        client.cohort(SeriesInstanceUID=CT).select().download(folder)
