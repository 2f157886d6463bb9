"""Scripts and style sheets: every file exists, and the shared ones come first."""

from __future__ import annotations

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
def test_only_the_script_of_a_widget_exports(path) -> None:
    exports = path.read_text(encoding="utf-8").count("export default")
    is_widget = path.stem not in ("base", "popover", "datagrid")
    assert exports == is_widget
