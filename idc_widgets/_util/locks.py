"""Lock files. A lock is held by one thread of one process, and ends when that process ends."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["locked", "try_lock"]

# If somebody planted a link or a pipe at this path, do not follow the link or wait for the pipe.
_SAFE_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

# A lock file that cannot be read belongs to another user. If it is older than this, it counts as
# left behind by a killed process, because the work under these locks takes seconds.
_ABANDONED_SECONDS = 300

# Lock files that threads of this process use. NFS does not tell threads apart: when one thread
# closes a lock file, the lock of another thread on this file ends.
_names: set[str] = set()
_names_lock = threading.Lock()


@contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Create a lock file and try to lock it, without waiting.

    The `with` block runs in any case. The holder of the lock removes the file at the end. A file
    that another user left behind is used as well, or is replaced if it cannot be read.

    Yields:
        True if the lock is held, False if another thread or process holds it, None if the file
        system has no locks.

    Raises:
        OSError: The file cannot be created.
    """
    name = str(Path(os.path.realpath(path.parent), path.name))
    with _names_lock:
        is_ours = name not in _names
        _names.add(name)
    if not is_ours:
        yield False
        return
    try:
        with _locked_by_this_process(path) as is_held:
            yield is_held
    finally:
        with _names_lock:
            _names.discard(name)


@contextmanager
def _locked_by_this_process(path: Path) -> Iterator[bool | None]:
    file = _open_lock_file(path)
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


def _open_lock_file(path: Path) -> int:
    """Open a lock file for writing, or for reading if it is another user's; create a missing one.

    Raises:
        OSError: It cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | _SAFE_FLAGS
    try:
        return os.open(path, flags, 0o666)
    except PermissionError:
        try:
            return os.open(path, os.O_RDONLY | _SAFE_FLAGS)
        except OSError:
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
                    return os.open(path, flags | os.O_EXCL, 0o666)
        raise


def try_lock(file: int, *, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed, without waiting.

    On NFS, an exclusive lock needs a file that is open for writing, and closing any descriptor of a
    file ends all locks that this process holds on it.

    Args:
        file: The descriptor of the file. If it is open for reading only, and the file system gives
            exclusive locks only on files that are open for writing, the lock is a shared one.
        shared: Take a lock that others may share. Nobody gets it while another holds an exclusive
            one. (On Windows, all locks are exclusive.)

    Returns:
        True if the lock is held, False if another thread or process holds it, None if the file
        system has no locks.

    Raises:
        OSError: The system reports another error.
    """
    try:
        if sys.platform == "win32":
            _lock_byte(file)
        else:
            _flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return None
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


if sys.platform == "win32":

    def _lock_byte(file: int) -> None:
        # Others cannot read a locked byte, so lock one beyond the end of the file
        position = os.lseek(file, 0, os.SEEK_CUR)
        try:
            os.lseek(file, 1 << 30, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, position, os.SEEK_SET)

else:

    def _flock(file: int, kind: int) -> None:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EBADF or kind == fcntl.LOCK_SH:
                raise
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _is_at(path: Path, file: int) -> bool:
    """Return whether the file at a path is still this open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _forget() -> None:
    _names.clear()
    _names_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_names_lock.acquire,
        after_in_parent=_names_lock.release,
        after_in_child=_forget,  # the threads that use the files are in the parent
    )
