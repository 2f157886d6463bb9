"""Folder templates, and names that are legal on Linux, macOS and Windows alike."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import DownloadError, unknown_message

__all__ = [
    "DEFAULT_TEMPLATE",
    "FORMS",
    "MAX_NAME_BYTES",
    "RECORD_NAME",
    "WORK_FOLDER",
    "Template",
    "file_tag",
    "folded",
    "is_missing",
    "max_path_length",
    "path_length",
    "template_or_default",
]

DEFAULT_TEMPLATE = "%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID"
"""The folder of a series below the chosen folder, by default."""

FORMS = {"short": "%collection_id/%PatientID/%crdc_series_uuid", "flat": ""}
"""Templates that have a name. "flat" has no folders: files are named `<tag of series>_<name>`."""

WORK_FOLDER = ".idc_widgets"
"""Hidden folder below the chosen folder, for lock files and, in the flat form, for files that are
being fetched. It exists only while a download runs, or after one was killed. No template makes this
name, because it begins with a dot."""

RECORD_NAME = "idc_download.json"
"""The record of the downloads into a folder."""

MAX_NAME_BYTES = 255  # the limit of ext4, APFS and NTFS
MAX_TAG_BYTES = 120  # leaves room for "_", the name of a file, and the suffix of an unfinished one

_FORBIDDEN = frozenset('/\\:*?"<>|')  # on Windows; "/" everywhere
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I)


@dataclass(frozen=True)
class Template:
    """A parsed folder template.

    Args:
        levels: The parts of each folder level: (True, name of a column) or (False, text).
    """

    levels: tuple[tuple[tuple[bool, str], ...], ...]

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Template:
        """Parse a template.

        Args:
            text: A template or a name in `FORMS`. In a template, `%Column` is the value of that
                column (the longest name that fits), `%%` is a percent sign, and `/` (or a
                backslash) starts a new level.
            columns: The columns that the template may name.

        Raises:
            DownloadError: The template is not text, names an unknown column, or has a lone %.
        """
        anything: Any = text
        if not isinstance(anything, str):
            raise DownloadError(f"the template {text!r} is not text")
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
                    f"in the template: {unknown_message('column', match['wrong'], columns)}"
                )
            raise DownloadError(
                f"a % in the template {text!r} is not followed by a column; write a percent sign "
                "as %%"
            )

        levels = filter(None, re.split(r"[/\\]+", text))
        return cls(tuple(tuple(map(part, token.finditer(level))) for level in levels))

    @property
    def columns(self) -> set[str]:
        """The columns that the template names."""
        return {text for level in self.levels for is_column, text in level if is_column}

    def fill(self, row: Mapping[str, Any]) -> list[str]:
        """Return the folder names for a row, outermost first."""
        names = []
        for level in self.levels:
            parts = (_as_text(row[text]) if is_column else text for is_column, text in level)
            names.append(legal_name("".join(parts)))
        return names


def template_or_default(template: str | None) -> str:
    """Return `DEFAULT_TEMPLATE` for None, and any other template, even "", as it is."""
    return DEFAULT_TEMPLATE if template is None else template


def is_missing(value: object) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or value != value


def _as_text(value: object) -> str:
    text = "" if is_missing(value) else str(value).strip()
    return text or "unknown"


@lru_cache(maxsize=1 << 16)  # series share patients, studies and collections
def legal_name(text: str, limit: int = MAX_NAME_BYTES) -> str:
    """Turn text into a name for a folder or file that is legal on every platform.

    >>> legal_name("a/b:c"), legal_name("..."), legal_name("nul.txt")
    ('a_b_c', '_', '_nul.txt')

    Args:
        text: Characters that are not allowed become "_".
        limit: The most bytes (UTF-8) that the name may have; a longer name is cut and gets a hash.
    """
    name = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in text)
    name = name.strip(" .") or "_"  # no "..", no hidden file, no final dot, which Windows drops
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    encoded = name.encode()
    if len(encoded) > limit:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        name = f"{encoded[: limit - 17].decode(errors='ignore')}-{digest}"
    return name


def file_tag(prefix: str) -> str:
    """Return the tag that marks the files of a series in the flat form.

    It has no "_", so that the first "_" in the name of a file ends the tag.

    Args:
        prefix: The prefix of the objects. Usually it is a UUID, and the tag is the same.
    """
    return legal_name(prefix, MAX_TAG_BYTES).replace("_", "-")


def folded(path: str) -> str:
    """Return the same key for all paths that a file system may treat as the same.

    It ignores letter case and how an accent is encoded.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def max_path_length(platform: str) -> tuple[int, str]:
    """Return the length limit of paths on a platform (see `sys.platform`), and its explanation."""
    match platform:
        case "win32":
            return 259, "Windows allows 259 characters"
        case "darwin":
            return 1023, "macOS allows 1,023 bytes"
    return 4095, "Linux allows 4,095 bytes"


def path_length(path: str | os.PathLike[str], platform: str) -> int:
    """Return the length of a path in the unit of `max_path_length`."""
    text = os.fspath(path)
    if platform == "win32":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(os.fsencode(text))
