"""What the errors of s5cmd mean, and whether another try may succeed."""

from __future__ import annotations

import re

from .._util import MORE_THREADS

__all__ = ["in_plain_words", "is_disk_full", "is_temporary"]

# Pattern of an error, its meaning in plain words, and whether another try may succeed
_PLAIN_WORDS = (
    # This pattern comes first, because its messages may also have "no such file or directory".
    (r"x509|certificate|CABundle", "the secure connection cannot be checked", False),
    (
        r"failed to create new OS thread|resource temporarily unavailable",
        f"the system starts no more threads; {MORE_THREADS}",
        True,
    ),
    (r"no object found|NoSuchKey|NoSuchBucket|NotFound|code: 404", "not on the server", False),
    (r"AccessDenied|Forbidden|status code: 403", "the server refuses access", False),
    (
        r"SlowDown|status code: (503|429)|TooManyRequests",
        "the server is overloaded, try again later",
        True,
    ),
    (r"InternalError|status code: 5\d\d", "the server has a fault, try again later", True),
    (r"no space left|disk quota", "the disk is full", False),
    (r"file too large", "the file is larger than the disk or a limit of the user allows", False),
    (
        r"permission denied|read-only file system|operation not permitted",
        "the folder cannot be written to",
        False,
    ),
    (r"not a directory|file exists", "a file is where a folder should be", False),
    (r"no such file or directory", "the folder was moved or deleted meanwhile", True),
    (r"file name too long", "the path is too long", False),
    (r"no such host|server misbehaving", "the server's name cannot be found", True),
    (
        r"connection re|broken pipe|timeout|\bEOF\b|RequestError",
        "the connection failed",
        True,
    ),
)


def _meaning(message: str) -> tuple[str, bool]:
    for pattern, words, is_temporary in _PLAIN_WORDS:
        if re.search(pattern, message, re.I):
            return words, is_temporary
    return "", False


def in_plain_words(message: str) -> str:
    """Explain an error of s5cmd to people who do not know S3, and quote it in parentheses.

    >>> in_plain_words("AccessDenied: Access Denied status code: 403, request id: , host id:")
    'the server refuses access (AccessDenied: Access Denied status code: 403)'
    """
    detail = " ".join(re.sub(r", (request|host) id: ?\w*", "", message).split())
    detail = detail if len(detail) <= 300 else f"{detail[:299]}…"
    words, _ = _meaning(message)
    return f"{words} ({detail})" if words else detail


def is_temporary(message: str) -> bool:
    """Return whether an error is temporary: a busy server is, a full disk is not."""
    return _meaning(message)[1]


def is_disk_full(message: str) -> bool:
    """Return whether an error means that nothing more can be written."""
    return re.search("no space left|disk quota", message, re.I) is not None
