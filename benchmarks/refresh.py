"""Measure the whole screen after a click: the time to compute it, and the memory that it needs.

A click path is 2 to 6 random clicks like those of a person, starting without filters (see
_clicks.py). The whole screen is all facets with cross-filtered counts of series and patients,
the summary, the licenses, and the first 40 rows of the three grids. The five histograms are
measured separately.

The lower limit is one scan: counting one column of codes, one byte per series, with numpy.
idc-index gets the same queries in SQL, for one state only, because it is slow; it has no facets of
the table of collections. Each measurement runs in its own process, first as in a first session and
then, with fewer clicks, after IDCClient().build_cache().
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
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
    require_peer,
    task,
)

#: Queries of idc-index stop after this time.
MAX_PEER_SECONDS = 60

#: The aims of the project: the 95th percentile of the clicks, and the memory.
AIM_P95_MS, AIM_RSS_MB = 100, 250


def main() -> None:
    """Run all measurements or, in a process that `in_a_process` started, one of them."""
    todo = task()
    if todo is not None:
        known = {"engine": engine, "browser": browser, "prepare": prepare, "peer": peer}
        what = known[todo.pop("what")]
        answer(what(**todo))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=200, help="click paths (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the clicks (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="10 paths, without idc-index")
    given = parser.parse_args()
    paths = 10 if given.quick else given.paths
    if not given.quick:
        require_peer()

    fewer = max(1, paths // 4)
    by_name = {}
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache folder, so that the first processes run on an index that is not prepared.
        os.environ["IDC_WIDGETS_CACHE_DIR"] = folder
        ours = in_a_process(__file__, {"what": "engine", "paths": paths, "seed": given.seed})
        # The same clicks, to see how much time the widgets add.
        repeat = {"what": "browser", "clicks": [*chain(*ours["paths"][:fewer])]}
        by_name["engine"] = ours
        by_name["IDCBrowser"] = in_a_process(__file__, repeat)
        in_a_process(__file__, {"what": "prepare"})
        by_name["engine, prepared"] = in_a_process(
            __file__, {"what": "engine", "paths": fewer, "seed": given.seed}
        )
        by_name["IDCBrowser, prepared"] = in_a_process(__file__, repeat)
    theirs = None if given.quick else in_a_process(__file__, {"what": "peer", **ours["asked"]})

    heading(f"The whole screen after a click ({paths} random paths, seed {given.seed})")
    show_times(by_name)
    show_memory(by_name)
    show_ratios(ours, theirs)


def show_times(by_name: dict[str, Any]) -> None:
    """Print one line per kind of click, and one per other process."""
    clicks = by_name["engine"]["clicks"]
    lines = [("all", clicks)]
    for kind in sorted({click["kind"] for click in clicks}):
        lines.append((kind, [click for click in clicks if click["kind"] == kind]))
    lines.append(("all, prepared", by_name["engine, prepared"]["clicks"]))
    table = []
    for kind, some in lines:
        screens = [click["screen"] * 1e3 for click in some]
        both = [(click["screen"] + click["histograms"]) * 1e3 for click in some]
        table.append([kind, f"{len(some):,}", *three(screens), *three(both)])
    for name in ("IDCBrowser", "IDCBrowser, prepared"):
        figures = [seconds * 1e3 for seconds in by_name[name]["seconds"]]
        table.append([f"all, in {name}", f"{len(figures):,}", *three(figures), "", "", ""])
    names = ["p50", "p95", "max", "with histograms: p50", "p95", "max"]
    print_table(["click, ms", "clicks", *names], table)
    print("\nslowest clicks:")
    for click in sorted(clicks, key=lambda click: -click["screen"])[:3]:
        print(f"  {click['screen'] * 1e3:.0f} ms: {click['click']} -> {click['cohort']}")


def three(figures: Sequence[float]) -> list[str]:
    """Return the median, the 95th percentile and the maximum."""
    return [number(value) for value in (median(figures), percentile(figures, 95), max(figures))]


def show_memory(by_name: dict[str, Any]) -> None:
    """Print one line per stage of each process."""
    table = []
    for name, process in by_name.items():
        for stage in process["stages"]:
            figures = (stage["seconds"], stage["now"], stage["peak"])
            table.append([f"{name}: {stage['after']}", *map(number, figures)])
    print_table(["after", "s", "RSS, MB", "peak RSS, MB"], table)


def show_ratios(ours: Any, theirs: Any) -> None:
    """Print the ratios to the limit and to the peer, and whether the aims are met."""
    screens = [click["screen"] * 1e3 for click in ours["clicks"]]
    p50, p95 = median(screens), percentile(screens, 95)
    limit = ours["limit"] * 1e3
    print(
        f"\nlimit: one column of {ours['series']:,} series counted with numpy, {number(limit)} ms; "
        f"the whole screen takes {number(p50 / limit)} (p50) or {number(p95 / limit)} (p95) times"
        " as long"
    )
    if theirs is not None:
        done, seconds = len(theirs["seconds"]), sum(theirs["seconds"])
        asked = ours["asked"]
        at_least = "" if done == len(asked["queries"]) else " at least"
        print(
            f"idc-index: {done} of {len(asked['queries'])} queries for the state {asked['cohort']}"
            f" took {number(seconds)} s (idc_widgets: {number(asked['ours'] * 1e3)} ms for all),"
            f"{at_least} {number(seconds / asked['ours'])} times as long;"
            f" client {number(theirs['client'])} s, RSS {number(theirs['now'])} MB,"
            f" peak {number(theirs['peak'])} MB; {theirs['compared']:,} counts are equal"
        )
    aim("p95 of the whole screen", p95, AIM_P95_MS, "ms")
    aim("RSS of the engine alone, at the end", ours["stages"][-1]["now"], AIM_RSS_MB, "MB")
    print()


# --- the measurements, each in its own process ----------------------------------------------


class Stages:
    """The time and memory of each stage of this process."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self._before = time.perf_counter()

    def add(self, after: str) -> None:
        """End the current stage; `after` is its name."""
        seconds = time.perf_counter() - self._before
        memory = ProcessMemory.of_this_process()._asdict()
        self.stages.append({"after": after, "seconds": seconds, **memory})
        self._before = time.perf_counter()


