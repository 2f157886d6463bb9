"""The index many times over: time and memory of the whole screen against the index once.

The index is written as one Parquet file, 1, 10 and, if asked for, 100 times over: every copy has
series, studies and patients of its own, in the same collections. Each file is opened by a process
of its own, and deleted when it is measured.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from _measure import (
    MemoryIndex,
    aim,
    answer,
    heading,
    in_a_process,
    number,
    percentile,
    print_table,
    task,
)

#: Aims of the project for ten times the index: ms of 95 in 100 clicks, and MB.
AIM_P95_MS, AIM_RSS_MB = 600, 1000

#: What the file of one copy needs at most.
MB_A_COPY = 150

#: DuckDB's own, of rows in a row group.
ROW_GROUP = 122_880


def main() -> None:
    todo = task()
    if todo is not None:
        what = {"write": write, "measure": measure}[todo.pop("what")]
        answer(what(**todo))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10], help="(%(default)s)")
    parser.add_argument("--paths", type=int, default=10, help="click paths each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random clicks (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the files are made; by default, temp")
    given = parser.parse_args()
    factors = sorted({1, *given.factors})  # 1 is what the others are compared with

    # As Ctrl-C does, so that nothing is left on the disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = {}
    with tempfile.TemporaryDirectory(prefix="idc-scale-", dir=given.folder) as folder:
        for factor in factors:
            path = Path(folder) / f"x{factor}.parquet"
            check_disk(folder, factor)
            written = in_a_process(__file__, {"what": "write", "path": str(path), "factor": factor})
            found[factor] = written | in_a_process(
                __file__,
                {"what": "measure", "path": str(path), "paths": given.paths, "seed": given.seed},
            )
            path.unlink()
    heading(f"The index many times over ({given.paths} random paths, seed {given.seed})")
    show(found)


def check_disk(folder: str, factor: int) -> None:
    """Says what will be written, and ends if there is no room for it."""
    free, need = shutil.disk_usage(folder).free / 1e6, factor * MB_A_COPY
    print(
        f"... {factor} times, into {folder}: up to {need:,} MB of {free:,.0f} MB free",
        file=sys.stderr,
    )
    if need > free * 0.9:
        raise SystemExit(f"{folder} has too little room: --folder names another place")


def show(found: dict[int, Any]) -> None:
    """The table, what grew more than linearly, and the aims."""
    lines = {
        "series, million": lambda one: one["series"] / 1e6,
        "groups, million": lambda one: one["groups"] / 1e6,
        "file, MB": lambda one: one["file"],
        "written in, s": lambda one: one["written"],
        "import and client, s": lambda one: one["stages"][0]["seconds"],
        "first screen, s": lambda one: one["stages"][1]["seconds"],
        "whole screen, p50, ms": lambda one: median(one["screens"]) * 1e3,
        "whole screen, p95, ms": lambda one: percentile(one["screens"], 95) * 1e3,
        "histograms too, p95, ms": lambda one: percentile(one["both"], 95) * 1e3,
        "bare scan, ms": lambda one: one["limit"] * 1e3,
        "whole screen, p95 / bare scan": lambda one: percentile(one["screens"], 95) / one["limit"],
        "RSS after the first screen, MB": lambda one: one["stages"][1]["now"],
        "RSS at the end, MB": lambda one: one["stages"][-1]["now"],
        "peak RSS, MB": lambda one: one["stages"][-1]["peak"],
    }
    header = ["", *(f"{factor}x" for factor in found), *(f"{one}x / 1x" for one in [*found][1:])]
    table = []
    for name, of in lines.items():
        figures = [of(one) for one in found.values()]
        ratios = [f"{figure / figures[0]:.1f}" for figure in figures[1:]]
        table.append([name, *map(number, figures), *ratios])
    print_table(header, table)
    print()
    once = found[1]
    for factor in [*found][1:]:
        p95 = percentile(found[factor]["screens"], 95)
        growth = p95 / percentile(once["screens"], 95)
        verdict = "at most linear" if growth <= factor else "MORE THAN LINEAR"
        print(f"p95 of {factor} times the index is {growth:.1f} times that of one: {verdict}")
    if 10 in found:
        aim("p95 of 10x", percentile(found[10]["screens"], 95) * 1e3, AIM_P95_MS, "ms")
        aim("RSS of 10x, at the end", found[10]["stages"][-1]["now"], AIM_RSS_MB, "MB")
    print()


# --- each in a process of its own ----------------------------------------------------------


def write(path: str, factor: int) -> dict[str, float]:
    """Writes the index so many times over; it streams, so that little memory is needed."""
    import duckdb
    from idc_index_data import IDC_INDEX_PARQUET_FILEPATH

    from idc_widgets.query.engine import literal

    source = literal(str(IDC_INDEX_PARQUET_FILEPATH))
    copies = " UNION ALL ".join(
        "SELECT * REPLACE ("
        f"SeriesInstanceUID || '.{one}' AS SeriesInstanceUID,"
        f" StudyInstanceUID || '.{one}' AS StudyInstanceUID,"
        f" PatientID || '-{one}' AS PatientID) FROM read_parquet({source})"
        for one in range(factor)
    )
    before = time.perf_counter()
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        # Else it holds back all rows until it knows that none comes before; one thread keeps the
        # order anyway.
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET enable_progress_bar = false")
        database.execute(
            f"COPY ({copies}) TO {literal(path)}"
            f" (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROW_GROUP})"
        )
    seconds = time.perf_counter() - before
    peak = MemoryIndex.of_this_process().peak
    return {"written": seconds, "file": os.path.getsize(path) / 1e6, "writing_peak": peak}


def measure(path: str, paths: int, seed: int) -> dict[str, Any]:
    """Opens the file, and clicks."""
    import random

    stages = []
    before = time.perf_counter()

    def stage(after: str) -> None:
        nonlocal before
        memory = MemoryIndex.of_this_process()._asdict()
        stages.append({"after": after, "seconds": time.perf_counter() - before, **memory})
        before = time.perf_counter()

    import _clicks
    import numpy as np

    from idc_widgets import IDCClient
    from idc_widgets.query.memory.memory_index import memory_index_of

    state = _clicks.BrowserState(IDCClient(path))
    stage("import and client")
    _clicks.make(state, None)
    stage("first screen")
    rng = random.Random(seed)
    screens, both = [], []
    for _ in range(paths):
        for _click, screen in _clicks.walk(rng, state):
            screens.append(screen.seconds)
            both.append(screen.seconds + screen.histogram_seconds)
    stage("all clicks")
    memory = memory_index_of(state.client.engine)
    assert memory is not None, "an index in this process is held in memory"
    codes = memory.facets["Modality"].codes[memory.group]
    limit = math.inf
    for _ in range(9):
        start = time.perf_counter()
        np.bincount(codes, minlength=256)
        limit = min(limit, time.perf_counter() - start)
    return {
        "stages": stages,
        "screens": screens,
        "both": both,
        "limit": limit,
        "series": memory.series_count,
        "groups": memory.group_count,
    }


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
