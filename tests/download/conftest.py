"""A real series of the index, and a server to download from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import idc_index_data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.downloads import make_plan, small
from support.s3server import S3Server

from idc_widgets.download import DownloadPlan

# LUNG1-365's CT in nsclc_radiomics: 134 files, 70,513,634 bytes
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


@pytest.fixture(scope="session")
def ct() -> pa.Table:
    """Return the index row of the series `CT`."""
    return pq.read_table(
        idc_index_data.IDC_INDEX_PARQUET_FILEPATH, filters=[("SeriesInstanceUID", "=", CT)]
    )


@pytest.fixture
def server() -> Iterator[S3Server]:
    """Start a server without objects."""
    with S3Server() as s3:
        yield s3


@pytest.fixture
def plan(server: S3Server, tmp_path: Path) -> Callable[..., DownloadPlan]:
    """Return a function that plans rows into tmp_path/"data" and serves their objects."""

    def make(*rows: dict[str, Any], endpoint_url: str | None = None) -> DownloadPlan:
        return make_plan(server, tmp_path / "data", *rows, endpoint_url=endpoint_url)

    return make


@pytest.fixture
def three(server: S3Server, tmp_path: Path) -> DownloadPlan:
    """Plan three series of ten files, and serve them."""
    return make_plan(server, tmp_path / "data", *(small(i) for i in (1, 2, 3)))