def engine(paths: int, seed: int) -> Any:
    """Draw the click paths and measure them without widgets."""
    import random

    stages = Stages()
    import _clicks

    state = _clicks.BrowserState()
    stages.add("import and client")
    _clicks.make(state, None)
    stages.add("first screen")
    rng = random.Random(seed)
    clicks, recorded, asked = [], [], None
    for _ in range(paths):
        recorded.append([["clear"]])
        for click, screen in _clicks.walk(rng, state):
            recorded[-1].append(click)
            clicks.append(
                {
                    "kind": click[0],
                    "click": repr(click),
                    "cohort": repr(state.cohort),
                    "screen": screen.seconds,
                    "histograms": screen.histogram_seconds,
                }
            )
            if asked is None and _is_for_the_peer(state):
                asked = _questions(state, screen)
    stages.add("all clicks")
    assert "ipywidgets" not in sys.modules
    return {
        "stages": stages.stages,
        "clicks": clicks,
        "paths": recorded,
        "asked": asked,
        "series": state.client.cohort().summary().series,
        "limit": _bare_scan(state),
    }


def _bare_scan(state: Any) -> float:
    """Return the seconds to count one column of all series, as codes of one byte."""
    import numpy as np

    from idc_widgets.query.memory.loading import memory_index_of

    memory = memory_index_of(state.client.engine)
    codes = memory.group_columns["Modality"].codes[memory.group_of_series]
    assert codes.dtype == np.uint8
    seconds = []
    for _ in range(51):
        before = time.perf_counter()
        np.bincount(codes, minlength=256)
        seconds.append(time.perf_counter() - before)
    return median(seconds)


def browser(clicks: list[Any]) -> Any:
    """Measure the same clicks in a whole IDCBrowser with all facets open."""
    stages = Stages()
    from idc_widgets import IDCBrowser

    stages.add("import")
    browser = IDCBrowser()
    browser._filters.expanded = True
    stages.add("first screen")
    import _clicks

    seconds = []
    for click in clicks:
        before = time.perf_counter()
        _clicks.apply(browser.state, click)
        if click != ["clear"]:  # most of these clicks only begin a new path
            seconds.append(time.perf_counter() - before)
        assert not browser.state.message, browser.state.message
    stages.add("all clicks")
    return {"stages": stages.stages, "seconds": seconds}


def prepare() -> None:
    """Prepare the index for the following processes."""
    from idc_widgets import IDCClient

    IDCClient().build_cache()


# --- the same numbers from idc-index ---------------------------------------------------------

_PATIENT = "(collection_id, PatientID)"

