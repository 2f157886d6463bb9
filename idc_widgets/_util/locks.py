"""Lock files: one thread of one process has one at a time. A lock ends with its process."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["locked", "try_lock"]

# Nothing is made through a link, nor waited for in a pipe, that somebody put there
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Whether nobody else is in such a block for this file; None if the file system has no locks.

    The file is made, and whoever had the lock removes it.

    Raises:
        OSError: it cannot be made.
    """
    file = os.open(path, _FLAGS, 0o666)
    try:
        try:
            ours = try_lock(file)
        except OSError:  # such as an error of a network disk
            ours = False
        if ours is not False and not _is_still(path, file):
            ours = False  # whoever had it removed it meanwhile
        try:
            yield ours
        finally:
            if ours is not False:
                with suppress(OSError):  # Windows keeps it while it is open
                    path.unlink()
    finally:
        os.close(file)


def try_lock(file: int) -> bool | None:
    """Lock an open file until it is closed, without waiting.

    Args:
        file: its descriptor.

    Returns:
        False if somebody else has locked it; None if the file system has no locks.

    Raises:
        OSError: the system cannot tell.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return None
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
