"""HTTP requests: short answers, retries, and addresses in messages."""

from __future__ import annotations

import gzip
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from support.fileserver import (
    Answer,
    Chunked,
    Cut,
    Drip,
    FileServer,
    HangUp,
    Request,
    Stall,
    Unsized,
)

from idc_widgets._util import FileCheck, HttpError, open_http, server_of, shown_url
from idc_widgets._util import http as http_module


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with FileServer({"text": b"a short answer"}) as running:
        yield running


def test_a_short_answer(server: FileServer) -> None:
    with open_http() as http:
        assert http.get(f"{server.url}/text", 14, "text/plain") == b"a short answer"
        assert server.requests[0].accept == "text/plain"
        with pytest.raises(HttpError, match="answers with more than 13 bytes"):
            http.get(f"{server.url}/text", 13)


@pytest.mark.parametrize("fault", [Answer(503), HangUp(), Cut(3)])
def test_a_transient_error_is_retried_once(server: FileServer, fault: Answer | HangUp) -> None:
    faults = iter([fault, None, fault, fault])
    server.fault = lambda request: next(faults)
    with open_http(pause=0.01) as http:
        assert http.get(f"{server.url}/text", 100) == b"a short answer"
        with pytest.raises(HttpError) as caught:
            http.get(f"{server.url}/text", 100)
    assert caught.value.retry and caught.value.answered
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Answer(404), r"answers HTTP 404 \(Not Found\)"),
        (Answer(299), "answers HTTP 299"),
        (Stall(3), "broke off"),
    ],
)
def test_errors_are_named_in_our_own_words(
    server: FileServer, fault: Answer | Stall, message: str
) -> None:
    server.fault = lambda request: fault
    with (
        open_http(timeout=(30.0, 1.0 if isinstance(fault, Stall) else 30.0), pause=0.01) as http,
        pytest.raises(HttpError, match=f"^{message}$"),
    ):
        http.get(f"{server.url}/text", 100)


@pytest.mark.parametrize("url", ["http://[", "ftp://127.0.0.1/x", "nothing"])
def test_an_address_that_cannot_be_requested(url: str) -> None:
    with open_http() as http, pytest.raises(HttpError, match="cannot be requested") as caught:
        http.get(url, 100)
    assert not caught.value.answered


def test_a_file_without_a_digest_is_checked_by_its_size(server: FileServer, tmp_path: Path) -> None:
    url, part = f"{server.url}/text", tmp_path / "part"
    with open_http() as http:
        http.download(url, part, FileCheck(size=14), None)
        assert part.read_bytes() == b"a short answer"
        with pytest.raises(HttpError, match="sends 14 bytes, but lists 15"):
            http.download(url, tmp_path / "other", FileCheck(size=15), None)
    assert not (tmp_path / "other").exists()


def test_addresses_in_messages_have_no_secrets() -> None:
    url = "https://user:password@host:8080/path?token=1#part"
    assert shown_url(url) == "https://host:8080/path"
    assert len(shown_url("https://host/" + "x" * 1000)) == 300
    assert server_of("https://host:8080/path") == "host:8080"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every server a password in the user's .netrc."""
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("netrc")
def test_passwords_of_netrc_are_not_sent(server: FileServer, tmp_path: Path) -> None:
    with FileServer({"text": b"moved"}) as other:
        target = other.url.replace("127.0.0.1", "localhost")
        moved = Answer(302, headers={"Location": f"{target}/text"})
        server.fault = lambda request: moved if request.path == "moved" else None
        with open_http() as http:
            http.get(f"{server.url}/text", 100)
            assert http.get(f"{server.url}/moved", 100) == b"moved"
            http.download(f"{server.url}/moved", tmp_path / "part", FileCheck(), None)
        sent = [request.authorization for request in (*server.requests, *other.requests)]
    assert sent == [""] * 5


@pytest.mark.usefixtures("netrc")
def test_a_password_in_an_address_is_sent_to_its_server_only(server: FileServer) -> None:
    with FileServer({"text": b"moved"}) as other:
        target = other.url.replace("127.0.0.1", "localhost")
        moved = Answer(302, headers={"Location": f"{target}/text"})
        server.fault = lambda request: moved if request.path == "moved" else None
        with open_http() as http:
            own = server.url.replace("//", "//me:mine@")
            assert http.get(f"{own}/moved", 100) == b"moved"
        assert server.requests[0].authorization == "Basic bWU6bWluZQ=="
        assert other.requests[0].authorization == ""


