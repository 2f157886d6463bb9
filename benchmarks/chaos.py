"""Interrupt hundreds of downloads at random moments: none may report files that are not on disk.

Each download fetches a few small series. It is cancelled, paused and resumed, its s5cmd and its
Python are killed, and other processes download into the same folder. A third of the downloads uses
a disk with locks, a third has the locks of NFS (emulated), and a third has no locks. Every file of
every series that is reported as complete is compared with its object. In the end, all downloads
must be complete.

It stops at the first failure, and prints the seed to repeat it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.chaos import DISKS, run_chaos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--interruptions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    total: Counter[str] = Counter()
    all_jobs = 0
    for disk in DISKS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            jobs, done = run_chaos(
                Path(folder),
                options.seed,
                disk,
                jobs=-(-options.jobs // len(DISKS)),
                interruptions=-(-options.interruptions // len(DISKS)),
            )
        total += done
        all_jobs += jobs
        print(
            f"{disk}: {jobs:,} downloads, {done.total():,} interruptions {dict(done)}, "
            f"{time.monotonic() - start:,.0f} s; all complete",
            flush=True,
        )
    print(f"in total: {all_jobs:,} downloads, {total.total():,} interruptions; no false report")


if __name__ == "__main__":
    main()
