"""Whether the server can be reached: s5cmd itself can need minutes to say that nobody listens."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from ..errors import DownloadError

__all__ = ["reach"]

CONNECT_TIMEOUT = 5.0  # seconds for one address of the server
REACH_TIMEOUT = 15.0  # seconds for all of them, and for finding its name


def reach(endpoint_url: str, stop: threading.Event) -> None:
    """Make sure that somebody listens at the endpoint, unless a proxy is in front of it.

    Raises:
        DownloadError: nobody does.
    """
    url = urlsplit(endpoint_url)
    if os.environ.get(f"{url.scheme}_proxy") or os.environ.get(f"{url.scheme.upper()}_PROXY"):
        return  # the way leads through the proxy; s5cmd will tell
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # In its own thread, because to look up a name can take long and cannot be interrupted
    threading.Thread(
        target=lambda: answer.put(_connect(host, port)), name="DownloadJob-reach", daemon=True
    ).start()
    problem: str | None = "no answer"
    deadline = time.monotonic() + REACH_TIMEOUT
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
    """None if a TCP connection can be made to any address of `host`, else why not."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
    except socket.gaierror:
        return f"the name {host} cannot be found"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)
    return None
