"""The only module that knows pydicom: whether files are of the series that they should be of."""

from __future__ import annotations

import io
import logging
import os
import threading
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import DownloadError

__all__ = ["CANCELLED", "check_installed", "find_wrong_series"]

CANCELLED = "cancelled before its files were read"

_SOP_INSTANCE_UID = 0x00080018
_SERIES_INSTANCE_UID = 0x0020000E
_TAGS = [_SOP_INSTANCE_UID, _SERIES_INSTANCE_UID]

_MOST_INFLATED = 1 << 24  # bytes of a deflated file; few kB come before the UID of a series

_log = logging.getLogger(__name__)


def check_installed() -> None:
    """Make sure that files can be read.

    Raises:
        DownloadError: pydicom is missing.
    """
    try:
        import pydicom.filereader  # noqa: F401
    except ImportError as error:
        raise DownloadError(
            "verify='dicom' needs pydicom; run: pip install 'idc-widgets[dicom]'"
        ) from error


def find_wrong_series(
    paths: Mapping[str, Sequence[Path]], cancelled: threading.Event
) -> dict[str, str]:
    """Read the header of every file, up to the UID of its series and no further.

    Args:
        paths: the files of each series, by SeriesInstanceUID.
        cancelled: ends it soon when it is set.

    Returns:
        What is wrong, by SeriesInstanceUID; the first file that is wrong is named. So is the first
        that says it is the same instance as another, as a copy in the place of a slice. Of a series
        that was not read to its end because of `cancelled`, `CANCELLED`.
    """

    def first_wrong(uid: str) -> str | None:
        seen: dict[str, Path] = {}
        for path in paths[uid]:
            if cancelled.is_set():
                return CANCELLED
            problem, instance = _read(path, uid)
            if problem:
                return f"{problem}; delete this file and try again: {path}"
            other = seen.setdefault(instance, path) if instance else path
            if other != path:  # nobody knows which of the two should be another
                return (
                    f"{path.name} repeats {other.name}: both are the instance {instance[:64]!r}; "
                    f"delete both and try again: {other} and {path}"
                )
        return None

    # Threads hide the waiting for a slow disk; the reading itself is Python, one at a time
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "DownloadJob-dicom") as pool:
        found = zip(paths, pool.map(first_wrong, paths), strict=True)
        return {uid: problem for uid, problem in found if problem}


class _DeflatedError(Exception):
    """What follows in the file is deflated."""


class _Reader(io.BufferedReader):
    """Not to be read whole, which pydicom does only to inflate it: 2 MB may become 4 GB."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise _DeflatedError
        return super().read(size)


def _read(path: Path, uid: str) -> tuple[str, str]:
    """What is wrong with a file of the series `uid`, and its SOPInstanceUID; "" if nothing, none"""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_dataset, read_partial

    try:
        with _Reader(io.FileIO(path)) as file:
            try:
                dataset = read_partial(file, _is_past, specific_tags=_TAGS)
            except _DeflatedError:
                inflate = zlib.decompressobj(-zlib.MAX_WBITS).decompress
                start = io.BytesIO(inflate(file.read(_MOST_INFLATED), _MOST_INFLATED))
                dataset = read_dataset(start, False, True, stop_when=_is_past, specific_tags=_TAGS)
        found = dataset.get("SeriesInstanceUID")
        instance = str(dataset.get("SOPInstanceUID") or "")
    except InvalidDicomError:
        return f"{path.name} is no DICOM file", ""
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror or error})", ""
    except Exception as error:  # whatever a damaged file makes a parser raise
        _log.debug("%s cannot be read", path, exc_info=error)
        return f"{path.name} cannot be read ({type(error).__name__})", ""
    if found != uid:
        what = f"is of the series {str(found)[:64]!r}" if found else "names no series"
        return f"{path.name} {what}", ""
    return "", instance


def _is_past(tag: Any, vr: str | None, length: int) -> bool:
    return bool(tag > _SERIES_INSTANCE_UID)
