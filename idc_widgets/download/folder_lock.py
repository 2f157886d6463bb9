"""A lock on folders: two downloads never write into the same folder at the same time.

Within a process, a set of folders in use is enough. For other processes, a job keeps a small file
in `WORK_FOLDER` below the chosen folder, and holds a lock on it while it runs. The system releases
the lock when the process ends, in whatever way. The file also names the s5cmd of the job, so that
the next job can end one that outlived its Python process.

(A process that is killed between starting s5cmd and recording it leaves an s5cmd that no other job
knows. It ends by itself, see `s5cmd.arguments`, and does no harm: files get their final names only
when they are complete.)

The folder of one job may be inside that of another (`data` and `data/nlst`). So a job looks for
lock files in every folder above those of its series, and a lock file names the folders of its job
relative to where it lies.

Other processes are not seen on Windows, nor on file systems without locks.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import socket
import stat
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._util import try_lock
from ..errors import DownloadError
from . import s5cmd
from .path_template import WORK_FOLDER
from .plan import DownloadPlan

__all__ = ["FolderLock"]

# If two jobs start at the same instant, one waits before it looks again; the other waits for it
_BACK_OFF_SECONDS = 0.2
_GIVE_WAY_SECONDS = 0.5
_POLL_SECONDS = 0.02
_WRITE_SECONDS = 1.0  # a process locks its file before it writes it; allow so long in between
_MAX_LOCK_FILE_BYTES = 1 << 26  # 1,000,000 series take 20 MB

_log = logging.getLogger(__name__)
_folders_in_use: set[str] = set()
_folders_in_use_lock = threading.Lock()


class FolderLock:
    """The right of one job to write into the folders of `plan`.

    The constructor reserves them within this process: check `is_reserved`. Then `lock` keeps other
    processes out. Call `release` in either case.
    """

    def __init__(self, plan: DownloadPlan) -> None:
        self._root = Path(os.path.realpath(plan.folder))  # it may have several names
        start = len(str(plan.folder))
        self._series = [f"{self._root}{str(series.folder)[start:]}" for series in plan.series]
        self._folders = set(map(_folded, self._series))
        self._made: list[Path] = []
        self._path: Path | None = None
        self._file = -1
        self.is_locked = False
        """Whether `lock` keeps other processes out."""
        with _folders_in_use_lock:
            self.is_reserved = _folders_in_use.isdisjoint(self._folders)
            """False if another job of this process uses one of the folders."""
            if self.is_reserved:
                _folders_in_use.update(self._folders)

    @property
    def made_root(self) -> bool:
        """Whether the chosen folder exists only because `lock` made it."""
        return self._root in self._made

    def lock(self) -> None:
        """Keep other processes out, and end each s5cmd that a killed process left behind.

        Raises:
            DownloadError: Another process is downloading into one of the folders.
        """
        if sys.platform == "win32" or not self._folders:
            self.is_locked = True
            return
        try:
            try:
                self._check_lock_files(_GIVE_WAY_SECONDS)
            except DownloadError:
                # Two jobs that start at the same instant see each other: one of them backs off
                self._remove_lock_file()
                time.sleep(_BACK_OFF_SECONDS)
                self._check_lock_files()
        except OSError as error:
            _log.warning("cannot keep other processes out of %s: %s", self._root, error)
        self.is_locked = True

    def record_process(self, process: s5cmd.Process) -> None:
        """Write into the lock file which s5cmd is running."""
        if self._path:
            words = json.dumps({"pid": process.pid, "started": process.started})
            with suppress(OSError):
                os.write(self._file, f"{words}\n".encode())

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
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._path = None
        for folder in reversed(self._made):
            with suppress(OSError):  # it is not empty, or another job uses it
                folder.rmdir()
        self._made = []

    def _lock_places(self) -> Iterator[Path]:
        """Yield every folder above those of the series: lock files there may concern them."""
        seen = {str(self._root)}
        yield self._root
        for path in (str(self._root), *self._series):
            while (path := os.path.dirname(path)) not in seen:
                seen.add(path)
                yield Path(path)

    def _hashes_below(self, place: Path) -> set[str]:
        """Return the folders of the series in or below `place`, as a lock file there names them."""
        start = _folded(str(place)).rstrip(os.sep)
        return {
            _hash(folder[len(start) :])
            for folder in self._folders
            if folder.startswith(f"{start}{os.sep}") or folder == start
        }

    if sys.platform != "win32":

        def _check_lock_files(self, patience: float = 0) -> None:
            self._register(sorted(self._hashes_below(self._root)))
            for place in self._lock_places():
                for path in _lock_files(place):
                    if path != self._path:
                        self._check_lock_file(path, place, patience)

        def _register(self, folders: list[str]) -> None:
            """Create and lock the lock file of this job."""
            home = self._root / WORK_FOLDER
            missing = [path for path in (home, *home.parents) if not path.exists()]
            self._made = list(dict.fromkeys([*reversed(missing), home]))
            about = {"pid": os.getpid(), "host": socket.gethostname(), "folders": folders}
            while True:
                with suppress(FileNotFoundError):  # another job removes the folder at this moment
                    home.mkdir(parents=True, exist_ok=True)
                    path = home / f"{uuid.uuid4().hex}.lock"
                    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
                    try:
                        # Another job may inspect the new file at this moment, or have removed it
                        if _lock(file) and os.fstat(file).st_nlink:
                            os.write(file, f"{json.dumps(about)}\n".encode())
                            self._path, self._file = path, file
                            return
                    finally:
                        if self._path is None:
                            os.close(file)
                            with suppress(OSError):
                                path.unlink()

        def _check_lock_file(self, path: Path, place: Path, patience: float) -> None:
            """Respect the lock file of another job; if its process has ended, clean up after it.

            Args:
                path: The lock file.
                place: The folder that it belongs to.
                patience: Seconds to wait for the other job if it is the one to back off.

            Raises:
                DownloadError: The other job is running and shares a folder with this one.
            """
            file = _open_regular(path)
            if file is None:
                return
            try:
                if not _lock(file):
                    owner, _ = _read(file)
                    if owner:
                        is_disjoint = self._hashes_below(place).isdisjoint(
                            map(str, owner["folders"])
                        )
                    else:  # a locked file that cannot be read counts for its own folder only
                        is_disjoint = place != self._root
                    if is_disjoint:
                        return
                    backs_off = self._path is not None and path.name < self._path.name
                    if not _lock_within(file, patience if backs_off else 0):
                        raise DownloadError(self._in_use_message(owner))
                owner, orphans = _read(file, patience=0)
                # Anyone with write access could list an arbitrary pid, so trust only lock files
                # that this user owns
                is_own = os.fstat(file).st_uid == os.getuid()
                if is_own and owner.get("host") == socket.gethostname():
                    for orphan in orphans:
                        s5cmd.end_orphan(orphan["pid"], orphan["started"])
                with suppress(FileNotFoundError, PermissionError):
                    path.unlink()
            finally:
                os.close(file)
            if place != self._root:
                with suppress(OSError):  # it has another lock file
                    path.parent.rmdir()

    def _in_use_message(self, owner: dict[str, Any]) -> str:
        pid, host = owner.get("pid", "unknown"), owner.get("host", "unknown")
        if (pid, host) == (os.getpid(), socket.gethostname()):
            return (
                "another download of this session is writing into the same folders of "
                f"{self._root}, by another path; wait for it or cancel it"
            )
        return (
            f"another process (pid {pid} on {host}) is downloading into the same folders of "
            f"{self._root}; wait for it or end it"
        )


def _lock(file: int) -> bool:
    """Lock an open file; return False if another process has locked it.

    Raises:
        OSError: The file system has no locks.
    """
    is_locked = try_lock(file)
    if is_locked is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    return is_locked


def _lock_within(file: int, patience: float) -> bool:
    """Wait up to `patience` seconds for a file to be unlocked; return whether we locked it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        if _lock(file):
            return True
    return False


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def _folded(path: str) -> str:
    return os.path.normcase(path).casefold()


