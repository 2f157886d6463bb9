"""Downloads: against bare s5cmd, idc-index and cp -r, and what is told while they run.

nginx on 127.0.0.1 serves objects as many and as large as real series have: 100 series of 20 files
of 0.5 MB, and 3 series of one file of 300 MB; their bytes are random. They are made on the spot,
in a folder beside the one that is downloaded to, and are in the cache of the system. Each turn has
a fresh destination, deleted when it was measured; the disk is synced before each, never meanwhile.

  s5cmd            `s5cmd run` alone, with the lines, options and environment that a job gives it;
                   started by a process that has made the same plan; and the same once more: what
                   differs between these two is noise
  DownloadJob      from start() to the end of wait(); and the whole process, from the start of
                   Python over the client and the plan to the end
  idc-index        likewise: download_from_selection, and the whole process
  cp -r            the limit: the same files from folder to folder

CPU is user and system time of the process and all that it started, not that of nginx.

Then the progress of a download of 10 s, each change of it held against the files on the disk; the
plan of 10,000 series of 200,000 files; and what it costs to watch a slow download of that size.

It needs nginx (sudo apt-get install nginx-light) and 4 GB of disk.
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

#: Aims of the project: times bare s5cmd, percent of all bytes, seconds, MB, and percent of a core.
AIM_WALL, AIM_CPU, AIM_ERROR, AIM_PLAN_S, AIM_PLAN_MB, AIM_POLLING = 1.03, 1.05, 2, 2, 300, 2

WORKERS = 64  # those of a DownloadJob

#: Seconds of the progress, and of the slow transfer.
PROGRESS_S, POLLING_S = 10, 15

PART = 50 * 2**20  # bytes; s5cmd fetches larger files in parts

#: Of the slow transfer: series that have objects, of those that are queued.
SERVED = 500

S5CMD, AGAIN, OURS, OURS_WHOLE = (
    "s5cmd",
    "s5cmd again",
    "DownloadJob",
    "  the whole process of ours",
)
PEER, PEER_WHOLE, LIMIT = "idc-index", "  the whole process of idc-index", "cp -r"


class Cost(NamedTuple):
    """Seconds: by the clock, and of all cores."""

    wall: float
    cpu: float


def main() -> None:
    todo = task()
    if todo is not None:
        known = (choose, bare_s5cmd, our_download, peer_download, progress, plan, polling)
        what = {one.__name__: one for one in known}[todo.pop("what")]
        answer(what(**todo))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--quick", action="store_true", help="2 turns, fewer files, no idc-index")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="(all of them)")
    parser.add_argument("--folder", type=Path, help="where the files are made; by default, temp")
    given = parser.parse_args()
    if missing := _s3.what_is_missing():
        print(f"not measured, for {missing}")
        return
    if not given.quick and "speed" in given.only:
        require_peer()

    # As Ctrl-C does, so that nothing is left on the disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turns = 2 if given.quick else given.turns
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="idc-download-", dir=given.folder) as name:
        folder = Path(name)
        count = {"small": 25, "large": 1} if given.quick else {"small": 100, "large": 3}
        sets = run("choose", folder=str(folder / "to"), **count)
        both, many = sets["small"] + sets["large"], sets["many"]
        if {"speed", "progress"} & set(given.only):
            check_disk(folder, 2 * size_of(both))
            _s3.write(folder, both)
        if "speed" in given.only:
            found["speed"] = compare(folder, sets["small"], sets["large"], turns, not given.quick)
        if "progress" in given.only:
            found["progress"] = watch(folder, both)
        if {"plan", "polling"} & set(given.only):
            check_disk(folder, size_of(many), "(most of it only on paper) ")
        if "plan" in given.only:
            uids = [one["uid"] for one in many]
            found["plan"] = run("plan", uids=uids, folder=str(folder / "to"))
        if "polling" in given.only:
            found["polling"] = poll(folder, many, 5 if given.quick else POLLING_S)
    heading("Downloads from nginx on this machine")
    show = {"speed": show_speed, "progress": show_progress, "polling": show_polling}
    show["plan"] = lambda stages: show_plan(stages, many)
    for name, figures in found.items():
        show[name](figures)
    print()


def run(what: str, **given: Any) -> Any:
    """What one of the functions at the end of this file answers, in a fresh process."""
    return in_a_process(__file__, {"what": what, **given})


def check_disk(folder: Path, size_bytes: int, how: str = "") -> None:
    """Says what will be written, and ends if there is no room for it."""
    free, need = shutil.disk_usage(folder).free / 1e6, size_bytes / 1e6
    print(f"... {how}into {folder}: up to {need:,.0f} MB of {free:,.0f} MB free", file=sys.stderr)
    if need > free * 0.9:
        raise SystemExit(f"{folder} has too little room: --folder names another place")


def size_of(series: Iterable[Any]) -> int:
    return sum(one["size_bytes"] for one in series)


def files_of(series: Iterable[Any]) -> int:
    return sum(one["instances"] for one in series)


# --- how quick it is ------------------------------------------------------------------------


def compare(
    folder: Path, small: list[Any], large: list[Any], turns: int, peer: bool
) -> list[dict[str, Any]]:
    """What each took for the many small files, for the few large ones, and for both."""
    cases = {"many small files": small, "few large files": large, "both": small + large}
    found = []
    with _s3.serving(folder, {"full": ""}) as servers:
        # Unmeasured: it fills the file cache of the system, and compiles Python.
        one_turn(folder, cases["both"], servers["full"], peer, 0)
        for name, series in cases.items():
            made = [one_turn(folder, series, servers["full"], peer, at) for at in range(turns)]
            found.append(
                {
                    "name": name,
                    "series": len(series),
                    "files": files_of(series),
                    "MB": size_of(series) / 1e6,
                    "made": made,
                }
            )
    return found


def one_turn(folder: Path, series: list[Any], url: str, peer: bool, first: int) -> dict[str, Cost]:
    """What each took, one after the other; every turn begins with the next of them."""
    to = folder / "to"
    found = {}

    def in_python(name: str, whole: str, what: str) -> None:
        uids = [one["uid"] for one in series]
        alone: list[Any] = []
        found[whole] = fresh(
            to, series, lambda: alone.append(run(what, uids=uids, folder=str(to), url=url))
        )
        found[name] = Cost(*alone[0])

    def plainly(name: str, do: Callable[[], None]) -> None:
        found[name] = fresh(to, series, do)

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
    return found


def fresh(to: Path, series: list[Any], do: Callable[[], object]) -> Cost:
    """What `do` took to make exactly these files in a folder that was not there."""
    os.sync()
    before = Clock()
    do()
    cost = before.until_now()
    files = list(to.rglob("*.dcm"))  # a job leaves its report beside them
    there = (len(files), sum(path.stat().st_size for path in files))
    expected = (files_of(series), size_of(series))
    assert there == expected, f"files and bytes on the disk: {there}, not {expected}"
    shutil.rmtree(to)
    return cost


class Clock:
    """Measures from when it is made, what this process starts and waits for included."""

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
    sources = [folder / "objects" / one["bucket"] / one["prefix"] for one in series]
    to.mkdir()
    subprocess.run(["cp", "-r", "-t", to, *sources], check=True)


def ratio_of(made: list[dict[str, Cost]], one: str, other: str, what: str) -> float:
    """Of the medians."""
    over, under = (median(getattr(turn[name], what) for turn in made) for name in (one, other))
    return over / under


def show_speed(cases: list[dict[str, Any]]) -> None:
    """A table each, and the aims."""
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
            " this one.\nIt runs s5cmd with 256 workers, and looks every 0.5 s if that has ended."
        )
    print()
    for case in cases:
        for what, words, most in (("wall", "time", AIM_WALL), ("cpu", "CPU", AIM_CPU)):
            ratio = ratio_of(case["made"], OURS, S5CMD, what)
            aim(f"{words} of DownloadJob, {case['name']}", ratio, most, "times s5cmd alone")


def spread(figures: Sequence[float]) -> str:
    """The median, and the least and the most."""
    return f"{number(median(figures))} ({number(min(figures))} to {number(max(figures))})"


# --- what is told meanwhile -----------------------------------------------------------------


def watch(folder: Path, series: list[Any]) -> dict[str, Any]:
    """What was told of a download that takes a while, and what was true."""
    # s5cmd fetches 5 parts of 50 MiB of a file at a time. Small files are too quick for a rate.
    large = max(one["size_bytes"] for one in series if one["instances"] == 1)
    rounds = math.ceil(math.ceil(large / PART) / 5)
    rate = rounds * PART / PROGRESS_S / 1e3
    slow = {"slow": f"limit_rate {rate:.0f}k; limit_req zone=files burst=100000;"}
    with _s3.serving(folder, slow, round(files_of(series) / PROGRESS_S)) as servers:
        uids = [one["uid"] for one in series]
        found = run("progress", uids=uids, folder=str(folder / "to"), url=servers["slow"])
    shutil.rmtree(folder / "to")
    assert found["state"] == "complete" and len(found["points"]) > PROGRESS_S, found
    return {**found, "total": size_of(series)}


def show_progress(found: dict[str, Any]) -> None:
    """Whether what was told is true."""
    points, total = found["points"], found["total"]
    errors = [(said - true) / total * 100 for said, true in points]
    saids = [said for said, _ in points]
    order = "never backwards" if saids == sorted(saids) else "BACKWARDS"
    print(
        f"\nprogress of {total / 1e6:,.0f} MB in {found['seconds']:.1f} s, {len(points)} changes;"
        f" against the files on the disk:\nat most {max(errors):.2f} % of all bytes ahead,"
        f" {-min(errors):.2f} % behind, {median(map(abs, errors)):.2f} % off in the median;"
        f" {order}, ends at {saids[-1] / total * 100:g} %"
    )
    aim("error of the progress", max(map(abs, errors)), AIM_ERROR, "% of all bytes")


# --- at 10,000 series -----------------------------------------------------------------------


def show_plan(stages: list[dict[str, Any]], series: list[Any]) -> None:
    """Time and memory of a plan."""
    files, size = files_of(series), size_of(series) / 1e9
    print(f"\na plan of {len(series):,} series with {files:,} files, {size:.1f} GB")
    print_table(
        ["after", "s", "RSS, MB", "peak RSS, MB"],
        [[one["after"], *map(number, (one["s"], one["now"], one["peak"]))] for one in stages],
    )
    print()
    [made] = [one for one in stages if one["after"] == "DownloadPlan.make"]
    aim("DownloadPlan.make", made["s"], AIM_PLAN_S, "s")
    aim("RSS of the process then", made["now"], AIM_PLAN_MB, "MB")


def poll(folder: Path, series: list[Any], seconds: float) -> dict[str, Any]:
    """What a slow download of many series costs beside s5cmd."""
    # They are fetched in the order of the plan: those that s5cmd does not come to are not needed
    there = [
        one
        for one in series[:SERVED]
        if not (folder / "objects" / one["bucket"] / one["prefix"]).exists()
    ]
    _s3.write(folder, there, hollow=True)
    with _s3.serving(folder, {"slow": "limit_req zone=files burst=100000;"}, 25) as servers:
        given = {"uids": [one["uid"] for one in series], "url": servers["slow"]}
        found = run("polling", folder=str(folder / "to"), seconds=seconds, **given)
    shutil.rmtree(folder / "to", ignore_errors=True)
    return {**found, "series": len(series)}


def show_polling(found: dict[str, Any]) -> None:
    """The CPU of our process."""
    before, during, after = (Cost(*found[name]) for name in ("before", "during", "after"))
    print(
        f"\na slow download of {found['series']:,} series, looked at for {during.wall:.1f} s:"
        f" {found['files']:,} files and {found['MB']:,.1f} MB arrived,\n{found['changes']} changes"
        f" were told; CPU of our process {during.cpu:.2f} s, RSS {found['rss']:,.0f} MB; from"
        f" start() to the first bytes {before.wall:.1f} s\n(CPU {before.cpu:.1f} s), from cancel()"
        f" to the end {after.wall:.1f} s (CPU {after.cpu:.1f} s)"
    )
    aim("CPU to watch it", during.cpu / during.wall * 100, AIM_POLLING, "% of a core")


# --- each in a process of its own -----------------------------------------------------------


def choose(small: int, large: int, folder: str) -> dict[str, Any]:
    """Series of the index, as they are planned into `folder`."""
    from idc_widgets import IDCClient

    client = IDCClient()
    wanted = {
        "small": (small, "instanceCount = 20", "abs(series_size_MB - 10)"),
        "large": (large, "instanceCount = 1", "abs(series_size_MB - 300)"),
        "many": (10_000, "instanceCount BETWEEN 16 AND 32 AND series_size_MB < 4", "1"),
    }
    found = {}
    for name, (count, where, order) in wanted.items():
        rows = client.sql(
            f"SELECT SeriesInstanceUID FROM index WHERE {where}"
            f" ORDER BY {order}, SeriesInstanceUID LIMIT {count}"
        )
        found[name] = [
            {
                "uid": one.SeriesInstanceUID,
                "bucket": one.bucket,
                "prefix": one.prefix,
                "folder": str(one.folder),
                "instances": one.instances,
                "size_bytes": one.size_bytes,
            }
            for one in _plan([*rows.SeriesInstanceUID], folder, None, client=client).series
        ]
    return found


def _plan(uids: list[str], folder: str, url: str | None, client: Any = None) -> Any:
    from idc_widgets import IDCClient

    selection = (client or IDCClient()).cohort(SeriesInstanceUID=uids).select()
    return selection.plan(folder, endpoint_url=url, check_disk=url is not None)


def bare_s5cmd(uids: list[str], folder: str, url: str) -> Cost:
    """What a job starts, without the job, in a process that has made the same plan."""
    from idc_widgets.download import s5cmd

    series = _plan(uids, folder, url).series
    with tempfile.TemporaryFile("w+") as commands:
        for one in series:
            commands.write(f"{s5cmd.cp_line(one.bucket, one.prefix, one.folder)}\n")
        commands.seek(0)
        arguments, environment = s5cmd.arguments(url, WORKERS), s5cmd.environment()
        before = Clock()
        subprocess.run(
            arguments, stdin=commands, stdout=subprocess.DEVNULL, env=environment, check=True
        )
        return before.until_now()


def our_download(uids: list[str], folder: str, url: str) -> Cost:
    """The job alone; the caller measures the whole."""
    from idc_widgets.download import DownloadJob

    job = DownloadJob(_plan(uids, folder, url), workers=WORKERS)
    before = Clock()
    job.start().wait()
    cost = before.until_now()
    assert job.state == "complete", (job.error, job.failed)
    return cost


def peer_download(uids: list[str], folder: str, url: str) -> Cost:
    """That of idc-index: the call alone."""
    import logging

    from idc_index import index

    from idc_widgets.download import s5cmd

    logging.disable(logging.INFO)
    assert index.aws_endpoint_url.startswith("https://"), "another idc-index: look where it asks"
    index.aws_endpoint_url = url
    alike = s5cmd.environment()
    os.environ.clear()
    os.environ.update(alike)
    client = index.IDCClient()
    with open(os.devnull, "w") as bar, redirect_stderr(bar):
        before = Clock()
        client.download_from_selection(folder, seriesInstanceUID=uids)
        return before.until_now()


def progress(uids: list[str], folder: str, url: str) -> dict[str, Any]:
    """At every change: the bytes that are told, and those on the disk."""
    from idc_widgets.download import DownloadJob

    told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    points = []

    def look() -> None:
        while (said := told.get()) is not None:
            points.append((said, _on_disk(folder)))

    looking = threading.Thread(target=look)
    looking.start()
    plan = _plan(uids, folder, url)
    job = DownloadJob(
        plan, workers=WORKERS, on_change=lambda job: told.put(job.progress.bytes_done)
    )
    before = Clock()
    job.start().wait()
    seconds = before.until_now().wall
    told.put(None)
    looking.join()
    return {"points": points, "state": job.state, "seconds": seconds}


def _on_disk(folder: str) -> int:
    """Bytes of all files, unfinished ones too; parts that were not written yet take no blocks."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(path, name))
            except FileNotFoundError:  # renamed meanwhile
                continue
            total += min(stat.st_size, stat.st_blocks * 512)
    return total


def plan(uids: list[str], folder: str) -> list[dict[str, Any]]:
    """Stages of a plan; the last is all of it again, as a person has it made."""
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
    """A download that is cancelled after some seconds of slow transfer."""
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
    state, progress, told = job.state, job.progress, changes
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
        "changes": told,
        "rss": ProcessMemory.of_this_process().now,
    }


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
