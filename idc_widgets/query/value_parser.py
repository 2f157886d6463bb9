"""Parser of the values of filters: single values, dates and ages, and the ends of ranges."""

from __future__ import annotations

import datetime
import math
import re

from ..errors import InvalidQueryError, shown_value
from ..index import DATES, NUMERIC, RANGES, age_in_years, column_info
from .engine import Scalar
from .filters import Between

__all__ = ["check_unicode", "parse_range", "parse_scalar", "plain", "range_hint"]

#: Integers in DuckDB and Arrow have 64 bits with sign.
_MAX_INTEGER = (1 << 63) - 1

#: What people write for a range: "60-80", "60 to 80", ">= 60", "60+", "2010-2012".
_RANGE = re.compile(
    r"\s*(?P<sign>[<>]=?|[≤≥])?\s*(?P<low>\d+(?:\.\d+)?)\s*"
    r"(?:(?P<plus>\+)|(?:-|–|to|\.\.|:)\s*(?P<high>\d+(?:\.\d+)?))?\s*",
    re.ASCII,
)
_MAX_RANGE_CHARACTERS = 40


def parse_scalar(column: str, value: object) -> Scalar:
    """Return a value as the index stores it: None if missing, and a date as ISO 8601 text."""
    value = plain(value)
    if value is None:
        return None
    expected = (int, float) if column in NUMERIC else (str,)
    if not isinstance(value, expected) or isinstance(value, bool):
        kind = "a number" if column in NUMERIC else "text"
        raise InvalidQueryError(
            f"{column}={shown_value(value)}: expected {kind}, not {type(value).__name__}"
            + range_hint(column, value)
        )
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


def range_hint(column: str, value: object) -> str:
    """Return a hint how to pass a text such as "60-80" as a range; empty if it is no range.

    >>> range_hint("PatientAge", "60-80")
    '; for a range, pass a pair: PatientAge=(60, 80)'
    >>> range_hint("instanceCount", "<= 100")
    '; for a range, pass a pair: instanceCount=(None, 100)'
    """
    if column not in RANGES and column not in NUMERIC:
        return ""
    if column == "PatientAge" and type(value) in (int, float):
        value = f"{value}-{value}"
    match = _RANGE.fullmatch(value[:_MAX_RANGE_CHARACTERS]) if isinstance(value, str) else None
    if match is None:
        return ""
    low, high = match["low"], match["high"] or match["low"]
    is_year = len(low) == len(high) == 4
    is_range = match["sign"] or match["plus"] or match["high"] or column == "PatientAge"
    if not (is_year if column in DATES else is_range):
        return ""
    if column in NUMERIC and match["sign"] in ("<", ">") and low.isdecimal():
        step = 0 if column_info(column).kind == "size" else 1
        low, high = str(int(low) + step), str(max(0, int(high) - step))
    if column in DATES:
        low, high = repr(f"{low}-01-01"), repr(f"{high}-12-31")
    if match["sign"]:
        low, high = (low, "None") if match["sign"][0] in ">≥" else ("None", high)
    elif match["plus"]:
        high = "None"
    return f"; for a range, pass a pair: {column}=({low}, {high})"


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
            f"{column}={shown_value(bounds)}: a tuple is a range and has two ends, (low, high); "
            "use a list for several values"
        )
    if column not in NUMERIC and column not in RANGES:
        raise InvalidQueryError(
            f"{column}={shown_value(bounds)}: a range needs a number or date column, and {column} "
            "is text; use a list for several values"
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
            f"{column}: {shown_value(given)} is not a date; expected YYYY-MM-DD, such as "
            "'2010-04-01'"
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
            f"PatientAge: {shown_value(given)} is not an age; expected years, such as 60 or '060Y'"
        )
    return value


def _is_iso_date(text: str) -> bool:
    try:
        # Python 3.11 and later accept other ISO 8601 formats, too, but those do not sort as text.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
