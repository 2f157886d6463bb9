"""Compare this checkout with another one: start-up, queries, and the work after a click.

    git worktree add ../before <commit>
    python benchmarks/before_after.py ../before

Both checkouts run the same tasks through the public API, each in its own process. They alternate
(A B A B ...), so that a busy machine slows both equally. Both use the packages that are installed
for this Python, and have their modules compiled, as an installed package has. A ratio is the median
time of this checkout divided by that of the other checkout: above 1, this checkout is slower. The
noise is the ratio of the other checkout to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from _measure import heading, print_table

HERE = Path(__file__).resolve().parents[1]

#: Runs in each checkout; prints one JSON object: task → seconds.
TASKS = """
import json, random, time
from idc_widgets import BrowserState, IDCBrowser, IDCClient
seconds = {}
def timed(name, work, times):
    work()
    rounds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - start)
    rounds.sort()
    seconds[name] = rounds[len(rounds) // 2]
client = IDCClient()
study = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
timed("get_patients('nlst')", lambda: client.get_patients("nlst"), 3)
timed("get_series(one study)", lambda: client.get_series(studyInstanceUid=study), 5)
timed("sql: group by", lambda: client.sql("SELECT Modality, count(*) FROM index GROUP BY 1"), 5)
start = time.perf_counter()
client.cohort(Modality="CT").facets()
seconds["first facets (reads the index)"] = time.perf_counter() - start
cohorts = [client.cohort(Modality=m, BodyPartExamined=b)
           for m in ("CT", "MR", "SEG", "SM") for b in ("CHEST", "BREAST", "BRAIN")]
timed("facets of 12 cohorts", lambda: [c.facets() for c in cohorts], 3)
timed("summary of 12 cohorts", lambda: [c.where(series_size_MB=(random.random(), None)).summary()
                                        for c in cohorts], 3)
timed("histograms of 12 cohorts", lambda: [c.histogram("PatientAge") for c in cohorts], 3)
radiomics = client.cohort(collection_id="nsclc_radiomics")
timed("patients() of one collection", radiomics.patients, 5)
timed("studies() of one collection", radiomics.studies, 5)
timed("series() of one collection", radiomics.series, 5)
browser = IDCBrowser(client)
chance = random.Random(1)
values = [v.value for v in client.cohort().facets(["Modality"])["Modality"]][:8]
def clicks():
    for _ in range(12):
        browser.state.filter_values("Modality", chance.sample(values, 2))
timed("12 clicks on a dropdown, all views", clicks, 3)
patients = [("nsclc_radiomics", f"LUNG1-{n:03}") for n in range(1, 9)]
def picks():
    browser.state.filter_values("Modality", [])
    for key in patients:
        browser.state.pick(patients=[key])
    browser.state.clear()
timed("8 picks of a patient, all views", picks, 3)
print(json.dumps(seconds))
"""

START = "from idc_widgets import IDCClient; IDCClient().get_collection_ids()"


def command(code: str) -> list[str]:
    """Return the command of a fresh Python; it imports from the folder that it runs in."""
    return [sys.executable, "-c", code]


def run(checkout: Path, compiled: str) -> dict[str, float]:
    """Return task → seconds of one turn of a checkout.

    Args:
        checkout: The folder of the checkout.
        compiled: The folder for compiled modules.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment.setdefault("IDC_WIDGETS_CACHE_DIR", "/nonexistent")
    seconds = {}
    for name, code in (("import idc_widgets", "import idc_widgets"), ("start-up", START)):
        rounds = []
        for _ in range(3):
            before = time.perf_counter()
            subprocess.run(command(code), env=environment, cwd=checkout, check=True)
            rounds.append(time.perf_counter() - before)
        seconds[name] = median(rounds)
    done = subprocess.run(
        command(TASKS), env=environment, cwd=checkout, check=True, stdout=subprocess.PIPE
    )
    return seconds | json.loads(done.stdout)


def main() -> None:
    """Compare this checkout with the one that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="the folder of the other checkout")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    before = arguments.before.resolve()
    turns: list[tuple[dict[str, float], ...]] = []
    with TemporaryDirectory() as compiled:
        run(HERE, compiled), run(before, compiled)  # fills the file cache, and compiles Python
        for _ in range(arguments.turns):
            turns.append(tuple(run(checkout, compiled) for checkout in (HERE, before, before)))
    rows = []
    for task in turns[0][0]:
        here, there, again = ([turn[place][task] for turn in turns] for place in range(3))
        rows.append(
            [
                task,
                f"{median(there) * 1000:.1f}",
                f"{median(here) * 1000:.1f}",
                f"{median(here) / median([*there, *again]):.3f}",
                f"{min(here) / min([*there, *again]):.3f}",
                f"{median(again) / median(there):.3f}",
            ]
        )
    heading(f"{HERE} against {before}, {arguments.turns} turns")
    print_table(["task", "before, ms", "here, ms", "ratio", "of the minima", "noise"], rows)


if __name__ == "__main__":
    main()
