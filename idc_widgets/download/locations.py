"""Where objects are: the S3 servers and buckets of Amazon and Google, and series in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ..errors import DownloadError, unknown_message

__all__ = ["IDC_BUCKETS", "SERIES_URL", "Source", "bucket_at", "choose_endpoint"]

Source = Literal["aws", "gcs"]


class _Copy(NamedTuple):
    """A copy of IDC's data.

    Args:
        provider: Who hosts it.
        endpoint: The address of its S3 server.
        buckets: The name of each bucket in this copy, by the name of the bucket at AWS.
    """

    provider: str
    endpoint: str
    buckets: Mapping[str, str]


#: Source → its copy. The names of Google's buckets are in prior_versions_index of idc-index-data.
SOURCES: Mapping[str, _Copy] = {
    "aws": _Copy(
        "Amazon",
        "https://s3.amazonaws.com",
        {
            "idc-open-data": "idc-open-data",
            "idc-open-data-two": "idc-open-data-two",
            "idc-open-data-cr": "idc-open-data-cr",
        },
    ),
    "gcs": _Copy(
        "Google",
        "https://storage.googleapis.com",
        {
            "idc-open-data": "idc-open-data",
            "idc-open-data-two": "idc-open-idc1",
            "idc-open-data-cr": "idc-open-cr",
        },
    ),
}

#: All buckets of IDC. The last one was the copy of idc-open-data at Google until v19.
IDC_BUCKETS = frozenset(
    (*(name for copy in SOURCES.values() for name in copy.buckets.values()), "public-datasets-idc")
)

SERIES_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)/(?P<prefix>[\w.-]+)/\*?", re.ASCII)
"""An address of all objects of a series, as in the column series_aws_url."""


def bucket_at(source: str, bucket: str) -> str:
    """Return the name that a bucket of AWS has at another source.

    For AWS itself, every name is returned as it is: users' own tables may name other buckets than
    those of IDC.

    Raises:
        DownloadError: The source has no known copy of the bucket.
    """
    if source == "aws":
        return bucket
    copy = SOURCES[source]
    if bucket not in copy.buckets:
        raise DownloadError(
            f"the bucket {bucket!r} has no known copy at {copy.provider} (only "
            f"{', '.join(copy.buckets)} have one); use source='aws'"
        )
    return copy.buckets[bucket]


def choose_endpoint(url: str | None, source: str) -> str:
    """Return the address of the S3 server to fetch from.

    Args:
        url: The user's choice. None or "" stands for the environment variable S3_ENDPOINT_URL
            (only for "aws") or, if that is not set, the server of `source`.
        source: "aws" or "gcs".

    Raises:
        DownloadError: The source is unknown, or the address is not one of a server.
    """
    if source not in SOURCES:
        raise DownloadError(unknown_message("source", source, SOURCES))
    if not url and source == "aws":
        url = os.environ.get("S3_ENDPOINT_URL")
    url = url or SOURCES[source].endpoint
    given: Any = url
    if not isinstance(given, str):
        raise DownloadError(f"endpoint_url is a {type(given).__name__}; expected text")
    if re.search("[@?#]", url):
        # Do not repeat the address: it may contain a secret
        raise DownloadError(
            "the address of the server (endpoint_url, or the variable S3_ENDPOINT_URL) has one of "
            "the characters @ ? #; such an address may contain a password or token, which the "
            f"record and lists of processes would show; expected one like "
            f"{SOURCES['aws'].endpoint}"
        )
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # fails for an invalid name
        valid = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or re.search(r"[\s\\]", url):
        raise DownloadError(
            f"{url!r} is not the address of a server, like {SOURCES['aws'].endpoint}"
        )
    return parts.scheme + url[len(parts.scheme) :]  # s5cmd needs the scheme in lower case
