"""Lists series on the server if no table has their numbers of files."""

from __future__ import annotations

from collections.abc import Iterable

from .._util import HttpError, NoThreadError, as_keys, count_objects
from ..errors import DownloadError
from .locations import SERIES_URL, Source, bucket_at, choose_endpoint

__all__ = ["list_series"]

_MAX_PAGES = 1_000  # of 1,000 objects each; no series of IDC has so many


def list_series(
    urls: Iterable[str], endpoint_url: str | None = None, *, source: Source = "aws"
) -> dict[str, tuple[int, int]]:
    """Count the .dcm files of series on the server, and their bytes.

    Args:
        urls: Addresses like `s3://bucket/uuid/*`, as in the column series_aws_url.
        endpoint_url: The S3 server, as of `DownloadPlan.make`.
        source: Whose copy is listed: "aws" (Amazon) or "gcs" (Google, other bucket names).

    Returns:
        The number of files and their bytes in total, by address.

    Raises:
        DownloadError: An address is wrong, a bucket has no copy at `source`, or a series cannot be
            listed or has no files.
    """
    endpoint = choose_endpoint(endpoint_url, source)
    folders: dict[tuple[str, str], str] = {}
    for url in as_keys(urls):
        match = SERIES_URL.fullmatch(url)
        if not match:
            raise DownloadError(f"{url!r} is not like 's3://bucket/uuid/*'")
        folders[bucket_at(source, match["bucket"]), f"{match['prefix']}/"] = url
    try:
        counts = count_objects(endpoint, folders, suffix=".dcm", max_pages=_MAX_PAGES)
    except (HttpError, NoThreadError) as error:
        raise DownloadError(f"the files of a series cannot be listed: {error}") from error
    listed = {}
    for folder, url in folders.items():
        count = counts[folder]
        if not count.objects:
            raise DownloadError(f"the files of {url} are not on the server {endpoint}")
        listed[url] = count.objects, count.size_bytes
    return listed
