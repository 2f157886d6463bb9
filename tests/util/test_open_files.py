"""The limit of files that a process may have open."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process that may open only some more files: its arguments are how many (soft and hard limit).
CODE = """
import os, resource, sys
from idc_widgets import IDCClient
from idc_widgets.errors import IndexFileError
import idc_widgets.query.duckdb_engine
opened = len(os.listdir("/dev/fd"))
soft, hard = (opened + int(room) for room in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    print(IDCClient().cohort(Modality="KO").summary().series)
except IndexFileError as error:
    print(error)
"""


def output(*room: int) -> str:
    """Return what the process prints if it may open so many more files (soft and hard limit)."""
    command = [sys.executable, "-c", CODE, *map(str, room)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_low_limit_is_raised_or_explained() -> None:
    assert output(10, 1000).isdigit()
    message = output(10, 10)
    assert message.startswith("the index cannot be opened: this process may have")
    assert "expected room for 24 more" in message
    assert "ulimit -n" in message
