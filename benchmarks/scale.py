"""Measure how the whole screen scales with the size of the index.

A Parquet file has 1, 10 or, on request, 100 copies of the index. Each copy has its own series,
studies and patients, in the same collections. A new process opens each file, and the file is
deleted after the measurement.
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
    ProcessMemory,
    aim,
    answer,
    heading,
    in_a_process,
    number,
    percentile,
    print_table,
    task,
)

#: The aims of the project at ten times the index: the 95th percentile of the clicks, and memory.
AIM_P95_MS, AIM_RSS_MB = 600, 1000

#: An upper bound for the size of the file per copy of the index.
MB_PER_COPY = 150

#: DuckDB's default.
ROWS_PER_ROW_GROUP = 122_880


def main() -> None:
    """Run all measurements or, in a process that `in_a_process` started, one of them."""
    todo = task()
    if todo is not None:
        what = {"write": write, "measure": measure}[todo.pop("what")]
        answer(what(**todo))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10], help="(%(default)s)")
    parser.add_argument("--paths", type=int, default=10, help="click paths per file (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the clicks (%(default)s)")
    parser.add_argument("--folder", type=Path, help="folder of the files; by default temporary")
    given = parser.parse_args()
    factors = sorted({1, *given.factors})  # the results of the others are compared with those of 1

    # Treat SIGTERM like Ctrl-C, so that the files are deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = {}
    with tempfile.TemporaryDirectory(prefix="idc-scale-", dir=given.folder) as folder:
        for factor in factors:
            path = Path(folder) / f"x{factor}.parquet"
            check_disk(folder, factor)
            written = in_a_process(__file__, {"what": "write", "path": str(path), "factor": factor})
            results[factor] = written | in_a_process(
                __file__,
                {"what": "measure", "path": str(path), "paths": given.paths, "seed": given.seed},
            )
            path.unlink()
    heading(f"The index, repeated ({given.paths} random paths, seed {given.seed})")
    show(results)


def check_disk(folder: str, factor: int) -> None:
    """Print how much will be written; exit if the disk has too little space for it."""
    free, need = shutil.disk_usage(folder).free / 1e6, factor * MB_PER_COPY
    print(
        f"... {factor} copies in {folder}: up to {need:,} MB of {free:,.0f} MB free",
        file=sys.stderr,
    )
    if need > free * 0.9:
        raise SystemExit(f"{folder} has too little space; name another folder with --folder")


def show(results: dict[int, Any]) -> None:
    """Print the table, the growth per file, and whether the aims are met."""
    lines = {
        "series, million": lambda result: result["series"] / 1e6,
        "groups, million": lambda result: result["groups"] / 1e6,
        "file, MB": lambda result: result["file"],
        "written in, s": lambda result: result["written"],
        "import and client, s": lambda result: result["stages"][0]["seconds"],
        "first screen, s": lambda result: result["stages"][1]["seconds"],
        "whole screen, p50, ms": lambda result: median(result["screens"]) * 1e3,
        "whole screen, p95, ms": lambda result: percentile(result["screens"], 95) * 1e3,
        "histograms too, p95, ms": lambda result: percentile(result["both"], 95) * 1e3,
        "bare scan, ms": lambda result: result["limit"] * 1e3,
        "whole screen, p95 / bare scan": lambda result: (
            percentile(result["screens"], 95) / result["limit"]
        ),
        "RSS after the first screen, MB": lambda result: result["stages"][1]["now"],
        "RSS at the end, MB": lambda result: result["stages"][-1]["now"],
        "peak RSS, MB": lambda result: result["stages"][-1]["peak"],
    }
    factors = [*results]
    header = ["", *(f"{n}x" for n in factors), *(f"{n}x / 1x" for n in factors[1:])]
    table = []
    for name, of in lines.items():
        figures = [of(result) for result in results.values()]
        ratios = [f"{figure / figures[0]:.1f}" for figure in figures[1:]]
        table.append([name, *map(number, figures), *ratios])
    print_table(header, table)
    print()
    once = results[1]
    for factor in factors[1:]:
        p95 = percentile(results[factor]["screens"], 95)
        growth = p95 / percentile(once["screens"], 95)
        verdict = "at most linear" if growth <= factor else "MORE THAN LINEAR"
        print(f"p95 of {factor} copies is {growth:.1f} times that of one: {verdict}")
    if 10 in results:
        aim("p95 of 10x", percentile(results[10]["screens"], 95) * 1e3, AIM_P95_MS, "ms")
        aim("RSS of 10x, at the end", results[10]["stages"][-1]["now"], AIM_RSS_MB, "MB")
    print()


# --- the measurements, each in its own process ----------------------------------------------


def write(path: str, factor: int) -> dict[str, float]:
    """Write the index `factor` times; DuckDB streams the rows, so this needs little memory."""
    import duckdb
    from idc_index_data import IDC_INDEX_PARQUET_FILEPATH

    from idc_widgets.query.engine import literal

    source = literal(str(IDC_INDEX_PARQUET_FILEPATH))
    copies = " UNION ALL ".join(
        "SELECT * REPLACE ("
        f"SeriesInstanceUID || '.{copy}' AS SeriesInstanceUID,"
        f" StudyInstanceUID || '.{copy}' AS StudyInstanceUID,"
        f" PatientID || '-{copy}' AS PatientID) FROM read_parquet({source})"
        for copy in range(factor)
    )
    before = time.perf_counter()
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        # With preserve_insertion_order, DuckDB would buffer all rows. One thread keeps the order
        # anyway.
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET enable_progress_bar = false")
        database.execute(
            f"COPY ({copies}) TO {literal(path)}"
            f" (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROWS_PER_ROW_GROUP})"
        )
    seconds = time.perf_counter() - before
    peak = ProcessMemory.of_this_process().peak
    return {"written": seconds, "file": os.path.getsize(path) / 1e6, "writing_peak": peak}


def measure(path: str, paths: int, seed: int) -> dict[str, Any]:
    """Open the file and measure random clicks."""
    import random

    stages = []
    before = time.perf_counter()

    def stage(after: str) -> None:
        nonlocal before
        memory = ProcessMemory.of_this_process()._asdict()
        stages.append({"after": after, "seconds": time.perf_counter() - before, **memory})
        before = time.perf_counter()

    import _clicks
    import numpy as np

    from idc_widgets import IDCClient
    from idc_widgets.query.memory.loading import memory_index_of

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
    assert memory is not None, "the index of DuckDBEngine is held in memory"
    codes = memory.group_columns["Modality"].codes[memory.group_of_series]
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
