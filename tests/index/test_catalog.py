"""The index as a set of files: its tables, their places and their schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from idc_widgets import IDCClient, Index, InvalidQueryError
from idc_widgets.index import is_clinical_name, read_schema
from idc_widgets.index.tables import FETCHABLE_TABLES, PACKAGE_TABLES


def test_the_tables_of_the_package_are_available(client: IDCClient) -> None:
    assert set(client.engine.tables()) == {
        "index",
        "collections_index",
        "analysis_results_index",
        "prior_versions_index",
        "version_metadata_index",
    }


def test_each_table_has_a_schema() -> None:
    for name in (*PACKAGE_TABLES, *FETCHABLE_TABLES):
        schema = read_schema(name)
        assert schema is not None and schema.description and schema.columns, name
    assert read_schema("clinical_table") is None
    assert read_schema("../index") is None


def test_places_and_addresses_of_fetched_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path))
    index = Index()
    folder = tmp_path / str(index.release)
    assert index.place("seg_index") == folder / "seg_index.parquet"
    assert index.place("c1_clinical") == folder / "clinical" / "c1_clinical"
    assert index.urls("seg_index", ["a/{version}/{name}.parquet", "b"]) == [
        f"a/{index.release}/seg_index.parquet",
        "b",
    ]
    assert index.clinical_prefix("c1_clinical").endswith("_clinical/c1_clinical/")
    with pytest.raises(InvalidQueryError, match="did you mean 'seg_index'"):
        index.place("../seg_index")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c1_clinical", True),
        ("C4KC", True),
        ("index", False),
        ("Index", False),
        ("seg_index", False),
        ("my_INDEX", False),
        ("../x", False),
        ("a b", False),
        ("a;b", False),
        ("1a", False),
        ("", False),
        ("a" * 129, False),
        ("a\n", False),
        (None, False),
    ],
)
def test_names_of_clinical_tables_are_plain_words(name: object, expected: bool) -> None:
    assert is_clinical_name(name) is expected
