"""Queries in the main thread that Ctrl-C interrupts."""

from __future__ import annotations

import subprocess
import sys

#: A query that takes hours.
SLOW_QUERY = (
    "SELECT count(*) FROM index AS a, index AS b"
    " WHERE a.SeriesInstanceUID || b.SeriesInstanceUID LIKE '%x%'"
)


def test_ctrl_c_interrupts_a_long_query() -> None:
    script = f"""
import os, signal, threading
from idc_widgets import IDCClient
signal.signal(signal.SIGINT, signal.default_int_handler)
client = IDCClient()
threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    client.sql({SLOW_QUERY!r})
except KeyboardInterrupt:
    print("interrupted", client.sql("SELECT 1 AS value").value[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "interrupted 1\n"
