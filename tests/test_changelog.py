"""A release that does not say what is new does not go out."""

from __future__ import annotations

import re
from pathlib import Path

import idc_widgets

ROOT = Path(__file__).parents[1]


def test_there_is_one_version() -> None:
    # Read with a pattern, for Python 3.10 has no tomllib.
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^version = "(.+)"$', project, re.MULTILINE) == [idc_widgets.__version__]


def test_the_version_has_a_section() -> None:
    version = idc_widgets.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(version)}\] - (Unreleased|\d{{4}}-\d\d-\d\d)\n+(?!## )\S"
    assert re.search(heading, changelog, re.MULTILINE), f"CHANGELOG.md is silent on {version}"
