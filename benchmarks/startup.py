"""From nothing to the list of collections, in a fresh process: idc_widgets against idc-index.

Wall time is that of the whole process, the start and end of Python included; memory is the most
that it ever held (peak RSS). Files are in the cache of the system, as after a first run.
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

# What a process says of itself at its end; not of its own children, such as `s5cmd --help`.
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
    """One process that started, answered and ended."""

    collections: int
    seconds: float
    peak_MB: float


def start(code: str) -> Start:
    """Runs `code` in a fresh Python."""
    # This process must stay small: Linux counts the memory of the parent, at the fork, as the
    # child's. Hence nothing big is imported here.
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code + AT_THE_END], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - before
    collections, peak = map(int, done.stdout.split())
    return Start(collections, seconds, peak / 1e6)


def main() -> None:
    require_peer()
    ours, peer = in_turns(lambda: start(OURS), lambda: start(PEER))
    answers = {one.collections for one in (*ours, *peer)}
    assert len(answers) == 1, f"they do not agree on the number of collections: {answers}"
    seconds = Row("time", "s", [one.seconds for one in ours], [one.seconds for one in peer])
    memory = Row("peak memory", "MB", [one.peak_MB for one in ours], [one.peak_MB for one in peer])
    report(
        f"A fresh process: import, client, list of {answers.pop()} collections", [seconds, memory]
    )
    nothing = start(NOTHING)
    print(f"Python alone: {nothing.seconds:.2f} s, {nothing.peak_MB:.1f} MB")


if __name__ == "__main__":
    main()
