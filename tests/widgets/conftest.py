"""Fixtures of the tests of widgets."""

from __future__ import annotations

import pytest

from idc_widgets import BrowserState, IDCClient


@pytest.fixture
def state(client: IDCClient) -> BrowserState:
    """Return a state of the installed index, filtered to one collection."""
    return BrowserState(client, collection_id="nsclc_radiomics")
