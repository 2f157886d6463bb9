"""Series of earlier versions of IDC: looked up, counted on the server, and downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support.s3server import Objects, S3Server

from idc_widgets import DownloadError, IDCClient, InvalidQueryError
from idc_widgets.download import DownloadJob, DownloadPlan, list_series, record
from idc_widgets.selection.prior_versions import prior_series


@pytest.fixture(scope="module")
def versions(client: IDCClient) -> pd.DataFrame:
    """Return the rows of a small series with three earlier versions, oldest first."""
    return client.sql(
        "SELECT * FROM prior_versions_index WHERE SeriesInstanceUID = (SELECT SeriesInstanceUID"
        " FROM prior_versions_index GROUP BY 1 HAVING count(*) = 3 AND max(series_size_MB) < 1"
        " ORDER BY 1 LIMIT 1)"
        " ORDER BY max_idc_version"
    )


def objects(url: str, sizes: list[int]) -> Objects:
    """Return objects of these sizes below the address of a series."""
    bucket, prefix = url.removeprefix("s3://").removesuffix("/*").split("/")
    names = (f"{number:08}-0000-0000-0000-000000000000.dcm" for number in range(len(sizes)))
    return {(bucket, f"{prefix}/{name}"): size for name, size in zip(names, sizes, strict=True)}


def parts(size_MB: float, count: int) -> list[int]:
    """Return the sizes in bytes of `count` files. Only one or two of the files have data."""
    total = round(size_MB * 1e6) + 3
    return [total // 2, total - total // 2, 0] if count == 3 else [total, *[0] * (count - 1)]


def test_the_last_version_is_counted_and_downloaded(
    client: IDCClient, server: S3Server, versions: pd.DataFrame, tmp_path: Path
) -> None:
    uid, last = versions.SeriesInstanceUID[0], versions.series_aws_url[2]
    sizes = versions.series_size_MB
    server.objects = objects(last, parts(sizes[2], 3))
    server.objects |= objects(versions.series_aws_url[0], parts(sizes[0], 1))
    for name in ("notes.txt", "below/a.dcm"):  # not files of the series
        server.objects[last.split("/")[2], f"{last.split('/')[3]}/{name}"] = 5
    rows = prior_series(client.engine, [uid], endpoint_url=server.url)
    [row] = rows.to_pylist()
    assert row["series_aws_url"] == last
    assert row["instanceCount"] == 3
    assert round(row["series_size_MB"] * 1e6) == round(sizes[2] * 1e6) + 3, "exact"
    for column in ("collection_id", "PatientID", "StudyInstanceUID", "Modality"):
        assert row[column] == versions[column][2]
    plan = DownloadPlan.make(rows, tmp_path / "data", endpoint_url=server.url)
    job = DownloadJob(plan)
    assert job.wait() == "complete" and len(job.paths[uid]) == 3

    first = int(versions.min_idc_version[0])
    rows = prior_series(client.engine, [uid], version=first, endpoint_url=server.url)
    assert rows.column("instanceCount").to_pylist() == [1]


def test_300_series_at_once(client: IDCClient, server: S3Server) -> None:
    series = client.sql(
        "SELECT SeriesInstanceUID AS uid, series_aws_url AS url, series_size_MB AS size"
        " FROM prior_versions_index"
        " QUALIFY count(*) OVER (PARTITION BY SeriesInstanceUID) = 1 LIMIT 300"
    )
    for number, (url, size) in enumerate(zip(series.url, series["size"], strict=True)):
        # The first series has more files than one page of a listing.
        server.objects |= objects(url, parts(size, number % 3 + 1 if number else 1500))
    rows = prior_series(client.engine, series.uid, endpoint_url=server.url).to_pylist()
    counts = {row["SeriesInstanceUID"]: row["instanceCount"] for row in rows}
    expected = {uid: number % 3 + 1 for number, uid in enumerate(series.uid)}
    assert counts == expected | {series.uid[0]: 1500}
    assert prior_series(client.engine, [], endpoint_url=server.url).num_rows == 0


def test_plan_prior_of_a_client(server: S3Server, versions: pd.DataFrame, tmp_path: Path) -> None:
    client = IDCClient(endpoint_url=server.url)
    uid, sizes = versions.SeriesInstanceUID[0], versions.series_size_MB
    for number in (0, 2):
        server.objects |= objects(versions.series_aws_url[number], parts(sizes[number], 3))
    plan = client.plan_prior(uid, tmp_path / "last")
    [series] = plan.series
    assert series.prefix == versions.crdc_series_uuid[2]
    assert series.folder == plan.folder.joinpath(
        versions.collection_id[2],
        versions.PatientID[2],
        versions.StudyInstanceUID[2],
        f"{versions.Modality[2]}_{uid}",
    )
    assert "the license of 1 series is not known" in str(plan.preview())
    assert not plan.folder.exists(), "nothing is written before the start"
    job = DownloadJob(plan)
    assert job.wait() == "complete" and len(job.paths[uid]) == 3
    [entry] = json.loads((plan.folder / record.FILE_NAME).read_bytes())["downloads"]
    assert "IDC before the last change" in entry["data_version"]
    assert entry["licenses"] == [] and entry["source_DOIs"] == {}

    first = int(versions.min_idc_version[0])
    plan = client.plan_prior([uid], tmp_path, version=first, template="%crdc_series_uuid")
    assert [series.folder.name for series in plan.series] == [versions.crdc_series_uuid[0]]
    assert f"IDC v{first} " in str(plan.provenance.data_version)


def test_a_study_stands_for_all_its_prior_series(
    client: IDCClient, server: S3Server, tmp_path: Path
) -> None:
    """Check that plan_prior accepts the UIDs that `find_uids` returns."""
    series = client.sql(
        "SELECT DISTINCT ON (SeriesInstanceUID) * FROM prior_versions_index"
        " WHERE StudyInstanceUID = (SELECT StudyInstanceUID FROM prior_versions_index"
        " WHERE StudyInstanceUID NOT IN (SELECT StudyInstanceUID FROM index) GROUP BY 1"
        " HAVING count(DISTINCT SeriesInstanceUID) = 3 ORDER BY 1 LIMIT 1)"
        " ORDER BY SeriesInstanceUID, max_idc_version DESC"
    )
    for url, size in zip(series.series_aws_url, series.series_size_MB, strict=True):
        server.objects |= objects(url, parts(size, 2))
    prior = client.find_uids(series.StudyInstanceUID[0]).prior
    plan = client.plan_prior(prior, tmp_path, endpoint_url=server.url)
    assert {planned.SeriesInstanceUID for planned in plan.series} == set(series.SeriesInstanceUID)


def test_the_copy_at_google(client: IDCClient, server: S3Server, tmp_path: Path) -> None:
    """Check the names of Google's buckets; the table has the old name public-datasets-idc."""
    series = client.sql(
        "SELECT DISTINCT ON (gcs_bucket) * FROM (SELECT * FROM prior_versions_index"
        " QUALIFY count(*) OVER (PARTITION BY SeriesInstanceUID) = 1) WHERE series_size_MB < 1"
        " ORDER BY gcs_bucket, series_aws_url"
    )
    assert list(series.gcs_bucket) == ["idc-open-data", "idc-open-idc1", "public-datasets-idc"]
    for url, size in zip(series.series_aws_url, series.series_size_MB, strict=True):
        google = url.replace("idc-open-data-two", "idc-open-idc1")
        server.objects |= objects(google, parts(size, 2))
    client = IDCClient(endpoint_url=server.url)
    plan = client.plan_prior(series.SeriesInstanceUID, tmp_path / "data", source="gcs")
    assert sorted(planned.bucket for planned in plan.series) == [
        *("idc-open-data", "idc-open-data", "idc-open-idc1")
    ]
    assert DownloadJob(plan).wait() == "complete"
    with pytest.raises(DownloadError, match="the bucket 'bucket' has no known copy at Google"):
        list_series(["s3://bucket/a/*"], server.url, source="gcs")


