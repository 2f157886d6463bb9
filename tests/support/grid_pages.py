"""A page that shows a grid, without a web browser: it sends what the front end would send.

Both kinds of page show new rows only when `receive` is called, as if the messages to them were on
their way.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DataGridPage", "DomPage", "GridPage", "open_page"]


class GridPage:
    """The methods of a page that shows any kind of grid."""

    def __init__(self, grid: Any, name: str) -> None:
        self.grid, self.view, self.name = grid, grid._view, name
        self.number = 0
        self.generation = -1
        self.receive()

    def click(self, *rows: int) -> None:
        """Pick these rows and no others."""
        self.pick_ranges([(row, row + 1) for row in rows])

    def send(self, **content: Any) -> None:
        raise NotImplementedError

    def receive(self) -> None:
        """Process all messages that the kernel has sent."""
        raise NotImplementedError

    def request(self, start: int, stop: int, view: str | None = None) -> int | None:
        """Request rows; return the number of the first row that came, or None if none came."""
        raise NotImplementedError

    def column(self, label: str) -> list[str | None]:
        """Return the first cells of a column, with None for a missing value."""
        raise NotImplementedError

    def pick_ranges(self, ranges: list[tuple[int, int]]) -> None:
        """Pick these ranges of rows [start, stop) and no others."""
        raise NotImplementedError

    def sort(self, label: str) -> None:
        """Click on the header of a column."""
        raise NotImplementedError

    def clear(self) -> None:
        """Press the button that removes all picks."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """The number of rows in the title."""
        raise NotImplementedError

    @property
    def picked(self) -> list[int]:
        """The picked rows, as the kernel has sent them."""
        raise NotImplementedError

    @property
    def picked_count(self) -> int:
        """The number of picks in the title."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """The text in place of the rows; empty if rows are shown."""
        raise NotImplementedError

    @property
    def order(self) -> tuple[str, bool] | None:
        """The label of the sorted column, and whether it is descending."""
        raise NotImplementedError


class DomPage(GridPage):
    """A page with a `DomGridView`."""

    def __init__(self, grid: Any, name: str = "page") -> None:
        self.widget = grid._view.widget
        self.sent: list[dict[str, Any]] = []
        if "send" not in vars(self.widget):
            self.widget.send = lambda content, buffers=None: self.widget.replies.append(content)
            self.widget.replies = []
        self.picks_shown: list[list[int]] = []
        self.last_numbers: dict[str, int] = {}
        super().__init__(grid, name)

    def send(self, **content: Any) -> None:
        self.widget.replies.clear()
        message = {"view": self.name, "generation": self.generation, **content}
        self.widget._handle_custom_msg(message, [])

    def send_click(self, control: str, number: int, **content: Any) -> None:
        """Send a click of one control of the page, such as the headers."""
        self.last_numbers[control] = max(number, self.last_numbers.get(control, 0))
        self.send(**{"view": f"{self.name}-{control}", "number": number, **content})

    def is_answered(self, control: str) -> bool:
        """Return whether the last click of a control is answered."""
        answer = f"{self.name}-{control}:{self.last_numbers[control]}"
        return answer in self.widget._answered.split()

    def unanswered(self) -> list[str]:
        """Return the controls whose last click has no answer."""
        return [control for control in self.last_numbers if not self.is_answered(control)]

    def _click(self, control: str, **content: Any) -> None:
        self.number += 1
        self.send_click(control, self.number, **content)
        assert self.is_answered(control)

    def receive(self) -> None:
        self.generation = self.widget._source["generation"]
        self.picks_shown = self.widget._picks["ranges"]

    def request(self, start: int, stop: int, view: str | None = None) -> int | None:
        self.send(
            kind="window", start=start, stop=stop, fetch=True, **({"view": view} if view else {})
        )
        replies = [reply for reply in self.widget.replies if reply["kind"] == "rows"]
        return replies[-1]["start"] if replies else None

    def column(self, label: str) -> list[str | None]:
        labels = [column["label"] for column in self.widget._columns]
        return [row[labels.index(label)] for row in self.widget._source["rows"]]

    def pick_ranges(self, ranges: list[tuple[int, int]]) -> None:
        before, self.picks_shown = self.picks_shown, [list(one) for one in ranges]
        self._click("picks", kind="pick", ranges=self.picks_shown, before=before)

    def sort(self, label: str) -> None:
        [name] = [one["name"] for one in self.widget._columns if one["label"] == label]
        shown = self.widget._source["sort"]
        is_first = shown is None or shown[0] != name
        sort = [name, False] if is_first else None if shown[1] else [name, True]
        self._click("sort", kind="sort", sort=sort)

    def clear(self) -> None:
        self._click("picks", kind="clear")

    def choose_columns(self, *names: str) -> None:
        """Choose these columns; without names, the usual ones."""
        self._click("columns", kind="columns", names=list(names))

    @property
    def count(self) -> int:
        return 0 if self.widget._reason else int(self.widget._source["count"])

    @property
    def picked(self) -> list[int]:
        ranges = self.widget._picks["ranges"]
        return [row for start, stop in ranges for row in range(start, stop)]

    @property
    def picked_count(self) -> int:
        return len(self.picked)

    @property
    def reason(self) -> str:
        text = self.widget._reason or ("" if self.count else self.widget._empty)
        return str(text)

    @property
    def order(self) -> tuple[str, bool] | None:
        sort = self.widget._source["sort"]
        if sort is None:
            return None
        labels = {one["name"]: one["label"] for one in self.widget._columns}
        return labels[sort[0]], sort[1]


class DataGridPage(GridPage):
    """A page that runs clicks.js, with a grid of ipydatagrid."""

    def __init__(self, grid: Any, name: str = "page") -> None:
        self.widget = grid._view.grid
        self.heading, self.body = grid._view.heading, grid._view._body
        if "send" not in vars(self.widget):
            self.widget.send = lambda content, buffers=None: self.widget.replies.append(content)
            self.widget.replies = []
        self.selections: list[dict[str, int]] = []
        super().__init__(grid, name)
        self.request(0, 10)

    def send(self, **content: Any) -> None:
        self.widget.replies.clear()
        message = {"page": self.name, "generation": self.generation, **content}
        self.widget._handle_custom_msg(message, [])
        if content.get("type") == "click":
            answer = {"event_type": "answer", "page": self.name, "number": self.number}
            assert self.widget.replies[-1] == answer

    def receive(self) -> None:
        self.generation = self.widget.generation
        self.selections = [dict(rectangle) for rectangle in self.widget.selections]

    def _reply(self, start: int, stop: int, view: str | None = None) -> dict[str, Any] | None:
        window = {"r1": start, "r2": stop, "c1": 0, "c2": 3, "view": view or "view"}
        self.send(type="data-request", **window)
        replies = [one for one in self.widget.replies if one.get("event_type") == "data-reply"]
        return replies[-1] if replies else None

    def request(self, start: int, stop: int, view: str | None = None) -> int | None:
        reply = self._reply(start, stop, view)
        return reply["r1"] if reply else None

    def column(self, label: str) -> list[str | None]:
        generation, self.generation = self.generation, self.widget.generation
        reply = self._reply(0, 10)
        self.generation = generation
        assert reply is not None
        cells = reply["value"]["data"][label]["value"]
        return [None if cell == "–" else cell for cell in cells]

    def pick_ranges(self, ranges: list[tuple[int, int]]) -> None:
        columns = len(self.widget._columns) - 1
        before, self.selections = (
            self.selections,
            [{"r1": start, "r2": stop - 1, "c1": 0, "c2": columns} for start, stop in ranges],
        )
        self.number += 1
        pick = {"kind": "pick", "selections": self.selections, "before": before}
        self.send(type="click", number=self.number, **pick)

    def sort(self, label: str) -> None:
        self.number += 1
        self.send(type="click", number=self.number, kind="sort", column=label)

    def clear(self) -> None:
        self.heading._handle_custom_msg({"kind": "clear"}, [])

    @property
    def count(self) -> int:
        return int(self.heading._count)

    @property
    def picked(self) -> list[int]:
        return [row for one in self.widget.selections for row in range(one["r1"], one["r2"] + 1)]

    @property
    def picked_count(self) -> int:
        return int(self.heading._picked)

    @property
    def reason(self) -> str:
        return str(self.heading._empty) if self.body.layout.display == "none" else ""

    @property
    def order(self) -> tuple[str, bool] | None:
        for sort in self.widget._transforms:
            return sort["column"], sort["desc"]
        return None


def open_page(grid: Any, name: str = "page") -> GridPage:
    """Show a grid on a page."""
    is_ours = type(grid._view).__name__ == "DomGridView"
    return DomPage(grid, name) if is_ours else DataGridPage(grid, name)
