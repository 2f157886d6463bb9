"""One lock file of a job: who made it, for which folders, and whether that job still runs."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from .._util import open_regular, try_lock

__all__ = [
    "HEARTBEAT_SECONDS",
    "LockFile",
    "Patience",
    "Status",
    "change_time",
    "inspect",
    "pid_space",
]

HEARTBEAT_SECONDS = 20.0
"""How often a job renews the time stamp of its lock file while its s5cmd runs."""

_SILENCE_SECONDS = 6 * HEARTBEAT_SECONDS  # without a heartbeat, a job elsewhere counts as ended
_ABANDONED_SECONDS = 86_400.0  # an unreadable lock file of this age is abandoned
_NEW_SECONDS = 5.0
_POLL_SECONDS = 0.02
_MAX_LOCK_FILE_BYTES = 1 << 26  # 1,000,000 series take 20 MB


class Patience:
    """A budget of seconds that several waits share.

    Args:
        seconds: The budget. It bounds how long the lock files of other jobs can delay this job.
        cancelled: Ends every wait when it is set.
    """

    def __init__(self, seconds: float, cancelled: threading.Event | None = None) -> None:
        self._seconds_left = seconds
        self._cancelled = cancelled or threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether the waits were cancelled."""
        return self._cancelled.is_set()

    def moments(self, limit: float) -> Iterator[None]:
        """Yield at once, and again after each short wait, for at most `limit` seconds."""
        deadline = time.monotonic() + limit
        yield
        while self._seconds_left > 0 and time.monotonic() < deadline:
            self._seconds_left -= _POLL_SECONDS
            if self._cancelled.wait(_POLL_SECONDS):
                return
            yield


class Status(Enum):
    """Whether the job that made a lock file still runs."""

    RUNNING = "running"
    UNKNOWN = "unknown"
    """The job may run on another computer, or the file system has no locks."""
    ENDED = "ended"


@dataclass(frozen=True)
class LockFile:
    """What is known about the lock file of another job.

    Args:
        status: Whether the job still runs.
        owner: The first line: pid, host and folders; empty if it is not valid or cannot be read.
        orphans: The further lines: the pid and the start time of each s5cmd process of the job.
        is_ours: Whether the file belongs to this user.
        is_new: Whether the file is only seconds old, so that its job may still back off.
        is_of_a_job: Whether the content shows that a job made the file. A job that was killed at
            once leaves an empty file.
    """

    status: Status
    owner: dict[str, Any] = field(default_factory=dict)
    orphans: list[Any] = field(default_factory=list)
    is_ours: bool = False
    is_new: bool = True
    is_of_a_job: bool = False

    @property
    def is_from_here(self) -> bool:
        """Whether the pid in the file belongs to this computer and container."""
        here = (socket.gethostname(), pid_space())
        return (self.owner.get("host"), self.owner.get("pid_space")) == here


@contextmanager
def inspect(
    path: Path, now: float, patience: Patience, seconds: float
) -> Iterator[LockFile | None]:
    """Look at a lock file that this process does not hold.

    While the block runs, no job can take a file whose status is `ENDED`, so the caller can remove
    it safely.

    Args:
        path: The file.
        now: The time, by the clock of the file system.
        patience: The budget for waiting for files that are locked but still empty.
        seconds: The longest wait for this file.

    Yields:
        None if it is gone, or is not a regular file.
    """
    try:
        file = open_regular(path)
    except PermissionError:
        # The file belongs to another user, whose job counts as running for a day
        is_old = now - change_time(path) > _ABANDONED_SECONDS
        yield None if is_old else LockFile(Status.RUNNING)
        return
    except OSError:
        yield None
        return
    try:
        yield _inspect(file, now, patience, seconds)
    finally:
        os.close(file)


def _inspect(file: int, now: float, patience: Patience, seconds: float) -> LockFile:
    status = os.fstat(file)
    is_ours = sys.platform == "win32" or status.st_uid == os.getuid()
    try:
        is_free = try_lock(file, shared=True)
    except OSError as error:
        # EBADF: this file system locks only files that are open for writing
        is_free = False if error.errno == errno.EBADF else None
    owner, orphans = _read(file, patience, seconds if is_free is False else 0)
    is_new = now - status.st_mtime < _NEW_SECONDS
    is_of_a_job = owner.keys() >= {"pid", "host"} or not status.st_size
    known = LockFile(Status.ENDED, owner, orphans, is_ours, is_new, is_of_a_job)
    if is_free is False:
        return replace(known, status=Status.RUNNING)
    is_silent = now - status.st_mtime >= _SILENCE_SECONDS
    if known.is_from_here:
        # Without locks, the pid tells whether the job runs, unless it is a pid of another container
        is_sure = pid_space() is not None or is_silent
        if is_free is None and (_is_alive(owner.get("pid")) or not is_sure):
            return replace(known, status=Status.UNKNOWN)
    elif not is_silent and (isinstance(owner.get("host"), str) or is_free is None):
        # The job may run on another computer, whose locks this file system may not show
        return replace(known, status=Status.UNKNOWN)
    return known


@cache
def pid_space() -> str | None:
    """Return a text that tells apart the systems in which pids count; None if it is not known.

    Containers have pids of their own, but may share the name of their computer. A restart of the
    computer, too, ends the meaning of a pid.
    """
    with suppress(OSError):
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {os.readlink('/proc/self/ns/pid')}"
    return None


def change_time(path: Path) -> float:
    """Return when a file was last changed, by the clock of its file system; 0 if it is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _read(file: int, patience: Patience, seconds: float) -> tuple[dict[str, Any], list[Any]]:
    """Return the owner and the s5cmd processes in a lock file; both empty if it is not valid."""
    for _ in patience.moments(seconds):
        size = os.fstat(file).st_size
        if size > _MAX_LOCK_FILE_BYTES:
            break
        os.lseek(file, 0, os.SEEK_SET)
        with suppress(ValueError, RecursionError):
            lines = os.read(file, size).decode(errors="replace").splitlines()
            owner, *others = map(json.loads, lines)
            # The content is untrusted: anyone with write access may have made it
            if isinstance(owner, dict) and isinstance(owner.setdefault("folders", []), list):
                return owner, [entry for entry in others if _is_process(entry)]
    return {}, []


def _is_process(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("pid"), int) and "started" in entry


def _is_alive(pid: object) -> bool:
    """Return whether a process of this computer runs; True if that is not known."""
    if sys.platform == "win32" or not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # the process belongs to another user
        return True
    return True
