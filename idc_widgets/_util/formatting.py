"""Numbers as text, the same in every message and widget."""

from __future__ import annotations

__all__ = ["MORE_THREADS", "and_more", "human_duration", "human_size", "one_line", "plural"]

#: What to do when no thread or process can be started.
MORE_THREADS = (
    "end other programs, or raise the limit of processes (ulimit -u, or that of the container)"
)

#: Unit and its number of bytes. 1 kB is 1000 bytes.
_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def human_size(size_bytes: float) -> str:
    """Return a number of bytes in decimal units (1 MB = 10^6 bytes), with one decimal.

    >>> human_size(70_513_634), human_size(9.994e13), human_size(12)
    ('70.5 MB', '99.9 TB', '12 bytes')
    """
    for unit, factor in _UNITS:
        # Use this unit from 999.5 of the next smaller unit on, which could show "1,000.0".
        if size_bytes >= factor * 0.9995:
            return f"{size_bytes / factor:,.1f} {unit}"
    return plural(round(size_bytes), "byte")


def human_duration(seconds: float) -> str:
    """Return a time span in its two largest units.

    >>> human_duration(8), human_duration(95), human_duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or the plural.

    The plural of "series" is "series", and that of a noun with "y" at the end has "ies".

    >>> plural(1, "study"), plural(12, "series"), plural(1044191, "file")
    ('1 study', '12 series', '1,044,191 files')
    """
    if count != 1 and noun != "series":
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun}"


def and_more(count: int, form: str = " (and {} more)") -> str:
    """Return the end of a list that leaves out `count` items; empty if it leaves out none.

    Args:
        count: The number of items that are left out.
        form: The text; the number replaces ``{}``.

    >>> and_more(3), and_more(1200, " and {} more"), and_more(0)
    (' (and 3 more)', ' and 1,200 more', '')
    """
    return form.format(f"{count:,}") if count > 0 else ""


def one_line(text: str) -> str:
    r"""Return a text as one line: a character that can end or reorder a line becomes "?".

    >>> one_line("own.csv\nimport os")
    'own.csv?import os'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
