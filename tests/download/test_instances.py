"""Downloads of single instances of slides, alone and beside other files of their series."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.downloads import small, until
from support.fileserver import FileServer
from support.s3server import Objects, S3Server, content, series_objects

from idc_widgets import DownloadError, IDCClient, Index, InvalidQueryError, Selection
from idc_widgets.download import DownloadJob, DownloadPlan, PlannedSeries, disk, record, s5cmd
from idc_widgets.download.progress import ProgressTracker, TrackedSeries

TABLE = "sm_instance_index"
#: The ImageType of the first three files of a slide. All further files are VOLUME, too.
KINDS = ["THUMBNAIL", "LABEL", "VOLUME"]
THUMBNAILS = f"SELECT SOPInstanceUID FROM {TABLE} WHERE list_contains(ImageType, 'THUMBNAIL')"

Row = dict[str, Any]


def schema() -> pa.Schema:
    """Return the schema of the table, as idc-index-data has it."""
    types: dict[str, Any] = {"STRING": pa.string(), "INTEGER": pa.int64(), "FLOAT": pa.float64()}
    text = resources("idc_index_data").joinpath(f"{TABLE}_schema.json").read_text()
    return pa.schema(
        (
            column["name"],
            pa.list_(types[column["type"]])
            if column["mode"] == "REPEATED"
            else types[column["type"]],
        )
        for column in json.loads(text)["columns"]
    )


def write(rows: list[Row], target: Any) -> None:
    """Write the table sm_instance_index to a path or a stream."""
    pq.write_table(pa.Table.from_pylist(rows, schema=schema()), target)


def of_slide(slide: Mapping[str, Any]) -> list[Row]:
    """Return a row per instance of a slide: the thumbnail, an empty label, and the levels."""
    uid, count, total = slide["SeriesInstanceUID"], slide["instanceCount"], slide["series_size_MB"]
    sizes = [12_345, 0, *[1_000_000] * (count - 3)]
    sizes.append(round(total * 1e6) - sum(sizes))
    return [
        {
            "SOPInstanceUID": f"{uid}.{i}",
            "SeriesInstanceUID": uid,
            "ImageType": ["ORIGINAL", "PRIMARY", KINDS[min(i, 2)], "NONE"],
            "instance_size": size,
            "crdc_instance_uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}.{i}")),
        }
        for i, size in enumerate(sizes)
    ]


@pytest.fixture(scope="module")
def slides(client: IDCClient) -> list[Row]:
    """Return the index rows of four small slides. The last is not in `selection`."""
    rows: list[Row] = client.engine.query(
        "SELECT * FROM index WHERE Modality = 'SM' AND instanceCount BETWEEN 4 AND 8"
        " ORDER BY series_size_MB, SeriesInstanceUID LIMIT 4"
    ).to_pylist()
    return rows


@pytest.fixture(scope="module")
def instances(slides: list[Row]) -> list[Row]:
    return [row for slide in slides for row in of_slide(slide)]


@pytest.fixture(scope="module")
def own(slides: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table with only these rows, which is quicker to query than the whole index."""
    path = tmp_path_factory.mktemp("own") / "slides.parquet"
    pq.write_table(pa.Table.from_pylist(slides), path)
    return path


