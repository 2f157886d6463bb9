"""Measure downloads: speed against bare s5cmd, idc-index and cp -r; progress; plans; polling.

nginx on 127.0.0.1 serves objects like those of real series: 100 series of 20 files of 0.5 MB, and
3 series of one file of 300 MB, with random bytes. They are created in a folder beside the
destination and are in the cache of the system. Each turn has a fresh destination, which is deleted
afterwards; the disk is synced before each turn, but not during it.

  s5cmd            `s5cmd run` alone, with the lines, options and environment of a job. It is
                   started by a process that has made the same plan, and measured twice per turn,
                   so that the difference shows the noise
  DownloadJob      from start() to the end of wait(); and the whole process, including the start of
                   Python, the client and the plan
  idc-index        the same: download_from_selection, and the whole process
  cp -r            the limit: the same files copied from folder to folder

CPU is user and system time of the process and its children, without nginx.

Then the benchmark compares the reported progress of a download of 10 s with the files on disk. It
measures a plan of 10,000 series with 200,000 files, and the cost of watching a slow download of
that size.

The benchmark needs nginx (sudo apt-get install nginx-light) and 4 GB of disk.
"""

from __future__ import annotations

import argparse
import math
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import _s3
from _measure import (
    ProcessMemory,
    aim,
    answer,
    heading,
    in_a_process,
    number,
    print_table,
    require_peer,
    task,
)

PARTS = ("speed", "progress", "plan", "polling")

#: Aims of the project. Time and CPU of a job, as multiples of those of s5cmd alone; error of the
#: progress, in % of all bytes; time in s and memory in MB of a plan; CPU to watch, in % of a core.
AIM_WALL, AIM_CPU, AIM_ERROR, AIM_PLAN_S, AIM_PLAN_MB, AIM_POLLING = 1.03, 1.05, 2, 2, 300, 2

WORKERS = 64  # the default of DownloadJob

#: Duration of the download with progress, and of the slow one.
PROGRESS_S, POLLING_S = 10, 15

PART_BYTES = 50 * 2**20  # s5cmd fetches larger files in parts

#: The server has objects for the first so many series; the slow download never reaches the others.
SERVED_SERIES = 500

S5CMD, AGAIN, OURS, OURS_WHOLE = (
    "s5cmd",
    "s5cmd again",
    "DownloadJob",
    "  the whole process of ours",
)
PEER, PEER_WHOLE, LIMIT = "idc-index", "  the whole process of idc-index", "cp -r"


class Cost(NamedTuple):
    """Elapsed time and CPU time of all cores, in seconds."""

    wall: float
    cpu: float


def main() -> None:
    todo = task()
    if todo is not None:
        known = (choose, bare_s5cmd, our_download, peer_download, progress, plan, polling)
        what = {function.__name__: function for function in known}[todo.pop("what")]
        answer(what(**todo))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--quick", action="store_true", help="2 turns, fewer files, no idc-index")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="(all of them)")
    parser.add_argument(
        "--folder", type=Path, help="where to create the files (a temporary folder)"
    )
    given = parser.parse_args()
    if missing := _s3.missing_program():
        print(f"not measured, for {missing}")
        return
    if not given.quick and "speed" in given.only:
        require_peer()

    # Treat SIGTERM like Ctrl-C, so that the files are deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turns = 2 if given.quick else given.turns
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="idc-download-", dir=given.folder) as name:
        folder = Path(name)
        count = {"small": 25, "large": 1} if given.quick else {"small": 100, "large": 3}
        sets = run("choose", folder=str(folder / "to"), **count)
        both, many = sets["small"] + sets["large"], sets["many"]
        if {"speed", "progress"} & set(given.only):
            check_disk(folder, 2 * size_of(both))
            _s3.write(folder, both)
        if "speed" in given.only:
            figures["speed"] = compare(folder, sets["small"], sets["large"], turns, not given.quick)
        if "progress" in given.only:
            figures["progress"] = watch(folder, both)
        if {"plan", "polling"} & set(given.only):
            check_disk(folder, size_of(many), "(most of it only planned) ")
        if "plan" in given.only:
            uids = [series["uid"] for series in many]
            figures["plan"] = run("plan", uids=uids, folder=str(folder / "to"))
        if "polling" in given.only:
            figures["polling"] = poll(folder, many, 5 if given.quick else POLLING_S)
    heading("Downloads from nginx on this machine")
    show = {"speed": show_speed, "progress": show_progress, "polling": show_polling}
    show["plan"] = lambda stages: show_plan(stages, many)
    for name, result in figures.items():
        show[name](result)
    print()


