"""A small S3 server for tests: path-style buckets, ListObjectsV2, HEAD, GET, Range, and faults.

>>> with S3Server({("bucket", "series/a.dcm"): b"DICM", ("bucket", "series/b.dcm"): 10**8}) as s3:
...     s3.rate_MB_s = 5
...     run_something(s3.url)
...     assert s3.count("GET", "series/") == 2

An object is given by its bytes or by its size. Bytes for a size are generated while they are sent,
and are the same every time (see `content`), so that a series of 70 MB needs no memory.
"""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Objects = dict[tuple[str, str], bytes | int]
CHUNK = 1 << 16


class Request(NamedTuple):
    """One request as the server saw it: method is LIST, HEAD or GET; key is a prefix for LIST."""

    method: str
    bucket: str
    key: str


Fault = int | Literal["stall", "truncate", "reset"] | None
"""What `S3Server.fail` returns: None, an HTTP status, or what happens after half a body: "stall"
(the server sends nothing more), "truncate" (it ends the connection) or "reset" (it resets it)."""


def series_objects(rows: Iterable[Mapping[str, Any]]) -> Objects:
    """Return objects that agree with rows of the index.

    A row gets exactly instanceCount files with exactly round(series_size_MB * 1e6) bytes in total.
    """
    objects: Objects = {}
    for row in rows:
        bucket, prefix = row["series_aws_url"].removeprefix("s3://").removesuffix("/*").split("/")
        count, total = row["instanceCount"], round(row["series_size_MB"] * 1e6)
        for i in range(count):
            key = f"{prefix}/{uuid.uuid5(uuid.NAMESPACE_OID, f'{prefix}/{i}')}.dcm"
            objects[bucket, key] = total * (i + 1) // count - total * i // count
    return objects


@lru_cache(maxsize=1024)
def _block(key: str) -> bytes:
    return random.Random(key).randbytes(CHUNK)


def content(
    key: str, value: bytes | int, start: int = 0, stop: int | None = None
) -> Iterator[bytes]:
    """Yield the bytes [start, stop) of an object, in chunks."""
    stop = (value if isinstance(value, int) else len(value)) if stop is None else stop
    while start < stop:
        offset = start % CHUNK
        end = min(stop, start - offset + CHUNK)
        if isinstance(value, int):
            yield _block(key)[offset : offset + end - start]
        else:
            yield value[start:end]
        start = end


