"""What is told of a download when it has ended: the report, the record beside the data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import file_name, small
from support.s3server import S3Server, series_objects

from idc_widgets import DownloadError, IDCClient, InvalidQueryError, Selection, __version__
from idc_widgets.download import DownloadJob, DownloadPlan, dicom, record, report

PATIENT = "LUNG1-365"

Plan = Callable[..., DownloadPlan]


def planned(folder: Path, *rows: dict[str, Any], endpoint_url: str | None = None) -> DownloadPlan:
    table = pa.Table.from_pylist(list(rows))
    template = "%SeriesInstanceUID"
    return DownloadPlan.make(table, folder, template=template, endpoint_url=endpoint_url)


@pytest.fixture
def plan(server: S3Server, tmp_path: Path) -> Plan:
    """Plans rows into tmp_path/"data", and puts their objects on the server."""

    def make(*rows: dict[str, Any]) -> DownloadPlan:
        server.objects |= series_objects(rows)
        return planned(tmp_path / "data", *rows, endpoint_url=server.url)

    return make


def read(plan: DownloadPlan) -> list[dict[str, Any]]:
    content = json.loads((plan.folder / "idc_download.json").read_bytes())
    assert content["format"] == "idc_download 1"
    downloads: list[dict[str, Any]] = content["downloads"]
    return downloads


def others(plan: DownloadPlan) -> list[str]:
    """What is in the folder beside series and their record."""
    mine = {series.folder.name for series in plan.series} | {"idc_download.json"}
    return sorted(set(os.listdir(plan.folder)) - mine)


# --- the report -----------------------------------------------------------------------------


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
    assert list(frame.columns) == list(report.COLUMNS)
    assert list(frame.SeriesInstanceUID) == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
    assert list(frame.state) == ["complete", "failed", "partly", "partly"]
    assert list(frame.files) == [10, 0, 9, 11]
    assert list(frame.files_expected) == [10] * 4
    assert frame.size_MB[0] == 0.100001 == frame.size_MB_expected[0]
    assert frame.size_MB[3] == pytest.approx(0.100006)
    assert frame.folder[0] == str(four.series[0].folder)
    assert frame.reason.isna().tolist() == [True, False, False, False]
    assert dict(zip(frame.SeriesInstanceUID[1:], frame.reason[1:], strict=True)) == job.failed
    assert frame.license.isna().all() and frame.source_DOI.isna().all(), "rows told nothing of it"

    [entry] = read(four)
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


def test_a_problem_that_was_overcome_is_none(tmp_path: Path) -> None:
    one = planned(tmp_path, small(1))
    [row] = report.report_rows(one, {"1.2.1": (10, 100_001)}, {}, problems={"1.2.1"})
    assert row.state == "complete" and row.reason is None


# --- the record -----------------------------------------------------------------------------


def test_record_of_a_selection(client: IDCClient, server: S3Server, tmp_path: Path) -> None:
    cohort = client.cohort(PatientID=PATIENT, Modality=["RTSTRUCT", "SEG", "SR"])
    selection = cohort.select()
    server.objects = series_objects(selection.df.to_dict("records"))
    job = selection.download(tmp_path / "data", endpoint_url=server.url)
    assert job.wait() == "complete", job.failed
    [entry] = read(job.plan)
    assert entry["state"] == "complete"
    assert entry["filters"] == {"Modality": ["RTSTRUCT", "SEG", "SR"], "PatientID": PATIENT}
    assert entry["code"] == selection.to_code()
    assert entry["data_version"] == selection.data_version
    assert entry["endpoint_url"] == server.url
    assert entry["template"].startswith("%collection_id/")
    assert entry["versions"]["idc_widgets"] == __version__
    assert entry["versions"]["s5cmd"].startswith("v")
    assert entry["versions"]["Python"] == sys.version.split()[0]
    assert entry["licenses"] == [
        {"name": one.name, "series": one.series, "non_commercial": one.non_commercial}
        for one in selection.licenses
    ]
    assert {one["non_commercial"] for one in entry["licenses"]} == {True, False}
    assert entry["source_DOIs"] == selection.dois
    assert set(entry["series"]) == set(selection.uids)
    assert sum(known[2] for known in entry["series"].values()) == round(selection.size_MB * 1e6)
    start, end = (datetime.fromisoformat(entry[name]) for name in ("started", "ended"))
    offset = start.utcoffset()
    assert start <= end and offset is not None and not offset

    index = selection.df.set_index("SeriesInstanceUID")
    told = job.report.set_index("SeriesInstanceUID")
    assert told.license.to_dict() == index.license_short_name.to_dict()
    assert told.source_DOI.to_dict() == index.source_DOI.to_dict()

    for path in (tmp_path / "data", tmp_path / "data" / "idc_download.json"):
        assert Selection.load(path, client.engine) == selection


def test_a_long_list_of_uids_is_recorded_once(client: IDCClient, tmp_path: Path) -> None:
    uids = client.sql("SELECT SeriesInstanceUID AS uid FROM index LIMIT 1001").uid
    provenance = Selection.of(client.engine, uids).plan(tmp_path, check_disk=False).provenance
    assert provenance.filters is None and provenance.code is None
    assert len(provenance.licenses_and_dois) == 1001


def test_several_downloads_into_one_folder(server: S3Server, plan: Plan) -> None:
    one, two = plan(small(1)), plan(small(2), small(3))
    job = DownloadJob(one)
    job.cancel()
    assert not one.folder.exists(), "nothing was begun, so there is nothing to tell"
    one.folder.mkdir()
    server.fail = lambda request: 403
    assert DownloadJob(one).wait() == "incomplete"
    assert DownloadJob(two).wait() == "incomplete"
    [first, second] = read(two)
    assert set(first["series"]) == {"1.2.1"} and set(second["series"]) == {"1.2.2", "1.2.3"}
    server.fail = lambda request: None
    (one.folder / "idc_download.json").write_text(
        (one.folder / "idc_download.json").read_text().replace(first["started"], "2020-01-01")
    )
    assert DownloadJob(one).wait() == "complete"
    [second_again, first_again] = read(one)
    assert set(second_again["series"]) == {"1.2.2", "1.2.3"}
    assert second_again["state"] == "incomplete"
    assert first_again["state"] == "complete"
    assert first_again["first_started"] == "2020-01-01" < first_again["started"]
    assert others(two) == ["1.2.1"]


def test_load_takes_all_that_was_asked_for(client: IDCClient, tmp_path: Path) -> None:
    cohort = client.cohort(PatientID=PATIENT)
    every, some = cohort.select(), cohort.where(Modality=["SEG", "CT"]).select()
    sr = cohort.where(Modality="SR").select()
    for selection in (some, sr, cohort.where(Modality="SEG").select()):
        plan = selection.plan(tmp_path)
        assert (
            record.write(plan, report.report_rows(plan, {}, {}), state="cancelled", started="")
            == []
        )
    assert Selection.load(tmp_path, client.engine) == some | sr != every
    path = tmp_path / "idc_download.json"
    path.write_text(path.read_text().replace(sr.uids[0], "1.2.3"))
    with pytest.raises(InvalidQueryError, match=rf"saved from data {sr.data_version}, .*1\.2\.3"):
        Selection.load(tmp_path, client.engine)
    path.write_text(json.dumps({"format": record.FORMAT, "downloads": [{"series": 5}]}))
    with pytest.raises(InvalidQueryError, match="not a selection"):
        Selection.load(tmp_path, client.engine)
    path.unlink()
    with pytest.raises(InvalidQueryError, match=r"idc_download\.json' is not a file"):
        Selection.load(tmp_path, client.engine)


def test_dois(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(PatientID=PATIENT).select()
    counts = selection.df.source_DOI.value_counts()
    assert selection.dois == counts.to_dict() and len(counts) > 1
    assert list(selection.dois.values()) == sorted(counts, reverse=True)
    path = tmp_path / "mine.csv"
    path.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n1,2,3,4\n")
    assert IDCClient(path).cohort().select().dois == {}


def test_the_record_of_a_cancelled_or_failed_job(server: S3Server, plan: Plan) -> None:
    server.rate_MB_s = 0.5
    two = plan(small(1), small(2, instanceCount=2, series_size_MB=8.0))
    job = DownloadJob(two)
    job.on_change(lambda job: job.cancel() if job.progress.files_done >= 10 else None)
    assert job.wait() == "cancelled"
    [entry] = read(two)
    assert entry["state"] == "cancelled"
    assert entry["series"]["1.2.1"][0] == "complete"
    assert entry["series"]["1.2.2"][0] == "missing"
    unreachable = planned(two.folder, small(2), small(1), endpoint_url="http://127.0.0.1:9")
    job = DownloadJob(unreachable)
    assert job.wait() == "failed"
    [entry] = read(two)  # the same series at the same places, in whatever order
    assert entry["state"] == "failed"
    assert entry["series"]["1.2.1"][0] == "complete"
    assert "cannot be reached" in entry["series"]["1.2.2"][3]
    assert list(job.report.state) == ["missing", "complete"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON \xff",
        b"[" * 100_000,
        b'{"downloads": []}',
        b'{"format": "idc_download 2", "downloads": []}',
        b'{"format": "idc_download 1", "downloads": [{"series": []}]}',
        b'{"format": "idc_download 1", "downloads": {"series": {}}}',
        b'{"format": "idc_download 1", "downloads": [' + b"1" * 5000 + b"]}",
    ],
    ids=["empty", "binary", "deep", "other", "newer", "broken", "mapping", "number"],
)
def test_a_file_that_is_not_ours_is_kept(tmp_path: Path, content: bytes) -> None:
    nothing = planned(tmp_path, small(1))
    path = tmp_path / "idc_download.json"
    path.write_bytes(content)
    (tmp_path / "idc_download.json.bak-1").write_text("an older one")
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert str(path) in line and "bak-2" in line
    assert (tmp_path / "idc_download.json.bak-2").read_bytes() == content
    assert (tmp_path / "idc_download.json.bak-1").read_text() == "an older one"
    assert len(read(nothing)) == 1
    assert len(others(nothing)) == 2, "no lock, no temporary file stays"
    with pytest.raises(InvalidQueryError, match="not a selection"):
        Selection.load(tmp_path / "idc_download.json.bak-2")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_nothing_is_written_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("keep me")
    (tmp_path / "data").mkdir()
    nothing = planned(tmp_path / "data", small(1))
    for name in ("idc_download.json", ".idc_download.json.tmp"):
        (nothing.folder / name).symlink_to(outside)
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert "is a link" in line
    assert len(read(nothing)) == 1 and outside.read_text() == "keep me"
    lock = nothing.folder / ".idc_download.json.lock"
    lock.symlink_to(tmp_path / "new")
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert "was not written" in line and not (tmp_path / "new").exists()


def test_a_series_folder_of_that_name_is_left_alone(server: S3Server, plan: Plan) -> None:
    odd = plan(small(1, SeriesInstanceUID="idc_download.json"))
    job = DownloadJob(odd)
    assert job.wait() == "complete"
    assert odd.series[0].folder == odd.folder / "idc_download.json"
    assert any("not a file has this name" in line for line in job.log)
    assert DownloadJob(odd).wait() == "complete"


def test_no_entry_is_lost_among_threads_and_processes(tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        import pyarrow as pa
        from idc_widgets.download import DownloadPlan, record
        for number in map(int, sys.argv[1:]):
            row = dict(SeriesInstanceUID=f"1.3.{{number}}", instanceCount=1, series_size_MB=1.0,
                       series_aws_url="s3://bucket/a/*")
            plan = DownloadPlan.make(pa.Table.from_pylist([row]), {str(tmp_path)!r},
                                     template="%SeriesInstanceUID", check_disk=False)
            assert record.write(plan, (), state="complete", started="") == []
    """
    starts = range(0, 30, 10)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, range(start, start + 10))]
        )
        for start in starts
    ]
    problems: list[str] = []

    def add(start: int) -> None:
        for number in range(start, start + 15):
            mine = planned(tmp_path, small(number))
            problems.extend(record.write(mine, (), state="complete", started=""))

    threads = [threading.Thread(target=add, args=(start,)) for start in (100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert problems == []
    content = json.loads((tmp_path / "idc_download.json").read_bytes())
    assert len({one["id"] for one in content["downloads"]}) == 60
    assert os.listdir(tmp_path) == ["idc_download.json"]


def test_who_waits_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_LOCK_TIMEOUT_SECONDS", 0.1)
    nothing = planned(tmp_path, small(1))
    with record._locked(tmp_path / ".idc_download.json.lock"):
        [line] = record.write(nothing, (), state="complete", started="")
    assert "another download is writing it" in line
    assert record.write(nothing, (), state="complete", started="") == []


# --- verify="dicom" -------------------------------------------------------------------------


def with_files(server: S3Server, tmp_path: Path, *files: bytes) -> DownloadPlan:
    """A plan of one series "1.2.1" whose objects are these."""
    row = small(1, instanceCount=len(files), series_size_MB=sum(map(len, files)) / 1e6)
    prefix = row["series_aws_url"].removeprefix("s3://bucket/").removesuffix("*")
    for number, file in enumerate(files):
        server.objects["bucket", f"{prefix}{file_name(number)}"] = file
    return planned(tmp_path / "data", row, endpoint_url=server.url)


def dicom_file(uid: str | None, instance: str = "1.2.3", deflated: int | None = None) -> bytes:
    """The file of an instance; deflated, with so many bytes of something before its series."""
    pytest.importorskip("pydicom")
    from support.dicom import new_dataset, to_bytes

    dataset = new_dataset("1.2.840.10008.5.1.4.1.1.2", "CT", SeriesInstanceUID=uid)
    dataset.SOPInstanceUID = instance
    if deflated is not None:
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.add_new(0x00091001, "OB", bytes(deflated))
    return to_bytes(dataset)


def test_headers_are_right(server: S3Server, tmp_path: Path) -> None:
    two = with_files(server, tmp_path, dicom_file("1.2.1"), dicom_file("1.2.1", "1.2.4"))
    states: list[tuple[str, str]] = []
    job = DownloadJob(two, verify="dicom")
    job.on_change(lambda job: states.append((job.state, job.report.state[0])))
    assert job.wait() == "complete" and len(job.paths["1.2.1"]) == 2
    assert states[-1] == ("complete", "complete")
    assert all(of_series != "complete" for of_job, of_series in states[:-1])


@pytest.mark.parametrize("kind", ["other series", "no series", "not DICOM", "cut"])
def test_headers_are_wrong(server: S3Server, tmp_path: Path, kind: str) -> None:
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
    [entry] = read(two)
    assert entry["series"]["1.2.1"][0] == "failed"
    assert DownloadJob(two).wait() == "complete", "count and bytes are right"


@pytest.mark.parametrize("deflated", [None, 1000])
def test_one_slice_in_the_place_of_another(
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


def test_what_is_deflated_is_not_inflated_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    path.write_bytes(dicom_file("1.2.1", deflated=200_000_000))
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    try:
        found = dicom.find_wrong_series({"1.2.1": [path]}, threading.Event())
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert "bomb.dcm names no series" in found["1.2.1"]


def test_what_is_wrong_can_be_put_right(server: S3Server, tmp_path: Path) -> None:
    one = with_files(server, tmp_path, dicom_file("1.2.2"))
    job = DownloadJob(one, verify="dicom")
    assert job.wait() == "incomplete"
    server.objects["bucket", f"{one.series[0].prefix}/{file_name(0)}"] = dicom_file("1.2.1")
    assert job.retry().wait() == "incomplete", "nothing is deleted that nobody said to"
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
                assert number <= 10, "it went on"
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