def run(what: str, **given: Any) -> Any:
    """Call a function at the end of this file in a fresh process, and return its result."""
    return in_a_process(__file__, {"what": what, **given})


def check_disk(folder: Path, size_bytes: int, how: str = "") -> None:
    """Print how much will be written, and exit if it does not fit."""
    free, need = shutil.disk_usage(folder).free / 1e6, size_bytes / 1e6
    print(f"... {how}into {folder}: up to {need:,.0f} MB of {free:,.0f} MB free", file=sys.stderr)
    if need > free * 0.9:
        raise SystemExit(f"{folder} has too little space; choose another folder with --folder")


def size_of(series: Iterable[Any]) -> int:
    return sum(item["size_bytes"] for item in series)


def files_of(series: Iterable[Any]) -> int:
    return sum(item["instances"] for item in series)


# --- speed ----------------------------------------------------------------------------------


def compare(
    folder: Path, small: list[Any], large: list[Any], turns: int, peer: bool
) -> list[dict[str, Any]]:
    """Measure every way of downloading many small files, few large files, and both."""
    cases = {"many small files": small, "few large files": large, "both": small + large}
    results = []
    with _s3.serving(folder, {"full": ""}) as servers:
        # Not measured: this fills the file cache of the system and compiles Python.
        one_turn(folder, cases["both"], servers["full"], peer, 0)
        for name, series in cases.items():
            made = [one_turn(folder, series, servers["full"], peer, at) for at in range(turns)]
            results.append(
                {
                    "name": name,
                    "series": len(series),
                    "files": files_of(series),
                    "MB": size_of(series) / 1e6,
                    "made": made,
                }
            )
    return results


def one_turn(folder: Path, series: list[Any], url: str, peer: bool, first: int) -> dict[str, Cost]:
    """Measure each way once, starting with the way number `first`; return the costs by name."""
    to = folder / "to"
    costs: dict[str, Cost] = {}

    def in_python(name: str, whole: str, what: str) -> None:
        uids = [item["uid"] for item in series]
        alone: list[Any] = []
        costs[whole] = fresh(
            to, series, lambda: alone.append(run(what, uids=uids, folder=str(to), url=url))
        )
        costs[name] = Cost(*alone[0])

    def plainly(name: str, do: Callable[[], None]) -> None:
        costs[name] = fresh(to, series, do)

    each = [
        lambda: in_python(S5CMD, "", "bare_s5cmd"),
        lambda: in_python(OURS, OURS_WHOLE, "our_download"),
        lambda: in_python(AGAIN, "", "bare_s5cmd"),
        lambda: plainly(LIMIT, lambda: copy(folder, series, to)),
    ]
    if peer:
        each.insert(2, lambda: in_python(PEER, PEER_WHOLE, "peer_download"))
    for at in range(len(each)):
        each[(first + at) % len(each)]()
    return costs


def fresh(to: Path, series: list[Any], do: Callable[[], object]) -> Cost:
    """Measure `do`, which creates exactly the files of `series` in a new folder."""
    os.sync()
    before = Clock()
    do()
    cost = before.until_now()
    files = list(to.rglob("*.dcm"))  # a job writes its record beside them
    counts = (len(files), sum(path.stat().st_size for path in files))
    expected = (files_of(series), size_of(series))
    assert counts == expected, f"files and bytes on disk: {counts}, expected {expected}"
    shutil.rmtree(to)
    return cost


class Clock:
    """Measures the time since its creation, including the CPU time of ended child processes."""

    def __init__(self) -> None:
        self._cpu = self._cpu_now()
        self._wall = time.perf_counter()

    def until_now(self) -> Cost:
        wall = time.perf_counter() - self._wall
        return Cost(wall, self._cpu_now() - self._cpu)

    @staticmethod
    def _cpu_now() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def copy(folder: Path, series: list[Any], to: Path) -> None:
    sources = [folder / "objects" / item["bucket"] / item["prefix"] for item in series]
    to.mkdir()
    subprocess.run(["cp", "-r", "-t", to, *sources], check=True)


def ratio_of(made: list[dict[str, Cost]], name: str, other: str, what: str) -> float:
    """Return the ratio of two medians."""
    over, under = (median(getattr(turn[who], what) for turn in made) for who in (name, other))
    return over / under


