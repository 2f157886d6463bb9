"""Titles and descriptions of the values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from idc_widgets import IDCClient
from idc_widgets.query import value_notes
from idc_widgets.query.value_notes import NOTED_COLUMNS


@pytest.mark.parametrize("column", NOTED_COLUMNS)
def test_all_values_have_short_plain_texts(client: IDCClient, column: str) -> None:
    notes = value_notes(client.engine, column)
    values = {facet.value for facet in client.cohort().facets([column])[column]} - {None}
    assert set(notes) >= values
    for value in values:
        title, description = notes[str(value)]
        assert 0 < len(title) <= 160, value
        assert 0 < len(description) <= 320, value
        assert not {"\n", "&amp;", "<p>"} & {title, description}
    assert notes is value_notes(client.engine, column)  # read once


def test_titles_say_more_than_the_identifier(client: IDCClient) -> None:
    notes = value_notes(client.engine, "collection_id")
    assert notes["4d_lung"].title == "Data from 4D Lung Imaging of NSCLC Patients"
    assert notes["adrenal_acc_ki67_seg"].title == (
        "Voxel-level segmentation of pathologically-proven Adrenocortical carcinoma with Ki-67"
        " expression"
    )
    assert notes["catch"].title == "CAnine CuTaneous Cancer Histology Dataset"
    assert notes["cmb_ov"].title == (
        "Cancer Moonshot Biobank - Ovarian Carcinoma Cancer Collection"
    )


def test_other_columns_have_no_notes(client: IDCClient) -> None:
    assert value_notes(client.engine, "Modality") == {}


class Hostile:
    """An engine whose table of collections has hostile texts."""

    data_version = "hostile"

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = {"collection_id": "mine", **columns}

    def tables(self) -> dict[str, dict[str, str]]:
        return {"collections_index": dict.fromkeys(self.columns, "VARCHAR")}

    def rows(self, query: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        names = query.removeprefix("SELECT ").split(" FROM ")[0].split(", ")
        return [tuple(self.columns[name] for name in names), (None,) * len(names)]


@pytest.mark.parametrize(
    ("columns", "title", "description"),
    [
        ({}, None, None),
        ({"description": None, "collection_name": None}, "", ""),
        ({"description": "<b>bold</b> &lt;i&gt;\n text"}, "", "bold <i> text"),
        ({"collection_name": "<" * 5_000_000}, f"{'<' * 158} …", ""),
        ({"description": "word " * 1_000_000}, "", None),
        ({"collection_name": "A", "sources": [None, 5, {"source_type": "x"}]}, "A", ""),
        (
            {
                "collection_name": "A",
                "sources": [{"source_type": "original_data", "source_title": "A: B"}],
            },
            "B",
            "",
        ),
    ],
)
def test_texts_of_a_table_are_bounded(
    columns: dict[str, Any], title: str | None, description: str | None
) -> None:
    notes = value_notes(Hostile(columns), "collection_id")  # type: ignore[arg-type]
    if not columns:
        assert notes == {}
        return
    note = notes["mine"]
    assert len(note.title) <= 160
    assert len(note.description) <= 320
    if title is not None:
        assert note.title == title
    if description is not None:
        assert note.description == description
