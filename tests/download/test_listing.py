"""Listings of series on the server."""

from __future__ import annotations

import pytest
from support.downloads import file_name, small
from support.s3server import S3Server, series_objects

from idc_widgets import DownloadError
from idc_widgets.download import list_series

URL = small(1)["series_aws_url"]


def test_files_and_bytes_of_each_series(server: S3Server) -> None:
    rows = [small(1), small(2, instanceCount=1200, series_size_MB=0.5)]
    server.objects = series_objects(rows)
    prefix = URL.split("/")[3]
    for name in ("notes.txt", f"below/{file_name(1)}"):  # neither is a file of the series
        server.objects["bucket", f"{prefix}/{name}"] = 5
    urls = [row["series_aws_url"] for row in rows]
    assert list_series(urls, server.url) == {urls[0]: (10, 100_001), urls[1]: (1200, 500_000)}
    assert list_series(urls[0], server.url) == {urls[0]: (10, 100_001)}
    assert server.count("LIST", rows[1]["series_aws_url"].split("/")[3]) == 2, "two pages"
    assert list_series([], server.url) == {}


def test_a_series_that_is_not_on_the_server(server: S3Server) -> None:
    with pytest.raises(DownloadError, match=r"the files of s3://bucket/.* are not on the server"):
        list_series([URL], server.url)


@pytest.mark.parametrize("status", [403, 500])
def test_a_server_that_refuses_to_list(server: S3Server, status: int) -> None:
    server.objects = series_objects([small(1)])
    server.fail = lambda request: status
    with pytest.raises(DownloadError, match=rf"cannot be listed: {server.url}.* HTTP {status}"):
        list_series([URL], server.url)
    assert server.count("LIST") == (2 if status == 500 else 1), "transient errors are retried"
