"""The tables of patients and studies are the same from memory and by SQL."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from idc_widgets import IDCClient
from idc_widgets.index import LEVELS
from idc_widgets.query import row_source
from idc_widgets.query.memory import find_matches, level_table, memory_index_of

HEADER = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,StudyDate,StudyDescription"


@pytest.mark.parametrize("level", ["patient", "study"])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"Modality": ["CT", "SEG"]},
        {"collection_id": "nlst", "series_size_MB": (None, 50)},
        {"collection_id": "nsclc_radiomics"},
        {"Modality": []},
    ],
)
def test_a_table_is_the_same_from_memory_and_by_sql(
    client: IDCClient, level: str, filters: dict[str, Any]
) -> None:
    cohort = client.cohort(**filters)
    memory = memory_index_of(client.engine)
    assert memory is not None
    table = level_table(level, find_matches(memory, cohort.conditions), LEVELS[level].columns)
    expected = client.engine.query(*cohort.level_sql(level))
    pd.testing.assert_frame_equal(table.to_pandas(), expected.to_pandas(), rtol=1e-9)
    assert list(table.column_names) == list(LEVELS[level].columns)


def test_the_table_does_not_depend_on_whether_the_index_is_in_memory(tmp_path: Any) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{HEADER}\n1.1,1,a,x,2020-01-02,\n1.2,1,b,x,2020-01-01,head\n", "utf-8")
    tables = []
    for is_in_memory in (False, True):
        client = IDCClient(path)
        if is_in_memory:
            client.cohort().summary()
        tables.append([client.cohort().patients(), client.cohort().studies()])
    for before, after in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(before, after)


#: Study 1 has two patients in two collections. Study 2 has two dates, study 3 two descriptions.
VARIED = """\
1.1,1,b,x,2020-05-01,head
1.2,1,a,y,2020-05-01,head
2.1,2,b,x,2020-06-01,neck
2.2,2,b,x,2020-01-01,neck
3.1,3,b,x,2020-03-01,leg
3.2,3,b,x,2020-03-01,arm
4.1,4,b,x,2020-03-01,hand
5.1,5,a,x,,
5.2,5,a,x,2021-01-01,
6.1,6,a,y,2020-01-01,knee
7.1,7,c,x,2020-03-01,leg
"""


@pytest.mark.parametrize("excluded", ["0", "1.1", "1.2", "2.2", "3.2", "5.2", "6.1"])
def test_the_order_follows_the_matching_series(tmp_path: Any, excluded: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{HEADER}\n{VARIED}", "utf-8")
    client = IDCClient(path)
    uids = [line.split(",")[0] for line in VARIED.splitlines()]
    cohort = client.cohort(SeriesInstanceUID=[uid for uid in uids if uid != excluded])
    for level in LEVELS.values():
        rows = client.engine.query(*cohort.level_sql(level.name)).to_pylist()
        expected = [tuple(row[name] for name in level.key) for row in rows]
        source = row_source(cohort, level.name)
        keys = source.keys([range(len(source))])
        assert [key if isinstance(key, tuple) else (key,) for key in keys] == expected
        assert source.positions(keys) == list(range(len(keys)))
        for position, key in enumerate(keys):
            assert source.keys([range(position, position + 1)]) == (key,)
            assert source.positions([key]) == [position]
