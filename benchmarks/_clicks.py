"""Random clicks like those of a person, and everything that the screen shows after each.

This imports idc_widgets, so only processes that measure idc_widgets import it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from idc_widgets.index import FACETS, MORE_FACETS, RANGES
from idc_widgets.query import FacetValue, Histogram, row_source
from idc_widgets.widgets.grid.columns import COLUMNS
from idc_widgets.widgets.state import BrowserState

#: The relative frequency of each kind of click.
KINDS = {"tick": 50, "untick": 10, "range": 12, "words": 10, "patient": 9, "study": 6, "clear": 3}

#: Number of rows of a grid that are visible.
WINDOW = 40

#: Words that people search for, besides those that they see.
_WORDS = ("lung", "chest", "brain", "kernel", "axial", "contrast", "t2", "flair", "pet", "recon")

_WORD = re.compile(r"[A-Za-z]{3,}")

#: Level → the trait of the state that has the cohort of its grid, and the columns of that grid.
_GRIDS = {
    level: (trait, [column.name for column in COLUMNS[level]])
    for level, trait in (("patient", "filters"), ("study", "study_cohort"), ("series", "cohort"))
}

#: A click: its kind and its target, as JSON values, so that another process can repeat it.
Click = list[Any]


@dataclass
class Screen:
    """What the screen shows after a click, and how long it took to compute."""

    facets: dict[str, list[FacetValue]]
    windows: dict[str, Any]
    histograms: dict[str, Histogram]
    #: Seconds for everything but the histograms.
    seconds: float
    histogram_seconds: float


def make(state: BrowserState, click: Click | None) -> Screen:
    """Apply a click (None for no click), and compute the whole screen."""
    before = time.perf_counter()
    if click is not None:
        apply(state, click)
    facets = state.filters.facets([*FACETS, *MORE_FACETS])
    state.selection.summary()
    _ = state.selection.licenses()
    windows = {
        level: row_source(getattr(state, trait), level, columns=columns).window(0, WINDOW)
        for level, (trait, columns) in _GRIDS.items()
    }
    between = time.perf_counter()
    histograms = {column: state.filters.without(column).histogram(column) for column in RANGES}
    after = time.perf_counter()
    return Screen(facets, windows, histograms, between - before, after - between)


def apply(state: BrowserState, click: Click) -> None:
    """Apply a click as the widgets do."""
    kind, *rest = click
    if kind in ("tick", "untick"):
        column, values = rest
        state.filter_values(column, values)
    elif kind == "range":
        column, low, high = rest
        state.filters = state.filters.without(column).where(**{column: (low, high)})
    elif kind == "words":
        state.filters = state.filters.without("text").where(text=rest[0])
    elif kind == "patient":
        state.pick(patients=[tuple(rest[0])])
    elif kind == "study":
        state.pick(studies=rest)
    else:
        state.clear()


def walk(rng: random.Random, state: BrowserState) -> Iterator[tuple[Click, Screen]]:
    """Yield 2 to 6 clicks, each on something that the screen shows after the previous click."""
    state.clear()
    screen = make(state, None)
    for _ in range(rng.randint(2, 6)):
        click = _next(rng, state, screen)
        screen = make(state, click)
        yield click, screen


def _next(rng: random.Random, state: BrowserState, screen: Screen) -> Click:
    while True:
        [kind] = rng.choices([*KINDS], [*KINDS.values()])
        click = _CHOICES[kind](rng, state, screen)
        if click is not None:
            return [kind, *click]


def _tick(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    """Tick a value. Facets outside "More filters" and frequent values are more likely."""
    column = rng.choice([*FACETS * 4, *MORE_FACETS])
    chosen = list(state.filters.values(column))
    others = [facet for facet in screen.facets[column] if facet.value not in chosen]
    if not sum(facet.series for facet in others):
        return None
    [ticked] = rng.choices(others, [facet.series for facet in others])
    return [column, [*chosen, ticked.value]]


def _untick(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    ticked = [(column, value) for column in screen.facets for value in state.filters.values(column)]
    if not ticked:
        return None
    column, value = rng.choice(ticked)
    return [column, [other for other in state.filters.values(column) if other != value]]


def _range(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    """Choose a range of bins. Bins with many series are more likely."""
    histogram = screen.histograms[rng.choice([*RANGES])]
    if not sum(histogram.counts):
        return None
    bins = range(len(histogram.counts))
    first, last = sorted(rng.choices(bins, histogram.counts, k=2))
    if last - first == len(bins) - 1:
        return None
    return [histogram.column, *histogram.between(first, last)]


def _words(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    """Search for one or two words: from `_WORDS`, or from a description on the screen."""
    descriptions = screen.windows["series"]["SeriesDescription"]
    seen = {word.lower() for text in descriptions for word in _WORD.findall(text or "")}
    words = rng.sample(_WORDS, 1)
    if seen and rng.random() < 0.5:
        words = [rng.choice(sorted(seen))]
    if rng.random() < 0.3:
        words.append(rng.choice(_WORDS))
    return [" ".join(words)]


def _patient(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    rows = screen.windows["patient"]
    shown = list(zip(rows["collection_id"], rows["PatientID"], strict=True))
    return [list(rng.choice(shown))] if shown else None


def _study(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    shown = screen.windows["study"]["StudyInstanceUID"]
    return [rng.choice(shown)] if shown else None


def _clear(rng: random.Random, state: BrowserState, screen: Screen) -> list[Any] | None:
    return [] if state.filters.filters or state.patients or state.studies else None


_CHOICES = {
    "tick": _tick,
    "untick": _untick,
    "range": _range,
    "words": _words,
    "patient": _patient,
    "study": _study,
    "clear": _clear,
}
