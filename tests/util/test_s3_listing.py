"""Listings of S3 buckets, from a server on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fileserver import Answer, FileServer

from idc_widgets._util import HttpError, open_http
from idc_widgets._util.s3_listing import ObjectCount, count_objects, list_objects

FOLDERS = [("bucket", f"{number:04}/") for number in range(40)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    files = {
        f"{bucket}/{prefix}{file}.dcm": b"x" * (file + 1)
        for bucket, prefix in FOLDERS
        for file in range(5)
    }
    extra = {"bucket/0000/deeper/1.dcm": b"x", "bucket/0000/1.txt": b"x", "other/0000/1.dcm": b"x"}
    with FileServer({**files, **extra}) as running:
        running.page_size = 2
        yield running


def test_all_pages_are_listed(server: FileServer) -> None:
    with open_http() as http:
        objects = list(list_objects(http, server.url, "bucket", "0001/"))
        assert [entry.key for entry in objects] == [f"0001/{file}.dcm" for file in range(5)]
        assert [entry.size for entry in objects] == [1, 2, 3, 4, 5]
        assert objects[0].check.algorithm == "md5"
        with pytest.raises(HttpError, match="lists more than 2 pages"):
            list(list_objects(http, server.url, "bucket", "0001/", max_pages=2))


def test_objects_are_counted_per_folder(server: FileServer) -> None:
    wanted = [*FOLDERS, ("other", "0000/"), ("bucket", "nothing/"), FOLDERS[0]]
    counts = count_objects(server.url + "/", wanted, suffix=".dcm", workers=3)
    assert list(counts) == wanted[:-1]
    five = ObjectCount(5, 15)
    assert set(map(counts.get, FOLDERS)) == {five}, "objects in deeper folders do not count"
    assert counts["other", "0000/"] == ObjectCount(1, 1)
    assert counts["bucket", "nothing/"] == ObjectCount(0, 0)
    assert count_objects(server.url, []) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"<!DOCTYPE x><ListBucketResult/>",
        b"<R><Contents><Key>0001/1.dcm</Key><Size>many</Size></Contents></R>",
        b"<R><Contents><Key>0001/1.dcm</Key><Size>-1</Size></Contents></R>",
    ],
)
def test_an_answer_that_is_not_a_listing_is_an_error(server: FileServer, body: bytes) -> None:
    server.fault = lambda request: Answer(200, body)
    with pytest.raises(HttpError, match=r"/bucket/0\d\d\d/ answers with something else than a li"):
        count_objects(server.url, FOLDERS)


def test_an_error_ends_the_other_requests(server: FileServer) -> None:
    server.fault = lambda request: Answer(403)
    with pytest.raises(HttpError, match=r"/bucket/0\d\d\d/ answers HTTP 403 \(Forbidden\)"):
        count_objects(server.url, FOLDERS, workers=2)
    assert len(server.requests) < 6


def test_the_certificates_of_downloads_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "certificates.pem"
    bundle.touch()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with open_http() as http:
        assert http.session.verify == str(bundle)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with open_http() as http:
        assert http.session.verify is True
