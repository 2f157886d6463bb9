"""The only module that knows pydicom: whether files are of the series that they should be of."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import DownloadError

__all__ = ["CANCELLED", "check_installed", "wrong"]

CANCELLED = "cancelled before its files were read"

_SERIES_INSTANCE_UID = 0x0020000E

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


def wrong(paths: Mapping[str, Sequence[Path]], cancelled: threading.Event) -> dict[str, str]:
    """Read the header of every file, up to the UID of its series and no further.

    Args:
        paths: the files of each series, by SeriesInstanceUID.
        cancelled: ends it soon when it is set.

    Returns:
        What is wrong, by SeriesInstanceUID; the first file that is wrong is named. Of a series
        that was not read to its end because of `cancelled`, `CANCELLED`.
    """

    def first_wrong(uid: str) -> str | None:
        for path in paths[uid]:
            if cancelled.is_set():
                return CANCELLED
            problem = _problem(path, uid)
            if problem:
                return f"{problem}; delete this file and try again: {path}"
        return None

    # Threads hide the waiting for a slow disk; the reading itself is Python, one at a time
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "DownloadJob-dicom") as pool:
        found = zip(paths, pool.map(first_wrong, paths), strict=True)
        return {uid: problem for uid, problem in found if problem}


def _problem(path: Path, uid: str) -> str | None:
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_partial

    try:
        with path.open("rb") as file:
            dataset = read_partial(file, _is_past, specific_tags=[_SERIES_INSTANCE_UID])
        found = dataset.get("SeriesInstanceUID")
    except InvalidDicomError:
        return f"{path.name} is no DICOM file"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror or error})"
    except Exception as error:  # whatever a damaged file makes a parser raise
        _log.debug("%s cannot be read", path, exc_info=error)
        return f"{path.name} cannot be read ({type(error).__name__})"
    if found != uid:
        what = f"is of the series {str(found)[:64]!r}" if found else "names no series"
        return f"{path.name} {what}"
    return None


def _is_past(tag: Any, vr: str | None, length: int) -> bool:
    return bool(tag > _SERIES_INSTANCE_UID)