def test_proxies_and_certificates_of_the_environment_are_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    with open_http() as http:
        settings = http.session.merge_environment_settings("http://a.test", {}, True, None, None)
        assert settings["proxies"]["http"] == server.url
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    with open_http() as http:
        settings = http.session.merge_environment_settings("https://a.test", {}, True, None, None)
        assert settings["verify"] == str(tmp_path)


@pytest.mark.parametrize(
    ("answer", "size", "message"),
    [
        (Unsized(5_000_000), 10, "sends more than the expected 10 bytes"),
        (Unsized(5_000_000), None, "sends more than the expected 100,000 bytes"),
        (Answer(200, bytes(5_000_000)), 10, "sends 5,000,000 bytes, but at most 10 are expected"),
        (Answer(200, bytes(5_000_000)), None, "sends 5,000,000 bytes, but at most 100,000"),
        (
            Answer(200, gzip.compress(bytes(90_000)), headers={"Content-Encoding": "gzip"}),
            90_000,
            "sends compressed bytes, which were not requested",
        ),
    ],
)
def test_no_more_bytes_are_written_than_the_file_should_have(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer | Unsized,
    size: int | None,
    message: str,
) -> None:
    monkeypatch.setattr(http_module, "_MAX_FILE_BYTES", 100_000, raising=False)
    server.fault = lambda request: answer
    written = [0]
    with open_http(pause=0.01) as http, pytest.raises(HttpError, match=message):
        http.download(
            f"{server.url}/text",
            tmp_path / "part",
            FileCheck(size=size),
            lambda done, _: written.append(done),
        )
    assert max(written) <= (size or 100_000)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1, "another try would send as much"


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_server_that_sends_too_slowly_is_given_up(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Literal["headers", "body"],
) -> None:
    monkeypatch.setattr(http_module, "_MAX_ANSWER_SECONDS", 1.0, raising=False)
    monkeypatch.setattr(http_module, "_TIMEOUTS_PER_CHUNK", 0.02, raising=False)
    server.fault = lambda request: Drip(where) if request.path == "slow" else None
    with open_http(timeout=(30.0, 60.0), pause=0.01) as http:
        with pytest.raises(HttpError, match="sends too slowly"):
            http.get(f"{server.url}/slow", 10_000_000)
        with pytest.raises(HttpError, match="sends too slowly"):
            http.download(f"{server.url}/slow", tmp_path / "part", FileCheck(), None)
        assert len(server.requests) == 2, "another try would take as long"
        assert http.get(f"{server.url}/text", 100) == b"a short answer"


