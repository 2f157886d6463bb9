"""Measure the cost of the message for an unknown value of each column: CPU time and memory."""

from __future__ import annotations

import time
import tracemalloc

from idc_widgets import IDCClient, InvalidQueryError
from idc_widgets.index import COLUMNS, NUMERIC
from idc_widgets.query import known_texts

REPEATS = 5

TEXTS = {
    "a UID": "1.3.6.1.4.1.14519.5.2.1.6279.6001.1",
    "a UUID": "12345678-1234-1234-1234-123456789abc",
    "an address": "s3://idc-open-data/12345678-1234-1234-1234-123456789abc/*",
    "words": "Chest CT with contrasst",
    "100 kB": "1" * 100_000,
}


def cost(client: IDCClient, column: str, text: str) -> tuple[float, float, float]:
    """Return the cost of the message, without the cost of the look-up before it.

    Returns:
        CPU time of this thread and of the process in milliseconds, and the peak memory of Python
        in MB.
    """

    def refuse() -> None:
        try:
            client.cohort(**{column: text})
        except InvalidQueryError:
            return
        raise AssertionError(f"{column}={text!r} is known")

    refuse()  # the first query of a column opens its part of the file
    thread, process = time.thread_time(), time.process_time()
    for _ in range(REPEATS):
        refuse()
    middle = time.thread_time(), time.process_time()
    for _ in range(REPEATS):
        known_texts(client.engine, column, [text])
    milliseconds = (
        1e3 / REPEATS * (2 * middle[0] - thread - time.thread_time()),
        1e3 / REPEATS * (2 * middle[1] - process - time.process_time()),
    )
    tracemalloc.start()
    refuse()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return *milliseconds, peak / 1e6


def main() -> None:
    """Print the most expensive text of each column, before and after the index is in memory."""
    client = IDCClient()
    for state in ("before the first query", "with the index in memory"):
        print(f"{state}: CPU ms of the thread and of the process, peak MB of Python")
        for column in COLUMNS:
            if column in NUMERIC:
                continue
            costs = {name: cost(client, column, text) for name, text in TEXTS.items()}
            name = max(costs, key=lambda name: costs[name][1])
            print(f"  {column:26} {name:10}", *(f"{value:8.1f}" for value in costs[name]))
        client.cohort().facets()


if __name__ == "__main__":
    main()
