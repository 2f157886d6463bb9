"""PlannedSeries in the flat form: a series has a folder of its own until its files are moved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import file_name, index_row, small
from support.s3server import S3Server, content, series_objects

from idc_widgets.download import (
    DownloadJob,
    DownloadPlan,
    PlannedSeries,
    disk,
    folder_lock,
    record,
    s5cmd,
)
from idc_widgets.errors import DownloadError

Plan = Callable[..., DownloadPlan]


@pytest.fixture
def plan(server: S3Server, tmp_path: Path) -> Plan:
    """Return a function that plans rows in the flat form and serves their objects."""

    def make(*rows: dict[str, Any]) -> DownloadPlan:
        server.objects |= series_objects(rows)
        return DownloadPlan.make(
            pa.Table.from_pylist(list(rows)),
            tmp_path / "data",
            template="flat",
            endpoint_url=server.url,
        )

    return make


def place(plan: DownloadPlan, server: S3Server, *, final: int, staged: int) -> PlannedSeries:
    """Put the first files of the first series into the final folder, and stage the next ones."""
    series = plan.series[0]
    keys = sorted(key for _, key in server.objects if key.startswith(series.prefix))
    for number, key in enumerate(keys[: final + staged]):
        name = key.rpartition("/")[2]
        path = series.folder / name
        if number < final:
            path = plan.folder / f"{series.prefix}_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(content(key, server.objects[series.bucket, key])))
    return series


def assert_final(plan: DownloadPlan, server: S3Server, *others: str) -> None:
    """Assert that the folder has all files of the server, byte by byte, `others`, and no more."""
    expected = {key.replace("/", "_"): (bucket, key) for bucket, key in server.objects}
    on_disk = set(os.listdir(plan.folder)) - {record.FILE_NAME}
    assert sorted(on_disk) == sorted([*expected, *others])
    for name, (bucket, key) in expected.items():
        whole = b"".join(content(key, server.objects[bucket, key]))
        assert (plan.folder / name).read_bytes() == whole


def test_files_of_all_series_in_one_folder(server: S3Server, plan: Plan) -> None:
    many = plan(*(small(i, instanceCount=3) for i in range(1, 40)))
    job = DownloadJob(many)
    assert job.wait() == "complete", job.failed
    assert_final(many, server)
    first = many.series[0]
    assert job.paths["1.2.1"] == sorted(many.folder.glob(f"{first.prefix}_*.dcm"))
    assert job.paths == many.complete() and sum(map(len, job.paths.values())) == 39 * 3
    assert set(many.table()["on_disk"]) == {"complete"} and set(many.table()["folder"]) == {"."}

    server.requests.clear()
    again = DownloadJob(many)
    assert again.wait() == "complete" and again.paths == job.paths
    assert server.requests == [], "complete series are found in the final folder"


def test_one_name_in_two_series(server: S3Server, plan: Plan) -> None:
    two = plan(small(1, instanceCount=1), small(2, instanceCount=1))
    server.objects = {
        ("bucket", f"{series.prefix}/{file_name(1)}"): bytes([number]) * series.size_bytes
        for number, series in enumerate(two.series)
    }
    assert DownloadJob(two).wait() == "complete"
    assert_final(two, server)


def test_an_incomplete_series_stays_out_of_the_folder(server: S3Server, plan: Plan) -> None:
    two = plan(small(1), small(2))
    bad = max(key for _, key in server.objects)
    server.fail = lambda request: 404 if request.key == bad else None
    job = DownloadJob(two)
    assert job.wait() == "incomplete" and list(job.paths) == ["1.2.1"]
    assert "9 of 10 files arrived" in job.failed["1.2.2"]
    final = [name for name in os.listdir(two.folder) if name.endswith(".dcm")]
    assert len(final) == 10 and all(name.startswith(two.series[0].prefix) for name in final)
    assert list(two.table()["on_disk"]) == ["complete", "partly"]
    server.fail = lambda request: None
    server.requests.clear()
    assert job.retry().wait() == "complete"
    assert server.keys("GET") == [bad]
    assert_final(two, server)


@pytest.mark.parametrize(("final", "staged"), [(4, 6), (0, 10), (9, 1), (10, 0)])
def test_an_interrupted_move_is_completed(
    server: S3Server, plan: Plan, final: int, staged: int
) -> None:
    one = plan(small())
    series = place(one, server, final=final, staged=staged)
    [(_, files)] = one.survey()
    assert series.is_complete(files), "a series that was moved in part is complete"
    assert sorted(files) == one.complete()["1.2.1"]
    paths = series.finalize()
    assert paths == series.finalize() == one.complete()["1.2.1"]
    assert_final(one, server)

    again = plan(small())
    assert DownloadJob(again).wait() == "complete" and server.requests == []


def test_a_job_completes_the_move_of_another(server: S3Server, plan: Plan) -> None:
    one = plan(small())
    place(one, server, final=3, staged=7)
    job = DownloadJob(one)
    assert job.wait() == "complete" and server.requests == []
    assert_final(one, server)
    assert job.paths == one.complete()


def test_an_unexpected_error_leaves_no_complete_series_staged(
    server: S3Server, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = plan(small(1), small(2))
    place(two, server, final=3, staged=7)
    monkeypatch.setattr(s5cmd, "Process", lambda *_, **__: 1 / 0)
    job = DownloadJob(two)
    assert job.wait() == "failed" and list(job.failed) == ["1.2.2"]
    assert job.paths == {"1.2.1": sorted(two.folder.glob(f"{two.series[0].prefix}_*.dcm"))}
    assert len(job.paths["1.2.1"]) == 10 and not (two.folder / folder_lock.WORK_FOLDER).exists()


def test_the_files_of_another_job_are_not_moved(server: S3Server, plan: Plan) -> None:
    two = plan(small(1), small(2, instanceCount=1, series_size_MB=30.0))
    series = place(two, server, final=3, staged=7)
    lock = folder_lock.FolderLock(two)
    job = DownloadJob(two)
    assert job.wait() == "failed" and job.paths == {}, "they are not in the final folder"
    assert len(os.listdir(series.folder)) == 7
    lock.release()
    series.finalize()
    lock = folder_lock.FolderLock(two)
    assert job.retry().wait() == "failed" and list(job.paths) == ["1.2.1"]
    lock.release()


def test_files_in_the_final_folder_are_not_fetched_again(server: S3Server, plan: Plan) -> None:
    one = plan(small())
    series = place(one, server, final=5, staged=3)
    missing = sorted(key for _, key in server.objects)[8:]
    truncated = one.folder / f"{series.prefix}_{sorted(server.objects)[0][1].rpartition('/')[2]}"
    os.truncate(truncated, 10)
    server.requests.clear()
    assert DownloadJob(one).wait() == "complete"
    assert sorted(server.keys("GET")) == sorted([sorted(server.objects)[0][1], *missing])
    truncated.with_name(f"{truncated.name}.changed-1").unlink()
    assert_final(one, server)


def test_the_newer_of_two_files_counts(server: S3Server, plan: Plan) -> None:
    one = plan(small())
    series = place(one, server, final=0, staged=10)
    name = sorted(server.objects)[0][1].replace("/", "_")
    (one.folder / name).write_bytes(b"truncated, from before")
    assert series.is_complete(series.files())
    series.finalize()
    assert_final(one, server)


def test_an_incomplete_series_is_not_moved(server: S3Server, plan: Plan) -> None:
    series = place(plan(small()), server, final=0, staged=9)
    there = sorted(series.folder.iterdir())
    assert series.finalize() == there == sorted(series.folder.iterdir())


def test_other_files_are_not_touched(server: S3Server, plan: Plan) -> None:
    one = plan(small())
    series = place(one, server, final=2, staged=8)
    others = {
        one.folder / "mine.dcm": "a file of somebody",
        one.folder / "a_1.dcm": "like one of ours",
        one.folder / f"{series.prefix}_notes.txt": "beside",
        series.folder / "notes.txt": "where files arrive",
        series.folder.parent / "other" / file_name(1): "of another series",
    }
    for path, text in others.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert len(series.finalize()) == 10
    assert {path: path.read_text() for path in others} == others
    assert one.complete()["1.2.1"] == series.finalize()
    (series.folder / "notes.txt").unlink()
    shutil.rmtree(series.folder.parent / "other")
    series.finalize()
    assert not (one.folder / ".idc_widgets").exists(), "emptied folders are removed"


def test_a_file_that_cannot_be_moved(server: S3Server, plan: Plan) -> None:
    one = plan(small())
    name = sorted(server.objects)[3][1].replace("/", "_")
    (one.folder / name / "in the way").mkdir(parents=True)
    job = DownloadJob(one)
    assert job.wait() == "incomplete" and job.paths == {}
    assert "are complete in" in job.failed["1.2.1"] and "cannot be moved" in job.failed["1.2.1"]
    shutil.rmtree(one.folder / name)
    server.requests.clear()
    assert job.retry().wait() == "complete" and server.requests == []
    assert_final(one, server)


def test_the_final_folder_is_listed_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    many = plan(*(small(i) for i in range(1, 30)))
    listed: list[Path] = []
    list_folder = disk._files

    def spy(folder: Path) -> Iterator[tuple[str, int]]:
        listed.append(folder)
        return list_folder(folder)

    monkeypatch.setattr(disk, "_files", spy)
    assert len(list(many.survey())) == 29
    assert listed.count(many.folder) == 1 and len(listed) == 30


@pytest.mark.parametrize(
    ("prefix", "tag"),
    [("..", "-"), ("con", "-con"), ("A_b", "A-b"), ("a.", "a"), ("..a..", "a"), ("-", "-")],
)
def test_prefixes_that_are_not_legal_names(tmp_path: Path, prefix: str, tag: str) -> None:
    rows = pa.Table.from_pylist([small(series_aws_url=f"s3://bucket/{prefix}/*")])
    [series] = DownloadPlan.make(rows, tmp_path, template="flat").series
    assert series.prefix == prefix
    assert series.folder == tmp_path / ".idc_widgets" / tag and series.final_folder == tmp_path
    series.folder.mkdir(parents=True)
    for number in range(10):
        (series.folder / file_name(number)).write_bytes(b"x" * (10_001 if number else 9_992))
    assert series.finalize()[0] == tmp_path / f"{tag}_{file_name(0)}"
    assert series.is_complete(series.files())


def test_prefixes_that_would_collide(tmp_path: Path) -> None:
    rows = [small(i, series_aws_url=f"s3://bucket/{p}/*") for i, p in enumerate(["a_b", "A-b"])]
    with pytest.raises(DownloadError, match="template '%SeriesInstanceUID'"):
        DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path, template="flat")


def test_finalize_keeps_files_in_the_folder_of_their_series(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([index_row(instanceCount=2, series_size_MB=6e-6)])
    [series] = DownloadPlan.make(rows, tmp_path, template="x").series
    assert series.finalize() == [] and series.files() == {}
    series.folder.mkdir()
    for name in (file_name(2), file_name(1)):
        (series.folder / name).write_bytes(b"123")
    assert series.finalize() == [series.folder / file_name(1), series.folder / file_name(2)]
    assert series.is_complete(series.files())
