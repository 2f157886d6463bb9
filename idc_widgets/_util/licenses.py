"""The one rule for licenses that do not allow commercial use."""

from __future__ import annotations

__all__ = ["allows_commercial_use_sql", "is_non_commercial"]

#: Part of the short name of each Creative Commons license with the NonCommercial clause, such as
#: "CC BY-NC 4.0".
_MARK = "-NC"


def is_non_commercial(license_name: str) -> bool:
    """Return whether a license has the NonCommercial clause of Creative Commons.

    >>> is_non_commercial("CC BY-NC 3.0"), is_non_commercial("CC BY 4.0")
    (True, False)
    """
    return _MARK in license_name


def allows_commercial_use_sql(column: str) -> str:
    """Return an SQL condition, the opposite of `is_non_commercial`; NULL for a missing license.

    >>> allows_commercial_use_sql("license_short_name")
    "license_short_name NOT LIKE '%-NC%'"
    """
    return f"{column} NOT LIKE '%{_MARK}%'"
