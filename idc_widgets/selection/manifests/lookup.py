"""What a manifest names → the series of the index that are meant, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ...query import Cohort, Engine, OneOf, Parameters, known_texts
from ..identifiers import MOST_UIDS, find_uids, is_uid
from .parse import KEYS, UUID, Entry, Problem, UnknownLine, strange, unknown_line

__all__ = ["look_up"]

#: IDC's buckets at AWS, and at Google; the last one in manifests from before 2023.
BUCKETS = frozenset(
    (
        *("idc-open-data", "idc-open-data-cr", "idc-open-data-two"),
        *("idc-open-cr", "idc-open-idc1", "public-datasets-idc"),
    )
)


def look_up(engine: Engine, entries: Iterable[Entry]) -> tuple[set[str], list[UnknownLine]]:
    """The series that are meant, and what is not known."""
    texts: dict[str, dict[str, None]] = {kind: {} for kind in ("uid", *KEYS)}
    readable, unknowns = [], []
    for one in entries:
        if one.value.isprintable() and one.collection.isprintable():
            texts[one.kind][one.value] = None
            readable.append(one)
        else:
            odd = "it holds characters that no identifier has"
            unknowns.append(unknown_line(one.number, one.text, odd))
    series, uid_reasons = _look_up_uids(engine, texts)
    found, address_reasons = _look_up_addresses(engine, texts)
    series |= found
    pairs = {(one.collection, one.value) for one in readable if one.kind == "patient"}
    found, strangers = _look_up_patients(engine, pairs)
    series |= found
    reason: str | None
    for one in readable:
        if one.kind == "patient":
            reason = strangers.get((one.collection, one.value))
        elif one.kind in ("uuid", "url"):
            reason = address_reasons.get(one.value)
        else:
            reason = uid_reasons.get((one.kind, one.value))
        if reason is not None:
            unknowns.append(unknown_line(one.number, one.text, reason))
    return series, unknowns


_Texts: TypeAlias = Mapping[str, Mapping[str, None]]


def _look_up_uids(engine: Engine, texts: _Texts) -> tuple[set[str], dict[tuple[str, str], str]]:
    """The series of the UIDs, and why not of (kind, UID)."""
    series = known_texts(engine, "SeriesInstanceUID", [*texts["series"], *texts["uid"]])
    others = [uid for uid in texts["uid"] if uid not in series]
    studies = known_texts(engine, "StudyInstanceUID", [*texts["study"], *others])
    known = {"series": series, "study": studies, "uid": series | studies}
    rest = [(kind, uid) for kind in known for uid in texts[kind] if uid not in known[kind]]
    right = sorted({uid for _, uid in rest if is_uid(uid)})
    prior: dict[str, int] = {}
    for start in range(0, len(right), MOST_UIDS):
        prior.update(find_uids(engine, right[start : start + MOST_UIDS]).prior)
    words = {"series": "series", "study": "study", "uid": "series or study"}
    reasons = {}
    for kind, uid in rest:
        if uid in prior:
            reasons[kind, uid] = f"only prior versions of IDC had it, until v{prior[uid]}: {uid}"
        elif is_uid(uid):
            reasons[kind, uid] = f"no {words[kind]} of data {engine.data_version} is {uid}"
        else:
            reasons[kind, uid] = strange(uid)
    of_studies = {uid for uid in studies if uid in texts["study"] or uid not in series}
    meant = {uid for uid in series if uid in texts["series"] or uid in texts["uid"]}
    if of_studies:
        meant.update(Cohort(engine).of_studies(of_studies).select().uids)
    return meant, reasons


def _look_up_patients(
    engine: Engine, pairs: Iterable[tuple[str, str]]
) -> tuple[set[str], dict[tuple[str, str], str]]:
    wanted = set(pairs)
    if not wanted:
        return set(), {}
    rows = _rows(engine, ("collection_id", "PatientID"), "PatientID", {one for _, one in wanted})
    known = wanted.intersection(rows)
    reasons = {
        pair: f"no patient {pair[1][:80]!r} in a collection {pair[0][:80]!r}"
        for pair in wanted - known
    }
    return set(Cohort(engine).of_patients(known).select().uids if known else ()), reasons


def _look_up_addresses(engine: Engine, texts: _Texts) -> tuple[set[str], dict[str, str]]:
    """The series of crdc_series_uuids and addresses, and why not of them."""
    reasons: dict[str, str] = {}
    uuid_of: dict[str, str] = {}
    exact: dict[str, str] = {}  # as the index would have it; for tables of one's own
    for text in texts["uuid"]:
        if UUID.fullmatch(text):
            uuid_of[text] = text.lower()
        else:
            reasons[text] = f"{text[:80]!r} is no crdc_series_uuid"
    for text in texts["url"]:
        found = _address(text)
        if isinstance(found, Problem):
            reasons[text] = found.reason
            continue
        bucket, key = found
        exact[text] = f"s3://{bucket}/{key.rstrip('*').rstrip('/')}/*"
        problem = _no_series(bucket, key)
        if problem is None:
            uuid_of[text] = key[:36].lower()
        else:
            reasons[text] = problem
    series_of = dict(
        _rows(
            engine,
            ("crdc_series_uuid", "SeriesInstanceUID"),
            "crdc_series_uuid",
            set(uuid_of.values()),
        )
    )
    by_address = _rows(
        engine,
        ("series_aws_url", "SeriesInstanceUID"),
        "series_aws_url",
        {exact[text] for text in exact if uuid_of.get(text) not in series_of},
    )
    there = {address for address, _ in by_address}
    missing = {
        text: one
        for text, one in uuid_of.items()
        if one not in series_of and exact.get(text) not in there
    }
    prior = _prior_uuids(engine, set(missing.values()))
    for text, one in missing.items():
        default = f"no series of data {engine.data_version} has the crdc_series_uuid {one}"
        reasons[text] = prior.get(one, default)
    for text, address in exact.items():
        if address in there:
            reasons.pop(text, None)
    return {*series_of.values(), *(uid for _, uid in by_address)}, reasons


_HOSTS = (
    re.compile(r"(?:s3|gs)://([^/]+)/(.*)", re.IGNORECASE),
    re.compile(
        r"https?://([a-z0-9.-]+)\.(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com|storage\.googleapis\.com)"
        r"/(.*)",
        re.IGNORECASE,
    ),
    re.compile(
        r"https?://(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com|storage\.(?:googleapis|cloud\.google)"
        r"\.com)/([^/]+)/(.*)",
        re.IGNORECASE,
    ),
)
_KEY = re.compile(rf"{UUID.pattern}(/|/\*|/\*\.dcm)?", re.IGNORECASE)


def _address(text: str) -> tuple[str, str] | Problem:
    """The bucket and the key of an address."""
    for host in _HOSTS:
        found = host.fullmatch(text)
        if found:
            return found[1], found[2]
    return Problem(f"{text[:80]!r} is not the address of a series at AWS or Google")


def _no_series(bucket: str, key: str) -> str | None:
    """Why an address is not that of one series of IDC; None if it is."""
    if ".." in key.split("/"):
        return f"its path {key[:80]!r} leads elsewhere"
    if not _KEY.fullmatch(key):
        if re.search(r"[*?\[]", key.removesuffix("*")):
            return f"{key[:80]!r} is a pattern; expected one series, <crdc_series_uuid>/*"
        return f"{key[:80]!r} is not all of one series; expected <crdc_series_uuid>/*"
    return None if bucket in BUCKETS else f"{bucket[:80]!r} is not a bucket of IDC"


def _prior_uuids(engine: Engine, uuids: set[str]) -> dict[str, str]:
    """What to say of those that a prior version of IDC had."""
    if not uuids or "prior_versions_index" not in engine.tables():
        return {}
    columns = ("crdc_series_uuid", "SeriesInstanceUID", "max_idc_version")
    last: dict[str, tuple[int, str]] = {}
    for one, uid, version in _rows(engine, columns, columns[0], uuids, "prior_versions_index"):
        last[one] = max(last.get(one, (0, "")), (version, uid))
    current = known_texts(engine, "SeriesInstanceUID", {uid for _, uid in last.values()})
    return {
        one: (
            f"what series {uid} was until v{version}; it has changed since"
            if uid in current
            else f"only prior versions of IDC had it, until v{version}: series {uid}"
        )
        for one, (version, uid) in last.items()
    }


def _rows(
    engine: Engine, columns: Sequence[str], column: str, values: set[str], table: str = "index"
) -> list[Any]:
    """These columns, all distinct, of the rows with one of these values in a column."""
    if not values:
        return []
    params = Parameters()
    where = OneOf(column, tuple(sorted(values))).sql(params.bind)
    return engine.rows(f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {where}", params)
