"""Look up the identifiers of a manifest in the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ...query import Cohort, Engine, OneOf, distinct_rows, is_uid, known_texts, sorted_unique
from ..identifiers import MAX_UIDS, find_uids
from .addresses import look_up_addresses
from .entries import KEYS, Entry, UnknownLine, not_an_identifier, unknown_line

__all__ = ["look_up"]


def look_up(engine: Engine, entries: Iterable[Entry]) -> tuple[set[str], list[UnknownLine]]:
    """Return the series that entries name, and an `UnknownLine` for each entry that names none."""
    values: dict[str, dict[str, None]] = {kind: {} for kind in ("uid", *KEYS)}
    readable, unknown_lines = [], []
    for entry in entries:
        if entry.value.isprintable() and entry.collection.isprintable():
            values[entry.kind][entry.value] = None
            readable.append(entry)
        else:
            reason = "it contains characters that no identifier has"
            unknown_lines.append(unknown_line(entry.number, entry.text, reason))
    patients = {(entry.collection, entry.value) for entry in readable if entry.kind == "patient"}
    by_uid, uid_reasons = _look_up_uids(engine, values)
    by_address, address_reasons = look_up_addresses(engine, values["uuid"], values["url"])
    by_patient, patient_reasons = _look_up_patients(engine, patients)
    why: str | None
    for entry in readable:
        if entry.kind == "patient":
            why = patient_reasons.get((entry.collection, entry.value))
        elif entry.kind in ("uuid", "url"):
            why = address_reasons.get(entry.value)
        else:
            why = uid_reasons.get((entry.kind, entry.value))
        if why is not None:
            unknown_lines.append(unknown_line(entry.number, entry.text, why))
    return by_uid | by_address | by_patient, unknown_lines


#: Kind → its values. The inner dict is an ordered set.
_Values: TypeAlias = Mapping[str, Mapping[str, None]]


def _look_up_uids(engine: Engine, values: _Values) -> tuple[set[str], dict[tuple[str, str], str]]:
    """Return the series of the UIDs; and for each unknown UID: (kind, UID) → the reason."""
    series = known_texts(engine, "SeriesInstanceUID", [*values["series"], *values["uid"]])
    others = [uid for uid in values["uid"] if uid not in series]
    studies = known_texts(engine, "StudyInstanceUID", [*values["study"], *others])
    known = {"series": series, "study": studies, "uid": series | studies}
    missing = [(kind, uid) for kind in known for uid in values[kind] if uid not in known[kind]]
    uids = sorted({uid for _, uid in missing if is_uid(uid)})
    prior: dict[str, int] = {}
    for start in range(0, len(uids), MAX_UIDS):
        prior.update(find_uids(engine, uids[start : start + MAX_UIDS]).prior)
    words = {"series": "series", "study": "study", "uid": "series or study"}
    reasons = {}
    for kind, uid in missing:
        if uid in prior:
            reasons[kind, uid] = f"only earlier versions of IDC had it, until v{prior[uid]}: {uid}"
        elif is_uid(uid):
            reasons[kind, uid] = f"data {engine.data_version} has no {words[kind]} {uid}"
        else:
            reasons[kind, uid] = not_an_identifier(uid)
    # If a UID is that of a series and also of a study, it means the series.
    whole_studies = {uid for uid in studies if uid in values["study"] or uid not in series}
    selected = {uid for uid in series if uid in values["series"] or uid in values["uid"]}
    if whole_studies:
        selected.update(Cohort(engine).of_studies(whole_studies).select().uids)
    return selected, reasons


def _look_up_patients(
    engine: Engine, pairs: set[tuple[str, str]]
) -> tuple[set[str], dict[tuple[str, str], str]]:
    """Return the series of these patients; and for each unknown pair, the reason.

    Args:
        engine: The engine whose index is searched.
        pairs: Pairs (collection_id, PatientID).
    """
    if not pairs:
        return set(), {}
    columns = ("collection_id", "PatientID")
    patients = sorted_unique(patient for _, patient in pairs)
    rows = distinct_rows(engine, columns, [OneOf("PatientID", patients)])
    known = pairs.intersection(rows)
    reasons = {
        (collection, patient): f"no patient {patient[:80]!r} in a collection {collection[:80]!r}"
        for collection, patient in pairs - known
    }
    return set(Cohort(engine).of_patients(known).select().uids if known else ()), reasons
