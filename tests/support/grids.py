"""The grids of a page, found by their ARIA roles as assistive technology finds them."""

from __future__ import annotations

from typing import Literal

from playwright.sync_api import Locator, Page, expect

__all__ = ["Grid"]

#: JavaScript: return the numbers of the rows of a grid that are entirely in sight.
WHOLE_ROWS = """(grid) => {
  const area = grid.querySelector(".idc-grid-clip").getBoundingClientRect();
  return [...grid.querySelectorAll("[role=row]")].slice(1).filter((row) => {
    const { top, bottom, height } = row.getBoundingClientRect();
    return height && top >= area.top - 1 && bottom <= area.bottom + 1;
  }).map((row) => Number(row.getAttribute("aria-rowindex")) - 2);
}"""


class Grid:
    """One of the grids of a page. Rows are numbered from 0, without the header."""

    def __init__(self, page: Page, title: str) -> None:
        self.page = page
        heading = page.locator(".idc-grid-title").get_by_text(title, exact=True)
        self.root = page.locator(".idc-grid").filter(has=heading)
        self.title = self.root.locator(".idc-grid-title")
        self.count = self.root.locator(".idc-grid-count")
        self.grid = self.root.get_by_role("grid", name=title, exact=True)
        self.scroller = self.root.locator(".idc-grid-scroller")
        self.unpick = self.root.locator(".idc-grid-picked")
        self.status = self.root.get_by_role("status")

    def row(self, row: int) -> Locator:
        """Return a row; it is on the page only while it is in sight."""
        return self.grid.locator(f"[role=row][aria-rowindex='{row + 2}']:not([aria-busy='true'])")

    def rows(self) -> Locator:
        """Return the rows in sight."""
        return self.grid.locator("[role=row]:not([aria-rowindex='1']):visible")

    def header(self, label: str) -> Locator:
        """Return the header of a column."""
        return self.grid.get_by_role("columnheader", name=label, exact=True)

    def cell(self, row: int, label: str) -> Locator:
        """Return the cell of a row in the column with this label."""
        column = self.header(label).get_attribute("aria-colindex")
        return self.row(row).locator(f"[role=gridcell][aria-colindex='{column}']")

    def column(self, label: str) -> list[str]:
        """Return the texts of a column in the rows in sight."""
        column = self.header(label).get_attribute("aria-colindex")
        return self.rows().locator(f"[role=gridcell][aria-colindex='{column}']").all_text_contents()

    def picked(self) -> Locator:
        """Return the picked rows in sight."""
        return self.grid.get_by_role("row", selected=True)

    def whole_rows(self) -> list[int]:
        """Return the numbers of the rows that are entirely in sight."""
        numbers: list[int] = self.grid.evaluate(WHOLE_ROWS)
        return numbers

    def click(
        self, target: Locator, *modifiers: str, button: Literal["left", "right"] = "left"
    ) -> None:
        """Click in the middle of an element of the grid, where it is now.

        Playwright's own `click` scrolls in Firefox, even to an element that is in sight; then the
        element may show another row.
        """
        self.hover(target)
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.down(button=button)
        self.page.mouse.up(button=button)
        for key in modifiers:
            self.page.keyboard.up(key)

    def hover(self, target: Locator) -> None:
        """Move the mouse over the middle of an element of the grid, where it is now."""
        box = target.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def wait_for_rows(self) -> None:
        """Wait until each row in sight has its cells."""
        expect(self.grid).to_have_attribute("aria-busy", "false")

    def focus(self) -> None:
        """Focus the grid, as the Tab key does."""
        self.scroller.scroll_into_view_if_needed()
        self.grid.focus()

    def press(self, *keys: str) -> None:
        """Press keys in the grid."""
        self.grid.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag_bar_to(self, part: float) -> None:
        """Drag the scroll bar to a position between 0 (the top) and 1 (the bottom)."""
        self.scroller.evaluate(
            "(bar, part) => { bar.scrollTop = part * (bar.scrollHeight - bar.clientHeight); }", part
        )

    def wheel(self, delta: float) -> None:
        """Turn the wheel above the rows."""
        self.scroller.scroll_into_view_if_needed()
        box = self.scroller.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.wheel(0, delta)
