"""Conditions that look at other series of the same study or patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..index import DERIVED_MODALITIES
from .engine import Bind, Scalar, literal
from .exclusion import filters_of
from .filters import PATIENT_KEY_SQL, Condition, OneOf, sorted_unique
from .matching import conjunction

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["Having", "SameStudy"]


@dataclass(frozen=True)
class Having:
    """Series of the studies or patients that have all of these values, anywhere in the index.

    Args:
        required: Triples (level, column, value); the level is "study" or "patient".
    """

    required: tuple[tuple[str, str, Scalar], ...]
    column: str = field(default="having", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL with one subquery per required value."""
        parts = []
        for level, column, value in self.required:
            key = "StudyInstanceUID" if level == "study" else PATIENT_KEY_SQL
            has_value = OneOf(column, (value,)).sql(bind)
            parts.append(f"{key} IN (SELECT {key} FROM index WHERE {has_value})")
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of all series in the studies or patients that qualify."""
        mask = memory.mask_of_everything()
        for level, column, value in self.required:
            has_value = memory.mask_of(OneOf(column, (value,)))
            mask = mask & memory.mask_of_same(level, has_value)
        return mask

    def and_(self, other: Having) -> Having:
        """Return a condition that requires the values of both conditions."""
        return Having(sorted_unique({*self.required, *other.required}))

    def argument(self) -> object:
        """Return one dict, or a list with one dict per level."""
        by_level: dict[str, dict[str, Any]] = {}
        for level, column, value in self.required:
            by_level.setdefault(level, {"level": level}).setdefault(column, []).append(value)
        arguments = list(by_level.values())
        return arguments[0] if len(arguments) == 1 else arguments


@dataclass(frozen=True)
class SameStudy:
    """Original images, or objects derived from them, in the studies of other series.

    Args:
        column: "originals_of" or "derived_from".
        sources: The conditions on the other series. If there are several sources, the study must
            have a series of each.
    """

    column: str
    sources: tuple[tuple[Condition, ...], ...]

    #: True for an original image: a series that is not an analysis result and has no modality of
    #: objects that describe images.
    IS_ORIGINAL_SQL = (
        "(analysis_result_id IS NULL AND (Modality IS NULL OR Modality NOT IN "
        f"({', '.join(map(literal, DERIVED_MODALITIES))})))"
    )

    def sql(self, bind: Bind) -> str:
        """Return SQL with one subquery per source."""
        is_original = self.IS_ORIGINAL_SQL
        parts = [is_original if self.column == "originals_of" else f"NOT {is_original}"]
        for source in self.sources:
            parts.append(
                "StudyInstanceUID IN"
                f" (SELECT StudyInstanceUID FROM index WHERE {conjunction(source, bind)})"
            )
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the originals or derived series in the studies of all sources."""
        mask = memory.mask_of(OneOf("analysis_result_id", (None,)))
        mask = mask & ~memory.mask_of(OneOf("Modality", DERIVED_MODALITIES))
        if self.column == "derived_from":
            mask = ~mask
        for source in self.sources:
            of_source = memory.mask_of_everything()
            for condition in source:
                of_source = of_source & memory.mask_of(condition)
            mask = mask & memory.mask_of_same("study", of_source)
        return mask

    def and_(self, other: SameStudy) -> SameStudy:
        """Return a condition with the sources of both conditions."""
        return SameStudy(self.column, tuple(sorted({*self.sources, *other.sources}, key=repr)))

    def argument(self) -> object:
        """Return the filters of the source as a dict, or a list with one dict per source."""
        arguments = [filters_of(source) for source in self.sources]
        return arguments[0] if len(arguments) == 1 else arguments
