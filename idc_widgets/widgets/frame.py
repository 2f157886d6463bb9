"""The frame of the browser: the bars that divide it, and the button that fills the window."""

from __future__ import annotations

from typing import Any

import anywidget
from traitlets import Dict

from .assets import script, style

__all__ = ["LOWER_HEIGHT", "UPPER_HEIGHT", "Frame"]

#: The heights of the grids, as CSS; the front end of `Frame` sets the variables.
UPPER_HEIGHT = "var(--idc-upper, 246px)"
LOWER_HEIGHT = "var(--idc-lower, 294px)"


class Frame(anywidget.AnyWidget):
    """Bars that a person drags to divide the browser, and the button that fills the window.

    It is a child of the browser and arranges its siblings, which browser.css finds by class.
    """

    _esm = script("browser")
    _css = style("browser")

    _sizes = Dict().tag(sync=True)
    """What a person has changed: `patients` is the width of the patients and `series` that of the
    series, both in percent; `upper` and `lower` are the heights of the grids in px; `share` is the
    height of the upper grids in percent while the browser fills the window. Type: {str: number}.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.add_class("idc-frame-view")
