"""Text out of HTML that others wrote."""

from __future__ import annotations

import time

import pytest

from idc_widgets._util import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Lung <b>CT</b> of\n422 patients", "Lung CT of 422 patients"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One\n \nTwo<br/>Three", "One\n\nTwo\n\nThree"),
        ("<ul><li>One</li><li>Two</li></ul>", "One\n\nTwo"),
        ("&lt;b&gt; &amp;amp; &eacute;&#8230;", "<b> &amp; é…"),
        ("<i>Data\nFrom</i> X &amp; Y", "Data From X & Y"),
        ("age (< 18 years), p<0.05 & more", "age (< 18 years), p<0.05 & more"),
        ("a<script>alert('<b>')</script>b<style>p {}</style>c<template>d</template>", "abc"),
        ("<script>never closed", ""),
        ("<img src=x onerror=alert(1)>text<!-- no -->", "text"),
        ("evil \u202etext\u200b\x00\x1b[31m", "evil text[31m"),
        ("a &#99999999999; b &#" + "9" * 5000, "a b"),
        ("", ""),
    ],
)
def test_html_becomes_text(html, text):
    assert plain_text(html, 2000) == text


def test_a_long_text_is_cut():
    assert plain_text("word " * 100, 12) == "word word w…"
    assert plain_text("<b></b>" * 1000 + "word", 100) == "…"
    assert plain_text("word " * 100_000, 100_000_000).count("word") == 100_000


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "&", "<p>", "</", "<![CDATA[", '<a b="', "<?", "&#9", "<script>"]
)
def test_hostile_html_takes_little_time(piece):
    start = time.process_time()
    plain_text(piece * 100_000, 1_000_000)
    assert time.process_time() - start < 5
