"""A lock on folders: two downloads never write into the same folder at the same time.

Within a process, a set of folders in use is enough. For other processes, a job keeps a small file
in `WORK_FOLDER` below the chosen folder, and holds a lock on it while it runs. The system releases
the lock when the process ends, in whatever way. The file also names the s5cmd of the job, so that
the next job can end an s5cmd that outlived its Python process.

(A process that is killed between starting s5cmd and recording it leaves an s5cmd that no other job
knows. It ends by itself, see `s5cmd.arguments`, and does no harm: files get their final names only
when they are complete.)

The folder of one job may be inside that of another (`data` and `data/nlst`). So a job looks for
lock files in every folder above those of its series, and a lock file names the folders of its job
relative to where it lies.

Some file systems have no locks, and some keep the locks of each computer to itself. There, two jobs
may write into one folder. Their lock files still show that both run: see `is_alone`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from .._util import try_lock
from ..errors import DownloadError
from . import s5cmd
from .lock_file import (
    HEARTBEAT_SECONDS,
    LockFile,
    Patience,
    Status,
    change_time,
    inspect,
    pid_space,
)
from .path_template import WORK_FOLDER
from .plan import DownloadPlan
from .work_folder import is_trusted, lock_files, make_work_folder, refuse_link

__all__ = ["FolderLock"]

# If two jobs start at the same instant, one of them backs off: it removes its lock file, and looks
# again after _BACK_OFF_SECONDS. The other job waits at most _GIVE_WAY_SECONDS for the removal
_BACK_OFF_SECONDS = 0.2
_GIVE_WAY_SECONDS = 3.0
_WRITE_SECONDS = 1.0  # how long to wait for the content of a file that is locked but still empty
_MAX_DELAY_SECONDS = 5.0  # how long all lock files of other jobs together may delay a job
_REGISTER_TRIES = 50  # a try fails if another job inspects the file or removes its folder
_REGISTER_PAUSE_SECONDS = 0.01

_log = logging.getLogger(__name__)
_folders_in_use: set[str] = set()
_folders_in_use_lock = threading.Lock()

#: The content of the lock files of this process, by their names, which are unique. This process
#: never opens these files again: on NFS, a lock belongs to the whole process, and ends when the
#: process closes any descriptor of the file.
_own_files: dict[str, dict[str, Any]] = {}
_own_descriptors: set[int] = set()


class FolderLock:
    """The right of one job to write into the folders of `plan`.

    The constructor reserves the folders within this process: check `is_reserved`. Then `lock` keeps
    other processes out. Always call `release` at the end.
    """

    def __init__(self, plan: DownloadPlan) -> None:
        self._root = Path(os.path.realpath(plan.folder))  # links can give a folder several paths
        self._start = start = len(str(plan.folder))
        self._series = [f"{self._root}{str(series.folder)[start:]}" for series in plan.series]
        self._folders = set(map(_folded, self._series))
        self._made: list[Path] = []
        self._path: Path | None = None
        self._file = -1
        self._last_heartbeat = 0.0
        self.is_locked = False
        """Whether `lock` has succeeded. Some file systems have no locks: see `is_alone`."""
        with _folders_in_use_lock:
            self.is_reserved = _folders_in_use.isdisjoint(self._folders)
            """False if another job of this process uses one of the folders."""
            if self.is_reserved:
                try:
                    _folders_in_use.update(self._folders)
                except BaseException:  # there is not enough memory
                    _folders_in_use.difference_update(self._folders)
                    raise

    @property
    def made_root(self) -> bool:
        """Whether the chosen folder exists only because `lock` made it."""
        return self._root in self._made

    def lock(self, cancelled: threading.Event | None = None) -> None:
        """Keep other processes out, and end each s5cmd that a killed process left behind.

        The lock files of other jobs delay this by `_MAX_DELAY_SECONDS` at most.

        Args:
            cancelled: Return early when this is set.

        Raises:
            DownloadError: Another process is downloading into one of the folders, or the work
                folder is a link.
        """
        refuse_link(self._root)
        if self._folders:
            patience = Patience(_MAX_DELAY_SECONDS, cancelled)
            try:
                self._check_lock_files(patience, _GIVE_WAY_SECONDS)
            except DownloadError:
                # Both jobs may have started at the same instant, so back off once and look again
                self._remove_lock_file()
                time.sleep(_BACK_OFF_SECONDS)
                self._check_lock_files(patience)
        self.is_locked = True

    def is_alone(self, folder: Path) -> bool:
        """Return whether, as far as can be known, only this job is writing into `folder` now.

        Args:
            folder: A folder of the series of this job.
        """
        if self._path is None:  # other jobs here cannot have a lock file either
            return False
        real = f"{self._root}{str(folder)[self._start :]}"
        name = _folded(real)
        for place in (Path(real), *Path(real).parents):
            below = {_hash(name[len(_start(place)) :])}
            for path in self._files_of_others(place):
                with self._inspect(path, Patience(0), 0) as other:
                    if (
                        other
                        and other.status is not Status.ENDED
                        and self._concerns(other, place, below)
                    ):
                        return False
        return True

    def keep_alive(self) -> None:
        """Show other computers that this job runs; call this often while files are written."""
        now = time.monotonic()
        if self._path and now - self._last_heartbeat > HEARTBEAT_SECONDS:
            self._last_heartbeat = now
            with suppress(OSError):
                os.utime(self._path)

    def record_process(self, process: s5cmd.Process) -> None:
        """Write the pid and the start time of an s5cmd into the lock file."""
        if self._path:
            words = json.dumps({"pid": process.pid, "started": process.started})
            with suppress(OSError):
                os.write(self._file, f"{words}\n".encode())
            self._last_heartbeat = time.monotonic()

    def release(self) -> None:
        """Release the folders and remove the lock file."""
        self.is_locked = False
        self._remove_lock_file()
        if self.is_reserved:
            with _folders_in_use_lock:
                _folders_in_use.difference_update(self._folders)
            self.is_reserved = False

    def _remove_lock_file(self) -> None:
        if self._path:
            if sys.platform == "win32":  # Windows cannot remove an open file
                os.close(self._file)
            with suppress(OSError):
                self._path.unlink()
            if sys.platform != "win32":
                os.close(self._file)
            _own_files.pop(self._path.name, None)
            _own_descriptors.discard(self._file)
            self._path = None
        for folder in reversed(self._made):
            with suppress(OSError):  # it is not empty, or another job uses it
                folder.rmdir()
        self._made = []

    def _lock_places(self) -> Iterator[Path]:
        """Yield every folder above a series folder: a lock file in it may lock that folder."""
        seen = {str(self._root)}
        yield self._root
        for path in (str(self._root), *self._series):
            while (path := os.path.dirname(path)) not in seen:
                seen.add(path)
                yield Path(path)

    def _hashes_below(self, place: Path) -> set[str]:
        """Return hashes of the job's folders in or below `place`, as lock files there list them."""
        start = _start(place)
        return {
            _hash(folder[len(start) :])
            for folder in self._folders
            if folder.startswith(f"{start}{os.sep}") or folder == start
        }

    def _check_lock_files(self, patience: Patience, give_way: float = 0.0) -> None:
        folders = sorted(self._hashes_below(self._root))
        try:
            self._register(folders)
        except OSError as error:
            _log.warning("cannot keep other processes out of %s: %s", self._root, error)
        for place in self._lock_places():
            for path in self._files_of_others(place):
                if patience.is_cancelled:
                    return
                self._check_lock_file(path, place, patience, give_way)

    def _register(self, folders: list[str]) -> None:
        """Create and lock the lock file of this job.

        Raises:
            OSError: It cannot be created.
        """
        home = self._root / WORK_FOLDER
        missing = [path for path in (home, *home.parents) if not path.exists()]
        self._made = list(dict.fromkeys([*reversed(missing), home]))
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "pid_space": pid_space(),
            "folders": folders,
        }
        for _ in range(_REGISTER_TRIES):
            with suppress(FileNotFoundError):  # another job removes the folder at this moment
                make_work_folder(home)
                path = home / f"{uuid.uuid4().hex}.lock"
                _own_files[path.name] = about
                flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
                file = -1
                try:
                    file = os.open(path, flags, 0o644)
                    # Another job may inspect the new file at this moment, or have removed it
                    if _lock_new(file, path):
                        os.write(file, f"{json.dumps(about)}\n".encode())
                        self._path, self._file = path, file
                        _own_descriptors.add(file)
                        self._last_heartbeat = time.monotonic()
                        return
                finally:
                    if self._path is None:
                        _own_files.pop(path.name, None)
                        if file != -1:
                            os.close(file)
                        with suppress(OSError):
                            path.unlink()
            time.sleep(_REGISTER_PAUSE_SECONDS * random.random())
        raise OSError(errno.EAGAIN, "a new lock file vanishes again and again")

    def _files_of_others(self, place: Path) -> list[Path]:
        own = self._path.name if self._path else None
        if place != self._root and not is_trusted(place):
            return []
        return [path for path in lock_files(place) if path.name != own]

    def _inspect(
        self, path: Path, patience: Patience, seconds: float
    ) -> AbstractContextManager[LockFile | None]:
        owner = _own_files.get(path.name)
        if owner is not None:
            return nullcontext(LockFile(Status.RUNNING, owner))
        now = time.time()
        if self._path:  # the clock of the file system may differ from that of this computer
            with suppress(OSError):
                os.utime(self._path)
            now = change_time(self._path) or now
        return inspect(path, now, patience, seconds)

    def _concerns(self, other: LockFile, place: Path, below: set[str]) -> bool:
        if other.owner:
            return not below.isdisjoint(map(str, other.owner["folders"]))
        return place == self._root  # an unreadable lock file concerns only jobs in the same folder

    def _check_lock_file(
        self, path: Path, place: Path, patience: Patience, give_way: float
    ) -> None:
        """Check the lock file of another job; if that job has ended, clean up after it.

        Args:
            path: The lock file.
            place: The folder whose `WORK_FOLDER` contains the lock file.
            patience: Bounds how long the lock files of other jobs can delay this job.
            give_way: How many seconds to wait for the other job, if it is the one to back off.

        Raises:
            DownloadError: The other job is running and shares a folder with this one.
        """
        backs_off = self._path is not None and path.name < self._path.name
        owner: dict[str, Any] = {}
        for _ in patience.moments(give_way if backs_off else 0):
            with self._inspect(path, patience, _WRITE_SECONDS) as other:
                if other and other.status is Status.ENDED:
                    _clean_up(path, other)
                if not other or other.status is not Status.RUNNING:
                    break
                if not self._concerns(other, place, self._hashes_below(place)):
                    return
                owner = other.owner
                if not other.is_new:  # its own check is over, so it does not back off any more
                    raise DownloadError(self._in_use_message(owner, path))
        else:
            raise DownloadError(self._in_use_message(owner, path))
        if place != self._root:
            with suppress(OSError):  # the folder has further lock files
                path.parent.rmdir()

    def _in_use_message(self, owner: dict[str, Any], path: Path) -> str:
        pid, host = owner.get("pid", "unknown"), owner.get("host", "unknown")
        if (pid, host) == (os.getpid(), socket.gethostname()):
            return (
                "another download of this session is writing into the same folders of "
                f"{self._root}, by another path; wait for it or cancel it"
            )
        hint = "" if owner else f"; if there is none, delete {path}"
        return (
            f"another process (pid {pid} on {host}) is downloading into the same folders of "
            f"{self._root}; wait for it or end it{hint}"
        )


