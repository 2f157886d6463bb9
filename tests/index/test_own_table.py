"""Users' own tables: sizes and counts of unusual types."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.own_table import OwnTable

from idc_widgets import IDCClient


def test_sizes_can_be_fractions_of_bytes(own_table: OwnTable) -> None:
    client = own_table("series_size_MB", "1,2,3,4,0.1234567891", "5,2,3,4,1e-7")
    total = 0.1234567891 + 1e-7
    assert client.cohort().summary().size_MB == pytest.approx(total, rel=1e-9)
    assert client.cohort().patients().size_MB.tolist() == pytest.approx([total], rel=1e-9)


def test_counts_can_be_floats(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    names = ("StudyInstanceUID", "PatientID", "collection_id")
    columns: dict[str, list[Any]] = {name: ["1", "1"] for name in names}
    columns |= {"SeriesInstanceUID": ["1", "2"], "instanceCount": [3.0, math.nan]}
    pq.write_table(pa.table(columns), path)
    summary = IDCClient(path).cohort().summary()
    assert (summary.series, summary.instances) == (2, 3)
