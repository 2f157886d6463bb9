"""Parser of the values of filters: single values, dates and ages, and the ends of ranges."""

from __future__ import annotations

import datetime
import math
import re

from ..errors import InvalidQueryError
from ..index import DATES, NUMERIC, RANGES, age_in_years
from .engine import Scalar
from .filters import Between

__all__ = ["check_unicode", "parse_range", "parse_scalar", "plain"]

#: Integers in DuckDB and Arrow have 64 bits with sign.
_MAX_INTEGER = (1 << 63) - 1


def parse_scalar(column: str, value: object) -> Scalar:
    """Return a value as the index stores it: None if missing, and a date as ISO 8601 text."""
    value = plain(value)
    if value is None:
        return None
    expected = (int, float) if column in NUMERIC else (str,)
    if not isinstance(value, expected) or isinstance(value, bool):
        kind = "a number" if column in NUMERIC else "text"
        raise InvalidQueryError(f"{column}={value!r}: expected {kind}, not {type(value).__name__}")
    # A member of an Enum becomes a plain value, because its repr is not a literal.
    if isinstance(value, str):
        value = str.__str__(value)
        check_unicode(column, value)
    elif isinstance(value, int):
        value = int(value)
        if abs(value) > _MAX_INTEGER:
            raise InvalidQueryError(f"{column}: expected an integer of at most 64 bits")
    if column in DATES and isinstance(value, str) and re.fullmatch(r"\d{8}", value, re.ASCII):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"  # the format of dates in DICOM
    return value


def check_unicode(name: str, text: str) -> None:
    """Raise InvalidQueryError if a text has characters that Unicode reserves."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{name}={text!r} is not Unicode: {error.reason}") from error


def plain(value: object) -> object:
    """Return a value of NumPy, pandas or datetime as plain Python; None if it is missing."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":  # numpy.datetime64
        value = str(value)[:10].replace("NaT", "") or None
    elif hasattr(value, "item"):  # any other NumPy scalar
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):  # missing values of pandas
        return None
    if isinstance(value, datetime.datetime):
        value = value.date()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value


def parse_range(column: str, bounds: tuple[object, ...]) -> Between:
    """Return the condition for a pair (low, high).

    Raises:
        InvalidQueryError: It is no pair, it is upside down, the column has no ranges, or an end is
            no value of the column.
    """
    if len(bounds) != 2:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a tuple is a range and has two ends, (low, high); "
            "use a list for several values"
        )
    if column not in NUMERIC and column not in RANGES:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a range needs a number or date column, and {column} is text; "
            "use a list for several values"
        )
    low, high = (_bound(column, bound, is_high) for is_high, bound in enumerate(bounds))
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        raise InvalidQueryError(f"{column}: the range is upside down, {low} > {high}")
    return Between(column, low, high)


def _bound(column: str, given: object, is_high: int) -> Scalar:
    """Return one end of a range; None if the range has no end there."""
    value = _age(given) if column == "PatientAge" else parse_scalar(column, given)
    if isinstance(value, float) and math.isinf(value):
        if (value > 0) == is_high:
            return None
        end, sign = ("end", "-") if is_high else ("begin", "")
        raise InvalidQueryError(f"{column}: a range cannot {end} at {sign}infinity")
    if column == "PatientAge":
        return value
    if column in DATES and value is not None and not _is_iso_date(str(value)):
        raise InvalidQueryError(
            f"{column}: {given!r} is not a date; expected YYYY-MM-DD, such as '2010-04-01'"
        )
    return value


def _age(given: object) -> float | None:
    """Return an age in years from a number of years or a DICOM Age String."""
    value = plain(given)
    if value is None:
        return None
    if isinstance(value, str):
        value = age_in_years(value)
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise InvalidQueryError(
            f"PatientAge: {given!r} is not an age; expected years, such as 60 or '060Y'"
        )
    return value


def _is_iso_date(text: str) -> bool:
    try:
        # Python 3.11 and later accept other ISO 8601 formats, too, but those do not sort as text.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
