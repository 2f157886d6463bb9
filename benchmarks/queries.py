"""Compare queries of idc_widgets and idc-index in a warm process.

Both return their result in the same form: a list of dicts, or a DataFrame. The results are compared
before anything is timed.

idc-index keeps its table in pandas, so its times depend on the release of pandas. The newest
release is what users install today; run `pip install 'pandas<3'` to measure an older one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import Row, in_turns, report, require_peer

require_peer()

import idc_index  # noqa: E402

import idc_widgets  # noqa: E402

STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"  # of LUNG1-365
BY_MODALITY = (
    "SELECT Modality, count(*) AS series FROM index GROUP BY Modality ORDER BY series DESC"
)

Query = Callable[[], Any]


def same_keys(key: str) -> Callable[[Any, Any], bool]:
    """Return a function that checks that two lists of dicts have the same values of `key`."""
    return lambda ours, peer: sorted(row[key] for row in ours) == sorted(row[key] for row in peer)


def same_frame(ours: Any, peer: Any) -> bool:
    """Return whether two DataFrames have the same columns and values."""
    return list(ours) == list(peer) and ours.values.tolist() == peer.values.tolist()


def seconds_of(query: Query) -> float:
    """Return how long a query takes."""
    before = time.perf_counter()
    query()
    return time.perf_counter() - before


def compare(what: str, ours: Query, peer: Query, same: Callable[[Any, Any], bool]) -> Row:
    """Check that both return the same, then time them alternately."""
    our_answer, peer_answer = ours(), peer()
    assert same(our_answer, peer_answer), f"the results differ: {what}"
    figures = in_turns(lambda: seconds_of(ours) * 1e3, lambda: seconds_of(peer) * 1e3)
    return Row(f"{what} ({len(our_answer):,})", "ms", *figures)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache folder, so that the first table measures an index that is not prepared.
        os.environ["IDC_WIDGETS_CACHE_DIR"] = folder
        we, they = idc_widgets.IDCClient(), idc_index.IDCClient()
        report("Queries in a warm process (and the number of rows returned)", measure(we, they))
        seconds = seconds_of(we.build_cache)
        size_MB = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        report(
            "The same after IDCClient().build_cache(), which runs once per data version: "
            f"{seconds:.1f} s and {size_MB:.0f} MB in the cache folder",
            measure(we, they),
        )


def measure(we: idc_widgets.IDCClient, they: idc_index.IDCClient) -> list[Row]:
    """Compare the three queries."""
    return [
        compare(
            "patients of nlst",
            lambda: we.get_patients(collection="nlst", outputFormat="json"),
            lambda: they.get_patients(collection_id="nlst", outputFormat="dict"),
            same_keys("PatientID"),
        ),
        compare(
            "series of one study",
            lambda: we.get_series(studyInstanceUid=STUDY, outputFormat="json"),
            lambda: they.get_dicom_series(studyInstanceUID=STUDY, outputFormat="dict"),
            same_keys("SeriesInstanceUID"),
        ),
        compare(
            "number of series per modality",
            lambda: we.sql(BY_MODALITY),
            lambda: they.sql_query(BY_MODALITY),
            same_frame,
        ),
    ]


if __name__ == "__main__":
    main()
