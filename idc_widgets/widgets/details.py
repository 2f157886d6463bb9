"""The panel that shows everything about a row of a grid."""

from __future__ import annotations

from typing import Any

import anywidget
from traitlets import Dict

from ..index import LEVELS
from .argument_check import check_keywords
from .assets import script, style
from .cell_text import MISSING
from .closing import Closable
from .row_content import row_content
from .state import BrowserState
from .static_view import StaticView
from .turns import not_up_to_date

__all__ = ["RowDetails"]

#: Trait of the state with picked rows → its level. The finest level comes first, as a pick of a
#: series says more than a pick of its patient.
_PICKS = {level.plural: level.name for level in reversed([*LEVELS.values()])}


class RowDetails(Closable, anywidget.AnyWidget):
    """Everything about a patient, a study or a series; hidden until `show` is called.

    It shows all columns with their descriptions, the collection, the licenses and citations of the
    data sets, and a link to IDC's viewer. While it is open, it also shows each row that is picked
    alone.

    Args:
        state: The state, which has the data and the picks.
        layout: As for every ipywidgets widget.

    >>> from idc_widgets import SeriesGrid
    >>> state = BrowserState(collection_id="nsclc_radiomics")
    >>> details = RowDetails(state)
    >>> details.show("patient", ("nsclc_radiomics", "LUNG1-365"))
    >>> details.is_open
    True
    """

    _esm = script("details")
    _css = style("details")

    _content = Dict().tag(sync=True)
    """What is shown: a `RowContent` with the keys `asked`, whether a person asked for this row, and
    `problem`, why another row cannot be shown; {} while the panel is closed. Type: dict.
    """

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("RowDetails", keywords, ["layout", "state"])
        keywords.setdefault("layout", {"margin": "0", "width": "auto", "min_width": "0"})
        super().__init__(**keywords)
        self.state = state
        #: The picks that the panel has followed.
        self._picks = self._picks_now()
        self.on_msg(self._on_message)
        self._show_state(state, self._follow_picks, [*_PICKS], self._show_stale)

    @property
    def is_open(self) -> bool:
        """Whether a row is shown."""
        return bool(self._content)

    def show(self, level: str, key: Any) -> None:
        """Open the panel with a row, which need not be among the rows of a grid.

        Args:
            level: "patient", "study" or "series".
            key: A pair (collection_id, PatientID) for a patient, a StudyInstanceUID or a
                SeriesInstanceUID.

        Raises:
            InvalidQueryError: There is no such level or row; nothing changes.
        """
        with self.state.turn():
            self._fill(level, key, asked=True)

    def hide(self) -> None:
        """Close the panel until the next `show`."""
        with self.state.lock:
            self._content = {}

    # --- what it shows ---------------------------------------------------------------------

    def _picks_now(self) -> dict[str, tuple[Any, ...]]:
        return {trait: getattr(self.state, trait) for trait in _PICKS}

    def _follow_picks(self) -> None:
        """Show the row that has been picked alone since the last call, if the panel is open."""
        picks = self._picks_now()
        changed = [trait for trait in _PICKS if picks[trait] != self._picks[trait]]
        trait = next((trait for trait in changed if len(picks[trait]) == 1), None)
        if self.is_open and trait is not None:
            self._fill(_PICKS[trait], picks[trait][0], asked=False)
        self._picks = picks

    def _fill(self, level: str, key: Any, *, asked: bool) -> None:
        content = row_content(self.state.client, level, key)
        self._content = {**content, "asked": asked, "problem": ""}

    def _show_stale(self, reason: str) -> None:
        if self.is_open:
            self._content = {**self._content, "asked": False, "problem": not_up_to_date(reason)}

    def _static_view(self) -> StaticView:
        content = self._content
        if not content:
            return StaticView("IDC row details")
        facts = [
            (field["label"], ", ".join(text for text, _ in field["values"]) or MISSING)
            for field in content["fields"]
        ]
        return StaticView(f"IDC {content['title'].lower()}", facts)

    # --- what it does ----------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") == "close":
            self.hide()