def show_speed(cases: list[dict[str, Any]]) -> None:
    """Print a table per case, and whether the aims are met."""
    for case in cases:
        made, table = case["made"], []
        for who in (S5CMD, AGAIN, OURS, OURS_WHOLE, PEER, PEER_WHOLE, LIMIT):
            if who not in made[0]:
                continue
            walls, cpus = ([getattr(turn[who], what) for turn in made] for what in Cost._fields)
            ratios = sorted(turn[who].wall / turn[S5CMD].wall for turn in made)
            table.append(
                [
                    who,
                    spread(walls),
                    number(case["MB"] / median(walls)),
                    f"{ratio_of(made, who, S5CMD, 'wall'):.2f}",
                    f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                    f"{ratio_of(made, who, LIMIT, 'wall'):.2f}",
                    spread(cpus),
                    f"{ratio_of(made, who, S5CMD, 'cpu'):.2f}",
                ]
            )
        print(
            f"\n{case['name']}: {case['files']:,} in {case['series']:,} series,"
            f" {case['MB']:,.0f} MB; {len(made)} turns"
        )
        wall = ["wall, s", "MB/s", "/ s5cmd", "a turn", "/ cp -r"]
        print_table(["median (range)", *wall, "CPU, s", "/ s5cmd"], table)
    if PEER in cases[0]["made"][0]:
        print(
            "\nidc-index has no argument for the server: its constant aws_endpoint_url was set to"
            " this server.\nIt runs s5cmd with 256 workers, and polls it every 0.5 s."
        )
    print()
    for case in cases:
        for what, words, most in (("wall", "time", AIM_WALL), ("cpu", "CPU", AIM_CPU)):
            ratio = ratio_of(case["made"], OURS, S5CMD, what)
            aim(f"{words} of DownloadJob, {case['name']}", ratio, most, "times s5cmd alone")


def spread(figures: Sequence[float]) -> str:
    """Return the median, the minimum and the maximum as text."""
    return f"{number(median(figures))} ({number(min(figures))} to {number(max(figures))})"


# --- progress -------------------------------------------------------------------------------


def watch(folder: Path, series: list[Any]) -> dict[str, Any]:
    """Compare the reported progress of a slow download with the files on disk."""
    # s5cmd fetches 5 parts of 50 MiB of a file at a time. Small files are too quick for a rate.
    large = max(item["size_bytes"] for item in series if item["instances"] == 1)
    rounds = math.ceil(math.ceil(large / PART_BYTES) / 5)
    rate = rounds * PART_BYTES / PROGRESS_S / 1e3
    slow = {"slow": f"limit_rate {rate:.0f}k; limit_req zone=files burst=100000;"}
    with _s3.serving(folder, slow, round(files_of(series) / PROGRESS_S)) as servers:
        uids = [item["uid"] for item in series]
        result = run("progress", uids=uids, folder=str(folder / "to"), url=servers["slow"])
    shutil.rmtree(folder / "to")
    assert result["state"] == "complete" and len(result["points"]) > PROGRESS_S, result
    return {**result, "total": size_of(series)}


def show_progress(result: dict[str, Any]) -> None:
    """Print the differences between the reported progress and the files on disk."""
    points, total = result["points"], result["total"]
    errors = [(reported - actual) / total * 100 for reported, actual in points]
    reports = [reported for reported, _ in points]
    order = "never backwards" if reports == sorted(reports) else "BACKWARDS"
    print(
        f"\nprogress of {total / 1e6:,.0f} MB in {result['seconds']:.1f} s, {len(points)} changes;"
        f" against the files on disk:\nat most {max(errors):.2f} % of all bytes ahead,"
        f" {-min(errors):.2f} % behind, {median(map(abs, errors)):.2f} % off in the median;"
        f" {order}, ends at {reports[-1] / total * 100:g} %"
    )
    aim("error of the progress", max(map(abs, errors)), AIM_ERROR, "% of all bytes")


# --- at 10,000 series -----------------------------------------------------------------------


def show_plan(stages: list[dict[str, Any]], series: list[Any]) -> None:
    """Print the time and memory of a plan."""
    files, size = files_of(series), size_of(series) / 1e9
    print(f"\na plan of {len(series):,} series with {files:,} files, {size:.1f} GB")
    print_table(
        ["after", "s", "RSS, MB", "peak RSS, MB"],
        [[it["after"], *map(number, (it["s"], it["now"], it["peak"]))] for it in stages],
    )
    print()
    [made] = [stage for stage in stages if stage["after"] == "DownloadPlan.make"]
    aim("DownloadPlan.make", made["s"], AIM_PLAN_S, "s")
    aim("RSS after DownloadPlan.make", made["now"], AIM_PLAN_MB, "MB")


