"""Two downloads never write into one folder at a time, be they of one process or of two.

Within a process a set of folders tells. For other processes a job keeps a small file in
`.idc_widgets` below the chosen folder, locked as long as it runs: the system lets go of the lock
when the process ends, however that happens, so nobody has to guess whether it lives. The file
also names the s5cmd of the job, so that the next job can end one that outlived its process.

(One that is killed in the instant between starting s5cmd and writing that down leaves an s5cmd that
nobody knows. It ends by itself, see `s5cmd.arguments`, and does no harm: files get their names
when they are whole.)

One job's folder may be inside another's (`data` and `data/nlst`). So a job looks for such files in
every folder above those of its series, and a file names folders as seen from where it lies.

Other processes are not seen on Windows and on file systems without locks.
"""

from __future__ import annotations

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

from ..errors import DownloadError
from . import s5cmd
from .plan import DownloadPlan

if sys.platform != "win32":
    import fcntl

__all__ = ["FOLDER", "Claim"]

FOLDER = ".idc_widgets"
"""Below the chosen folder; there only while a download runs, or after one was killed."""

_MOMENT = 0.2  # seconds that one of two waits that came at the same instant
_PATIENCE = 0.5  # seconds that the other waits for it to be out of the way
_LARGEST = 1 << 26  # bytes of a lock file that is read; 1,000,000 series take 20 MB

_log = logging.getLogger(__name__)
_taken: set[str] = set()
_taken_lock = threading.Lock()


class Claim:
    """The right of one job to write into the folders of `plan`; ask `granted`, then `release`."""

    def __init__(self, plan: DownloadPlan) -> None:
        self._root = Path(os.path.realpath(plan.folder))  # it may have several names
        start = len(str(plan.folder))
        self._series = [f"{self._root}{str(one.folder)[start:]}" for one in plan.series]
        self._folders = set(map(_folded, self._series))
        self._made: list[Path] = []
        self._path: Path | None = None
        self._file = -1
        self.is_locked = False
        """Whether `lock` has kept others out."""
        with _taken_lock:
            self.granted = _taken.isdisjoint(self._folders)
            """False if another job of this process has one of the folders."""
            if self.granted:
                _taken.update(self._folders)

    @property
    def made_root(self) -> bool:
        """Whether the chosen folder is there only because of `lock`."""
        return self._root in self._made

    def lock(self) -> None:
        """Keep other processes out, after ending the s5cmd of those that were killed.

        Raises:
            DownloadError: another process is downloading into one of the folders.
        """
        if sys.platform == "win32" or not self._folders:
            self.is_locked = True
            return
        try:
            try:
                self._look_round(_PATIENCE)
            except DownloadError:
                # Of two that come at the same instant, each finds the other: one gives way
                self._leave()
                time.sleep(_MOMENT)
                self._look_round()
        except OSError as error:
            _log.warning("cannot keep other processes out of %s: %s", self._root, error)
        self.is_locked = True

    def note(self, process: s5cmd.Process) -> None:
        """Write down which s5cmd is at work."""
        if self._path:
            words = json.dumps({"pid": process.pid, "started": process.started})
            with suppress(OSError):
                os.write(self._file, f"{words}\n".encode())

    def release(self) -> None:
        """Give the folders back, and leave nothing of this behind."""
        self.is_locked = False
        self._leave()
        if self.granted:
            with _taken_lock:
                _taken.difference_update(self._folders)
            self.granted = False

    def _leave(self) -> None:
        if self._path:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._path = None
        for folder in reversed(self._made):
            with suppress(OSError):  # it is not empty, or another job's
                folder.rmdir()
        self._made = []

    def _places(self) -> Iterator[Path]:
        """All folders above those of the series, in which a lock file can concern them."""
        seen = {str(self._root)}
        yield self._root
        for path in (str(self._root), *self._series):
            while (path := os.path.dirname(path)) not in seen:
                seen.add(path)
                yield Path(path)

    def _below(self, place: Path) -> set[str]:
        """The folders of the series that are `place` or below, as a lock file there names them."""
        start = _folded(str(place)).rstrip(os.sep)
        return {
            hashlib.blake2b(one[len(start) :].encode(errors="replace"), digest_size=8).hexdigest()
            for one in self._folders
            if one.startswith(f"{start}{os.sep}") or one == start
        }

    if sys.platform != "win32":

        def _look_round(self, patience: float = 0) -> None:
            self._register(sorted(self._below(self._root)))
            for place in self._places():
                for path in _lock_files(place):
                    if path != self._path:
                        self._meet(path, place, patience)

        def _register(self, folders: list[str]) -> None:
            home = self._root / FOLDER
            missing = [path for path in (home, *home.parents) if not path.exists()]
            self._made = list(dict.fromkeys([*reversed(missing), home]))
            about = {"pid": os.getpid(), "host": socket.gethostname(), "folders": folders}
            while True:
                with suppress(FileNotFoundError, BlockingIOError):  # somebody tidies up just now
                    home.mkdir(parents=True, exist_ok=True)
                    path = home / f"{uuid.uuid4().hex}.lock"
                    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if os.fstat(file).st_nlink:
                            os.write(file, f"{json.dumps(about)}\n".encode())
                            self._path, self._file = path, file
                            return
                    finally:
                        if self._path is None:
                            os.close(file)
                            with suppress(OSError):
                                path.unlink()

        def _meet(self, path: Path, place: Path, patience: float) -> None:
            """Respect the claim of another job, or clear away what is left of it.

            Args:
                path: its lock file.
                place: the folder that it is of.
                patience: seconds to wait for it, if it is the one of us two to give way.
            """
            file = _opened(path)
            if file is None:
                return
            try:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    owner, _ = _read(file)
                    if owner:
                        is_free = self._below(place).isdisjoint(map(str, owner["folders"]))
                    else:  # who locks what nobody can read gets that one folder only
                        is_free = place != self._root
                    if is_free:
                        return
                    gives_way = self._path is not None and path.name < self._path.name
                    if not _locked(file, patience if gives_way else 0):
                        raise DownloadError(self._taken_by(owner)) from None
                owner, orphans = _read(file, patience=0)
                # Who may write here may name any s5cmd of this user, but not in this user's name
                is_ours = os.fstat(file).st_uid == os.getuid()
                if is_ours and owner.get("host") == socket.gethostname():
                    for orphan in orphans:
                        s5cmd.end_orphan(orphan["pid"], orphan["started"])
                with suppress(FileNotFoundError, PermissionError):
                    path.unlink()
            finally:
                os.close(file)
            if place != self._root:
                with suppress(OSError):  # another one is in it
                    path.parent.rmdir()

    def _taken_by(self, owner: dict[str, Any]) -> str:
        pid, host = owner.get("pid", "unknown"), owner.get("host", "unknown")
        if (pid, host) == (os.getpid(), socket.gethostname()):
            return (
                f"another download of this very session is writing into the same folders of "
                f"{self._root}, by another path; wait for it or cancel it"
            )
        return (
            f"another process (pid {pid} on {host}) is downloading into the same folders of "
            f"{self._root}; wait for it or end it"
        )


