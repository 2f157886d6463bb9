"""What is on the disk, and whether it can take what is to come. Sizes are bytes, MB is 10^6."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .._util import human_size
from ..errors import DownloadError
from .s5cmd import OBJECT_NAME, TEMP_NAME

__all__ = [
    "allocated",
    "check_capacity",
    "check_folder",
    "check_space",
    "dicom_files",
    "remove_temps",
    "space",
    "tagged_files",
    "temps",
]


def dicom_files(folder: Path) -> dict[str, int]:
    """The files of IDC right in `folder`, name to size; nothing if there is no such folder.

    They are known by their names: what else lies there is somebody's own, and does not count.
    """
    return {name: size for name, size in _files(folder) if OBJECT_NAME.fullmatch(name)}


def tagged_files(folder: Path) -> dict[str, dict[str, int]]:
    """The files of IDC that are named `<tag>_<name>` right in `folder`: tag to name to size."""
    found: dict[str, dict[str, int]] = {}
    for file, size in _files(folder):
        tag, _, name = file.partition("_")
        if OBJECT_NAME.fullmatch(name):
            found.setdefault(tag, {})[name] = size
    return found


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # gone meanwhile
                if entry.is_file():
                    yield entry.name, entry.stat().st_size


def temps(folder: Path) -> dict[str, str]:
    """The unfinished files of s5cmd in `folder`: their path, to the name they will have."""
    with suppress(OSError), os.scandir(folder) as entries:
        return {
            entry.path: match["name"]
            for entry in entries
            if (match := TEMP_NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)
        }
    return {}


def allocated(path: str) -> int:
    """The bytes of an unfinished file that have really arrived; 0 if it is gone.

    Large objects arrive in parts side by side, so the size of their file runs ahead of the data:
    blocks that are not yet written are not allocated. (Windows tells no block count.)
    """
    try:
        stat = os.stat(path)
    except OSError:
        return 0
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)


def remove_temps(folder: Path) -> None:
    """Delete what a killed s5cmd left unfinished in `folder`, and nothing else."""
    for path in temps(folder):
        with suppress(OSError):
            os.unlink(path)


def check_folder(folder: Path) -> None:
    """Make sure that `folder` can be made and written to, leaving nothing behind.

    Permission bits and mount options do not tell the truth for every user and file system, so a
    folder and a file are really made, in `folder` or the nearest parent that exists.

    Raises:
        DownloadError: it is a file, below a file, or cannot be written to.
    """
    for tries_left in reversed(range(20)):
        try:
            _probe(folder)
            return
        except OSError as error:
            # Another job may be tidying up its folders just now
            if not (tries_left and isinstance(error, FileNotFoundError)):
                raise DownloadError(
                    f"cannot write to {folder}: {error.strerror or error}; choose another folder"
                ) from error


def _probe(folder: Path) -> None:
    parent = _existing(folder)
    if not stat.S_ISDIR(os.stat(parent).st_mode):
        where = "is" if parent == folder else f"cannot be made: {parent} is"
        raise DownloadError(f"{folder} {where} a file; choose a folder to download into")
    with tempfile.TemporaryDirectory(prefix=".idc_widgets-", dir=parent) as probe:
        Path(probe, "probe").touch()


def check_capacity(folder: Path, size: int) -> None:
    """Make sure that the disk is not smaller than `size` bytes, whatever is on it.

    Raises:
        DownloadError: it is; the message has both numbers.
    """
    total = _usage(folder).total
    if size and not total:
        raise DownloadError(
            f"no files can be kept in {folder}: what is there is no disk, and has no space; choose "
            "another folder"
        )
    if total < size:
        raise DownloadError(
            f"{human_size(size)} do not fit on the disk of {folder}, which has "
            f"{human_size(total)}; choose fewer series or a folder on another disk"
        )


def space(folder: Path) -> tuple[int, int]:
    """The bytes that are free on the disk of `folder`, and how many of them shall be left over.

    That margin is 2 % of the disk, at most 1 GB: a full disk breaks other programs, and files
    take up somewhat more than their size.

    Raises:
        DownloadError: there is no such disk.
    """
    usage = _usage(folder)
    return usage.free, min(10**9, usage.total // 50)


def check_space(folder: Path, needed: int) -> None:
    """Make sure that `needed` bytes fit, and the margin that `space` tells is left.

    Raises:
        DownloadError: they do not; the message has the numbers.
    """
    free, margin = space(folder)
    if needed and free - margin < needed:
        raise DownloadError(
            f"not enough disk space for {folder}: {human_size(needed)} are still to fetch, "
            f"{human_size(free)} are free, of which {human_size(margin)} must be left; "
            "free some space, choose another folder or fewer series"
        )


def _usage(folder: Path) -> shutil._ntuple_diskusage:
    parent = _existing(folder)
    try:
        return shutil.disk_usage(parent)
    except OSError as error:
        raise DownloadError(
            f"cannot use {folder}: {error.strerror or error}; choose another folder"
        ) from error


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest of its parents that exists.

    Raises:
        DownloadError: a link on the way leads nowhere, or a name is too long.
    """
    for path in (folder, *folder.parents):
        if len(os.fsencode(path.name)) > 255:
            raise DownloadError(f"the name {path.name[:40]!r}... is too long for a folder")
        if os.path.exists(path):
            return path
        if os.path.islink(path):
            raise DownloadError(f"{path} is a link that leads nowhere; choose another folder")
    return Path(folder.anchor)