def _lock_files(place: Path) -> list[Path]:
    with suppress(OSError), os.scandir(place / WORK_FOLDER) as entries:
        return [Path(entry.path) for entry in entries if entry.name.endswith(".lock")]
    return []


def _open_regular(path: Path) -> int | None:
    """Open a file for reading; return None if it is gone, or is a link, a pipe or the like."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            if stat.S_ISREG(os.fstat(file).st_mode):
                return file
            os.close(file)
    return None


def _is_process(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("pid"), int) and "started" in entry


def _read(file: int, patience: float = _WRITE_SECONDS) -> tuple[dict[str, Any], list[Any]]:
    """Read a lock file: the owner and its s5cmd processes; both empty if it is not valid.

    Args:
        file: Its descriptor.
        patience: Seconds to wait until it is valid.
    """
    deadline = time.monotonic() + patience
    while True:
        size = os.fstat(file).st_size
        if size > _MAX_LOCK_FILE_BYTES:
            return {}, []
        lines = os.pread(file, size, 0).decode(errors="replace").splitlines()
        with suppress(ValueError, RecursionError):
            owner, *others = map(json.loads, lines)
            # The content is untrusted: anyone with write access may have made it
            if isinstance(owner, dict) and isinstance(owner.setdefault("folders", []), list):
                return owner, [entry for entry in others if _is_process(entry)]
        if time.monotonic() >= deadline:
            return {}, []
        time.sleep(_POLL_SECONDS)
