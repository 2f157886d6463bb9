"""Listings of public S3 buckets over HTTP (ListObjectsV2), without credentials.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree

from .http import (
    FileCheck,
    Http,
    HttpError,
    open_http,
    shown_url,
)
from .threads import in_threads

__all__ = ["ObjectCount", "S3Object", "bucket_url", "count_objects", "list_objects"]

_MAX_PAGE_BYTES = 10_000_000
_MAX_PAGES = 100  # a page has 1,000 objects at most


@dataclass(frozen=True)
class S3Object:
    """An object of a bucket.

    Args:
        key: Its name in the bucket.
        size: In bytes.
        etag: Without quotation marks.
    """

    key: str
    size: int
    etag: str

    @property
    def check(self) -> FileCheck:
        """The size of the complete object, and its digest if it is known."""
        # The ETag of an object that was uploaded in parts has a dash and is not an MD5.
        if re.fullmatch("[0-9a-f]{32}", self.etag):
            return FileCheck("md5", self.etag, self.size)
        return FileCheck(size=self.size)


@dataclass(frozen=True)
class ObjectCount:
    """The number of objects in a folder of a bucket, and their total size in bytes."""

    objects: int = 0
    size_bytes: int = 0


def bucket_url(endpoint_url: str, bucket: str) -> str:
    """Return the address of a bucket on a server (path style)."""
    return f"{endpoint_url.rstrip('/')}/{bucket}"


def list_objects(
    http: Http,
    endpoint_url: str,
    bucket: str,
    prefix: str,
    *,
    max_pages: int = _MAX_PAGES,
    stop: threading.Event | None = None,
) -> Iterator[S3Object]:
    """Yield the objects whose keys begin with `prefix`, in the order of their keys.

    Args:
        http: The session.
        endpoint_url: The S3 server, such as "https://s3.amazonaws.com".
        bucket: The bucket.
        prefix: The beginning of the keys.
        max_pages: A longer listing is an error; a page has 1,000 objects at most.
        stop: When this is set, no further page is requested, which is an error, too.

    Raises:
        HttpError: The server cannot list them, or lists too many.
    """
    token: str | None = None
    for _ in range(max_pages):
        if stop is not None and stop.is_set():
            raise HttpError("was not asked for the whole list of files")
        url = f"{bucket_url(endpoint_url, bucket)}?list-type=2&prefix={quote(prefix, safe='')}"
        if token:
            url += f"&continuation-token={quote(token, safe='')}"
        objects, token = _parsed(http.get(url, _MAX_PAGE_BYTES))
        yield from (entry for entry in objects if entry.key.startswith(prefix))
        if not token:
            return
    raise HttpError(f"lists more than {max_pages:,} pages of files")


def count_objects(
    endpoint_url: str,
    folders: Iterable[tuple[str, str]],
    *,
    suffix: str = "",
    workers: int = 16,
    max_pages: int = _MAX_PAGES,
) -> dict[tuple[str, str], ObjectCount]:
    """Count the objects that are directly in each of many folders, with one request per page.

    Args:
        endpoint_url: The S3 server.
        folders: Pairs of bucket and prefix; a prefix ends with a slash.
        suffix: Objects whose keys have another ending are not counted.
        workers: The number of requests at a time.
        max_pages: The largest number of pages per folder; a page has 1,000 objects at most.

    Returns:
        The count per folder, in the order of `folders`; zero for a folder without objects.

    Raises:
        HttpError: A folder cannot be listed, or has too many pages; the message names it. No
            further folder is listed then.
        NoThreadError: The system does not start another thread.
    """
    wanted = list(dict.fromkeys(folders))
    stop = threading.Event()

    def count(share: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ObjectCount]:
        counts = {}
        with open_http() as http:  # one session per thread
            for bucket, prefix in share:
                if stop.is_set():
                    break
                try:
                    objects = list_objects(
                        http, endpoint_url, bucket, prefix, max_pages=max_pages, stop=stop
                    )
                    counts[bucket, prefix] = _counted(objects, prefix, suffix)
                except HttpError as error:
                    stop.set()
                    shown = shown_url(f"{bucket_url(endpoint_url, bucket)}/{prefix}")
                    raise HttpError(f"{shown} {error}", answered=error.answered) from error
        return counts

    counts: dict[tuple[str, str], ObjectCount] = {}
    shares = [share for start in range(workers) if (share := wanted[start::workers])]
    # `stop` would end the iterator below before the error that a thread has raised arrives here.
    never = threading.Event()
    try:
        for counted in in_threads(count, shares, workers=workers, name="s3_listing", stop=never):
            counts.update(counted)
    finally:
        stop.set()
    return {folder: counts[folder] for folder in wanted}


def _counted(objects: Iterable[S3Object], prefix: str, suffix: str) -> ObjectCount:
    number = size_bytes = 0
    for entry in objects:
        if entry.key.endswith(suffix) and "/" not in entry.key[len(prefix) :]:
            number += 1
            size_bytes += entry.size
    return ObjectCount(number, size_bytes)


def _parsed(body: bytes) -> tuple[list[S3Object], str | None]:
    """Return the objects of one page, and the token of the next page if there is one."""
    try:
        # S3 sends no document type, and one could define nested entities of any size.
        if b"<!DOCTYPE" in body:
            raise ValueError("a document type")
        page = ElementTree.fromstring(body)
        objects = [
            S3Object(
                entry.findtext("{*}Key", ""),
                int(entry.findtext("{*}Size", "")),
                entry.findtext("{*}ETag", "").strip('"'),
            )
            for entry in page.iterfind("{*}Contents")
        ]
        if any(entry.size < 0 for entry in objects):
            raise ValueError("a negative size")
    except (ElementTree.ParseError, ValueError) as error:
        raise HttpError("answers with something else than a list of files") from error
    return objects, page.findtext("{*}NextContinuationToken")
