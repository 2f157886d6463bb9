"""Measure the CPU time and the memory of the message about an unknown value, per column.

The last lines name the worst column. docs/performance.md has the aims.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from _measure import ProcessMemory, aim

from idc_widgets import IDCClient, InvalidQueryError
from idc_widgets.index import COLUMNS, NUMERIC
from idc_widgets.query import known_texts

REPEATS = 5

#: Writing "5" to this file of Linux resets the peak of the memory of a process.
REFERENCE = Path("/proc/self/clear_refs")

UID_COLUMNS = ("SeriesInstanceUID", "StudyInstanceUID")

TEXTS = {
    "a UID": "1.3.6.1.4.1.14519.5.2.1.6279.6001.1",
    "a study": "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011",
    "a shortened UID": "1.3.6.1.4.1.32722.99.99.45964402524750981968965512084526740",
    "a UUID": "12345678-1234-1234-1234-123456789abc",
    "an address": "s3://idc-open-data/12345678-1234-1234-1234-123456789abc/*",
    "words": "Chest CT with contrasst",
    "100 kB": "1" * 100_000,
}


class Cost(NamedTuple):
    """The cost of a message, without the cost of the look-up before it."""

    #: CPU time of the thread and of the process, in milliseconds.
    thread: float
    process: float
    #: The growth of the resident memory of the process at its peak, in MB (10^6 bytes).
    memory: float


def cost(client: IDCClient, column: str, text: str) -> Cost:
    """Return the median cost of the message for an unknown value."""

    def refuse() -> None:
        try:
            client.cohort(**{column: text})
        except InvalidQueryError:
            return
        raise AssertionError(f"{column}={text!r} is known")

    def look_up() -> None:
        for searched in UID_COLUMNS if column == "uids" else (column,):
            known_texts(client.engine, searched, [text])

    refuse()  # the first query of a column opens its part of the file
    messages, lookups = zip(
        *((_measured(refuse), _measured(look_up)) for _ in range(REPEATS)), strict=True
    )
    return Cost(
        *(
            median(cost[part] for cost in messages) - median(cost[part] for cost in lookups)
            for part in range(2)
        ),
        median(cost.memory for cost in messages),
    )


def _measured(work: Callable[[], None]) -> Cost:
    if REFERENCE.exists():
        REFERENCE.write_text("5")  # the peak of the memory starts anew
    memory = ProcessMemory.of_this_process()
    thread, process = time.thread_time(), time.process_time()
    work()
    thread, process = time.thread_time() - thread, time.process_time() - process
    return Cost(1e3 * thread, 1e3 * process, ProcessMemory.of_this_process().peak - memory.now)


def main() -> None:
    """Print the most expensive text of each column, before and after the index is in memory."""
    client = IDCClient()
    all_costs: dict[str, Cost] = {}
    for state in ("before the first query", "with the index in memory"):
        print(f"{state}: CPU ms of the thread and of the process, peak MB of the process")
        for column in (*COLUMNS, "uids"):
            if column in NUMERIC:
                continue
            texts = dict(TEXTS)
            if column in ("StudyInstanceUID", "uids"):
                del texts["a study"]  # it is known
            costs = {name: cost(client, column, text) for name, text in texts.items()}
            name = max(costs, key=lambda name: costs[name].process)
            print(f"  {column:26} {name:10}", *(f"{value:8.1f}" for value in costs[name]))
            all_costs |= {f"{column}, {name}, {state}": costs[name] for name in costs}
        client.cohort().facets()
    for what, most, unit in (("process", 50, "ms of CPU"), ("memory", 20, "MB")):
        worst = max(all_costs, key=lambda name: getattr(all_costs[name], what))
        aim(f"the worst message ({worst})", getattr(all_costs[worst], what), most, unit)


if __name__ == "__main__":
    main()
