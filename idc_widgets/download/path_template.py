"""Names of folders and files that are legal on Linux, macOS and Windows alike, and the template
that makes them of the columns of a row."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import DownloadError, unknown

__all__ = [
    "DEFAULT_TEMPLATE",
    "FORMS",
    "MAX_TAG",
    "Template",
    "component",
    "folded",
    "is_missing",
    "length",
    "max_length",
    "tag",
]

DEFAULT_TEMPLATE = "%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID"
"""Where a series goes below the chosen folder, unless told otherwise."""

FORMS = {"short": "%collection_id/%PatientID/%crdc_series_uuid", "flat": ""}
"""Templates that have a name. "flat" has no folders: a file is called `<tag of series>_<name>`."""

MAX_COMPONENT = 255  # bytes; what ext4, APFS and NTFS allow
MAX_TAG = 120  # bytes; leaves room for "_", the name of a file, and the digits it has meanwhile

_FORBIDDEN = frozenset('/\\:*?"<>|')  # on Windows, and "/" everywhere
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I)


@dataclass(frozen=True)
class Template:
    """A folder template that was read: the parts of each folder level."""

    levels: tuple[tuple[tuple[bool, str], ...], ...]  # a part: whether it is a column, and its text

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Template:
        """Read a template.

        Args:
            text: `%Column` is the value of that column (the longest name that fits), `%%` a
                percent sign, `/` (or a backslash) a new level; or a name in `FORMS`.
            columns: those that there are.

        Raises:
            DownloadError: no text, a column that there is not, or a % that names none.
        """
        anything: Any = text
        if not isinstance(anything, str):
            raise DownloadError(f"the template {text!r} is no text")
        columns = list(columns)
        text = FORMS.get(text, text)
        longest_first = sorted(filter(None, columns), key=len, reverse=True)
        names = "|".join(map(re.escape, longest_first))
        token = re.compile(rf"%(?P<column>{names})|(?P<text>%%|[^%]+)|%(?P<wrong>\w*)", re.ASCII)

        def part(match: re.Match[str]) -> tuple[bool, str]:
            if match["column"]:
                return True, match["column"]
            if match["text"]:
                return False, match["text"].replace("%%", "%")
            if match["wrong"]:
                raise DownloadError(
                    f"in the template: {unknown('column', match['wrong'], columns)}"
                )
            raise DownloadError(
                f"a % in the template {text!r} names no column; a percent sign itself is %%"
            )

        levels = filter(None, re.split(r"[/\\]+", text))
        return cls(tuple(tuple(map(part, token.finditer(level))) for level in levels))

    @property
    def columns(self) -> set[str]:
        """The columns that it names."""
        return {text for level in self.levels for is_column, text in level if is_column}

    def fill(self, row: Mapping[str, Any]) -> list[str]:
        """The folder names for a row, outermost first."""
        names = []
        for level in self.levels:
            parts = (_value(row[text]) if is_column else text for is_column, text in level)
            names.append(component("".join(parts)))
        return names


def is_missing(value: object) -> bool:
    """Whether it is None, or a float that is not a number."""
    return value is None or value != value


def _value(value: object) -> str:
    text = "" if is_missing(value) else str(value).strip()
    return text or "unknown"


@lru_cache(maxsize=1 << 16)  # series share patients, studies and collections
def component(text: str, limit: int = MAX_COMPONENT) -> str:
    """`text` as the name of one folder or file, legal everywhere, of at most `limit` bytes."""
    name = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in text)
    name = name.strip(" .") or "_"  # "..", hidden, and what Windows would drop from the end
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    encoded = name.encode()
    if len(encoded) > limit:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        name = f"{encoded[: limit - 17].decode(errors='ignore')}-{digest}"
    return name


def tag(prefix: str) -> str:
    """What marks the files of a series where all are in one folder: the prefix of its objects.

    It has no "_" (a UUID has none), so that the first "_" in a file's name is where it ends.
    """
    return component(prefix, MAX_TAG).replace("_", "-")


def folded(path: str) -> str:
    """A text that two paths share if a file system may take them for the same one.

    That is without regard to upper and lower case, and to how an accent is written.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def max_length(platform: str) -> tuple[int, str]:
    """How long a path can be on `platform` (as of `sys.platform`), and who says so."""
    match platform:
        case "win32":
            return 259, "Windows allows 259 characters"
        case "darwin":
            return 1023, "macOS allows 1,023 bytes"
    return 4095, "Linux allows 4,095 bytes"


def length(path: str | os.PathLike[str], platform: str) -> int:
    """How long a path is in the unit of `max_length`."""
    text = os.fspath(path)
    if platform == "win32":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(os.fsencode(text))
