"""Checks that the server can be reached: s5cmd can take minutes to report that it cannot."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from .._util import NoThreadError, start_thread
from ..errors import DownloadError

__all__ = ["check_server"]

CONNECT_TIMEOUT_SECONDS = 5.0  # for one address of the server
SERVER_TIMEOUT_SECONDS = 15.0  # for all addresses, including the look-up of the name


def check_server(endpoint_url: str, stop: threading.Event) -> None:
    """Check that the server accepts connections, unless a proxy is in front of it.

    Args:
        endpoint_url: The address of the S3 server.
        stop: The check ends early, without an error, when this is set.

    Raises:
        DownloadError: The server does not accept connections, or cannot be checked.
    """
    url = urlsplit(endpoint_url)
    if os.environ.get(f"{url.scheme}_proxy") or os.environ.get(f"{url.scheme.upper()}_PROXY"):
        return  # the proxy makes the connection; s5cmd reports problems of the proxy
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # In a thread, because looking up a name can take long and cannot be interrupted
    try:
        start_thread(lambda: answer.put(_connect(host, port)), "DownloadJob-preflight")
    except NoThreadError as error:
        raise DownloadError(f"the server cannot be checked: {error}") from error
    problem: str | None = "no answer"
    deadline = time.monotonic() + SERVER_TIMEOUT_SECONDS
    while time.monotonic() < deadline and not stop.is_set():
        with suppress(queue.Empty):
            problem = answer.get(timeout=0.2)
            break
    if problem and not stop.is_set():
        raise DownloadError(
            f"the server {endpoint_url} cannot be reached ({problem}); "
            "check the network connection, and whether a firewall blocks it"
        )


def _connect(host: str, port: int) -> str | None:
    """Make a TCP connection to any address of `host`; return the problem, or None."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except socket.gaierror:
        return f"the name {host} cannot be found"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)
    return None
