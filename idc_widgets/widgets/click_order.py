"""Carries out the clicks of a page in the order in which they were made."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._util import fork_safe
from .promises import Promise
from .turns import Turns

__all__ = ["CLICKS", "ClickOrder"]

#: The largest numbers of pages that are remembered, and of arrived clicks of a page.
_MAX_PAGES = 64
_MAX_KNOWN_CLICKS = 1000

#: A click that waits for an earlier click is carried out without it when the page has sent it this
#: many times, which takes 15 seconds (`RESEND_MS` in requests.js): the earlier click may be lost.
_MAX_TIMES_SENT = 3


@dataclass
class _Click:
    number: int
    after: int
    turns: Turns
    work: Callable[[], None]
    times_sent: int = 1


@dataclass
class _Page:
    """The clicks of one page, by number.

    Args:
        come: Number of a click that has arrived → whether it has been carried out.
        kept: Number of a click that waits for an earlier click → the click.
    """

    come: OrderedDict[int, bool] = field(default_factory=OrderedDict)
    kept: dict[int, _Click] = field(default_factory=dict)

    def add(self, click: _Click, ready: list[_Click]) -> None:
        """Add a click that was sent; append the clicks to carry out now to `ready`, in order."""
        number = click.number
        if number in self.come:
            # The click was sent again. If the first message still waits for its turn, the second
            # must not take a later turn.
            if self.come[number]:
                ready.append(click)
            return
        if (earlier := self.kept.get(number)) is not None:
            click.times_sent = earlier.times_sent + 1
        self.kept[number] = click
        is_late = click.times_sent >= _MAX_TIMES_SENT
        for kept in sorted(self.kept):
            after = self.kept[kept].after
            if after <= 0 or after in self.come or (is_late and kept <= number):
                ready.append(self.kept.pop(kept))
                self.come[kept] = False
        while len(self.come) > _MAX_KNOWN_CLICKS:
            self.come.popitem(last=False)

    def end(self, number: int) -> None:
        """Note that a click has been carried out, so that a repeated message is answered."""
        if number in self.come:
            self.come[number] = True


class ClickOrder:
    """Carries out the clicks of each page in the order in which they were made.

    A kernel may take messages in several threads: ipykernel 7 takes those of a widget in the thread
    that has last sent something to that widget. So two clicks in two widgets may arrive in the
    wrong order. Each click has the number of the click that was made before it (`createRequests` in
    requests.js). If the earlier click has not arrived, the later one is kept, and the thread that
    receives the earlier click carries out both. No thread waits, so any thread can receive it.

    The missing click may be lost. The page sends both again until they are answered, and a click
    that has been sent three times is carried out in any case.
    """

    def __init__(self) -> None:
        self._lock = fork_safe(threading.Lock())
        self._pages: OrderedDict[str, _Page] = OrderedDict()

    def carry_out(self, content: Mapping[str, Any], turns: Turns, work: Callable[[], None]) -> None:
        """Call `work` when its turn has come: now, or after the clicks before it.

        Args:
            content: The message of a click: {page, number, after, ...}. Without a page, `work` is
                called now.
            turns: The scheduler in which `work` takes a turn.
            work: Carries out the click.
        """
        page, number, after = content.get("page"), content.get("number"), content.get("after")
        if not (isinstance(page, str) and isinstance(number, int) and isinstance(after, int)):
            work()
            return
        clicks = self._pages.setdefault(page, _Page())
        # Both lists are filled step by step. So after an interrupt, they have all that was begun.
        ready: list[_Click] = []
        promised: list[tuple[_Click, Promise]] = []
        try:
            with self._lock:
                self._pages[page] = clicks
                self._pages.move_to_end(page)
                while len(self._pages) > _MAX_PAGES:
                    self._pages.popitem(last=False)
                clicks.add(_Click(number, after, turns, work), ready)
                # Another thread may take the next click as soon as the lock is free.
                for click in ready:
                    promised.append((click, click.turns.promise()))
            _call_all(clicks, promised)
        finally:
            for _, promise in promised:
                promise.end()
            for click in ready:
                clicks.end(click.number)


def _call_all(page: _Page, promised: list[tuple[_Click, Promise]]) -> None:
    """Carry out each click in its promised turn, even if an earlier click raises an error."""
    error: BaseException | None = None
    for click, promise in promised:
        try:
            with promise:
                click.work()
        except BaseException as raised:
            error = error or raised
        finally:
            page.end(click.number)
    if error is not None:
        raise error


#: The clicks of all pages of this kernel.
CLICKS = ClickOrder()
