"""Lock files. A lock is held by one thread of one process, and ends when that process ends."""

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

# Do not follow a symlink or block on a FIFO planted at this path.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Create a lock file and try to lock it, without waiting.

    The block runs in any case. Whoever holds the lock removes the file at the end.

    Yields:
        True if the lock is held, False if another thread or process holds it, None if the file
        system has no locks.

    Raises:
        OSError: The file cannot be created.
    """
    file = os.open(path, _FLAGS, 0o666)
    try:
        try:
            is_held = try_lock(file)
        except OSError:  # for example an error of a network disk
            is_held = False
        if is_held is not False and not _is_at(path, file):
            is_held = False  # the previous holder removed the file before we locked it
        try:
            yield is_held
        finally:
            if is_held is not False:
                with suppress(OSError):  # Windows does not remove open files
                    path.unlink()
    finally:
        os.close(file)


def try_lock(file: int) -> bool | None:
    """Lock an open file until it is closed, without waiting.

    Args:
        file: Its descriptor.

    Returns:
        True if the lock is held, False if another thread or process holds it, None if the file
        system has no locks.

    Raises:
        OSError: The system reports another error.
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


def _is_at(path: Path, file: int) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False
