"""Files on disk, and checks that the disk can take more. Sizes are in bytes, MB is 10^6 bytes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .._util import human_size
from ..errors import DownloadError
from .path_template import MAX_NAME_BYTES
from .s5cmd import OBJECT_NAME, UNFINISHED_NAME

__all__ = [
    "FileState",
    "allocated_bytes",
    "check_capacity",
    "check_folder",
    "check_space",
    "dicom_files",
    "file_state",
    "free_space",
    "has_blocks",
    "remove_unfinished_files",
    "set_aside",
    "tagged_files",
    "unfinished_files",
]

UNCHANGED_SECONDS = 60.0
"""If an unfinished file has not changed for this long, nobody is writing it."""

_PROBE_SECONDS = 2.0
_PROBE_PAUSE_SECONDS = 0.001

_devices_with_blocks: set[int] = set()  # st_dev of file systems that report blocks


def dicom_files(folder: Path) -> dict[str, int]:
    """Return the bytes of each file of IDC that is directly in `folder`, by name.

    They are recognized by their names: other files belong to the user and do not count. The result
    is empty if the folder does not exist.
    """
    return {name: size for name, size in _files(folder) if OBJECT_NAME.fullmatch(name)}


def tagged_files(folder: Path) -> dict[str, dict[str, int]]:
    """Return the bytes of the files of IDC named `<tag>_<name>` in `folder`, by tag and name."""
    files: dict[str, dict[str, int]] = {}
    for file, size in _files(folder):
        tag, _, name = file.partition("_")
        if OBJECT_NAME.fullmatch(name):
            files.setdefault(tag, {})[name] = size
    return files


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # removed in the meantime
                if entry.is_file():
                    yield entry.name, entry.stat().st_size


def unfinished_files(folder: Path) -> dict[str, str]:
    """Return the final name of each unfinished file of s5cmd in `folder`, by path."""
    with suppress(OSError), os.scandir(folder) as entries:
        return {
            entry.path: match["name"]
            for entry in entries
            if (match := UNFINISHED_NAME.fullmatch(entry.name))
            and entry.is_file(follow_symlinks=False)
        }
    return {}


class FileState(NamedTuple):
    """What the system reports about a file. If a value changes, the file has been written to."""

    size_bytes: int
    blocks: int
    modified_ns: int


def file_state(path: str) -> tuple[int, FileState | None]:
    """Return how many bytes of an unfinished file have arrived, and its state.

    Several parts of a large object arrive at the same time, so a file can be larger than the data
    that has arrived. Therefore, this counts the allocated blocks of the file. On file systems that
    never report a block (FUSE, 9p, Windows), it returns the size.

    Returns:
        The bytes and the state; 0 and None if the file does not exist.
    """
    try:
        status = os.stat(path)
    except OSError:
        return 0, None
    blocks = getattr(status, "st_blocks", 0)
    if blocks:
        _devices_with_blocks.add(status.st_dev)
    state = FileState(status.st_size, blocks, status.st_mtime_ns)
    if status.st_dev not in _devices_with_blocks:
        return status.st_size, state
    return min(status.st_size, blocks * 512), state


def has_blocks(folder: Path) -> bool:
    """Return whether the file system of a folder is known to report blocks.

    If it does not, `file_state` may return the final size of a file while data still arrive.
    """
    try:
        return os.stat(folder).st_dev in _devices_with_blocks
    except OSError:
        return False


def allocated_bytes(path: str) -> int:
    """Return how many bytes of an unfinished file have arrived; 0 if it does not exist."""
    return file_state(path)[0]


def remove_unfinished_files(folder: Path, *, is_alone: Callable[[], bool] = lambda: True) -> None:
    """Delete the unfinished files that a killed s5cmd left behind in `folder`.

    Args:
        folder: A folder of a series. No s5cmd of this job is writing into it.
        is_alone: Called if there are such files. If it returns False, the s5cmd of another job may
            be writing them, and files that changed within the last minute stay.
    """
    paths = unfinished_files(folder)
    if not paths:
        return
    now = None if is_alone() else _file_system_time(folder)
    for path in paths:
        with suppress(OSError):
            if now is None or now - os.stat(path).st_mtime > UNCHANGED_SECONDS:
                os.unlink(path)


def _file_system_time(folder: Path) -> float:
    """Return the time by the clock that a file system uses for new files."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
    return 0.0  # so that no file counts as old


