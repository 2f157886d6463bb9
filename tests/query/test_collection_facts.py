"""Names and facts of collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from idc_widgets import IDCClient
from idc_widgets.index import COLLECTION_FACETS
from idc_widgets.query.collection_facts import collection_names, collection_values


class Tables:
    """An engine whose table of collections has these columns. Without columns, it has no table."""

    data_version = "test"

    def __init__(self, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        self._columns, self._rows = columns, rows

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        return {"collections_index": dict.fromkeys(self._columns, "VARCHAR")}

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        assert "collections_index" in sql and not params
        return self._rows


def test_names_and_values_of_the_installed_index(client: IDCClient) -> None:
    assert collection_names(client.engine)["nsclc_radiomics"] == "NSCLC-Radiomics"
    for column in COLLECTION_FACETS:
        values = collection_values(client.engine, column)
        assert values.keys() == set(client.get_collection_ids())
        assert collection_values(client.engine, column) is values, "it is read once"


def test_joined_values_are_split_without_duplicates() -> None:
    rows = [("a", "Lung, Breast,Lung ,"), ("b", None), ("c", "")]
    engine: Any = Tables(["collection_id", "cancer_types"], rows)
    assert collection_values(engine, "cancer_types") == {
        "a": ("Lung", "Breast"),
        "b": (),
        "c": (),
    }
    assert collection_values(engine, "species") == {"a": (), "b": (), "c": ()}
    assert collection_names(engine) == {"a": "", "b": "", "c": ""}


def test_an_engine_without_the_table_has_no_facts() -> None:
    engine: Any = Tables([], [])
    assert collection_names(engine) == {}
    assert collection_values(engine, "species") == {}
