"""HTTP requests: short answers, retries, and addresses in messages. For files see test_fetch.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fileserver import Answer, Cut, FileServer, HangUp, Stall

from idc_widgets._util import FileCheck, HttpError, open_http, server_of, shown_url


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with FileServer({"text": b"a short answer"}) as running:
        yield running


def test_a_short_answer(server: FileServer) -> None:
    with open_http() as http:
        assert http.get(f"{server.url}/text", 14, "text/plain") == b"a short answer"
        assert server.requests[0].accept == "text/plain"
        with pytest.raises(HttpError, match="something else than requested"):
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
        open_http(timeout=(5.0, 0.2), pause=0.01) as http,
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
