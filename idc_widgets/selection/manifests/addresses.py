"""Look up series by their crdc_series_uuids, or by addresses that contain such a UUID."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...download import IDC_BUCKETS
from ...query import Engine, OneOf, distinct_rows, is_uuid, known_texts, sorted_unique
from .entries import NotASeries

__all__ = ["look_up_addresses"]


def look_up_addresses(
    engine: Engine, uuids: Iterable[str], urls: Iterable[str]
) -> tuple[set[str], dict[str, str]]:
    """Return the series that some crdc_series_uuids and addresses name.

    Args:
        engine: The engine whose index is searched.
        uuids: Texts that should be crdc_series_uuids.
        urls: Texts that should be addresses of series.

    Returns:
        The SeriesInstanceUIDs; and for each text that names no series, the reason.
    """
    reasons: dict[str, str] = {}
    uuid_of: dict[str, str] = {}
    for text in uuids:
        if is_uuid(text):
            uuid_of[text] = text.lower()
        else:
            reasons[text] = f"{text[:80]!r} is not a crdc_series_uuid"
    # Text → its address in the form of series_aws_url. Users' own tables may have any address.
    address_of: dict[str, str] = {}
    for text in urls:
        location = _split_address(text)
        if isinstance(location, NotASeries):
            reasons[text] = location.reason
            continue
        bucket, key = location
        address_of[text] = f"s3://{bucket}/{key.rstrip('*').rstrip('/')}/*"
        problem = _why_not_a_series(bucket, key)
        if problem is None:
            uuid_of[text] = key[:_UUID_CHARACTERS].lower()
        else:
            reasons[text] = problem
    series_of = dict(_series_by(engine, "crdc_series_uuid", uuid_of.values()))
    addresses = {address_of[text] for text in address_of if uuid_of.get(text) not in series_of}
    by_address = _series_by(engine, "series_aws_url", addresses)
    known_addresses = {address for address, _ in by_address}
    missing = {
        text: uuid
        for text, uuid in uuid_of.items()
        if uuid not in series_of and address_of.get(text) not in known_addresses
    }
    prior = _prior_uuids(engine, set(missing.values()))
    for text, uuid in missing.items():
        default = f"no series of data {engine.data_version} has the crdc_series_uuid {uuid}"
        reasons[text] = prior.get(uuid, default)
    for text, address in address_of.items():
        if address in known_addresses:
            reasons.pop(text, None)
    return {*series_of.values(), *(uid for _, uid in by_address)}, reasons


#: Forms of an address: with s3:// or gs://, with the bucket in the host, or with it in the path.
#: Each pattern matches the bucket and the key.
_ADDRESSES = (
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
#: The key of a whole series is its crdc_series_uuid with one of these suffixes, in any letter case.
_UUID_CHARACTERS = 36
_SERIES_SUFFIXES = ("", "/", "/*", "/*.dcm")


def _split_address(text: str) -> tuple[str, str] | NotASeries:
    """Return the bucket and the key of an address."""
    for pattern in _ADDRESSES:
        match = pattern.fullmatch(text)
        if match:
            return match[1], match[2]
    return NotASeries(f"{text[:80]!r} is not the address of a series at AWS or Google")


def _why_not_a_series(bucket: str, key: str) -> str | None:
    """Return the reason why an address is not that of a whole IDC series; None if it is."""
    if ".." in key.split("/"):
        return f"its path {key[:80]!r} contains '..'"
    uuid, suffix = key[:_UUID_CHARACTERS], key[_UUID_CHARACTERS:]
    if not is_uuid(uuid) or suffix.lower() not in _SERIES_SUFFIXES:
        if re.search(r"[*?\[]", key.removesuffix("*")):
            return f"{key[:80]!r} is a pattern; expected a single series, <crdc_series_uuid>/*"
        return f"{key[:80]!r} is not a whole series; expected <crdc_series_uuid>/*"
    return None if bucket in IDC_BUCKETS else f"{bucket[:80]!r} is not a bucket of IDC"


def _series_by(engine: Engine, column: str, values: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs (value, SeriesInstanceUID) for those values that occur in a column."""
    wanted = sorted_unique(values)
    if not wanted:
        return []
    columns = (column, "SeriesInstanceUID")
    return [(value, uid) for value, uid in distinct_rows(engine, columns, [OneOf(column, wanted)])]


def _prior_uuids(engine: Engine, uuids: set[str]) -> dict[str, str]:
    """Return uuid → reason, for each crdc_series_uuid that only earlier versions of IDC have."""
    if not uuids or "prior_versions_index" not in engine.tables():
        return {}
    columns = ("crdc_series_uuid", "SeriesInstanceUID", "max_idc_version")
    last: dict[str, tuple[int, str]] = {}
    condition = OneOf("crdc_series_uuid", sorted_unique(uuids))
    for uuid, uid, version in distinct_rows(engine, columns, [condition], "prior_versions_index"):
        last[uuid] = max(last.get(uuid, (0, "")), (version, uid))
    current = known_texts(engine, "SeriesInstanceUID", {uid for _, uid in last.values()})
    return {
        uuid: (
            f"it is series {uid} as it was until v{version}; the series has changed since"
            if uid in current
            else f"only earlier versions of IDC had it, until v{version}: series {uid}"
        )
        for uuid, (version, uid) in last.items()
    }