class S3Server:
    """Serves `objects` at `url` during a `with` block. The block may change the attributes."""

    def __init__(self, objects: Objects | None = None) -> None:
        self.objects: Objects = dict(objects or {})
        self.rate_MB_s: float | None = None  # the rate of all responses together
        self.fail: Callable[[Request], Fault] = lambda request: None
        self.requests: list[Request] = []
        self.modified = "2024-01-01T00:00:00.000Z"  # the date of every object in listings
        self.lists_for_ever = False  # whether a listing repeats its first page for ever
        self.date: str | None = None  # the time that the server reports, if its clock is wrong
        self.stopping = threading.Event()
        self._allowed_bytes: int | None = None
        self._may_send = threading.Condition()
        self._port = 0
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __enter__(self) -> S3Server:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()

    def come_back(self) -> None:
        """Serve again, at the same address."""
        self.stopping.clear()
        handler = type("Handler", (_Handler,), {"s3": self})
        self._httpd = _HTTPServer(("127.0.0.1", self._port), handler)
        self._port = self._httpd.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, args=(0.05,), name="s3server", daemon=True
        )
        self._thread.start()

    def go_away(self) -> None:
        """Close every connection and refuse new ones, until `come_back`."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        with self._may_send:
            self._may_send.notify_all()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()
        self._httpd.hang_up()

    def count(self, method: str, prefix: str = "") -> int:
        """Return the number of requests of this method whose key begins with this prefix."""
        return len(self.keys(method, prefix))

    def keys(self, method: str, prefix: str = "") -> list[str]:
        """Return the keys of the requests of this method, in order of arrival."""
        requests = list(self.requests)
        return [r.key for r in requests if r.method == method and r.key.startswith(prefix)]

    def allow(self, size: int | None) -> None:
        """Let the server send `size` more bytes of bodies; with None, it has no limit."""
        with self._may_send:
            self._allowed_bytes = None if size is None else (self._allowed_bytes or 0) + size
            self._may_send.notify_all()

    def pace(self, size: int) -> None:
        """Wait until `size` more bytes are allowed, then as long as they take at `rate_MB_s`."""
        with self._may_send:
            self._may_send.wait_for(
                lambda: (
                    self._allowed_bytes is None
                    or self._allowed_bytes >= size
                    or self.stopping.is_set()
                )
            )
            if self._allowed_bytes is not None:
                self._allowed_bytes -= size
        if self.rate_MB_s is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / (self.rate_MB_s * 1e6)
            delay = self._free_at - now
        self.stopping.wait(delay)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # s5cmd opens 64 connections at once; with the default of 5, a busy machine refuses some.
    request_queue_size = 1024

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open.discard(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        pass  # tests kill clients, so broken connections are expected


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3Server

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.s3.date or super().date_time_string(timestamp)

    def do_HEAD(self) -> None:
        self._object("HEAD")

    def do_GET(self) -> None:
        if "/" in urlsplit(self.path).path.strip("/"):
            self._object("GET")
        else:
            self._list()

    def _fault(self, request: Request) -> Fault:
        self.s3.requests.append(request)
        fault = self.s3.fail(request)
        if isinstance(fault, int):
            self._error(fault)
        return fault

    def _error(self, status: int) -> None:
        code = {403: "AccessDenied", 404: "NoSuchKey", 503: "SlowDown"}.get(status, "InternalError")
        body = f"<Error><Code>{code}</Code><Message>test says {status}</Message></Error>".encode()
        self._send(status, "" if self.command == "HEAD" else body.decode())

    def _send(self, status: int, xml: str) -> None:
        body = xml.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _object(self, method: str) -> None:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        fault = self._fault(Request(method, bucket, key))
        if isinstance(fault, int):
            return
        value = self.s3.objects.get((bucket, key))
        if value is None:
            return self._error(404)
        size = value if isinstance(value, int) else len(value)
        start, stop = 0, size
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(wanted[1]), min(size, int(wanted[2] or size) + 1)
        if start >= stop and size:
            return self._error(416)
        self.send_response(206 if wanted and size else 200)
        if wanted and size:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{hashlib.md5(f"{key}:{size}".encode()).hexdigest()}"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        if method == "GET":
            self._body(content(key, value, start, stop), fault, (stop - start) // 2)

    def _body(self, chunks: Iterator[bytes], fault: Fault, half: int) -> None:
        sent = 0
        with suppress(OSError):
            for chunk in chunks:
                if fault and sent + len(chunk) > half:
                    self.wfile.write(chunk[: half - sent])
                    if fault == "stall":
                        self.s3.stopping.wait()
                    if fault == "reset":  # close() then sends RST instead of FIN
                        linger = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        self.connection.close()
                    break
                if self.s3.stopping.is_set():
                    break
                self.s3.pace(len(chunk))
                self.wfile.write(chunk)
                sent += len(chunk)
            else:
                return
        self.close_connection = True

    def _list(self) -> None:
        url = urlsplit(self.path)
        bucket = unquote(url.path).strip("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        if isinstance(self._fault(Request("LIST", bucket, prefix)), int):
            return
        after = query.get("continuation-token", query.get("start-after", ""))
        limit = min(1000, int(query.get("max-keys", 1000)))
        keys = dict.fromkeys(  # keys, or common prefixes in place of several keys
            self._rolled_up(key, prefix, delimiter)
            for other, key in sorted(self.s3.objects)
            if other == bucket and key.startswith(prefix)
        )
        page = [key for key in keys if key > after or self.s3.lists_for_ever]
        more = len(page) > limit or self.s3.lists_for_ever
        page = page[:limit]
        entries = "".join(self._entry(bucket, key) for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self._send(
            200,
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}</ListBucketResult>",
        )

    @staticmethod
    def _rolled_up(key: str, prefix: str, delimiter: str) -> str:
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        return key if end < 0 else key[: end + len(delimiter)]

    def _entry(self, bucket: str, key: str) -> str:
        value = self.s3.objects.get((bucket, key))
        if value is None:
            return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
        size = value if isinstance(value, int) else len(value)
        return (
            f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size>"
            f"<LastModified>{self.s3.modified}</LastModified>"
            f"<ETag>&quot;{hashlib.md5(f'{key}:{size}'.encode()).hexdigest()}&quot;</ETag>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
