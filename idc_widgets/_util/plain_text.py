"""Text for people, out of HTML that others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

__all__ = ["plain_text"]

#: At most this many characters of HTML are read for each character of text.
_HTML_PER_CHARACTER = 5

#: Elements that begin and end a paragraph.
_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "hr", "li", "ol", "p"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "pre", "section", "table", "td", "th", "tr", "ul"),
    )
)

#: Element whose content is not text for people → its end.
_HIDDEN = {
    tag: re.compile(f"</{tag}\\b[^<>]*>", re.IGNORECASE)
    for tag in ("script", "style", "template", "title", "textarea")
}

#: The beginning of a comment, or a tag. The standard library's parser takes quadratic time.
_MARKUP = re.compile(r"<!--|<[!?/]?([a-zA-Z][a-zA-Z0-9]*)\b[^<>]*>")

#: A reference to a character that does not exist; `unescape` may refuse to read its number.
_NO_CHARACTER = re.compile("&#[0-9]{8,};?")

_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")


def plain_text(html: str, limit: int) -> str:
    r"""Return the text of HTML: paragraphs of one line each, with an empty line between them.

    The result may still contain "<" and "&": escape it in HTML. Characters that cannot be printed
    are dropped, among them those that change the direction of a text.

    Args:
        html: The HTML. It need not be well-formed, and may be plain text.
        limit: The largest number of characters of the result. A longer text ends with "…".

    >>> plain_text("<p>Lung <b>CT</b> &amp; SEG,\nage &lt; 18</p><script>x()</script>", 100)
    'Lung CT & SEG, age < 18'
    """
    longest = limit * _HTML_PER_CHARACTER
    content = _NO_CHARACTER.sub("", "".join(_without_tags(html[:longest])))
    paragraphs = (
        " ".join("".join(c for c in word if c.isprintable()) for word in paragraph.split())
        for paragraph in _PARAGRAPH_END.split(unescape(content))
    )
    text = "\n\n".join(filter(None, map(str.strip, paragraphs)))
    is_cut = len(text) > limit or len(html) > longest
    return f"{text[: limit - 1].rstrip()}…" if is_cut else text


def _without_tags(html: str) -> Iterator[str]:
    """Yield the texts between the tags, and an empty line for the start and end of a block."""
    position = 0
    while match := _MARKUP.search(html, position):
        yield html[position : match.start()]
        position = match.end()
        tag = (match[1] or "").lower()
        if match[0] == "<!--":
            position = _end(html, html.find("-->", position), len("-->"))
        elif tag in _HIDDEN and match[0][1] != "/":
            end = _HIDDEN[tag].search(html, position)
            position = end.end() if end else len(html)
        elif tag in _BLOCKS:
            yield "\n\n"
    yield html[position:]


def _end(html: str, found: int, length: int) -> int:
    """Return the end of a text that was found in `html`, or the end of `html`."""
    return len(html) if found < 0 else found + length
