"""Servers, buckets and endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.downloads import index_row

from idc_widgets import IDCClient
from idc_widgets.download import DownloadPlan
from idc_widgets.errors import DownloadError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


def test_the_endpoint_of_a_plan(
    ct: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    assert DownloadPlan.make(ct, tmp_path).endpoint_url == "https://s3.amazonaws.com"
    monkeypatch.setenv("S3_ENDPOINT_URL", "https://storage.googleapis.com")
    assert DownloadPlan.make(ct, tmp_path).endpoint_url == "https://storage.googleapis.com"
    assert DownloadPlan.make(ct, tmp_path, endpoint_url="http://h").endpoint_url == "http://h"
    # s5cmd accepts only a scheme in lower case.
    assert DownloadPlan.make(ct, tmp_path, endpoint_url="HTTP://H/").endpoint_url == "http://H"


@pytest.mark.parametrize(
    "url",
    [
        *("s3.amazonaws.com", "ftp://host", "https://", "http://h:99999"),
        *("http://h x", "http://h/ x", "http://h\n", "ht\ttp://h", "http://h\xa0", "http://h\\x"),
        *("http://" + "h" * 64, "http://h..x"),
    ],
)
def test_an_invalid_endpoint(ct: pa.Table, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not the address of a server"):
        DownloadPlan.make(ct, tmp_path, endpoint_url=url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://me:geheim@h", "http://geheim@h:9", "me:geheim@h", "http://h/geheim\\@x"),
        *("http://h?token=geheim", "http://h/x?geheim", "http://h#geheim", "http://h:x?geheim"),
    ],
)
@pytest.mark.parametrize("of", ["argument", "variable"])
def test_an_endpoint_with_a_secret_is_refused_and_not_repeated(
    ct: pa.Table, tmp_path: Path, url: str, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if of == "variable":
        monkeypatch.setenv("S3_ENDPOINT_URL", url)
    with pytest.raises(DownloadError, match="the address of the server") as caught:
        DownloadPlan.make(ct, tmp_path, endpoint_url=url if of == "argument" else None)
    assert "geheim" not in str(caught.value)


def test_google_has_the_same_keys_in_other_buckets(ct: pa.Table, tmp_path: Path) -> None:
    aws, gcs = (DownloadPlan.make(ct, tmp_path, source=source) for source in ("aws", "gcs"))
    assert gcs.endpoint_url == "https://storage.googleapis.com"
    assert [one.bucket for one in (aws.series[0], gcs.series[0])] == [
        "idc-open-data-cr",
        "idc-open-cr",
    ]
    assert aws.series[0].prefix == gcs.series[0].prefix
    assert aws.series[0].folder == gcs.series[0].folder, (
        "a download can be resumed from the other source"
    )


def test_the_buckets_are_those_of_the_index(client: IDCClient, tmp_path: Path) -> None:
    pairs = client.sql(
        "SELECT aws_bucket, gcs_bucket FROM prior_versions_index"
        # Until version 19, the first bucket had another name at Google
        " WHERE max_idc_version >= 20 GROUP BY ALL"
    )
    known: dict[str, str] = dict(pairs.itertuples(index=False))
    assert len(known) == len(pairs) >= 2
    for bucket in client.sql("SELECT DISTINCT aws_bucket FROM index")["aws_bucket"]:
        rows = pa.Table.from_pylist([index_row(series_aws_url=f"s3://{bucket}/uuid/*")])
        [series] = DownloadPlan.make(rows, tmp_path, source="gcs").series
        assert series.bucket == known.get(bucket, "idc-open-cr")


def test_precedence_of_endpoints(
    ct: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://mirror")
    google = DownloadPlan.make(ct, tmp_path, source="gcs")
    assert google.endpoint_url == "https://storage.googleapis.com", "the mirror may be one of AWS"
    mirror = DownloadPlan.make(ct, tmp_path, source="gcs", endpoint_url="http://h:9/")
    assert mirror.endpoint_url == "http://h:9" and mirror.series == google.series


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gcs", r"series 1\.2\.1: the bucket 'bucket' has no known copy at Google"),
        ("gsc", "unknown source 'gsc'; did you mean 'gcs'"),
    ],
)
def test_an_unknown_source(tmp_path: Path, source: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.make(pa.Table.from_pylist([index_row()]), tmp_path, source=source)
