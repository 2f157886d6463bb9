"""Scripts and style sheets: every file exists, and the shared ones come first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idc_widgets.widgets.assets import STATIC, script, style


def read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def test_shared_files_come_first() -> None:
    assert script("popover", "range") == "\n".join(
        [read("base.js"), read("popover.js"), read("range.js")]
    )
    assert style("popover", "range") == "\n".join(
        [read("base.css"), read("popover.css"), read("range.css")]
    )


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_only_the_script_of_a_widget_exports(path: Path) -> None:
    exports = re.findall("^export default", path.read_text(encoding="utf-8"), re.MULTILINE)
    is_shared = path.stem in ("base", "popover", "datagrid")
    assert len(exports) == (0 if is_shared else 1)
