"""The record `idc_download.json` beside the data."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.downloads import plan_rows, recorded_downloads, small
from support.s3server import S3Server, series_objects

from idc_widgets import IDCClient, InvalidQueryError, __version__
from idc_widgets.download import DownloadJob, DownloadPlan, record, report

PATIENT = "LUNG1-365"
Plan = Callable[..., DownloadPlan]


def other_files(plan: DownloadPlan) -> list[str]:
    """Return the names in the folder of a plan that are neither a planned series nor the record."""
    own = {series.folder.name for series in plan.series} | {"idc_download.json"}
    return sorted({path.name for path in plan.folder.iterdir()} - own)


def test_record_of_a_selection(client: IDCClient, server: S3Server, tmp_path: Path) -> None:
    cohort = client.cohort(PatientID=PATIENT, Modality=["RTSTRUCT", "SEG", "SR"])
    selection = cohort.select()
    server.objects = series_objects(selection.series().to_dict("records"))
    job = selection.download(tmp_path / "data", endpoint_url=server.url)
    assert job.wait() == "complete", job.failed
    [entry] = recorded_downloads(job.plan)
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
        for one in selection.licenses()
    ]
    assert {one["non_commercial"] for one in entry["licenses"]} == {True, False}
    assert entry["source_DOIs"] == selection.dois
    assert set(entry["series"]) == set(selection.uids)
    assert sum(known[2] for known in entry["series"].values()) == round(selection.size_MB * 1e6)
    start, end = (datetime.fromisoformat(entry[name]) for name in ("started", "ended"))
    offset = start.utcoffset()
    assert start <= end and offset is not None and not offset

    index = selection.series().set_index("SeriesInstanceUID")
    report_of = job.report.set_index("SeriesInstanceUID")
    assert report_of.license.to_dict() == index.license_short_name.to_dict()
    assert report_of.source_DOI.to_dict() == index.source_DOI.to_dict()

    for path in (tmp_path / "data", tmp_path / "data" / "idc_download.json"):
        assert client.load(path) == selection


def test_a_long_list_of_uids_is_recorded_once(client: IDCClient, tmp_path: Path) -> None:
    uids = client.sql("SELECT SeriesInstanceUID AS uid FROM index LIMIT 1001").uid
    provenance = client.cohort(SeriesInstanceUID=uids).plan(tmp_path, check_disk=False).provenance
    assert provenance.filters is None and provenance.code is None
    assert len(provenance.licenses_and_dois) == 1001


def test_several_downloads_into_one_folder(server: S3Server, plan: Plan) -> None:
    one, two = plan(small(1)), plan(small(2), small(3))
    job = DownloadJob(one)
    job.cancel()
    assert not one.folder.exists(), "nothing was fetched, so nothing is recorded"
    one.folder.mkdir()
    server.fail = lambda request: 403
    assert DownloadJob(one).wait() == "incomplete"
    assert DownloadJob(two).wait() == "incomplete"
    [first, second] = recorded_downloads(two)
    assert set(first["series"]) == {"1.2.1"} and set(second["series"]) == {"1.2.2", "1.2.3"}
    server.fail = lambda request: None
    (one.folder / "idc_download.json").write_text(
        (one.folder / "idc_download.json").read_text().replace(first["started"], "2020-01-01")
    )
    assert DownloadJob(one).wait() == "complete"
    [second_again, first_again] = recorded_downloads(one)
    assert set(second_again["series"]) == {"1.2.2", "1.2.3"}
    assert second_again["state"] == "incomplete"
    assert first_again["state"] == "complete"
    assert first_again["first_started"] == "2020-01-01" < first_again["started"]
    assert other_files(two) == ["1.2.1"]


def test_load_returns_every_selected_series(client: IDCClient, tmp_path: Path) -> None:
    cohort = client.cohort(PatientID=PATIENT)
    every, some = cohort.select(), cohort.where(Modality=["SEG", "CT"]).select()
    sr = cohort.where(Modality="SR").select()
    for selection in (some, sr, cohort.where(Modality="SEG").select()):
        plan = selection.plan(tmp_path)
        assert (
            record.write(plan, report.report_rows(plan, {}, {}), state="cancelled", started="")
            == []
        )
    assert client.load(tmp_path) == some | sr != every
    path = tmp_path / "idc_download.json"
    path.write_text(path.read_text().replace(sr.uids[0], "1.2.3"))
    with pytest.raises(InvalidQueryError, match=rf"saved from data {sr.data_version}, .*1\.2\.3"):
        client.load(tmp_path)
    path.write_text(json.dumps({"format": record.FORMAT, "downloads": [{"series": 5}]}))
    with pytest.raises(InvalidQueryError, match="not a selection"):
        client.load(tmp_path)
    path.unlink()
    with pytest.raises(InvalidQueryError, match=r"idc_download\.json' is not a file"):
        client.load(tmp_path)


def test_the_dois_of_a_selection(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(PatientID=PATIENT).select()
    counts = selection.series().source_DOI.value_counts()
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
    [entry] = recorded_downloads(two)
    assert entry["state"] == "cancelled"
    assert entry["series"]["1.2.1"][0] == "complete"
    assert entry["series"]["1.2.2"][0] == "missing"
    unreachable = plan_rows(two.folder, small(2), small(1), endpoint_url="http://127.0.0.1:9")
    job = DownloadJob(unreachable)
    assert job.wait() == "failed"
    [entry] = recorded_downloads(two)  # one entry: the order of the series does not matter
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
def test_a_file_that_is_not_a_record_is_kept(
    client: IDCClient, tmp_path: Path, content: bytes
) -> None:
    nothing = plan_rows(tmp_path, small(1))
    path = tmp_path / "idc_download.json"
    path.write_bytes(content)
    (tmp_path / "idc_download.json.bak-1").write_text("an older file")
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert str(path) in line and "bak-2" in line
    assert (tmp_path / "idc_download.json.bak-2").read_bytes() == content
    assert (tmp_path / "idc_download.json.bak-1").read_text() == "an older file"
    assert len(recorded_downloads(nothing)) == 1
    assert len(other_files(nothing)) == 2, "neither the lock nor a temporary file stays"
    with pytest.raises(InvalidQueryError, match="not a selection"):
        client.load(tmp_path / "idc_download.json.bak-2")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_nothing_is_written_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("keep me")
    (tmp_path / "data").mkdir()
    nothing = plan_rows(tmp_path / "data", small(1))
    for name in ("idc_download.json", ".idc_download.json.tmp"):
        (nothing.folder / name).symlink_to(outside)
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert "is a link" in line
    assert len(recorded_downloads(nothing)) == 1 and outside.read_text() == "keep me"
    lock = nothing.folder / ".idc_download.json.lock"
    lock.symlink_to(tmp_path / "new")
    [line] = record.write(nothing, (), state="complete", started=record.now())
    assert "was not written" in line and not (tmp_path / "new").exists()


def test_a_series_folder_with_the_name_of_the_record_is_kept(server: S3Server, plan: Plan) -> None:
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
            mine = plan_rows(tmp_path, small(number))
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


def test_a_lock_that_is_held_too_long_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_LOCK_TIMEOUT_SECONDS", 0.1)
    nothing = plan_rows(tmp_path, small(1))
    with record._locked(tmp_path / ".idc_download.json.lock"):
        [line] = record.write(nothing, (), state="complete", started="")
    assert "another download is writing it" in line
    assert record.write(nothing, (), state="complete", started="") == []


LEFTOVERS = {
    "lock": (".idc_download.json.lock", 0o644, 0, "{}"),
    "unreadable lock": (".idc_download.json.lock", 0o600, 0, "{}"),
    "old unreadable lock": (".idc_download.json.lock", 0o600, 86400, "{}"),
    "unfinished record": (".idc_download.json.tmp", 0o644, 0, "{}"),
    "unreadable record": ("idc_download.json", 0o600, 0, '{"format": "idc_download 1"}'),
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("kind", LEFTOVERS)
@pytest.mark.parametrize("sticky", [False, True])
def test_leftovers_of_another_user_do_not_stop_the_record(kind: str, sticky: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if sticky and kind == "unreadable record":
        pytest.skip("it can neither be read nor renamed")
    code = """
        import os, sys
        from pathlib import Path
        import pyarrow as pa
        from idc_widgets.download import DownloadPlan, record
        row = dict(SeriesInstanceUID="1.3.1", instanceCount=1, series_size_MB=1.0,
                   series_aws_url="s3://bucket/a/*")
        plan = DownloadPlan.make(pa.Table.from_pylist([row]), sys.argv[1],
                                 template="%SeriesInstanceUID", check_disk=False)
        record._entry(plan, (), "complete", "")  # imports modules that another user may not read
        os.setuid(65534)
        for line in record.write(plan, (), state="complete", started=""):
            print(line)
    """
    name, mode, age, text = LEFTOVERS[kind]
    with tempfile.TemporaryDirectory() as folder:  # other users cannot enter pytest's own folders
        os.chmod(folder, 0o1777 if sticky else 0o777)
        path = Path(folder, name)
        path.write_text(text)
        path.chmod(mode)
        os.utime(path, (time.time() - age,) * 2)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), folder],
            capture_output=True, text=True, check=True, timeout=360,
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert len(lines) == (kind == "unreadable record"), lines
        content = json.loads(Path(folder, "idc_download.json").read_bytes())
        assert [list(entry["series"]) for entry in content["downloads"]] == [[]]
        left = set(os.listdir(folder)) - {"idc_download.json"}
        if kind == "unreadable record":
            assert left == {"idc_download.json.bak-1"} and "another user" in lines[0]


@pytest.mark.skipif(sys.platform == "win32", reason="replaces flock")
def test_no_entry_is_lost_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    one, two = plan_rows(tmp_path, small(1)), plan_rows(tmp_path, small(2))
    assert record.write(two, (), state="complete", started="") == []
    path = record.record_path(tmp_path)
    of_the_other = path.read_bytes()
    path.unlink()
    replace = record.write_whole

    def lose(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(record, "write_whole", replace)
        replace(*arguments, **options)
        path.write_bytes(of_the_other)  # another process read the file earlier, and writes now

    monkeypatch.setattr(record, "write_whole", lose)
    assert record.write(one, (), state="complete", started="") == []
    assert len(recorded_downloads(one)) == 2
