"""Fixtures with the series that the tests of manifests use."""

from __future__ import annotations

import pytest
from support.manifests import CT, STUDY, Series

from idc_widgets import IDCClient, Selection


@pytest.fixture(scope="session")
def rows(client: IDCClient) -> list[Series]:
    """Return the twelve series of a study, with the CT first."""
    client.cohort().facets()  # read the index into memory, so that lookups are quick
    frame = client.cohort(StudyInstanceUID=STUDY).series()
    series = [Series(row) for row in frame.to_dict("records")]
    return sorted(series, key=lambda row: row.uid != CT)


@pytest.fixture(scope="session")
def study(client: IDCClient) -> Selection:
    """Return the selection of the twelve series of `rows`."""
    return client.cohort(StudyInstanceUID=STUDY).select()
