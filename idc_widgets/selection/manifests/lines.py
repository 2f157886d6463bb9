"""Parse single lines of a manifest: s5cmd commands and identifiers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from ..identifiers import split_uids
from .entries import (
    ADDRESS,
    MAX_LINE_CHARACTERS,
    Entry,
    NotASeries,
    UnknownLine,
    kind_of,
    not_an_identifier,
    unknown_line,
)

__all__ = ["parse_line", "too_long", "unreadable"]


def parse_line(number: int, line: str) -> Iterator[Entry | UnknownLine]:
    """Yield the identifiers in a line, which is an s5cmd command or a list of identifiers.

    The commands are those that the portal writes (IDC's user guide, learn.canceridc.dev, "Cohort
    manifests") and that idc-index reads (github.com/ImagingDataCommons/idc-index,
    tests/study_manifest_gcs.s5cmd and tests/prior_version_manifest.s5cmd).
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return
    problem = unreadable(line)
    if problem is None and line.split(None, 1)[0] in _COMMANDS:
        source = _source_of_command(line)
        if not isinstance(source, NotASeries):
            yield Entry(number, line, "url", source)
            return
        problem = source.reason
    if problem is None:
        pieces = split_uids(line)
        kinds = [kind_of(piece) for piece in pieces]
        if len(pieces) == 1 or (pieces and None not in kinds):
            for piece, kind in zip(pieces, kinds, strict=True):
                yield Entry(number, piece, kind or "uid", piece)
            return
        problem = not_an_identifier(pieces[kinds.index(None)] if pieces else line)
    yield unknown_line(number, line, problem)


def unreadable(line: str) -> str | None:
    """Return the reason why a line cannot be parsed; None if it can."""
    if len(line) > MAX_LINE_CHARACTERS:
        return too_long(line)
    return "it contains a NUL character" if "\0" in line else None


def too_long(line: str) -> str:
    """Return the reason to reject a line that is too long."""
    return f"a line of {len(line):,} characters; expected {MAX_LINE_CHARACTERS:,} at most"


_COMMANDS = frozenset(
    (
        *("s5cmd", "cp", "sync", "mv", "rm", "ls", "du", "mb", "rb", "cat", "pipe", "run"),
        *("select", "head", "presign", "bucket-version", "version"),
    )
)
#: Options of s5cmd 2.3 that take a value.
_OPTIONS_WITH_VALUE = frozenset(
    (
        *("--endpoint-url", "--numworkers", "--retry-count", "-r", "--log", "--profile"),
        *("--credentials-file", "--concurrency", "-c", "--part-size", "-p", "--storage-class"),
        *("--source-region", "--destination-region", "--request-payer", "--addressing-style"),
        *("--sse", "--acl"),
    )
)
#: Options that select only some of the files of a series.
_PARTIAL_OPTIONS = frozenset(("--include", "--exclude", "--version-id"))
_QUOTED = re.compile(r"\"[^\"\\]*\"|'[^']*'")
_WORD = re.compile(rf"(?:{_QUOTED.pattern}|[^\s\"']+)+")
_SHELL_OPERATOR = re.compile(r"[;|&<>]")


def _split_words(line: str) -> list[str]:
    """Split a line of plain and quoted words as shlex.split does, but ten times as fast."""
    if '"' not in line and "'" not in line:
        return line.split()
    return [word.strip("\"'") for word in _WORD.findall(line)]


def _source_of_command(line: str) -> str | NotASeries:
    """Return the address that an s5cmd command copies from; ignore its destination."""
    if "`" in line or "$(" in line:
        return NotASeries("it contains a shell command")
    unquoted = _QUOTED.sub("", line) if '"' in line or "'" in line else line
    operator = _SHELL_OPERATOR.search(unquoted)
    if operator:
        return NotASeries(f"it contains {operator[0]!r}, which is shell syntax")
    try:
        needs_shlex = '"' in unquoted or "'" in unquoted or "\\" in line
        words = shlex.split(line) if needs_shlex else _split_words(line)
    except ValueError:
        return NotASeries("a quote is not closed")
    words.reverse()
    command, arguments = "", []
    while words:
        word = words.pop()
        if word.startswith("-"):
            option = word.split("=")[0]
            if option in _PARTIAL_OPTIONS:
                return NotASeries(f"{option} selects single files, but only whole series are read")
            if option in _OPTIONS_WITH_VALUE and "=" not in word and words:
                words.pop()
        elif not command:
            command = "" if word == "s5cmd" else word
            if command not in ("", "cp", "sync"):
                return NotASeries(f"the command {command[:80]!r}: only cp and sync are read")
        else:
            arguments.append(word)
    return _checked_arguments(arguments)


def _checked_arguments(arguments: list[str]) -> str | NotASeries:
    """Return the first argument of ``cp`` or ``sync``, or the problem if an argument is wrong."""
    if not 1 <= len(arguments) <= 2:
        return NotASeries(
            f"{len(arguments):,} arguments; expected the address of a series and a folder"
        )
    source, *destinations = arguments
    if not ADDRESS.match(source):
        return NotASeries(f"{source[:80]!r} is not the address of a series")
    for destination in destinations:
        if ADDRESS.match(destination):
            return NotASeries(f"it would write to {destination[:80]!r}")
        if ".." in destination and ".." in re.split(r"[/\\]", destination):
            return NotASeries(f"its folder {destination[:80]!r} contains '..'")
    return source
