"""How many files a series has, asked of the server: for those of which no table tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from ..errors import DownloadError
from . import s5cmd
from .locations import GCS_BUCKETS, SERIES_URL, Source, choose_endpoint

__all__ = ["list_series"]

STALL_TIMEOUT = 60.0  # seconds without a line


def list_series(
    urls: Iterable[str], endpoint_url: str | None = None, *, source: Source = "aws"
) -> dict[str, tuple[int, int]]:
    """The number of .dcm files, and their bytes altogether, of each `s3://bucket/uuid/*`.

    Args:
        urls: as in series_aws_url.
        endpoint_url: the S3 server, as of `DownloadPlan.make`.
        source: whose copy is listed: "aws" (Amazon) or "gcs" (Google, other bucket names).

    Raises:
        DownloadError: an address is none, a bucket has no copy at `source`, or not every series
            could be listed whole.
    """
    endpoint = choose_endpoint(endpoint_url, source)
    folders: dict[str, str] = {}
    for url in urls:
        match = SERIES_URL.fullmatch(url)
        if not match:
            raise DownloadError(f"{url!r} is not like 's3://bucket/uuid/*'")
        bucket = match["bucket"] if source == "aws" else GCS_BUCKETS.get(match["bucket"])
        if bucket is None:
            raise DownloadError(f"{url!r} has no known copy at Google; use source='aws'")
        folders[f"s3://{bucket}/{match['prefix']}"] = url
    counts = dict.fromkeys(folders.values(), (0, 0))
    if not counts:
        return counts
    process = s5cmd.Process(
        [s5cmd.ls_line(folder) for folder in folders], endpoint_url=endpoint, workers=16
    )
    try:
        last, ended = time.monotonic(), False
        while not ended:
            ended = process.ended.wait(0.05)
            for event in process.drain_events():
                last = time.monotonic()
                if isinstance(event, s5cmd.Problem):
                    why = s5cmd.in_plain_words(event.message)
                    raise DownloadError(f"{event.source or endpoint} cannot be listed: {why}")
                if isinstance(event, s5cmd.Noise):
                    folder, name, size = _object(event.text)
                    if folder in folders and name.endswith(".dcm"):
                        files, size_bytes = counts[folders[folder]]
                        counts[folders[folder]] = files + 1, size_bytes + size
            if time.monotonic() - last > STALL_TIMEOUT:
                raise DownloadError(
                    f"{endpoint} cannot be listed: no answer for {STALL_TIMEOUT:g} s"
                )
    finally:
        process.stop()
    if process.exit_code:
        raise DownloadError(f"{endpoint} cannot be listed: s5cmd ended with {process.exit_code}")
    if empty := [url for url, (files, _) in counts.items() if not files]:
        raise DownloadError(f"{empty[0]} has no files")
    return counts


def _object(line: str) -> tuple[str, str, int]:
    """Folder, name and bytes of an object that s5cmd lists; empty texts for any other line."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return "", "", 0
    match fields:
        case {"key": str(key), "type": "file"}:
            size = fields.get("size", 0)  # left out of the line of an empty file
            if isinstance(size, int) and size >= 0:
                folder, _, name = key.rpartition("/")
                return folder, name, size
    return "", "", 0