if sys.platform != "win32":

    def _locked(file: int, patience: float) -> bool:
        """Whether a file that somebody has locked can be locked within `patience` seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            time.sleep(0.02)
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False


def _folded(path: str) -> str:
    return os.path.normcase(path).casefold()


def _lock_files(place: Path) -> list[Path]:
    with suppress(OSError), os.scandir(place / FOLDER) as entries:
        return [Path(entry.path) for entry in entries if entry.name.endswith(".lock")]
    return []


def _opened(path: Path) -> int | None:
    """The descriptor of a lock file; None if it is gone, or a pipe or the like has its name."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            if stat.S_ISREG(os.fstat(file).st_mode):
                return file
            os.close(file)
    return None


def _is_orphan(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("pid"), int) and "started" in one


def _read(file: int, patience: float = 1.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The owner and its s5cmds as a lock file names them; both empty if it names none.

    Args:
        file: its descriptor.
        patience: seconds; its owner locks it before it writes.
    """
    deadline = time.monotonic() + patience
    while True:
        size = os.fstat(file).st_size
        if size > _LARGEST:
            return {}, []
        lines = os.pread(file, size, 0).decode(errors="replace").splitlines()
        with suppress(ValueError, RecursionError):
            owner, *others = map(json.loads, lines)
            # Anybody may have written it
            if isinstance(owner, dict) and isinstance(owner.setdefault("folders", []), list):
                return owner, [one for one in others if _is_orphan(one)]
        if time.monotonic() >= deadline:
            return {}, []
        time.sleep(0.02)
