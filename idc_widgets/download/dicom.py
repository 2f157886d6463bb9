"""Checks that each file belongs to its series. No other module uses pydicom."""

from __future__ import annotations

import io
import logging
import os
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._util import NoThreadError, in_threads
from ..errors import DownloadError

__all__ = ["CANCELLED", "check_installed", "find_wrong_series"]

CANCELLED = "cancelled before its files were read"

_SOP_INSTANCE_UID = 0x00080018
_SERIES_INSTANCE_UID = 0x0020000E
_TAGS = [_SOP_INSTANCE_UID, _SERIES_INSTANCE_UID]

_MAX_INFLATED_BYTES = 1 << 24  # the UID of the series is in the first few kB
_MAX_SHOWN_CHARACTERS = 64
_READERS = 4

_log = logging.getLogger(__name__)


def check_installed() -> None:
    """Check that pydicom is installed.

    Raises:
        DownloadError: It is missing.
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
    """Read the header of every file as far as SeriesInstanceUID, and report series with problems.

    A series has a problem if one of its files cannot be read or belongs to another series, or if
    two files are the same instance (a copy in the place of another slice).

    Args:
        paths: The files of each series, by SeriesInstanceUID.
        cancelled: When this event is set, the function returns soon.

    Returns:
        The first problem of a series, by SeriesInstanceUID; `CANCELLED` for a series whose files
        were not all read because of `cancelled`.

    Raises:
        DownloadError: The system does not start another thread.
    """

    def first_problem(uid: str) -> str | None:
        seen: dict[str, Path] = {}
        for path in paths[uid]:
            if cancelled.is_set():
                return CANCELLED
            problem, instance = _read(path, uid)
            if problem:
                return f"{problem}; delete this file and try again: {path}"
            other = seen.setdefault(instance, path) if instance else path
            if other != path:  # either of the two may be the wrong one
                return (
                    f"{path.name} repeats {other.name}: both are the instance "
                    f"{instance[:_MAX_SHOWN_CHARACTERS]!r}; "
                    f"delete both and try again: {other} and {path}"
                )
        return None

    # Threads help if the disk is slow; parsing is Python code, which runs in one thread at a time
    problems: dict[str, str | None] = {}
    answers = in_threads(
        lambda uid: (uid, first_problem(uid)),
        paths,
        workers=min(_READERS, os.cpu_count() or 1),
        name="DownloadJob-dicom",
        stop=cancelled,
    )
    try:
        problems.update(answers)
    except NoThreadError as error:
        raise DownloadError(f"the headers of the files cannot be read: {error}") from error
    return {uid: problem for uid in paths if (problem := problems.get(uid, CANCELLED))}


class _DeflatedError(Exception):
    """The rest of the file is compressed (deflated)."""


class _Reader(io.BufferedReader):
    """A file that raises an error when it is read to its end.

    pydicom reads a deflated file to its end to inflate it, and 2 MB may become 4 GB.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise _DeflatedError
        return super().read(size)


def _read(path: Path, uid: str) -> tuple[str, str]:
    """Check a file of the series `uid`; return its problem ("" if none) and its SOPInstanceUID."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_dataset, read_partial

    try:
        with _Reader(io.FileIO(path)) as file:
            try:
                dataset = read_partial(file, _is_past, specific_tags=_TAGS)
            except _DeflatedError:
                inflate = zlib.decompressobj(-zlib.MAX_WBITS).decompress
                start = io.BytesIO(inflate(file.read(_MAX_INFLATED_BYTES), _MAX_INFLATED_BYTES))
                dataset = read_dataset(start, False, True, stop_when=_is_past, specific_tags=_TAGS)
        series = dataset.get("SeriesInstanceUID")
        instance = str(dataset.get("SOPInstanceUID") or "")
    except InvalidDicomError:
        return f"{path.name} is not a DICOM file", ""
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror or error})", ""
    except Exception as error:  # a damaged file can make the parser raise anything
        _log.debug("%s cannot be read", path, exc_info=error)
        return f"{path.name} cannot be read ({type(error).__name__})", ""
    if series != uid:
        shown = repr(str(series)[:_MAX_SHOWN_CHARACTERS])
        problem = f"belongs to the series {shown}" if series else "names no series"
        return f"{path.name} {problem}", ""
    return "", instance


def _is_past(tag: Any, _vr: str | None, _length: int) -> bool:
    return bool(tag > _SERIES_INSTANCE_UID)
