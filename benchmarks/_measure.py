"""What the benchmarks share: who is compared, turns, medians and the table.

Nothing here imports a package that is measured: versions are read from their metadata.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TypeVar

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


def report(title: str, rows: Sequence[Row]) -> None:
    """Prints what was measured, on what, and the table."""
    print(title)
    print(_conditions())
    header = ["median (range)", "idc_widgets", "idc-index", "ratio", "ratio a turn"]
    table = [header, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        print(line[0].ljust(widths[0]), *cells, sep="   ")
    print(f"\nratio = idc-index / idc_widgets, of the medians of {TURNS} turns (A B A B …)\n")


def _with_range(figures: Sequence[float]) -> str:
    low, middle, high = map(_number, (min(figures), median(figures), max(figures)))
    return f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    """Three significant digits, and all those before the point."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def _conditions() -> str:
    names = ("idc-widgets", "idc-index", "idc-index-data", "duckdb", "pandas", "pyarrow")
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
