"""The search box, which filters by words as they are typed and by lists of UIDs."""

from __future__ import annotations

from functools import partial
from typing import Any

import anywidget
from traitlets import Dict, Unicode

from .._util import plural
from ..errors import IDCError
from ..query import Cohort
from .argument_check import check_keywords
from .assets import script, style
from .closing import Closable
from .filter_text import filter_text
from .front_end_requests import FrontEndRequests
from .state import BrowserState
from .static_view import StaticView, choices

__all__ = ["SearchBox"]


class SearchBox(Closable, anywidget.AnyWidget):
    """A text box that filters by words while they are typed, and by UIDs that are pasted.

    Each word must occur in a description, an identifier or the name of the collection. If the text
    has several lines or only UIDs, its UIDs of series and studies are looked up. A line below the
    box says how many were found, how many exist only in earlier versions of IDC, and how many are
    unknown.

    Args:
        state: The state to filter.
        layout: As for every ipywidgets widget.

    >>> box = SearchBox(BrowserState())
    """

    _esm = script("requests", "search")
    _css = style("search")

    _text = Unicode().tag(sync=True)
    """The words of the filter, as they were typed; empty if it has none. Type: str."""

    _uids = Dict().tag(sync=True)
    """The UIDs of the filter; empty if it has none. Type: {count, found, unknown}, all str: the
    number of UIDs, the result of their look-up in words, and the unknown UIDs, one per line.
    """

    _problem = Unicode().tag(sync=True)
    """Why the last text is not a valid filter; empty if it is valid. Type: str."""

    _answered = Unicode().tag(sync=True)
    """The last request whose answer the other traits show. Type: str, "view:number"."""

    def __init__(self, state: BrowserState, **keywords: Any) -> None:
        check_keywords("SearchBox", keywords, ["layout", "state"])
        keywords.setdefault("layout", {"margin": "0", "width": "100%", "max_width": "480px"})
        super().__init__(**keywords)
        self.state = state
        self._requests = FrontEndRequests(state)
        # The typed text and the filter made from it. The filter alone has neither the spelling
        # nor the result of the look-up.
        self._typed_text: tuple[str, object] = ("", None)
        self._typed_uids: tuple[dict[str, str], object] = ({}, None)
        with state.lock:
            self._show()
            self._show_state(state, self._show_filters, ["filters"])
        self.on_msg(self._on_message)

    # --- what it shows ---------------------------------------------------------------------

    def _show_filters(self) -> None:
        with self.hold_sync():
            self._problem = ""
            self._show()

    def _show(self) -> None:
        filters = self.state.filters.filters
        text, uids = filters.get("text"), filters.get("uids")
        typed_text, text_filter = self._typed_text
        typed_uids, uids_filter = self._typed_uids
        with self.hold_sync():
            self._text = typed_text if text == text_filter else str(text or "")
            if uids is None:
                self._uids = {}
            elif uids == uids_filter:
                self._uids = typed_uids
            else:
                self._uids = {"count": filter_text("uids", uids), "found": "", "unknown": ""}

    # --- what it does ----------------------------------------------------------------------

    def _static_view(self) -> StaticView:
        return StaticView("IDC search", choices(self.state))

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("kind") != "search":
            return
        work = partial(self._search, content)
        self._requests.carry_out(self, content, work, self._answer)

    def _answer(self, request: str) -> None:
        self._answered = request

    def _search(self, content: Any, request: str) -> None:
        # All traits go back in one message, so that no page view mixes two answers.
        with self.hold_sync():
            filters, self._problem = self.state.filters, ""
            earlier = self._typed_text, self._typed_uids
            try:
                if isinstance(text := content.get("text"), str):
                    filters = self._search_text(filters, text)
                if isinstance(uids := content.get("uids"), str):
                    filters = self._search_uids(filters, uids)
                self.state.filters = filters
                self._show()  # if the filter is the same as before, no view does this
            except BaseException as error:
                if self.state.filters != filters:
                    self._typed_text, self._typed_uids = earlier
                if not isinstance(error, IDCError):
                    raise
                self._problem = str(error)
            finally:
                self._answered = request

    def _search_text(self, filters: Cohort, text: str) -> Cohort:
        filters = filters.without("text")
        if text.strip():
            filters = filters.where(text=text)
        self._typed_text = (text, filters.filters.get("text"))
        return filters

    def _search_uids(self, filters: Cohort, text: str) -> Cohort:
        filters = filters.without("uids")
        if not text:
            return filters
        lookup = self.state.client.find_uids(text)
        total = len(lookup.known) + len(lookup.prior) + len(lookup.unknown)
        if len(lookup.unknown) == total == 1:
            return self._search_text(filters, lookup.unknown[0])  # it may be a part of a UID
        filters = filters.of_uids(lookup.known)
        shown = {
            "count": plural(total, "UID"),
            "found": str(lookup),
            "unknown": "\n".join(lookup.unknown),
        }
        self._typed_uids = (shown, filters.filters["uids"])
        return filters
