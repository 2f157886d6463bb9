"""Citations of the sources of series, formatted by a resolver of DOIs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from .._util import HttpError, open_http, shown_url
from ..errors import FetchError, InvalidQueryError

__all__ = ["IDC_DOI", "fetch_citations"]

#: The paper that IDC asks its users to cite.
IDC_DOI = "10.1148/rg.230180"

_MAX_CITATION_BYTES = 100_000


def fetch_citations(dois: Iterable[str], style: str, resolver: str) -> dict[str, str]:
    """Fetch one citation per DOI from a resolver, one after the other.

    Args:
        dois: DOIs without an address, such as "10.1148/rg.230180".
        style: See `Selection.citations`.
        resolver: The address of the resolver.

    Returns:
        The citations by DOI, in the order of `dois`. Characters that cannot be printed are replaced
        by spaces.

    Raises:
        InvalidQueryError: `style` cannot be the name of a style.
        FetchError: The resolver has no citation of a DOI, or cannot be reached.
    """
    media_type = _media_type(style)
    citations = {}
    with open_http() as http:
        for doi in dois:
            url = f"{resolver.rstrip('/')}/{quote(doi)}"
            try:
                body = http.get(url, _MAX_CITATION_BYTES, media_type)
                text = body.decode("utf-8", "replace").strip()
                if not text or text.startswith("<"):
                    raise HttpError("answers with something else than a citation")
            except HttpError as error:
                message = f"cannot fetch the citation of {doi}: {shown_url(url)} {error}"
                raise FetchError(message) from error
            citations[doi] = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return citations


def _media_type(style: str) -> str:
    """Return the media type to request for a style, see https://citation.doi.org/docs.html.

    >>> _media_type("bibtex"), _media_type("apa")
    ('application/x-bibtex', 'text/x-bibliography; style=apa')
    """
    if not re.fullmatch("[a-z0-9-]+", style):
        raise InvalidQueryError(
            f'{style!r} is not the name of a style; expected one such as "apa" or "bibtex"'
        )
    return "application/x-bibtex" if style == "bibtex" else f"text/x-bibliography; style={style}"