def poll(folder: Path, series: list[Any], seconds: float) -> dict[str, Any]:
    """Measure what it costs to watch a slow download of many series."""
    # s5cmd fetches series in the order of the plan, and never reaches the later ones
    missing = [
        item
        for item in series[:SERVED_SERIES]
        if not (folder / "objects" / item["bucket"] / item["prefix"]).exists()
    ]
    _s3.write(folder, missing, hollow=True)
    with _s3.serving(folder, {"slow": "limit_req zone=files burst=100000;"}, 25) as servers:
        given = {"uids": [item["uid"] for item in series], "url": servers["slow"]}
        result = run("polling", folder=str(folder / "to"), seconds=seconds, **given)
    shutil.rmtree(folder / "to", ignore_errors=True)
    return {**result, "series": len(series)}


def show_polling(result: dict[str, Any]) -> None:
    """Print the CPU time of our process."""
    before, during, after = (Cost(*result[name]) for name in ("before", "during", "after"))
    print(
        f"\na slow download of {result['series']:,} series, watched for {during.wall:.1f} s:"
        f" {result['files']:,} files and {result['MB']:,.1f} MB arrived,\n{result['changes']}"
        f" changes were reported; CPU of our process {during.cpu:.2f} s, RSS"
        f" {result['rss']:,.0f} MB;\nfrom start() to the first bytes {before.wall:.1f} s (CPU"
        f" {before.cpu:.1f} s), from cancel() to the end {after.wall:.1f} s (CPU {after.cpu:.1f} s)"
    )
    aim("CPU to watch it", during.cpu / during.wall * 100, AIM_POLLING, "% of a core")


# --- each in its own process ----------------------------------------------------------------


def choose(small: int, large: int, folder: str) -> dict[str, Any]:
    """Choose series of the index, and return how they are planned into `folder`."""
    from idc_widgets import IDCClient

    client = IDCClient()
    wanted = {
        "small": (small, "instanceCount = 20", "abs(series_size_MB - 10)"),
        "large": (large, "instanceCount = 1", "abs(series_size_MB - 300)"),
        "many": (10_000, "instanceCount BETWEEN 16 AND 32 AND series_size_MB < 4", "1"),
    }
    chosen = {}
    for name, (count, where, order) in wanted.items():
        rows = client.sql(
            f"SELECT SeriesInstanceUID FROM index WHERE {where}"
            f" ORDER BY {order}, SeriesInstanceUID LIMIT {count}"
        )
        chosen[name] = [
            {
                "uid": series.SeriesInstanceUID,
                "bucket": series.bucket,
                "prefix": series.prefix,
                "folder": str(series.folder),
                "instances": series.instances,
                "size_bytes": series.size_bytes,
            }
            for series in _plan([*rows.SeriesInstanceUID], folder, None, client=client).series
        ]
    return chosen


def _plan(uids: list[str], folder: str, url: str | None, client: Any = None) -> Any:
    from idc_widgets import IDCClient

    selection = (client or IDCClient()).cohort(SeriesInstanceUID=uids).select()
    return selection.plan(folder, endpoint_url=url, check_disk=url is not None)


def bare_s5cmd(uids: list[str], folder: str, url: str) -> Cost:
    """Run the s5cmd of a job without the job, in a process that has made the same plan."""
    from idc_widgets.download import s5cmd

    plan = _plan(uids, folder, url)
    with tempfile.TemporaryFile("w+") as commands:
        for series in plan.series:
            line = s5cmd.cp_line(series.bucket, series.prefix, series.folder)
            commands.write(f"{line}\n")
        commands.seek(0)
        arguments, environment = s5cmd.arguments(url, WORKERS), s5cmd.environment()
        before = Clock()
        subprocess.run(
            arguments, stdin=commands, stdout=subprocess.DEVNULL, env=environment, check=True
        )
        return before.until_now()


def our_download(uids: list[str], folder: str, url: str) -> Cost:
    """Measure the job alone; the caller measures the whole process."""
    from idc_widgets.download import DownloadJob

    job = DownloadJob(_plan(uids, folder, url), workers=WORKERS)
    before = Clock()
    job.start().wait()
    cost = before.until_now()
    assert job.state == "complete", (job.error, job.failed)
    return cost


