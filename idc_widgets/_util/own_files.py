"""Files and folders of this user in places where others may write, and the space for them.

An unfinished file is created with O_EXCL. A later call appends to it only if it is a regular file
of this user without a second name (hard link). A link at its path is not followed. A link in the
path of its folder is followed if the user made it, such as for a home on another disk. A folder
that everybody may write to is not used.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from .atomic import remove
from .formatting import human_size

__all__ = [
    "make_own_folder",
    "make_partial_folder",
    "open_partial",
    "partial_size",
    "require_space",
]

_FLAGS = (
    os.O_WRONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # if the path is a pipe, do not wait for its reader
    | getattr(os, "O_BINARY", 0)
)

#: Part of a disk that stays free, and its maximum in bytes: a full disk breaks other programs.
_MARGIN, _MAX_MARGIN_BYTES = 0.02, 10**9


def make_own_folder(folder: Path) -> None:
    """Create a folder and those above it, and check that strangers cannot plant links in it.

    Raises:
        OSError: It cannot be created, everybody may write to it, or somebody else made a link in
            its path. The message has the next step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # Windows has access lists, which a mode does not show
        return
    trusted = (os.geteuid(), 0)
    status = folder.stat()
    # In a sticky folder, such as /tmp, only the owner of the folder and we can replace our files.
    is_sticky = bool(status.st_mode & stat.S_ISVTX) and status.st_uid in trusted
    if status.st_mode & stat.S_IWOTH and not is_sticky:
        raise PermissionError(
            errno.EPERM,
            f"everybody may write to {folder}, so that files in it cannot be trusted; run "
            f"chmod o-w on it, or choose another folder with IDC_WIDGETS_DATA_DIR and "
            "IDC_WIDGETS_CACHE_DIR",
        )
    for link in (folder, *folder.parents):
        is_foreign = link.is_symlink() and link.lstat().st_uid not in trusted
        if is_foreign and link.parent.stat().st_mode & stat.S_IWOTH:
            raise PermissionError(
                errno.EPERM,
                f"{link} is a link that another user made; remove it, or choose another folder "
                "with IDC_WIDGETS_DATA_DIR and IDC_WIDGETS_CACHE_DIR",
            )


def make_partial_folder(folder: Path) -> None:
    """Make sure that a folder of this user is at a path; remove anything else there.

    Raises:
        OSError: It cannot be created.
    """
    try:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or not _is_from_this_user(status):
            remove(folder)
    except FileNotFoundError:
        pass
    folder.mkdir(exist_ok=True)


def partial_size(path: Path) -> int:
    """Return the size of an unfinished file in bytes; 0 if it is missing or cannot be resumed."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_size if _is_own_file(status) else 0


def open_partial(path: Path, *, resume: bool) -> BinaryIO:
    """Open an unfinished file for writing. No link is followed.

    Args:
        path: The file. Unless it is resumed, anything at this path is removed.
        resume: True to append to a file whose `partial_size` is not 0.

    Raises:
        OSError: The file cannot be opened, or is not ours any more.
    """
    if not resume:
        remove(path)
        return os.fdopen(os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666), "wb")
    file = os.open(path, _FLAGS | os.O_APPEND)
    if not _is_own_file(os.fstat(file)):
        os.close(file)
        raise PermissionError(errno.EPERM, f"{path} is not a file of this user")
    return os.fdopen(file, "ab")


def require_space(folder: Path, size_bytes: int) -> None:
    """Check that a number of bytes fit on the disk of a folder, and leave 2 % of it free.

    Raises:
        OSError: They do not fit; the message has the numbers.
    """
    usage = shutil.disk_usage(folder)
    margin = min(_MAX_MARGIN_BYTES, int(usage.total * _MARGIN))
    # Some network disks report no size.
    if usage.total and usage.free - margin < size_bytes:
        raise OSError(
            errno.ENOSPC,
            f"not enough disk space: {human_size(size_bytes)} are still to write, "
            f"{human_size(usage.free)} are free, of which {human_size(margin)} must be left",
        )


def _is_own_file(status: os.stat_result) -> bool:
    # With a second name (a hard link), this could be any other file of this user on the disk.
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and _is_from_this_user(status)


def _is_from_this_user(status: os.stat_result) -> bool:
    return sys.platform == "win32" or status.st_uid == os.geteuid()
