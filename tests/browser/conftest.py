"""Fixtures of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Lab]:
    """Start a JupyterLab, and Chromium to show it."""
    with Lab(tmp_path_factory.mktemp("lab"), chromium=chromium) as running:
        yield running