def set_aside(path: Path, word: str, *, beside: Path | None = None) -> Path:
    """Rename a file to the first free name of `<name>.<word>-1`, `-2`, ..., and return that.

    Args:
        path: The file.
        word: The word in the new name.
        beside: A path that gives the folder and the `<name>` of the new path; by default `path`.
    """
    number, beside = 1, beside or path
    while os.path.lexists(aside := beside.with_name(f"{beside.name}.{word}-{number}")):
        number += 1
    os.rename(path, aside)
    return aside


def check_folder(folder: Path) -> None:
    """Check that `folder` can be created and written to, leaving nothing behind.

    Permission bits and mount options are not reliable for every user and file system, so this
    creates a folder and a file, in `folder` or in its nearest parent that exists.

    Raises:
        DownloadError: It is a file, is below a file, or cannot be written to.
    """
    deadline = time.monotonic() + _PROBE_SECONDS
    while True:
        try:
            _probe(folder)
            return
        except OSError as error:
            # Another job may be removing its empty folders at this moment
            if time.monotonic() > deadline or not isinstance(error, FileNotFoundError):
                raise DownloadError(
                    f"cannot write to {folder}: {error.strerror or error}; choose another folder"
                ) from error
        time.sleep(_PROBE_PAUSE_SECONDS)


def _probe(folder: Path) -> None:
    parent = _nearest_existing(folder)
    if not stat.S_ISDIR(os.stat(parent).st_mode):
        where = "is" if parent == folder else f"cannot be created: {parent} is"
        raise DownloadError(f"{folder} {where} a file; choose a folder to download into")
    with tempfile.TemporaryDirectory(prefix=".idc_widgets-", dir=parent) as probe:
        file = Path(probe, "probe")
        file.write_bytes(b"idc_widgets" * 1000)
        file_state(str(file))  # this learns whether the file system reports blocks


def check_capacity(folder: Path, size: int) -> None:
    """Check that the disk of `folder` has a capacity of `size` bytes, free or not.

    Raises:
        DownloadError: The disk is smaller; the message has both numbers.
    """
    total = _usage(folder).total
    if size and not total:
        raise DownloadError(
            f"no files can be stored in {folder}: it is not on a disk and has no space; choose "
            "another folder"
        )
    if total < size:
        raise DownloadError(
            f"{human_size(size)} do not fit on the disk of {folder}, which has "
            f"{human_size(total)}; choose fewer series or a folder on another disk"
        )


def free_space(folder: Path) -> tuple[int, int]:
    """Return the free bytes on the disk of `folder`, and how many of them must stay free.

    That margin is 2 % of the disk, at most 1 GB: a full disk breaks other programs, and files
    occupy somewhat more than their size.

    Raises:
        DownloadError: The system cannot tell the space on the disk.
    """
    usage = _usage(folder)
    return usage.free, min(10**9, usage.total // 50)


def check_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes fit on the disk of `folder` and leave the margin of `free_space`.

    Raises:
        DownloadError: They do not fit; the message has the numbers.
    """
    free, margin = free_space(folder)
    if needed and free - margin < needed:
        raise DownloadError(
            f"not enough disk space for {folder}: {human_size(needed)} are still to fetch, "
            f"{human_size(free)} are free, of which {human_size(margin)} must be left; "
            "free some space, choose another folder or fewer series"
        )


def _usage(folder: Path) -> shutil._ntuple_diskusage:
    parent = _nearest_existing(folder)
    try:
        return shutil.disk_usage(parent)
    except OSError as error:
        raise DownloadError(
            f"cannot use {folder}: {error.strerror or error}; choose another folder"
        ) from error


def _nearest_existing(folder: Path) -> Path:
    """Return `folder`, or its nearest parent that exists.

    Raises:
        DownloadError: The path has a broken link or a name that is too long.
    """
    for path in (folder, *folder.parents):
        if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
            raise DownloadError(f"the name {path.name[:40]!r}... is too long for a folder")
        if os.path.exists(path):
            return path
        if os.path.islink(path):
            raise DownloadError(f"{path} is a broken link; choose another folder")
    return Path(folder.anchor)
