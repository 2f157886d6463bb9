"""Helpers of the benchmarks: alternating turns, percentiles, fresh processes, and tables.

In a *turn*, a benchmark measures each of the compared programs once.
Nothing here imports a package that is measured. Versions are read from the packages' metadata.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple, TypeVar

TURNS = 7

# No browser prepares the index meanwhile; processes that are started inherit this.
os.environ["IDC_WIDGETS_AUTO_CACHE"] = "0"

_Figure = TypeVar("_Figure")


@dataclass(frozen=True)
class Row:
    """A line of the table: a task, and the figures of idc_widgets and idc-index, one per turn."""

    what: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]

    def cells(self) -> list[str]:
        """Return the cells of the line."""
        ratios = sorted(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return [
            f"{self.what}, {self.unit}",
            _with_range(self.ours),
            _with_range(self.peer),
            f"{median(self.peer) / median(self.ours):.1f}",
            f"{ratios[0]:.1f} to {ratios[-1]:.1f}",
        ]


class ProcessMemory(NamedTuple):
    """The resident memory (RSS) of a process, now and at its peak, in MB (10^6 bytes)."""

    now: float
    peak: float

    @classmethod
    def of_this_process(cls) -> ProcessMemory:
        """Return the memory of this process."""
        status = Path("/proc/self/status")
        if status.exists():  # on Linux, ru_maxrss starts at the memory of the parent process
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            now, peak = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
            return cls(now, peak)
        import psutil

        info = psutil.Process().memory_info()
        if sys.platform == "win32":
            return cls(info.rss / 1e6, info.peak_wset / 1e6)
        import resource

        return cls(info.rss / 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def in_turns(
    ours: Callable[[], _Figure], peer: Callable[[], _Figure], turns: int = TURNS
) -> tuple[list[_Figure], list[_Figure]]:
    """Return the figures of `ours` and `peer`, measured alternately (A B A B …).

    Both alternate, so that a busy machine slows both equally. The first turn is not counted: it
    fills the file cache of the system and compiles Python files.
    """
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(turns)]
    return [our_figure for our_figure, _ in pairs], [peer_figure for _, peer_figure in pairs]


def require_peer() -> None:
    """Exit with instructions if idc-index is not installed."""
    try:
        version("idc-index")
    except PackageNotFoundError:
        raise SystemExit("this compares with idc-index: pip install 'idc-widgets[bench]'") from None


def in_a_process(script: str, task: object) -> Any:
    """Run `script` in a fresh Python, and return its answer to a task.

    The process reads the task with the function `task`, and calls `answer`. Both are JSON values.
    Anything else that the process prints goes to stderr.
    """
    done = subprocess.run(
        [sys.executable, script, "--task"],
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *other, last = done.stdout.splitlines() or ["null"]
    if other:
        print(*other, sep="\n", file=sys.stderr)
    return json.loads(last)


def task() -> Any:
    """Return the task that `in_a_process` passed to this process, or None without one."""
    return json.load(sys.stdin) if sys.argv[1:] == ["--task"] else None


def answer(result: object) -> None:
    """Print the result that `in_a_process` returns; call it last."""
    print(json.dumps(result))


def percentile(figures: Sequence[float], percent: int) -> float:
    """Return the given percentile of the figures."""
    if len(figures) < 2:
        return figures[0]
    return quantiles(figures, n=100, method="inclusive")[percent - 1]


def report(title: str, rows: Sequence[Row]) -> None:
    """Print the title, the versions and the machine, and the table."""
    heading(title)
    print_table(
        ["median (range)", "idc_widgets", "idc-index", "ratio", "ratio per turn"],
        [row.cells() for row in rows],
    )
    print(f"\nratio = idc-index / idc_widgets, of the medians of {TURNS} turns (A B A B …)\n")


def heading(title: str) -> None:
    """Print the title, the versions and the machine."""
    print(title)
    print(_conditions())


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells; the first column is aligned to the left, the others to the right."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        print(line[0].ljust(widths[0]), *cells, sep="   ")


def aim(what: str, figure: float, most: float, unit: str) -> None:
    """Print a figure and whether it meets its upper limit `most`."""
    verdict = "met" if figure <= most else "MISSED"
    print(f"aim: {what} at most {most:,g} {unit}: {number(figure)} {unit}, {verdict}")


def _with_range(figures: Sequence[float]) -> str:
    low, middle, high = map(number, (min(figures), median(figures), max(figures)))
    return f"{middle} ({low} to {high})"


def number(value: float) -> str:
    """Format a number with three significant digits or, from 1000 on, as a whole number."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def _conditions() -> str:
    names = (
        "idc-widgets",
        "idc-index",
        "idc-index-data",
        "duckdb",
        "numpy",
        "pandas",
        "pyarrow",
    )
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    cores = f"{os.cpu_count()} cores"
    if hasattr(os, "getloadavg"):  # not on Windows
        cores += f", load average of the last minute {os.getloadavg()[0]:.1f}"
    return f"Python {platform.python_version()}, {versions}\n{platform.platform()}, {cores}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"
