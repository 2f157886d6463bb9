"""The folder `WORK_FOLDER`, in which jobs keep their lock files and, in the flat form, new files.

In a shared folder, somebody else may have made it. So a link in its place is refused, and only
files with the names of our lock files count.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ..errors import DownloadError
from .path_template import WORK_FOLDER

__all__ = ["is_trusted", "lock_files", "make_work_folder", "refuse_link"]

_MAX_LOCK_FILES = 10_000  # how many lock files a job reads in one folder
_LOCK_NAME = re.compile(r"[0-9a-f]{32}\.lock")  # a random UUID: other programs have `*.lock`, too


def refuse_link(root: Path) -> None:
    """Refuse a folder whose work folder is a link: a job would move files out of its target.

    Raises:
        DownloadError: It is a link.
    """
    if os.path.islink(home := root / WORK_FOLDER):
        raise DownloadError(
            f"{home} is a link to another folder; remove the link, or choose another folder to "
            "download into"
        )


def make_work_folder(home: Path) -> None:
    """Create a work folder. Everybody who may write into the folder above may write into it.

    Raises:
        OSError: It cannot be created, or something else has its name, such as a link to a folder.
    """
    if _is_work_folder(home):
        return
    if os.path.lexists(home):
        raise FileExistsError(errno.EEXIST, f"{home} is a link or a file, not a folder")
    home.mkdir(parents=True, exist_ok=True)
    if sys.platform != "win32":
        with suppress(OSError):
            file = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                above = home.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISVTX)
                if above & (stat.S_IWGRP | stat.S_IWOTH):
                    os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode) | above)
            finally:
                os.close(file)


def is_trusted(place: Path) -> bool:
    """Return whether to trust the lock files in a folder above the chosen one.

    Anybody can create a work folder in a folder like /tmp, and so delay or block the downloads of
    others.
    """
    if sys.platform == "win32":
        return True
    try:
        home = (place / WORK_FOLDER).lstat()
        if not stat.S_ISDIR(home.st_mode):
            return False
        return home.st_uid in (0, os.getuid()) or not place.stat().st_mode & stat.S_IWOTH
    except OSError:
        return False


def lock_files(place: Path) -> list[Path]:
    """Return the lock files of jobs in the work folder of a folder."""
    home = place / WORK_FOLDER
    if _is_work_folder(home):
        with suppress(OSError), os.scandir(home) as entries:
            files = (Path(entry.path) for entry in entries if _LOCK_NAME.fullmatch(entry.name))
            return list(islice(files, _MAX_LOCK_FILES))
    return []


def _is_work_folder(home: Path) -> bool:
    """Return whether a path is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(home.lstat().st_mode)
    except OSError:
        return False
