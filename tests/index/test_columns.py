"""The table of columns."""

from __future__ import annotations

import doctest

from idc_widgets import IDCClient
from idc_widgets.index import COLLECTION_FACETS, COLUMNS, FACETS, MORE_FACETS, RANGES
from idc_widgets.index import columns as module
from idc_widgets.index.columns import column_info


def test_the_shipped_index_has_exactly_these_columns(client: IDCClient) -> None:
    expected = {name: column.sql_type for name, column in COLUMNS.items()}
    assert client.engine.tables()["index"] == expected


def test_every_facet_and_range_has_a_label_and_a_description() -> None:
    for name in (*COLUMNS, *FACETS, *MORE_FACETS, *COLLECTION_FACETS, *RANGES):
        column = column_info(name)
        assert column.name == name
        assert column.label and column.description, name


def test_labels_are_unique_within_the_index() -> None:
    labels = [column.label for column in COLUMNS.values()]
    assert len(set(labels)) == len(labels)


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(module).failed == 0
