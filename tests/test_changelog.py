"""Check that the version is written in one place and has a section in CHANGELOG.md."""

from __future__ import annotations

import re
from pathlib import Path

import idc_widgets

ROOT = Path(__file__).parents[1]


def test_the_version_is_written_once() -> None:
    # Read with regular expressions, because Python 3.10 has no tomllib.
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r'^version = "', project, re.MULTILINE)
    (path,) = re.findall(r'^\[tool\.hatch\.version\]\npath = "(.+)"$', project, re.MULTILINE)
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.findall(r'^VERSION = "(.+)"$', source, re.MULTILINE) == [idc_widgets.__version__]


def test_the_version_has_a_section() -> None:
    version = idc_widgets.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(version)}\] - (Unreleased|\d{{4}}-\d\d-\d\d)\n+(?!## )\S"
    assert re.search(heading, changelog, re.MULTILINE), f"CHANGELOG.md has no entry for {version}"