def test_unknown_series_and_failed_listings_are_reported(
    client: IDCClient, server: S3Server, versions: pd.DataFrame
) -> None:
    uid, engine = versions.SeriesInstanceUID[0], client.engine
    with pytest.raises(InvalidQueryError, match=r"no series or study '1\.2\.3'.*earlier.*1 more"):
        prior_series(engine, ["1.2.4", uid, "1.2.3"], endpoint_url=server.url)
    with pytest.raises(InvalidQueryError, match="of version 999 of IDC"):
        prior_series(engine, [uid], version=999, endpoint_url=server.url)
    with pytest.raises(DownloadError, match=r"not on the server"):
        prior_series(engine, [uid], endpoint_url=server.url)
    size = versions.series_size_MB[2]
    server.objects = objects(versions.series_aws_url[2], parts(size + 0.02, 2))
    with pytest.raises(DownloadError, match=f"where prior_versions_index has {size:.2f} MB"):
        prior_series(engine, [uid], endpoint_url=server.url)
    server.fail = lambda _: 403
    with pytest.raises(DownloadError, match=r"cannot be listed: .* answers HTTP 403"):
        prior_series(engine, [uid], endpoint_url=server.url)
    for url in ("s3://bucket/*", "s3://bucket/a b/*", "s3://bucket/a/*\nrm s3://bucket/*"):
        with pytest.raises(DownloadError, match="is not like"):
            list_series([url], server.url)


def test_a_table_of_your_own_has_no_prior_versions(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n1,2,3,4\n")
    engine = IDCClient(path).engine
    if "prior_versions_index" in engine.tables():
        with pytest.raises(InvalidQueryError, match="has no series or study '1'"):
            prior_series(engine, ["1"])
    else:
        with pytest.raises(InvalidQueryError, match="pip install --upgrade idc-index-data"):
            prior_series(engine, ["1"])


def test_a_crdc_series_uuid_stands_for_exactly_that_version(
    client: IDCClient, server: S3Server, versions: pd.DataFrame
) -> None:
    first, last = versions.crdc_series_uuid[0], versions.crdc_series_uuid[2]
    assert first != last
    for row in (0, 2):
        server.objects |= objects(
            versions.series_aws_url[row], parts(versions.series_size_MB[row], 1)
        )
    for given in (first, [first.upper()]):
        rows = prior_series(client.engine, given, endpoint_url=server.url)
        assert rows.column("crdc_series_uuid").to_pylist() == [first]
    rows = prior_series(client.engine, [first, last], endpoint_url=server.url)
    assert sorted(rows.column("crdc_series_uuid").to_pylist()) == sorted([first, last])
    with pytest.raises(InvalidQueryError, match="has no series or study '12345678-"):
        prior_series(client.engine, "12345678-1234-1234-1234-123456789abc")
