"""Questions to the index in a warm process: idc_widgets against idc-index.

Both get their answer in the same form: a list of dicts, or a DataFrame. Before anything is timed,
both answers are looked at: they must be the same.

idc-index keeps its table in pandas, so its times differ much between releases of pandas: the
newest is what people get today, and `pip install 'pandas<3'` shows the other side.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from _measure import Row, in_turns, report, require_peer

require_peer()

import idc_index  # noqa: E402

import idc_widgets  # noqa: E402

STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"  # of LUNG1-365
BY_MODALITY = (
    "SELECT Modality, count(*) AS series FROM index GROUP BY Modality ORDER BY series DESC"
)

Ask = Callable[[], Any]


def same_keys(key: str) -> Callable[[Any, Any], bool]:
    """Whether two lists of dicts have the same keys, each as often."""
    return lambda ours, peer: sorted(row[key] for row in ours) == sorted(row[key] for row in peer)


def same_frame(ours: Any, peer: Any) -> bool:
    """Whether two DataFrames have the same columns and values."""
    return list(ours) == list(peer) and ours.values.tolist() == peer.values.tolist()


def seconds_of(ask: Ask) -> float:
    before = time.perf_counter()
    ask()
    return time.perf_counter() - before


def compare(what: str, ours: Ask, peer: Ask, same: Callable[[Any, Any], bool]) -> Row:
    """Both in turns, after a look at their answers."""
    our_answer, peer_answer = ours(), peer()
    assert same(our_answer, peer_answer), f"they do not agree on {what}"
    figures = in_turns(lambda: seconds_of(ours) * 1e3, lambda: seconds_of(peer) * 1e3)
    return Row(f"{what} ({len(our_answer):,})", "ms", *figures)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # A copy that an earlier session left would hide what it is like without.
        os.environ["IDC_WIDGETS_CACHE_DIR"] = folder
        we, they = idc_widgets.IDCClient(), idc_index.IDCClient()
        report("Questions in a warm process (and how many rows the answer has)", ask(we, they))
        cost = seconds_of(we.prepare)
        size_MB = we.prepare().stat().st_size / 1e6
        report(
            "The same after IDCClient().prepare(), which is done once for a data version: "
            f"here it took {cost:.1f} s and {size_MB:.0f} MB of disk",
            ask(we, they),
        )


def ask(we: idc_widgets.IDCClient, they: idc_index.IDCClient) -> list[Row]:
    """The three questions to both."""
    return [
        compare(
            "patients of nlst",
            lambda: we.get_patients(collection="nlst", outputFormat="json"),
            lambda: they.get_patients(collection_id="nlst", outputFormat="dict"),
            same_keys("PatientID"),
        ),
        compare(
            "series of a study",
            lambda: we.get_series(studyInstanceUid=STUDY, outputFormat="json"),
            lambda: they.get_dicom_series(studyInstanceUID=STUDY, outputFormat="dict"),
            same_keys("SeriesInstanceUID"),
        ),
        compare(
            "series a modality",
            lambda: we.sql(BY_MODALITY),
            lambda: they.sql_query(BY_MODALITY),
            same_frame,
        ),
    ]


if __name__ == "__main__":
    main()