@pytest.fixture(scope="module")
def fetched(instances: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Iterator[IDCClient]:
    """Return a client that fetched sm_instance_index. Other clients find the table on disk."""
    sink = pa.BufferOutputStream()
    write(instances, sink)
    body = sink.getvalue().to_pybytes()
    sums = f"{hashlib.sha256(body).hexdigest()}  {TABLE}.parquet\n".encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("NO_PROXY", "*")
        files = {f"{TABLE}.parquet": body, f"{TABLE}.parquet.sha256": sums}
        with FileServer(files) as server:
            client = IDCClient(mirrors=[f"{server.url}/{{name}}.parquet"])
            client.fetch_table(TABLE, progress=False)
        yield client


@pytest.fixture(scope="module")
def selection(fetched: IDCClient, own: Path, slides: list[Row]) -> Selection:
    """Return all slides except the last. `fetched` has put the table of their instances on disk."""
    return (
        IDCClient(own)
        .cohort(SeriesInstanceUID=[slide["SeriesInstanceUID"] for slide in slides[:3]])
        .select()
    )


@pytest.fixture
def server(slides: list[Row], instances: list[Row]) -> Iterator[S3Server]:
    """Return a server with all files of these slides."""
    with S3Server(objects(slides, instances)) as s3:
        yield s3


def objects(slides: list[Row], instances: list[Row]) -> Objects:
    """Return the size in bytes per (bucket, key) of all files of these slides."""
    places = {row["SeriesInstanceUID"]: row["series_aws_url"].split("/")[2:4] for row in slides}
    sizes: Objects = {}
    for row in instances:
        bucket, prefix = places[row["SeriesInstanceUID"]]
        sizes[bucket, f"{prefix}/{row['crdc_instance_uuid']}.dcm"] = row["instance_size"]
    return sizes


def uid(slide: Row, number: int) -> str:
    """Return the SOPInstanceUID that `of_slide` gives to an instance of a slide."""
    return f"{slide['SeriesInstanceUID']}.{number}"


def on_disk(plan: DownloadPlan) -> dict[str, bytes]:
    """Return object key → content, for all files below the folder except the record."""
    contents = {}
    prefixes = {series.folder: series.prefix for series in plan.series}
    for path in plan.folder.rglob("*"):
        if path.is_file() and path.name != record.FILE_NAME:
            flat = path.parent == plan.folder
            name = path.name.replace("_", "/") if flat else f"{prefixes[path.parent]}/{path.name}"
            contents[name] = path.read_bytes()
    return contents


def on_server(server: S3Server, *keys: str) -> dict[str, bytes]:
    """Return key → content, for the objects with these keys, or for all objects."""
    return {
        key: b"".join(content(key, value))
        for (_, key), value in server.objects.items()
        if key in keys or not keys
    }


def planned(server: S3Server, folder: Path, only: Any, *rows: Row) -> DownloadPlan:
    """Put the objects of some rows on the server, and return the plan of the rows."""
    server.objects |= series_objects(rows)
    return DownloadPlan.make(
        pa.Table.from_pylist(list(rows)),
        folder,
        template="%SeriesInstanceUID",
        endpoint_url=server.url,
        only=only,
    )


# --- downloads ------------------------------------------------------------------------------


def test_a_download_of_thumbnails_fetches_nothing_else(
    fetched: IDCClient, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    selection = fetched.cohort(
        SeriesInstanceUID=[slide["SeriesInstanceUID"] for slide in slides[:3]]
    ).select()
    folder = tmp_path / "my “slides” #1 – 100% it's"
    thumbnails = fetched.sql(THUMBNAILS).SOPInstanceUID
    assert len(thumbnails) == 4
    chosen = [sop for sop in thumbnails if not sop.startswith(slides[3]["SeriesInstanceUID"])]
    plan = selection.plan(folder, endpoint_url=server.url, instances=chosen)
    assert (plan.files, plan.size_bytes, len(plan.series)) == (3, 3 * 12_345, 3)
    assert "3 series, 3 files, 37.0 kB, into" in str(plan.preview())
    assert plan.preview().files_to_fetch == 3 and plan.preview().bytes_to_fetch == 37_035
    table = plan.table()
    assert list(table.files) == [1] * 3 and set(table.on_disk) == {"none"}
    assert list(table.size_MB) == [0.012345] * 3

    job = selection.download(folder, endpoint_url=server.url, instances=chosen)
    assert job.wait() == "complete", job.failed
    wanted = [key for (_, key), size in server.objects.items() if size == 12_345]
    wanted = [key for key in wanted if slides[3]["crdc_series_uuid"] not in key]
    assert len(wanted) == 3
    assert on_disk(plan) == on_server(server, *wanted)
    assert sorted(server.keys("GET")) == sorted(server.keys("HEAD")) == sorted(wanted)
    assert len(server.requests) == 6, "nothing is listed"
    assert job.paths == {
        series.SeriesInstanceUID: [series.folder / key.rpartition("/")[2]]
        for series in plan.series
        for key in wanted
        if key.startswith(series.prefix)
    }
    assert list(job.report.state) == ["complete"] * 3
    assert list(job.report.files) == list(job.report.files_expected) == [1] * 3
    assert set(plan.table().on_disk) == {"complete"}
    assert "everything is on disk already" in str(plan.preview())
    whole = selection.plan(folder, endpoint_url=server.url)
    assert set(whole.table().on_disk) == {"partly"}

    server.requests.clear()
    again = selection.download(folder, endpoint_url=server.url, instances=chosen)
    assert again.wait() == "complete" and again.paths == job.paths
    assert server.requests == [], "complete files cost no request"


def test_instances_can_be_a_uid_a_list_or_a_table(selection: Selection, slides: list[Row]) -> None:
    sop = uid(slides[0], 2)
    frame = pd.DataFrame({"SOPInstanceUID": [sop, sop], "other": [1, 2]})
    for given in (sop, [sop], (sop, sop), {sop}, iter([sop]), frame, frame.SOPInstanceUID):
        plan = selection.plan("data", check_disk=False, instances=given)
        assert plan.files == 1 and plan.size_bytes == 1_000_000
        assert [series.SeriesInstanceUID for series in plan.series] == [
            slides[0]["SeriesInstanceUID"]
        ]


@pytest.mark.parametrize("template", ["short", "flat"])
def test_thumbnails_then_levels_then_whole_series(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path, template: str
) -> None:
    def download(*numbers: int) -> DownloadJob:
        server.requests.clear()
        chosen = [uid(slide, number) for slide in slides[:2] for number in numbers]
        third = IDCClient(engine=selection.cohort.engine).cohort(
            SeriesInstanceUID=slides[2]["SeriesInstanceUID"]
        )
        two = selection - third.select()
        job = two.download(
            tmp_path / "data",
            template=template,
            endpoint_url=server.url,
            instances=chosen if numbers else None,
        )
        assert job.wait() == "complete", job.failed
        assert len(server.keys("GET")) == len(set(server.keys("GET"))), "no object is fetched twice"
        assert not disk.unfinished_files(job.plan.series[0].folder)
        assert job.series_done == 2 and list(job.report.state) == ["complete"] * 2
        return job

    server.objects = {
        place: size
        for place, size in server.objects.items()
        if place[1].startswith((slides[0]["crdc_series_uuid"], slides[1]["crdc_series_uuid"]))
    }
    first = download(0)
    assert server.count("GET") == 2
    second = download(0, 2)
    assert server.count("GET") == 2, "the thumbnails exist already"
    assert [len(paths) for paths in second.paths.values()] == [2, 2]
    assert all(first.paths[series][0] in paths for series, paths in second.paths.items())
    whole = download()
    assert server.count("GET") == len(server.objects) - 4
    assert on_disk(whole.plan) == on_server(server)
    assert download(1).paths.keys() == whole.paths.keys() and server.requests == []
    assert download(0, 2).paths == second.paths and server.requests == [], "all files exist already"
    assert first.plan.complete() == first.paths
    counts = [len(entry["series"]) for entry in records(tmp_path / "data")]
    assert counts == [2, 2, 2, 2], "one entry per call of download with other instances"


@pytest.mark.parametrize("template", ["short", "flat"])
def test_retry_fetches_only_missing_and_broken_files(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path, template: str
) -> None:
    chosen = [uid(slides[0], number) for number in (0, 2, 3)]
    named = {"template": template, "endpoint_url": server.url, "instances": chosen}
    job = selection.download(tmp_path / "data", **named)
    assert job.wait() == "complete"
    [(_, paths)] = job.paths.items()
    whole = {path: path.read_bytes() for path in paths}
    assert len(whole) == 3
    broken, missing, kept = paths
    # The plan has the size of each file, so it is known which file is broken.
    broken.write_bytes(whole[broken] + b"x")
    missing.unlink()
    kept_since = kept.stat().st_mtime_ns
    prefix = f"{job.plan.series[0].prefix}_" if template == "flat" else ""
    foreign = [paths[0].with_name(f"{prefix}{name}") for name in (f"{uuid.uuid4()}.dcm", "1.dcm")]
    for path in foreign:
        path.write_bytes(b"another file")
    assert list(job.plan.table().on_disk) == ["partly"]
    missing_bytes = sum(len(whole[path]) for path in (broken, missing))
    preview = job.plan.preview()
    assert (preview.files_to_fetch, preview.bytes_to_fetch) == (2, missing_bytes)
    server.requests.clear()
    assert job.retry().wait() == "complete", job.failed
    assert {path: path.read_bytes() for path in paths} == whole
    assert all(path.read_bytes().startswith(b"another") for path in foreign)
    assert kept.stat().st_mtime_ns == kept_since
    expected = [
        f"{job.plan.series[0].prefix}/{path.name.removeprefix(prefix)}" for path in paths[:2]
    ]
    assert sorted(server.keys("GET")) == sorted(expected)
    assert job.paths == {slides[0]["SeriesInstanceUID"]: paths}


def test_files_with_exchanged_sizes_are_not_complete(server: S3Server, tmp_path: Path) -> None:
    names = [place[1].partition("/")[2] for place in series_objects([small()])][:2]
    wanted = dict(zip(names, [10_000, 10_001], strict=True))
    plan = planned(server, tmp_path, {"1.2.1": wanted}, small())
    [series] = plan.series
    series.folder.mkdir(parents=True)
    for name, size in zip(names, [10_001, 10_000], strict=True):
        (series.folder / name).write_bytes(b"x" * size)
    assert (len(series.files()), sum(series.files().values())) == (
        series.instances,
        series.size_bytes,
    )
    assert not series.is_complete(series.files()) and not series.is_complete(
        series.names(series.files())
    )
    assert plan.complete() == {} and list(plan.table().on_disk) == ["partly"]
    assert list(DownloadJob(plan).report.state) == ["partly"]
    assert not TrackedSeries(series, series.names(series.files())).is_complete()
    server.objects = {(series.bucket, f"{series.prefix}/{n}"): size for n, size in wanted.items()}
    assert DownloadJob(plan).wait() == "complete"
    for name in names:
        (series.folder / f"{name}.changed-1").unlink()
    assert server.count("GET") == 2 and on_disk(plan) == on_server(server)


def test_a_cancelled_download_is_resumed_by_retry(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    server.rate_MB_s = 2
    largest = uid(slides[0], slides[0]["instanceCount"] - 1)
    chosen = [uid(slides[0], 0), largest]
    plan = selection.plan(tmp_path / "data", endpoint_url=server.url, instances=chosen)
    assert plan.size_bytes > 3e6
    job = DownloadJob(plan).start()
    until(lambda: job.progress.files_done == 1 and job.progress.bytes_done > 500_000)
    assert list(job.report.state) == ["partly"]
    job.cancel()
    assert job.wait() == "cancelled" and job.paths == {}
    assert "cancelled; 1 of 2 files arrived" in job.failed[slides[0]["SeriesInstanceUID"]]
    assert len(on_disk(plan)) == 1, "no unfinished file is left"
    server.rate_MB_s = None
    server.requests.clear()
    assert job.retry().wait() == "complete"
    assert job.progress.fraction == 1 and job.progress.files_done == 2
    [(_, size)] = [(key, server.objects[plan.series[0].bucket, key]) for key in server.keys("GET")]
    assert size == plan.size_bytes - 12_345
    assert on_disk(plan) == on_server(server, *on_disk(plan)) and len(on_disk(plan)) == 2


# --- faults of the server --------------------------------------------------------------------


def test_a_missing_object_fails_its_series_only(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    chosen = [uid(slides[0], 0), uid(slides[0], 2), uid(slides[1], 0)]
    plan = selection.plan(tmp_path / "data", endpoint_url=server.url, instances=chosen)
    slide = slides[0]["SeriesInstanceUID"]
    [broken] = [series for series in plan.series if series.SeriesInstanceUID == slide]
    assert broken.only is not None
    missing = next(name for name, size in broken.only.items() if size == 12_345)
    place = broken.bucket, f"{broken.prefix}/{missing}"
    size = server.objects.pop(place)
    job = DownloadJob(plan)
    assert job.wait() == "incomplete"
    assert list(job.failed) == [slide] and len(job.paths) == 1
    assert "not on the server" in job.failed[slide]
    assert "1 of 2 files arrived, 1.0 MB of 1.0 MB" not in job.failed[slide]
    assert "1 of 2 files arrived, 1,000,000 of 1,012,345 bytes" in job.failed[slide]
    assert any(missing in line for line in job.log)
    assert server.count("GET", place[1]) == 1, "a permanent error is not retried"
    row = job.report.set_index("SeriesInstanceUID").loc[slide]
    assert (row.state, row.files, row.files_expected) == ("failed", 1, 2)
    server.objects[place] = size
    server.requests.clear()
    assert job.retry().wait() == "complete" and server.keys("GET") == [place[1]]


def test_files_of_an_earlier_download_stay_after_a_failure(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    def download(*numbers: int) -> DownloadJob:
        chosen = [uid(slides[0], number) for number in numbers]
        job = selection.download(
            tmp_path, template="flat", endpoint_url=server.url, instances=chosen
        )
        job.wait()
        return job

    [thumbnail] = download(0).paths.values()
    assert thumbnail[0].parent == tmp_path
    server.fail = lambda _: 404
    both = download(0, 2)
    assert both.state == "incomplete" and list(both.report.files) == [1]
    assert thumbnail[0].exists(), "an earlier download reported it as complete"
    server.fail = lambda _: None
    assert both.retry().wait() == "complete"
    assert thumbnail[0] in both.paths[slides[0]["SeriesInstanceUID"]]


def test_a_transient_error_is_retried(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    busy: list[str] = []

    def fail(request: Any) -> int | None:
        busy.append(request.key)
        return 503 if len(busy) <= 4 else None

    server.fail = fail
    plan = selection.plan(tmp_path, endpoint_url=server.url, instances=uid(slides[0], 0))
    job = DownloadJob(plan, backoff=0.05)
    assert job.wait() == "complete", job.failed
    assert any("again in" in line for line in job.log)


def test_an_object_with_another_size_than_in_the_table_is_not_complete(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    plan = selection.plan(tmp_path, endpoint_url=server.url, instances=uid(slides[0], 0))
    [series] = plan.series
    assert series.only is not None
    server.objects[series.bucket, f"{series.prefix}/{next(iter(series.only))}"] = 12_344
    job = DownloadJob(plan)
    assert job.wait() == "incomplete" and job.paths == {}
    assert "1 of 1 file arrived, 12,344 of 12,345 bytes" in job.failed[series.SeriesInstanceUID]
    assert list(job.report.state) == ["partly"]
    assert server.count("GET") == 1


def test_a_series_with_all_files_reported_is_not_pending(server: S3Server, tmp_path: Path) -> None:
    """Only the first series in `pending` are polled, so a finished series must leave `pending`."""
    row = small()
    names = [place[1].partition("/")[2] for place in series_objects([row])][:2]
    plan = planned(server, tmp_path, {"1.2.1": dict.fromkeys(names, 10_000)}, row)
    tracker = ProgressTracker(plan)
    [series] = plan.series
    tracked = tracker.add(series, {})
    url = f"s3://{series.bucket}/{series.prefix}"
    tracker.update(s5cmd.Problem("NoSuchKey: no status code: 404", f"{url}/{names[0]}"))
    assert list(tracker.pending) == [f"{series.bucket}/{series.prefix}"]
    tracker.update(s5cmd.FileDone(f"{url}/{names[1]}", "", 10_000))
    assert tracker.pending == {} and not tracked.is_complete()
    why, is_temporary = tracker.failures(None)["1.2.1"]
    assert why.startswith("not on the server") and not is_temporary


def test_verify_dicom_reads_only_the_chosen_instances(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    pytest.importorskip("pydicom")
    job = selection.download(
        tmp_path, endpoint_url=server.url, instances=uid(slides[0], 0), verify="dicom"
    )
    assert job.wait() == "incomplete"
    [reason] = job.failed.values()
    assert "is not a DICOM file" in reason, "the files of the server are random bytes"
    assert len(list(tmp_path.rglob("*.dcm"))) == 1


# --- the record -----------------------------------------------------------------------------


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of the record in a folder."""
    entries: list[dict[str, Any]] = json.loads((folder / record.FILE_NAME).read_text())["downloads"]
    return entries


def test_the_record_lists_the_instances(
    selection: Selection, server: S3Server, slides: list[Row], tmp_path: Path
) -> None:
    slide, chosen = slides[0]["SeriesInstanceUID"], [uid(slides[0], 0), uid(slides[0], 1)]
    job = selection.download(tmp_path, endpoint_url=server.url, instances=chosen)
    assert job.wait() == "complete"
    [entry] = records(tmp_path)
    assert entry["series_columns"] == ["state", "files", "bytes", "reason", "instances"]
    state, count, size, reason, instances = entry["series"][slide]
    assert (state, count, size, reason) == ("complete", 2, 12_345, None)
    assert {path.name for path in job.paths[slide]} == set(instances)
    assert sorted(instances.values()) == chosen
    assert entry["files_expected"] == 2 and entry["bytes_expected"] == 12_345
    namespace: dict[str, Any] = {}
    exec(entry["code"], namespace)
    assert namespace["selection"] == selection and sorted(namespace["instances"]) == chosen
    loaded = IDCClient(engine=selection.cohort.engine).load(tmp_path)
    assert loaded.uids == (slide,), "the whole series; the record has the instances"

    server.fail = lambda _: 404
    others = selection.download(tmp_path, endpoint_url=server.url, instances=uid(slides[0], 2))
    assert others.wait() == "incomplete"
    first, second = records(tmp_path)
    assert first["series"] == entry["series"] and first["id"] != second["id"]
    state, count, size, reason, instances = second["series"][slide]
    assert (state, count, size) == ("failed", 0, 0) and "not on the server" in reason
    assert list(instances.values()) == [uid(slides[0], 2)]
    server.fail = lambda _: None
    assert others.retry().wait() == "complete"
    assert [entry["state"] for entry in records(tmp_path)] == ["complete", "complete"]
    assert IDCClient(engine=selection.cohort.engine).load(tmp_path) == loaded


def test_a_plan_without_sop_instance_uids_is_recorded_by_file_names(
    server: S3Server, tmp_path: Path
) -> None:
    first, second = small(1), small(2)
    name = next(iter(series_objects([first])))[1].partition("/")[2]
    plan = planned(server, tmp_path / "data", {"1.2.1": {name: 10_000}}, first, second)
    assert DownloadJob(plan).wait() == "complete"
    [entry] = records(tmp_path / "data")
    assert entry["series"]["1.2.1"] == ["complete", 1, 10_000, None, {name: None}]
    assert entry["series"]["1.2.2"] == ["complete", 10, 100_001], "this series is whole"


# --- refused instances -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "instances is empty"),
        ("", "no SOPInstanceUID ''"),
        ([""], "no SOPInstanceUID ''"),
        (["1.2.3", "1.2.4", "1.2.3"], r"no SOPInstanceUID '1\.2\.3' \(and 1 more\)"),
        ("' OR TRUE --", "no SOPInstanceUID"),
        ("1.2.3\n", r"'1\.2\.3\\n' is not a SOPInstanceUID"),
        ("1\0", "is not a SOPInstanceUID"),
        ("\udc80", "is not a SOPInstanceUID"),
        (5, "expected SOPInstanceUIDs"),
        (b"1.2.3", "expected SOPInstanceUIDs"),
        (np.array("1.2.3"), "expected SOPInstanceUIDs"),
        ([None], r"as text, not 'None' \(NoneType\)"),
        (pd.Series(["1.2", None], dtype=object), "as text, not 'None'"),
        ([float("nan")], r"as text, not 'nan' \(float\)"),
        ([b"1.2.3"], r"\(bytes\)"),
        ([["1.2.3"]], r"\(list\)"),
        (pd.DataFrame({"SeriesInstanceUID": ["1.2"]}), "no column SOPInstanceUID"),
    ],
)
def test_values_that_are_not_instances_are_refused(
    selection: Selection, tmp_path: Path, given: Any, message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        selection.download(tmp_path / "data", instances=given)
    assert not (tmp_path / "data").exists()


def test_instances_of_other_series_are_refused(
    selection: Selection, slides: list[Row], tmp_path: Path
) -> None:
    selected, *others = uid(slides[0], 0), uid(slides[3], 1), uid(slides[3], 0)
    series = slides[3]["SeriesInstanceUID"]
    with pytest.raises(InvalidQueryError) as error:
        selection.plan(tmp_path, instances=[selected, *others])
    assert str(error.value) == (
        f"the instance {others[0]!r} is of series {series}, which is not in this selection "
        "(and 1 more)"
    )
    with pytest.raises(
        InvalidQueryError, match="it is a series: select it, and leave out instances"
    ):
        selection.plan(tmp_path, instances=series)


def test_a_missing_table_is_named_with_the_next_step(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(Modality="SM").select()
    with pytest.raises(
        InvalidQueryError, match=r"client\.fetch_table\('sm_instance_index'\) gets it"
    ):
        selection.download(tmp_path, instances="1.2.3")


Prepared = Callable[..., Selection]


@pytest.fixture
def prepared(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Return a function that writes the table and selects series (by default all slides)."""
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path / "tables"))

    def make(rows: list[Row], index: Path | None = own, **filters: Any) -> Selection:
        path = Index(own).place(TABLE)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(rows, path)
        return IDCClient(index).cohort(**filters).select()

    return make


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"crdc_instance_uuid": "../x"},
            r"'\.\./x\.dcm' of series .* is not the name of an object",
        ),
        ({"crdc_instance_uuid": "*"}, "is not the name of an object"),
        ({"crdc_instance_uuid": ""}, "is not the name of an object"),
        ({"crdc_instance_uuid": None}, "is not the name of an object"),
        ({"crdc_instance_uuid": "{uuid}\n"}, "is not the name of an object"),
        ({"crdc_instance_uuid": "{uuid}.dcm\nrm s3://b/*\n{uuid}"}, "is not the name of an object"),
        ({"crdc_instance_uuid": "x/{uuid}"}, "is not the name of an object"),
        ({"crdc_instance_uuid": "{uuid} "}, "is not the name of an object"),
        ({"instance_size": -1}, r"has no size \(-1\)"),
        ({"instance_size": None}, r"has no size \(None\)"),
        ({"instance_size": 10**18}, "not enough disk space"),
        ({"SeriesInstanceUID": None}, "is of series None, which is not in this selection"),
        ({"SeriesInstanceUID": "1.2"}, r"is of series 1\.2, which is not in this selection"),
    ],
)
def test_a_hostile_row_is_refused_and_affects_no_other(
    prepared: Prepared, instances: list[Row], tmp_path: Path, changes: Row, message: str
) -> None:
    row = dict(instances[0])
    name = row["crdc_instance_uuid"]
    row |= {
        column: value.format(uuid=name) if isinstance(value, str) else value
        for column, value in changes.items()
    }
    selection = prepared([row, instances[1]])
    with pytest.raises((DownloadError, InvalidQueryError), match=message):
        selection.download(tmp_path / "data", instances=[row["SOPInstanceUID"]])
    assert not (tmp_path / "data").exists()
    ok = selection.plan(tmp_path / "data", instances=instances[1]["SOPInstanceUID"])
    assert ok.files == 1, "the other row still works"


def test_contradicting_rows_are_refused(
    prepared: Prepared, instances: list[Row], slides: list[Row], tmp_path: Path
) -> None:
    first, second = instances[0], instances[1]
    one_file = {**second, "crdc_instance_uuid": first["crdc_instance_uuid"]}
    chosen = [first["SOPInstanceUID"], second["SOPInstanceUID"]]
    with pytest.raises(InvalidQueryError, match="twice, for the instances"):
        prepared([first, one_file]).plan(tmp_path, instances=chosen)
    resized = {**first, "instance_size": 7}
    with pytest.raises(InvalidQueryError, match="twice, for the instances"):
        prepared([first, resized]).plan(tmp_path, instances=chosen[0])
    assert prepared([first, first]).plan(tmp_path, instances=chosen[0]).files == 1
    # An instance in two series is fetched for each of them that is selected.
    copy = {**first, "SeriesInstanceUID": slides[1]["SeriesInstanceUID"]}
    both = prepared([first, copy])
    assert len(both.plan(tmp_path, instances=chosen[0]).series) == 2
    alone = prepared([first, copy], SeriesInstanceUID=slides[1]["SeriesInstanceUID"])
    [series] = alone.plan(tmp_path, instances=chosen[0]).series
    assert series.SeriesInstanceUID == slides[1]["SeriesInstanceUID"]


def test_a_hundred_thousand_instances(
    client: IDCClient, prepared: Prepared, tmp_path: Path
) -> None:
    rows = client.sql(
        "SELECT SeriesInstanceUID, instanceCount FROM index WHERE Modality = 'SM'"
        " ORDER BY 1 LIMIT 20000"
    )
    many = [
        {
            "SOPInstanceUID": f"{series}.{i}",
            "SeriesInstanceUID": series,
            "instance_size": 1,
            "crdc_instance_uuid": f"{place:08x}-0000-0000-0000-{i:012x}",
        }
        for place, series in enumerate(rows.SeriesInstanceUID)
        for i in range(6)
    ]
    selection = prepared(many, None, Modality="SM")
    chosen = [row["SOPInstanceUID"] for row in many if not row["SOPInstanceUID"].endswith(".5")]
    plan = selection.plan(tmp_path / "data", instances=chosen)
    assert (len(plan.series), plan.files, plan.size_bytes) == (20_000, 100_000, 100_000)
    assert plan.provenance.code is None, "a long list is recorded once"


NAME = "00000000-0000-0000-0000-000000000000.dcm"


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"1.2.9": {NAME: 1}}, r"series 1\.2\.9 is in `only`, but has no row"),
        ({"1.2.1": {}}, r"no object of series 1\.2\.1 is wanted"),
        ({"1.2.1": {"x.dcm": 1}}, "'x.dcm' of series .* is not the name of an object"),
        ({"1.2.1": {f"../{NAME}": 1}}, "is not the name of an object"),
        ({"1.2.1": {f"{NAME}\n": 1}}, "is not the name of an object"),
        ({"1.2.1": {NAME: -1}}, "has no size"),
        ({"1.2.1": {NAME: 1.5}}, "has no size"),
    ],
)
def test_plans_with_wrong_objects_are_refused(
    server: S3Server, tmp_path: Path, only: Any, message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        planned(server, tmp_path, only, small())


def test_plans_of_the_same_objects_are_equal(server: S3Server, tmp_path: Path) -> None:
    first, second = (planned(server, tmp_path, {"1.2.1": {NAME: 1}}, small()) for _ in range(2))
    whole = planned(server, tmp_path, None, small())
    assert first == second and hash(first.series) == hash(second.series) and first != whole
    assert isinstance(first.series[0], PlannedSeries) and whole.series[0].only is None