def peer_download(uids: list[str], folder: str, url: str) -> Cost:
    """Measure the call of idc-index alone."""
    import logging

    from idc_index import index

    from idc_widgets.download import s5cmd

    logging.disable(logging.INFO)
    assert index.aws_endpoint_url.startswith("https://"), (
        "this idc-index takes its server from somewhere else"
    )
    index.aws_endpoint_url = url
    environment = s5cmd.environment()  # the same as for our downloads
    os.environ.clear()
    os.environ.update(environment)
    client = index.IDCClient()
    with Path(os.devnull).open("w") as bar, redirect_stderr(bar):
        before = Clock()
        client.download_from_selection(folder, seriesInstanceUID=uids)
        return before.until_now()


def progress(uids: list[str], folder: str, url: str) -> dict[str, Any]:
    """Return two numbers per change of the progress: the bytes reported, and those on disk."""
    from idc_widgets.download import DownloadJob

    reported: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    points = []

    def look() -> None:
        while (bytes_done := reported.get()) is not None:
            points.append((bytes_done, _on_disk(folder)))

    looking = threading.Thread(target=look)
    looking.start()
    plan = _plan(uids, folder, url)
    job = DownloadJob(
        plan, workers=WORKERS, on_change=lambda job: reported.put(job.progress.bytes_done)
    )
    before = Clock()
    job.start().wait()
    seconds = before.until_now().wall
    reported.put(None)
    looking.join()
    return {"points": points, "state": job.state, "seconds": seconds}


def _on_disk(folder: str) -> int:
    """Return the bytes of all files; for unfinished files, only those that have arrived."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(path, name))
            except FileNotFoundError:  # renamed in the meantime
                continue
            total += min(stat.st_size, stat.st_blocks * 512)
    return total


def plan(uids: list[str], folder: str) -> list[dict[str, Any]]:
    """Measure the stages of a plan. The last stage is all of `Selection.plan`."""
    stages = []
    before = Clock()

    def stage(after: str) -> None:
        nonlocal before
        memory = ProcessMemory.of_this_process()._asdict()
        stages.append({"after": after, "s": before.until_now().wall, **memory})
        before = Clock()

    from idc_widgets import IDCClient
    from idc_widgets.download import DownloadPlan

    client = IDCClient()
    stage("import and client")
    marks = ", ".join("?" * len(uids))
    rows = client.engine.query(
        "SELECT SeriesInstanceUID, series_aws_url, instanceCount, series_size_MB, collection_id,"
        f" PatientID, StudyInstanceUID, Modality FROM index WHERE SeriesInstanceUID IN ({marks})",
        uids,
    )
    stage("rows of the index")
    made = DownloadPlan.make(rows, folder, check_disk=True)
    stage("DownloadPlan.make")
    assert len(made.series) == len(uids)
    client.cohort(SeriesInstanceUID=uids).select().plan(folder)
    stage("Selection.plan, from the start")
    return stages


def polling(uids: list[str], folder: str, url: str, seconds: float) -> dict[str, Any]:
    """Measure a slow download that is cancelled after some seconds."""
    from idc_widgets.download import DownloadJob

    arrived = threading.Event()
    changes = 0

    def changed(job: DownloadJob) -> None:
        nonlocal changes
        changes += 1
        if job.progress.bytes_done:
            arrived.set()

    plan = _plan(uids, folder, url)
    job = DownloadJob(plan, workers=WORKERS, on_change=changed)
    marks = []

    def mark() -> None:
        marks.append(Cost(time.perf_counter(), time.process_time()))

    mark()
    job.start()
    assert arrived.wait(60), job.log
    mark()
    changes = 0
    time.sleep(seconds)
    mark()
    state, progress, reported = job.state, job.progress, changes
    job.cancel()
    job.wait()
    mark()
    assert state == "running" and job.state == "cancelled", (state, job.state, job.log)
    problems = [line for line in job.log if "s3://" in line]
    assert not any("NoSuch" in line for line in problems), problems[:3]
    steps = [Cost(late.wall - early.wall, late.cpu - early.cpu) for early, late in pairwise(marks)]
    return {
        **dict(zip(("before", "during", "after"), steps, strict=True)),
        "files": progress.files_done,
        "MB": progress.bytes_done / 1e6,
        "changes": reported,
        "rss": ProcessMemory.of_this_process().now,
    }


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
