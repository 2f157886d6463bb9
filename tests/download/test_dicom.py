"""The option verify="dicom": the headers of files are read with pydicom."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.downloads import file_name, plan_rows, recorded_downloads, small
from support.s3server import S3Server

from idc_widgets import DownloadError, IDCClient
from idc_widgets.download import DownloadJob, DownloadPlan, dicom

PATIENT = "LUNG1-365"
Plan = Callable[..., DownloadPlan]


def with_files(server: S3Server, tmp_path: Path, *files: bytes) -> DownloadPlan:
    """Plan one series "1.2.1" with these objects, and serve them."""
    row = small(1, instanceCount=len(files), series_size_MB=sum(map(len, files)) / 1e6)
    prefix = row["series_aws_url"].removeprefix("s3://bucket/").removesuffix("*")
    for number, file in enumerate(files):
        server.objects["bucket", f"{prefix}{file_name(number)}"] = file
    return plan_rows(tmp_path / "data", row, endpoint_url=server.url)


def dicom_file(uid: str | None, instance: str = "1.2.3", deflated: int | None = None) -> bytes:
    """Return a DICOM file of the series `uid`.

    With `deflated`, the file is compressed, and has this number of bytes before SeriesInstanceUID.
    """
    pytest.importorskip("pydicom")
    from support.dicom import new_dataset, to_bytes

    dataset = new_dataset("1.2.840.10008.5.1.4.1.1.2", "CT", SeriesInstanceUID=uid)
    dataset.SOPInstanceUID = instance
    if deflated is not None:
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.add_new(0x00091001, "OB", bytes(deflated))
    return to_bytes(dataset)


def test_right_headers(server: S3Server, tmp_path: Path) -> None:
    two = with_files(server, tmp_path, dicom_file("1.2.1"), dicom_file("1.2.1", "1.2.4"))
    states: list[tuple[str, str]] = []
    job = DownloadJob(two, verify="dicom")
    job.on_change(lambda job: states.append((job.state, job.report.state[0])))
    assert job.wait() == "complete" and len(job.paths["1.2.1"]) == 2
    assert states[-1] == ("complete", "complete")
    assert all(of_series != "complete" for of_job, of_series in states[:-1])


@pytest.mark.parametrize("kind", ["other series", "no series", "not DICOM", "cut"])
def test_wrong_headers(server: S3Server, tmp_path: Path, kind: str) -> None:
    good = dicom_file("1.2.1")
    bad = {
        "other series": dicom_file("1.2.2"),
        "no series": dicom_file(None),
        "not DICOM": b"<html>no image</html>" * 40,
        "cut": good[:200],
    }[kind]
    two = with_files(server, tmp_path, good, bad)
    job = DownloadJob(two, verify="dicom")
    assert job.wait() == "incomplete" and job.paths == {}
    assert file_name(1) in job.failed["1.2.1"] and str(two.series[0].folder) in job.failed["1.2.1"]
    expected = {"other series": "'1.2.2'", "no series": "names no series", "cut": "names no series"}
    assert expected.get(kind, "is not a DICOM file") in job.failed["1.2.1"]
    assert list(job.report.state) == ["failed"]
    [entry] = recorded_downloads(two)
    assert entry["series"]["1.2.1"][0] == "failed"
    assert DownloadJob(two).wait() == "complete", "the number of files and bytes is right"


@pytest.mark.parametrize("deflated", [None, 1000])
def test_a_file_that_is_a_copy_of_another_file(
    server: S3Server, tmp_path: Path, deflated: int | None
) -> None:
    files = [dicom_file("1.2.1", f"1.2.{number}", deflated) for number in (5, 6, 7)]
    three = with_files(server, tmp_path, *files)
    job = DownloadJob(three, verify="dicom")
    assert job.wait() == "complete", job.failed
    folder = three.series[0].folder
    names = [file_name(number) for number in range(3)]
    (folder / names[2]).write_bytes(files[0])
    assert job.retry().wait() == "incomplete" and job.paths == {}
    assert job.failed["1.2.1"].startswith(
        f"{names[2]} repeats {names[0]}: both are the instance '1.2.5'; delete both"
    )
    for path in job.failed["1.2.1"].rpartition("try again: ")[2].split(" and "):
        Path(path).unlink()
    assert job.retry().wait() == "complete"
    assert sorted(path.name for path in job.paths["1.2.1"]) == names


def test_a_deflated_file_is_inflated_only_in_part(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    path.write_bytes(dicom_file("1.2.1", deflated=200_000_000))
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    try:
        problems = dicom.find_wrong_series({"1.2.1": [path]}, threading.Event())
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert "bomb.dcm names no series" in problems["1.2.1"]


def test_a_wrong_file_can_be_replaced(server: S3Server, tmp_path: Path) -> None:
    one = with_files(server, tmp_path, dicom_file("1.2.2"))
    job = DownloadJob(one, verify="dicom")
    assert job.wait() == "incomplete"
    server.objects["bucket", f"{one.series[0].prefix}/{file_name(0)}"] = dicom_file("1.2.1")
    assert job.retry().wait() == "incomplete", "files are deleted only by the user"
    Path(job.failed["1.2.1"].rpartition("try again: ")[2]).unlink()
    assert job.retry().wait() == "complete"


def test_reading_headers_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_file("1.2.1"))
    cancelled = threading.Event()

    class Paths(list[Path]):
        def __iter__(self) -> Any:
            for number in range(1000):
                if number == 10:
                    cancelled.set()
                assert number <= 10, "it did not stop"
                yield path

    assert dicom.find_wrong_series({"1.2.1": Paths()}, cancelled) == {"1.2.1": dicom.CANCELLED}


def test_a_job_cancelled_while_reading(server: S3Server, tmp_path: Path) -> None:
    one = with_files(server, tmp_path, dicom_file("1.2.1"))
    job = DownloadJob(one, verify="dicom")
    remove = job.on_change(lambda job: job.cancel() if job.state == "verifying" else None)
    assert job.wait() == "cancelled" and job.paths == {}
    assert job.failed["1.2.1"] == dicom.CANCELLED and list(job.report.state) == ["partly"]
    remove()
    assert job.retry().wait() == "complete" and len(job.paths["1.2.1"]) == 1


def test_verify_is_checked_before_the_start(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = client.cohort(PatientID=PATIENT, Modality="RTSTRUCT").select()
    wrong: Any = "dicomm"
    with pytest.raises(DownloadError, match="did you mean 'dicom'"):
        selection.download(tmp_path / "data", verify=wrong)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setitem(sys.modules, "pydicom.filereader", None)
    with pytest.raises(DownloadError, match=r"pip install 'idc-widgets\[dicom\]'"):
        selection.download(tmp_path / "data", verify="dicom")
    assert not (tmp_path / "data").exists()
