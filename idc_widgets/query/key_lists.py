"""Conditions with lists of keys: of patients, and of series and studies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..index import LEVELS
from .condition import MAX_INLINE_VALUES, Condition, one_of_sql, sorted_unique
from .engine import Bind, literal
from .filters import OneOf

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["Patients", "Uids"]


@dataclass(frozen=True)
class Patients:
    """Series of certain patients.

    Args:
        keys: Pairs (collection_id, PatientID).
    """

    keys: tuple[tuple[str, str], ...]
    column: str = field(default="patients", init=False)

    def sql(self, bind: Bind) -> str:
        """Return an IN list of pairs."""
        if not self.keys:
            return "FALSE"
        columns = ", ".join(LEVELS["patient"].key)
        if len(self.keys) <= MAX_INLINE_VALUES or bind is literal:
            pairs = ", ".join(
                f"({bind(collection)}, {bind(patient)})" for collection, patient in self.keys
            )
            return f"({columns}) IN ({pairs})"
        collections, patients = (list(column) for column in zip(*self.keys, strict=True))
        return f"({columns}) IN (SELECT unnest({bind(collections)}), unnest({bind(patients)}))"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups of the patients."""
        return memory.mask_of_patients(self.keys)

    def and_(self, other: Patients) -> Patients:
        """Return a condition with the patients that both conditions accept."""
        other_keys = set(other.keys)
        return Patients(tuple(key for key in self.keys if key in other_keys))

    def or_(self, other: Condition) -> Patients | None:
        """Return a condition with the patients that either condition accepts."""
        if isinstance(other, Patients):
            return Patients(sorted_unique((*self.keys, *other.keys)))
        return None

    def argument(self) -> object:
        """Return the list of pairs."""
        return list(self.keys)


@dataclass(frozen=True)
class Uids:
    """Series whose UID, or whose study's UID, is in every list of UIDs.

    Args:
        clauses: The lists of UIDs.
    """

    clauses: tuple[tuple[str, ...], ...]
    column: str = field(default="uids", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL that looks for the UID of the series, or of its study, in each list."""
        columns = ("SeriesInstanceUID", "StudyInstanceUID")
        parts = [
            f"({' OR '.join(one_of_sql(column, uids, bind) for column in columns)})"
            for uids in self.clauses
        ]
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that match every list."""
        mask: Mask | None = None
        for uids in self.clauses:
            has_uid = OneOf("SeriesInstanceUID", uids).mask(memory)
            has_uid = has_uid | OneOf("StudyInstanceUID", uids).mask(memory)
            mask = has_uid if mask is None else mask & has_uid
        assert mask is not None, "there is at least one list of UIDs, possibly empty"
        return mask

    def and_(self, other: Uids) -> Uids:
        """Return a condition with the lists of both conditions."""
        return Uids(tuple(sorted({*self.clauses, *other.clauses})))

    def or_(self, other: Condition) -> Uids | None:
        """Return a condition with the UIDs of both conditions, if each has one list."""
        if isinstance(other, Uids) and len(self.clauses) == len(other.clauses) == 1:
            return Uids((sorted_unique((*self.clauses[0], *other.clauses[0])),))
        return None

    def argument(self) -> object:
        """Return the list of UIDs, or a list of lists for several clauses."""
        lists = [list(uids) for uids in self.clauses]
        return lists[0] if len(lists) == 1 else lists
