"""The search box: words to filter by as they are typed, and lists of UIDs that are pasted."""

from __future__ import annotations

from typing import Any

import anywidget
from traitlets import Dict, Unicode

from .._util import plural
from ..errors import IDCError
from ..query import Cohort
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .filter_text import in_words
from .front_end_requests import FrontEndRequests
from .state import BrowserState

__all__ = ["SearchBox"]


class SearchBox(Closable, anywidget.AnyWidget):
    """A text box that filters by words while they are typed, and by UIDs that are pasted.

    Every word must be in a description, an identifier or the name of the collection. Several
    lines, or nothing but UIDs, are looked up as UIDs of series and studies; what was found, what
    only earlier versions of IDC had and what is unknown is said below.

    >>> state = BrowserState()
    >>> SearchBox(state)

    Args:
        state: what the words and UIDs filter.
        layout: as of every ipywidgets widget.
    """

    _esm = script("search")
    _css = style("search")

    _text = Unicode().tag(sync=True)
    """The words that are filtered by, as they were typed. Type: str; empty: no such filter."""

    _uids = Dict().tag(sync=True)
    """The UIDs that are filtered by. Type: {count, found, unknown}: how many, and what was found,
    in words; the unknown ones, one a line. Empty: no such filter.
    """

    _problem = Unicode().tag(sync=True)
    """Why the last list of UIDs could not be filtered by; empty when all is well. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last request of the front end that all of the above takes in. Type: view:number."""

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("SearchBox", keywords, ["layout", "state"])
        keywords.setdefault("layout", {"margin": "0", "width": "100%", "max_width": "480px"})
        super().__init__(**keywords)
        self.state = state
        self._requests = FrontEndRequests()
        # What a person wrote, and the filters that it became: these do not keep it.
        self._typed: tuple[str, object] = ("", None)
        self._found: tuple[dict[str, str], object] = ({}, None)
        with state.lock:
            self._show()
            self._follow(state, self._on_filters, "filters")
        self.on_msg(self._on_message)

    # --- what it shows ---------------------------------------------------------------------

    def _on_filters(self, _change: Any) -> None:
        with self.state.reporting(clears=False), self.hold_sync():
            self._problem = ""
            self._show()

    def _show(self) -> None:
        filters = self.state.filters.filters
        text, uids = filters.get("text"), filters.get("uids")
        typed, became = self._typed
        found, list_became = self._found
        with self.hold_sync():
            self._text = typed if text == became else str(text or "")
            if uids is None:
                self._uids = {}
            elif uids == list_became:
                self._uids = found
            else:
                self._uids = {"count": in_words("uids", uids), "found": "", "unknown": ""}

    # --- what it does ----------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") != "search":
            return
        # One message takes all of it back, so that no front end mixes two answers.
        with self.state.turn(), self.hold_sync():
            request = self._requests.accept(content)
            if request is None:
                return
            with self.state.reporting():
                filters, self._problem = self.state.filters, ""
                earlier = self._typed
                try:
                    if isinstance(text := content.get("text"), str):
                        filters = self._search_text(filters, text)
                    if isinstance(uids := content.get("uids"), str):
                        filters = self._search_uids(filters, uids)
                except IDCError as error:
                    self._problem, self._typed = str(error), earlier
                else:
                    self.state.filters = filters
                    self._show()  # the same filter may have been typed in other words
            self._answered = request

    def _search_text(self, filters: Cohort, text: str) -> Cohort:
        filters = filters.without("text")
        if text.strip():
            filters = filters.where(text=text)
        self._typed = (text, filters.filters.get("text"))
        return filters

    def _search_uids(self, filters: Cohort, text: str) -> Cohort:
        filters = filters.without("uids")
        if not text:
            return filters
        found = self.state.client.find_uids(text)
        total = len(found.known) + len(found.prior) + len(found.unknown)
        if len(found.unknown) == total == 1:
            return self._search_text(filters, found.unknown[0])  # it may be a part of one
        filters = filters.of_uids(found.known)
        shown = {
            "count": plural(total, "UID"),
            "found": str(found),
            "unknown": "\n".join(found.unknown),
        }
        self._found = (shown, filters.filters["uids"])
        return filters
