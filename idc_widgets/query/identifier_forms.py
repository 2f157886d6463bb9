"""The forms of UIDs and UUIDs."""

from __future__ import annotations

import re

__all__ = ["is_uid", "is_uuid"]

#: DICOM PS3.5, section 9.1: numbers joined by dots, 64 characters at most.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)
_MAX_UID_CHARACTERS = 64

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def is_uid(text: str) -> bool:
    """Return whether a text has the form of a UID.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("1.2.")
    (True, False)
    """
    return len(text) <= _MAX_UID_CHARACTERS and _UID.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Return whether a text has the form of a UUID such as a crdc_series_uuid, in any letter case.

    >>> is_uuid("0a1b2c3d-0000-4000-8000-0123456789AB"), is_uuid("0a1b2c3d")
    (True, False)
    """
    return _UUID.fullmatch(text) is not None