def test_each_chunk_of_a_file_has_a_time_limit(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_TIMEOUTS_PER_CHUNK", 0.05, raising=False)
    server.fault = lambda request: Drip("body", at_once=40_000)
    expected = r"^sends too slowly: only (16\.4|32\.8) kB of 1\.0 GB arrived"
    with open_http(timeout=(30.0, 60.0)) as http, pytest.raises(HttpError, match=expected):
        http.download(f"{server.url}/slow", tmp_path / "part", FileCheck(), None)


def test_small_chunks_do_not_extend_the_time_limit(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_TIMEOUTS_PER_CHUNK", 0.02)
    server.fault = lambda request: Chunked(b"", b"1\r\nx\r\n", pause=0.1, times=100)
    with (
        open_http(timeout=(30.0, 60.0)) as http,
        pytest.raises(HttpError, match=r"^sends too slowly: only"),
    ):
        http.download(f"{server.url}/slow", tmp_path / "part", FileCheck(size=10**7), None)
    assert (tmp_path / "part").stat().st_size < 90


def test_a_file_has_a_time_limit_in_total(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send a file so slowly that each part arrives in time, but all parts would take hours."""
    monkeypatch.setattr(http_module, "_MAX_FILE_SECONDS", 1.0)
    monkeypatch.setattr(http_module, "_LEAST_BYTES", 10)
    part = b"a\r\n0123456789\r\n"
    server.fault = lambda request: Chunked(b"", part, pause=0.1, times=100)
    with open_http() as http, pytest.raises(HttpError, match=r"^sends too slowly"):
        http.download(f"{server.url}/slow", tmp_path / "part", FileCheck(size=10**7), None)
    assert 0 < (tmp_path / "part").stat().st_size < 900, "the rest can be resumed"


@pytest.mark.parametrize("size", ["-1", "-5", "-fffffffffffffffffff", "1;" + "a" * 100_000])
def test_a_wrong_chunk_size_is_an_error_without_reading_on(
    server: FileServer, tmp_path: Path, size: str
) -> None:
    sent = Chunked(f"{size}\r\n".encode(), bytes(1 << 20), times=100)
    server.fault = lambda request: sent
    with open_http(pause=0.01) as http:
        before = _peak_memory_MB()
        with pytest.raises(HttpError, match=r"^broke off") as caught:
            http.get(f"{server.url}/text", 1_000)
        assert caught.value.retry
        with pytest.raises(HttpError, match=r"^broke off"):
            http.download(f"{server.url}/text", tmp_path / "part", FileCheck(size=3), None)
    assert _peak_memory_MB() < before + 50


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_server(
    server: FileServer, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("mine")

    with open_http() as http, pytest.raises(ValueError, match="mine"):
        http.download(f"{server.url}/text", tmp_path / "part", FileCheck(size=14), fail)
    assert len(server.requests) == 1


def _peak_memory_MB() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def test_the_body_of_a_redirect_is_not_read(server: FileServer) -> None:
    moved = Answer(302, bytes(10**6), headers={"Location": f"{server.url}/text"})
    server.fault = lambda request: moved if request.path == "moved" else None
    with open_http() as http:
        assert http.get(f"{server.url}/moved", 100) == b"a short answer"
        [redirect] = http.session.get(f"{server.url}/moved", stream=True).history
    assert redirect.content == b""


def test_a_compressed_answer_is_refused(server: FileServer) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server.fault = lambda request: Answer(200, bomb, headers={"Content-Encoding": "gzip"})
    with open_http() as http, pytest.raises(HttpError, match="compressed"):
        http.get(f"{server.url}/text", 100)


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["big"] = bytes(3_000_000)
    usage = shutil.disk_usage(tmp_path)._replace(total=50_000_000, free=3_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with (
        open_http() as http,
        pytest.raises(OSError, match=r"3.0 MB are still to write, 3.5 MB are"),
    ):
        http.download(f"{server.url}/big", tmp_path / "part", FileCheck(), None)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_ends_a_body_of_unknown_size(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_SPACE_CHECK_BYTES", 1_000_000, raising=False)
    usages = iter(
        [
            shutil.disk_usage(tmp_path)._replace(total=10**9, free=free)
            for free in (10**9, 10**9, 20_000_000)
        ]
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: next(usages))
    server.fault = lambda request: Unsized(50_000_000)
    written = [0]
    with open_http() as http, pytest.raises(OSError, match="not enough disk space"):
        http.download(
            f"{server.url}/big",
            tmp_path / "part",
            FileCheck(),
            lambda done, _: written.append(done),
        )
    assert max(written) < 2_100_000


def test_a_download_fails_if_the_server_makes_no_progress(
    server: FileServer, tmp_path: Path
) -> None:
    """Let the server send the first megabytes and an unrequested part, again and again."""
    server.files["big"] = bytes(5_000_000)

    def fault(request: Request) -> Cut | Answer:
        if len(server.requests) > 50:
            return Answer(404)
        return Answer(206, b"x") if request.range else Cut(2_000_000)

    server.fault = fault
    with open_http(pause=0.0) as http, pytest.raises(HttpError):
        http.download(f"{server.url}/big", tmp_path / "part", FileCheck(), None)
    assert len(server.requests) < 10


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_a_download_does_not_write_through_a_planted_link(
    server: FileServer, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("a sh")  # begins like the file, as a partial download would
    plant(tmp_path / "part", victim)
    with open_http() as http:
        http.download(f"{server.url}/text", tmp_path / "part", FileCheck(size=14), None)
    assert victim.read_text() == "a sh"
    assert (tmp_path / "part").read_bytes() == b"a short answer"
    assert not (tmp_path / "part").is_symlink()
