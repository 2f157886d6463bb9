"""Downloads interrupted at random, with and without locks: all complete, and no report is wrong."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("sends POSIX signals", allow_module_level=True)

from support.chaos import DISKS, run_chaos

SEED = int(os.environ.get("IDC_WIDGETS_CHAOS_SEED", random.randrange(10**6)))


@pytest.mark.parametrize("disk", DISKS)
# A test takes half a minute or, on a busy machine, ten times as long: it starts many processes.
@pytest.mark.timeout(1200)
def test_chaos(tmp_path: Path, disk: str) -> None:
    print(f"IDC_WIDGETS_CHAOS_SEED={SEED}")
    jobs, done = run_chaos(tmp_path, SEED, disk, jobs=8, interruptions=30)
    print(jobs, "jobs,", dict(done))
