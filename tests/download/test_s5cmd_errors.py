"""The errors of s5cmd in plain words."""

from __future__ import annotations

import pytest

from idc_widgets.download.s5cmd_errors import in_plain_words, is_temporary


@pytest.mark.parametrize(
    ("message", "words", "passes"),
    [
        (
            "LoadCustomCABundleError: failed to open custom CA bundle PEM file caused by: "
            "open /etc/ssl/certs/ca.crt: no such file or directory",
            "the secure connection cannot be checked",
            False,
        ),
        ("open x: no such file or directory", "the folder was moved or deleted meanwhile", True),
        (
            "runtime: failed to create new OS thread (have 5 already; errno=11)",
            "the system starts no more threads; end other programs, or raise the limit",
            True,
        ),
    ],
)
def test_an_error_is_named_by_what_causes_it(message: str, words: str, passes: bool) -> None:
    assert in_plain_words(message).startswith(words)
    assert is_temporary(message) == passes
