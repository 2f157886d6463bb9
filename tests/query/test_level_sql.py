"""The SQL of the tables of patients, studies and series."""

from __future__ import annotations

import pytest

from idc_widgets import IDCClient
from idc_widgets.index import LEVELS
from idc_widgets.query.level_sql import level_query


@pytest.mark.parametrize("level", LEVELS)
def test_the_columns_are_those_of_the_level(client: IDCClient, level: str) -> None:
    rows = client.engine.query(f"SELECT * FROM ({level_query(level, 'index')}) LIMIT 0")
    assert tuple(rows.column_names) == LEVELS[level].columns
