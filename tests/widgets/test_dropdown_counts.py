"""The counts of the dropdowns: one query per change, and none without a dropdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from idc_widgets import Cohort, IDCClient
from idc_widgets.widgets import BrowserState, FacetDropdown, FacetPanel


@pytest.fixture
def own(tmp_path: Path) -> IDCClient:
    """Return a client of a small table: four series, of which one has no Modality."""
    path = tmp_path / "own.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality\n"
        "1.1,1,Ann,mine,SEG\n1.2,1,Ann,mine,CT\n1.3,2,Bob,mine,CT\n1.4,2,Bob,mine,\n"
    )
    return IDCClient(path)


def test_one_query_counts_for_all_dropdowns(
    own: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[list[str]] = []
    count = Cohort.facets

    def counting(self: Cohort, columns: Any) -> Any:
        queries.append(sorted(columns))
        return count(self, columns)

    monkeypatch.setattr(Cohort, "facets", counting)
    state = BrowserState(own)
    panel = FacetPanel(state, ["collection_id", "Modality", "PatientSex"])
    assert queries == [["Modality", "PatientSex", "collection_id"]]
    alone = FacetDropdown(state, "Modality")
    assert len(queries) == 1  # its column was counted already
    other = FacetDropdown(state, "BodyPartExamined")
    assert queries[1:] == [["BodyPartExamined"]]
    state.filters = state.filters.where(PatientID="Ann")
    assert queries[2:] == [["BodyPartExamined", "Modality", "PatientSex", "collection_id"]]
    assert alone._values == panel.dropdowns["Modality"]._values == [["CT", 1, 1], ["SEG", 1, 1]]
    panel.close()
    alone.close()
    state.filters = state.filters.without("PatientID")
    assert queries[3:] == [["BodyPartExamined"]]
    assert other._values == [[None, 4, 2]]
    assert len(alone._values) == 2  # a closed dropdown is not updated
    other.close()
    state.filters = state.filters.where(PatientID="Ann")
    assert len(queries) == 4


def test_counts_of_a_column_are_computed_again_after_all_dropdowns_were_closed(
    own: IDCClient,
) -> None:
    state = BrowserState(own)
    FacetDropdown(state, "Modality").close()
    state.filter_values("PatientID", ["Bob"])
    dropdown = FacetDropdown(state, "Modality")
    assert dropdown._values == [["CT", 1, 1], [None, 1, 1]]
    assert not state.dropdown_counts.is_late()
