"""The session of `http`: it sends passwords only to their own server, and bounds what it reads.

A timeout in the library requests limits a single read from a socket, and starts anew with each
read. So a server that sends one byte per second, in the headers or in the body, could make a call
last for hours. And a server that sends a chunk size below 0, or a line without an end, could make
the library read until the memory is full.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import requests
import requests.adapters

__all__ = ["Session"]

#: The largest number of redirects per request. A resolver of DOIs needs two or three.
_MAX_REDIRECTS = 10

#: The longest line in the headers, or before a chunk.
_MAX_LINE_BYTES = 1 << 16


class Session(requests.Session):
    """A session that sends a password only to the server whose address contains it.

    `requests.Session` would also send the passwords of ~/.netrc, and would send the password of the
    entry `default` to any server. Proxies and certificates still come from the environment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = _auth_from_url
        self.max_redirects = _MAX_REDIRECTS
        #: The deadline of the current request.
        self.deadline = Deadline()
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(self.deadline))

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove the password from a request that is redirected to another server."""
        old, new = response.request.url, prepared_request.url
        if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections that keep a deadline, and that read only the headers of a redirect."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            self._bound(manager)
        return manager

    def send(self, *args: Any, **options: Any) -> requests.Response:
        response = super().send(*args, **options)
        if response.is_redirect:
            # Close the body: the library requests would read and decompress all of it.
            response.raw.close()
            response._content = b""
        return response

    def _bound(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: _with_deadline(pool_class, self._deadline)
            for scheme, pool_class in manager.pool_classes_by_scheme.items()
        }


def _auth_from_url(request: requests.PreparedRequest) -> requests.PreparedRequest:
    user, password = requests.utils.get_auth_from_url(str(request.url))
    return requests.auth.HTTPBasicAuth(user, password)(request) if user or password else request


class Deadline:
    """A time after which no more bytes are read. At first, no time is set."""

    def __init__(self) -> None:
        self._time = self._end = float("inf")

    def begin(self, max_seconds: float) -> None:
        """Begin a task that may last this many seconds in total, whatever `set_in` sets."""
        self._time = self._end = time.monotonic() + max_seconds

    def set_in(self, seconds: float) -> None:
        """Set the deadline to this many seconds from now, or to the end of the task."""
        self._time = min(self._end, time.monotonic() + seconds)

    @property
    def seconds_left(self) -> float:
        """The time that is left; 0 if the deadline has passed."""
        return max(0.0, self._time - time.monotonic())


def _with_deadline(pool_class: Any, deadline: Deadline) -> Any:
    """Return a class of connection pools of urllib3 whose connections keep a deadline.

    Reading from such a connection raises TimeoutError when the deadline has passed.

    Args:
        pool_class: The class to derive from. Its `ConnectionCls` is the class of its connections.
        deadline: The deadline, which may be changed at any time.
    """

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp.close()
            self.fp = _BoundedReader(_TimedReader(sock, deadline))

    class Connection(pool_class.ConnectionCls):  # type: ignore[misc]
        response_class = Response

    class Pool(pool_class):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool


class _BoundedReader(io.BufferedReader):
    """Reads only a known number of bytes at a time, and no endless lines."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise http.client.HTTPException("a negative number of bytes")
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        if size is not None and size >= 0:
            return super().readline(size)
        line = super().readline(_MAX_LINE_BYTES)
        if len(line) == _MAX_LINE_BYTES:
            raise http.client.LineTooLong("line")
        return line


class _TimedReader(io.RawIOBase):
    """Reads the bytes of a socket until a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket, self._deadline = sock, deadline
        self._bytes = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left, usual = self._deadline.seconds_left, self._socket.gettimeout()
        if not left:
            raise TimeoutError("timed out")
        self._socket.settimeout(left if usual is None else min(left, usual))
        try:
            return self._bytes.readinto(buffer)
        finally:
            self._socket.settimeout(usual)

    def close(self) -> None:
        self._bytes.close()
        super().close()
