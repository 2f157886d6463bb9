"""Where objects are: the S3 servers and buckets of Amazon and Google, and series in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from ..errors import DownloadError, unknown_message

__all__ = ["GCS_BUCKETS", "SERIES_URL", "Source", "choose_endpoint"]

Source = Literal["aws", "gcs"]

ENDPOINTS: Mapping[str, str] = {
    "aws": "https://s3.amazonaws.com",
    "gcs": "https://storage.googleapis.com",
}

GCS_BUCKETS: Mapping[str, str] = {
    "idc-open-data": "idc-open-data",
    "idc-open-data-two": "idc-open-idc1",
    "idc-open-data-cr": "idc-open-cr",
}
"""Bucket at AWS to the bucket at Google that has the same objects under the same keys.

Source: the prior_versions_index of idc-index-data, which has both names (public-datasets-idc was
the copy of idc-open-data until v19).
"""

SERIES_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)/(?P<prefix>[\w.-]+)/\*?", re.ASCII)
"""An address of all objects of a series, as in the column series_aws_url."""


def choose_endpoint(url: str | None, source: str) -> str:
    """Return the address of the S3 server to fetch from.

    Args:
        url: what the user chose; None or "" for the environment variable S3_ENDPOINT_URL (only
            for "aws"), else the server of `source`.
        source: "aws" or "gcs".

    Raises:
        DownloadError: The source is unknown, or the address is not one of a server.
    """
    if source not in ENDPOINTS:
        raise DownloadError(unknown_message("source", source, ENDPOINTS))
    if not url and source == "aws":
        url = os.environ.get("S3_ENDPOINT_URL")
    url = url or ENDPOINTS[source]
    given: Any = url
    if not isinstance(given, str):
        raise DownloadError(f"endpoint_url is a {type(given).__name__}; expected text")
    if re.search("[@?#]", url):
        # Do not repeat the address: it may contain a secret
        raise DownloadError(
            "the address of the server (endpoint_url, or the variable S3_ENDPOINT_URL) has one of "
            "the characters @ ? #, as before or after a password or token, which the record and "
            f"lists of processes would show; expected one like {ENDPOINTS['aws']}"
        )
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # fails for an invalid name
        valid = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or re.search(r"[\s\\]", url):
        raise DownloadError(f"{url!r} is not the address of a server, like {ENDPOINTS['aws']}")
    return parts.scheme + url[len(parts.scheme) :]  # s5cmd needs the scheme in lower case