_LEVELS = {
    "patients": (
        "SELECT collection_id, PatientID, string_agg(DISTINCT PatientSex, ','),"
        " string_agg(DISTINCT PatientAge, ','), count(DISTINCT StudyInstanceUID), count(*),"
        " sum(instanceCount), sum(series_size_MB) FROM ({rows}) GROUP BY 1, 2 ORDER BY 1, 2"
    ),
    "studies": (
        "SELECT min(collection_id), min(PatientID), min(StudyDate), min(StudyDescription),"
        " string_agg(DISTINCT Modality, ', '), count(*), sum(instanceCount), sum(series_size_MB),"
        " StudyInstanceUID FROM ({rows}) GROUP BY StudyInstanceUID ORDER BY 1, 2, 3, 4"
    ),
    "series": "{rows}",
}


def _is_for_the_peer(state: Any) -> bool:
    """Return whether a state is typical: it has filters, and many series match."""
    return len(state.filters.filters) >= 2 and len(state.selection) > 10_000


def _questions(state: Any, screen: Any) -> dict[str, Any]:
    """Return a few SQL queries for the whole screen, with the expected results."""
    from idc_widgets.index import COLLECTION_FACETS
    from idc_widgets.query.flags import value_sql

    filters = state.filters
    # A facet is counted without its own filter.
    columns_by_rows: dict[str, list[str]] = {}
    for column in screen.facets:
        if column not in COLLECTION_FACETS:
            columns_by_rows.setdefault(filters.without(column).to_sql(), []).append(column)
    queries = []
    for rows, columns in columns_by_rows.items():
        values = [value_sql(name) for name in columns]
        names = ", ".join(f"{value} AS f{at}" for at, value in enumerate(values))
        keys = [f"f{at}" for at in range(len(values))]
        queries.append(
            {
                "columns": columns,
                "sql": f"SELECT {', '.join(keys)}, GROUPING({', '.join(keys)}) AS which,"
                f" count(*) AS series, count(DISTINCT {_PATIENT}) AS patients"
                f" FROM (SELECT {names}, collection_id, PatientID FROM ({rows}))"
                f" GROUP BY GROUPING SETS ({', '.join(f'({key})' for key in keys)})",
            }
        )
    queries.append(
        {
            "columns": [],
            "sql": f"SELECT count(DISTINCT collection_id), count(DISTINCT {_PATIENT}),"
            " count(DISTINCT StudyInstanceUID), count(*), sum(instanceCount), sum(series_size_MB)"
            f" FROM ({filters.to_sql()})",
        }
    )
    for sql in _LEVELS.values():
        queries.append({"columns": [], "sql": f"{sql.format(rows=filters.to_sql())} LIMIT 40"})
    counts = {
        column: [[row.value, row.series, row.patients] for row in screen.facets[column]]
        for query in queries
        for column in query["columns"]
    }
    return {
        "cohort": repr(filters),
        "ours": screen.seconds,
        "queries": queries,
        "counts": counts,
        "series": filters.summary().series,
    }


def peer(cohort: str, ours: float, queries: list[Any], counts: Any, series: int) -> Any:
    """Time the queries of idc-index, and compare its counts with those of idc_widgets."""
    before = time.perf_counter()
    import idc_index

    client = idc_index.IDCClient()
    started = time.perf_counter() - before
    seconds: list[float] = []
    compared = 0
    for query in queries:
        if sum(seconds) > MAX_PEER_SECONDS:
            break
        before = time.perf_counter()
        frame = client.sql_query(query["sql"])
        seconds.append(time.perf_counter() - before)
        if query["columns"]:
            compared += _compare(frame, query["columns"], counts)
        elif len(frame.columns) == 6:  # the summary
            assert int(frame.iloc[0, 3]) == series, "the numbers of series differ"
            compared += 1
    memory = ProcessMemory.of_this_process()._asdict()
    return {"client": started, "seconds": seconds, "compared": compared, **memory}


def _compare(frame: Any, columns: list[str], counts: Any) -> int:
    """Check that the counts of facets are equal; return how many were compared."""
    import pandas as pd

    compared = 0
    for at, column in enumerate(columns):
        # GROUPING has one bit per column, the highest bit for the first column. A bit is 0 if
        # rows are grouped by its column.
        of_column = frame[(frame["which"] & (1 << (len(columns) - 1 - at))) == 0]
        theirs = {
            None if pd.isna(value) else _plain(value): [int(series), int(patients)]
            for value, series, patients in zip(
                of_column[f"f{at}"], of_column["series"], of_column["patients"], strict=True
            )
        }
        ours = {value: two for value, *two in counts[column]}
        assert theirs == ours, f"the counts of {column} differ"
        compared += 2 * len(ours)
    return compared


def _plain(value: Any) -> Any:
    """Convert a numpy value to a Python value."""
    return value.item() if hasattr(value, "item") else value


if __name__ == "__main__":
    main()
