"""A small file server for tests: GET with Range and If-Range, S3 listings, and faults.

>>> with FileServer({"25.0.5/seg_index.parquet": b"PAR1"}) as server:
...     server.fault = lambda request: Cut(2) if not request.range else None
...     fetch(f"{server.url}/25.0.5/seg_index.parquet")
...     assert server.requests[1].range == "bytes=2-"
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Request:
    """A request that the server received, and the number of bytes in the body of its answer."""

    path: str
    range: str = ""
    if_range: str = ""
    accept: str = ""
    authorization: str = ""
    sent: int = 0


@dataclass(frozen=True)
class Cut:
    """End the connection after this number of bytes of the body."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Send this number of bytes of the body, then nothing."""

    after: int


@dataclass(frozen=True)
class Answer:
    """Send this answer, whatever the request."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unsized:
    """Send this many bytes without a Content-Length, then end the connection."""

    size: int


@dataclass(frozen=True)
class Drip:
    """Send single bytes of the headers or body for ever, each after a pause.

    Before that, the first `at_once` bytes of the body are sent without a pause.
    """

    where: Literal["headers", "body"]
    at_once: int = 0


@dataclass(frozen=True)
class Chunked:
    """Send bytes as the body of an answer with chunks.

    Args:
        start: The bytes to send first, including the sizes of the chunks.
        repeated: The bytes to send after that, again and again, for at most `times` times.
        pause: Seconds before each repetition.
        times: The number of repetitions.
    """

    start: bytes
    repeated: bytes = b""
    pause: float = 0.0
    times: int = 1_000


class IgnoreRange:
    """Send the whole file, although a range was requested."""


class HangUp:
    """End the connection without an answer."""


Fault = Cut | Stall | Drip | Chunked | Answer | Unsized | IgnoreRange | HangUp | None


class FileServer:
    """Serve `files` (path → bytes) at `url` while the `with` block runs.

    A request with ``list-type=2`` gets a listing as from S3; the first part of a path is the
    bucket.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.fault: Callable[[Request], Fault] = lambda request: None
        self.requests: list[Request] = []
        self.page_size = 1000
        self.etag: Callable[[bytes], str] = lambda body: hashlib.md5(body).hexdigest()
        self.stopping = threading.Event()

    def __enter__(self) -> FileServer:
        handler = type("Handler", (_Handler,), {"server_": self})
        self._httpd = _HTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, args=(0.02,), name="fileserver", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def requests_for(self, suffix: str) -> list[Request]:
        """Return the requests for paths with this ending, in order of arrival."""
        return [request for request in self.requests if request.path.endswith(suffix)]


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass  # a client closed the connection


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise, each answer waits 40 ms for an acknowledgement
    server_: FileServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, url = self.server_, urlsplit(self.path)
        request = Request(
            unquote(url.path).lstrip("/"),
            self.headers.get("Range", ""),
            self.headers.get("If-Range", ""),
            self.headers.get("Accept", ""),
            self.headers.get("Authorization", ""),
        )
        server.requests.append(request)
        fault = server.fault(request)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if isinstance(fault, HangUp):
            self.close_connection = True
            return None
        if isinstance(fault, Answer):
            headers = {"Content-Type": fault.content_type, **fault.headers}
            return self._send(fault.status, fault.body, headers)
        if isinstance(fault, Drip):
            return self._drip(fault)
        if isinstance(fault, Chunked):
            return self._send_chunked(fault)
        if isinstance(fault, Unsized):
            return self._send_unsized(fault.size)
        if "list-type" in query:
            return self._send(200, self._listing(request.path, query), {})
        body = server.files.get(request.path)
        if body is None:
            return self._send(404, b"<Error>not here</Error>", {})
        etag = f'"{server.etag(body)}"'
        headers = {"ETag": etag, "Content-Type": "application/octet-stream"}
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.range)
        if wanted and request.if_range in ("", etag) and not isinstance(fault, IgnoreRange):
            start = int(wanted[1])
            if start >= len(body):
                headers["Content-Range"] = f"bytes */{len(body)}"
                return self._send(416, b"", headers)
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        status = 206 if "Content-Range" in headers else 200
        stop = fault.after if isinstance(fault, Cut | Stall) else None
        request.sent = len(body[start:][:stop])
        self._send(status, body[start:], headers, stop)
        if isinstance(fault, Stall):
            server.stopping.wait()

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], stop: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body[:stop])
            self.wfile.flush()
        self.close_connection = stop is not None

    def _send_unsized(self, size: int) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            for start in range(0, size, 100_000):
                self.wfile.write(bytes(min(100_000, size - start)))
        self.close_connection = True

    def _send_chunked(self, fault: Chunked) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(fault.start)
            for _ in range(fault.times if fault.repeated else 0):
                if self.server_.stopping.wait(fault.pause):
                    break
                self.wfile.write(fault.repeated)
        self.close_connection = True

    def _drip(self, fault: Drip) -> None:
        self.send_response(200)
        if fault.where == "headers":
            self.flush_headers()
            self.wfile.write(b"X-Endless: ")
        else:
            self.send_header("Content-Length", "1000000000")
            self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(b"x" * fault.at_once)
            while not self.server_.stopping.wait(0.05):
                self.wfile.write(b"x")
        self.close_connection = True

    def _listing(self, bucket: str, query: Mapping[str, str]) -> bytes:
        server = self.server_
        start = f"{bucket}/{query['prefix']}"
        after = query.get("continuation-token", "")
        found = [path for path in sorted(server.files) if path.startswith(start) and path > after]
        page = found[: server.page_size]
        entries = "".join(
            f"<Contents><Key>{escape(path.partition('/')[2])}</Key>"
            f"<Size>{len(server.files[path])}</Size>"
            f"<ETag>&quot;{server.etag(server.files[path])}&quot;</ETag></Contents>"
            for path in page
        )
        if len(found) > len(page):
            entries += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        xml = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        return f"{xml}{entries}</ListBucketResult>".encode()
