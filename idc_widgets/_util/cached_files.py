"""Files that several processes share: tell them apart, hold those in use, remove the unused."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from .atomic import remove

if sys.platform != "win32":
    import fcntl

__all__ = [
    "FileIdentity",
    "exists",
    "file_identity",
    "hold",
    "is_file",
    "is_from_us",
    "remove_leftovers",
    "remove_unless_held",
    "remove_unused",
]

#: Distinguishes a file from an earlier one at the same path: device, inode, size in bytes, and the
#: time of the last change in ns. The identity of a folder consists of those of its files.
FileIdentity: TypeAlias = tuple[object, ...]

#: The hidden file of an unfinished write counts as a leftover after this time without a write.
_LEFTOVER_SECONDS = 24 * 3600

#: The time of the last use of a file is written at most once in this time.
_TOUCH_SECONDS = 3600


def exists(path: Path) -> bool:
    """Return whether there is something at a path; False if its folder cannot be entered."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises an error then


def is_file(path: Path) -> bool:
    """Return whether there is a file at a path; False if its folder cannot be entered."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises an error then


def file_identity(path: Path) -> FileIdentity | None:
    """Return the identity of the file or folder at a path; None if it does not exist."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return tuple((file.name, file_identity(file)) for file in sorted(path.iterdir()))
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def is_from_us(path: Path) -> bool:
    """Return whether a file was written by this user or by root, so that it can be trusted.

    Always True on Windows, which has no such owners.
    """
    if sys.platform == "win32":
        return is_file(path)
    try:
        return path.stat().st_uid in (os.geteuid(), 0)
    except OSError:
        return False


def hold(path: Path) -> int | None:
    """Open a file for reading and mark it as in use, so that `remove_unused` keeps it.

    Returns:
        Its descriptor, which the caller closes when it no longer uses the file; None if the file
        cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    # On a file system without locks, the time of the last use protects the file for a day.
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with suppress(OSError):  # the file of another user, or a read-only disk
        status = os.fstat(file)
        if time.time() - status.st_atime > _TOUCH_SECONDS:
            # The time of the last change is part of the identity and stays as it is.
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
    return file


def remove_unused(paths: Iterable[Path], seconds: float) -> None:
    """Remove the files that no process holds and that were last used more than `seconds` ago."""
    for path in paths:
        with suppress(OSError):  # Windows does not remove a file that is open
            is_file = stat.S_ISREG(path.lstat().st_mode)
            if is_file and time.time() - _last_use(path) > seconds:
                remove_unless_held(path)


def remove_leftovers(folder: Path, is_leftover: Callable[[str], object]) -> None:
    """Remove the unfinished files and folders of processes that no longer run.

    Args:
        folder: The folder; it may be missing.
        is_leftover: Called with a file name; tells whether a file of this name is unfinished. An
            unfinished file is removed if nothing has been written to it for a day.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if is_leftover(entry.name):
                with suppress(OSError):
                    if time.time() - _last_write(Path(entry.path)) > _LEFTOVER_SECONDS:
                        remove(Path(entry.path))


def remove_unless_held(path: Path) -> bool:
    """Remove a file and return True, or return False if a process holds it.

    Without locks on the file system, a file that was written or touched within a day counts as
    held.

    Raises:
        OSError: It cannot be opened or removed. Windows does not remove a file that is open.
    """
    if sys.platform != "win32":
        # NFS locks only files that are open for writing.
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            has_locks = error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
            if has_locks or time.time() - _last_use(path) < _LEFTOVER_SECONDS:
                return False
        finally:
            os.close(file)
    path.unlink()
    return True


def _last_use(path: Path) -> float:
    status = path.lstat()
    return max(status.st_atime, status.st_mtime)


def _last_write(path: Path) -> float:
    """Return the time of the last change of a file, or of the newest entry of a folder."""
    times = [path.lstat().st_mtime]
    if path.is_dir() and not path.is_symlink():
        times += [entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path)]
    return max(times)