def _lock_new(file: int, path: Path) -> bool:
    """Lock a new lock file; return False if another job has locked or removed it."""
    with suppress(OSError, AttributeError):  # Windows has no fchmod
        os.fchmod(file, 0o644)  # others have to read it, whatever the umask is
    try:
        is_locked = try_lock(file)
    except OSError:
        is_locked = None
    if is_locked is None:
        _log.info("%s is on a file system without locks", path)
    # A removed file has no links, but not every file system counts them: so look at the path, too
    return is_locked is not False and (bool(os.fstat(file).st_nlink) or path.exists())


def _clean_up(path: Path, other: LockFile) -> None:
    """End the s5cmd processes that a job has left behind, and remove its lock file."""
    # Anyone with write access could list an arbitrary pid, so trust only lock files that this user
    # owns
    if other.is_ours and other.is_from_here:
        for orphan in other.orphans:
            s5cmd.end_orphan(orphan["pid"], orphan["started"])
    if other.is_of_a_job:
        with suppress(OSError):
            path.unlink()


def _start(place: Path) -> str:
    return _folded(str(place)).rstrip(os.sep)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _folded(path: str) -> str:
    return os.path.normcase(path).casefold()


def _forget() -> None:
    for file in _own_descriptors:  # otherwise the lock would outlive the parent in the child
        with suppress(OSError):
            os.close(file)
    _own_descriptors.clear()
    _own_files.clear()
    _folders_in_use.clear()
    _folders_in_use_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_folders_in_use_lock.acquire,
        after_in_parent=_folders_in_use_lock.release,
        after_in_child=_forget,  # the jobs stay with the parent
    )
