"""What the benchmarks share: who is compared, turns, medians, processes and the table.

Nothing here imports a package that is measured: versions are read from their metadata.
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

_Figure = TypeVar("_Figure")


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, and the figures of each turn."""

    what: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]

    def cells(self) -> list[str]:
        ratios = sorted(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return [
            f"{self.what}, {self.unit}",
            _with_range(self.ours),
            _with_range(self.peer),
            f"{median(self.peer) / median(self.ours):.1f}",
            f"{ratios[0]:.1f} to {ratios[-1]:.1f}",
        ]


class MemoryIndex(NamedTuple):
    """What this process holds in memory (RSS), and the most it ever held, in MB (10^6 bytes)."""

    now: float
    peak: float

    @classmethod
    def of_this_process(cls) -> MemoryIndex:
        """As it is now."""
        status = Path("/proc/self/status")
        if status.exists():  # ru_maxrss of Linux begins with the memory of the parent
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
    """What `ours` and `peer` measure, A B A B …, so that a busy machine slows both alike.

    One unmeasured turn goes first: it fills the file cache of the system, and compiles Python.
    """
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(turns)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def require_peer() -> None:
    """Ends with a sentence that says what to install if there is nothing to compare with."""
    try:
        version("idc-index")
    except PackageNotFoundError:
        raise SystemExit("this compares with idc-index: pip install 'idc-widgets[bench]'") from None


def in_a_process(script: str, task: object) -> Any:
    """What `script` answers to a task, in a fresh Python; both are anything that is JSON.

    The process reads the task from its standard input and calls `answer`. What else it prints is
    shown as errors are.
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
    """What this process was started for by `in_a_process`; None if by a person."""
    return json.load(sys.stdin) if sys.argv[1:] == ["--task"] else None


def answer(result: object) -> None:
    """Ends what `in_a_process` waits for."""
    print(json.dumps(result))


def percentile(figures: Sequence[float], percent: int) -> float:
    """The figure that so many percent of them do not exceed."""
    if len(figures) < 2:
        return figures[0]
    return quantiles(figures, n=100, method="inclusive")[percent - 1]


def report(title: str, rows: Sequence[Row]) -> None:
    """Prints what was measured, on what, and the table."""
    heading(title)
    print_table(
        ["median (range)", "idc_widgets", "idc-index", "ratio", "ratio a turn"],
        [row.cells() for row in rows],
    )
    print(f"\nratio = idc-index / idc_widgets, of the medians of {TURNS} turns (A B A B …)\n")


def heading(title: str) -> None:
    """Prints what was measured, and on what."""
    print(title)
    print(_conditions())


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of cells; the first column is text, the others are figures."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        print(line[0].ljust(widths[0]), *cells, sep="   ")


def aim(what: str, figure: float, most: float, unit: str) -> None:
    """Prints whether a figure is as low as it should be."""
    verdict = "met" if figure <= most else "MISSED"
    print(f"aim: {what} at most {most:,g} {unit}: {number(figure)} {unit}, {verdict}")


def _with_range(figures: Sequence[float]) -> str:
    low, middle, high = map(number, (min(figures), median(figures), max(figures)))
    return f"{middle} ({low} to {high})"


def number(value: float) -> str:
    """Three significant digits, and all those before the point."""
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
        cores += f", load {os.getloadavg()[0]:.1f} of the last minute, at the end"
    return f"Python {platform.python_version()}, {versions}\n{platform.platform()}, {cores}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"
