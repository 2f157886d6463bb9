"""Citations of data sets, as a resolver of DOIs formats them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from .._util import HttpError, open_http, shown_url
from ..errors import FetchError

__all__ = ["fetch_citations"]

_MAX_CITATION_BYTES = 100_000


def fetch_citations(dois: Iterable[str], accept: str, resolver: str) -> dict[str, str]:
    """Fetch the citation of each DOI from a resolver, one after the other.

    Args:
        dois: without an address, such as "10.1148/rg.230180".
        accept: the media type to request, see https://citation.doi.org/docs.html.
        resolver: the address of the resolver.

    Returns:
        DOI → citation, in the order given. Characters that cannot be printed are blanks.

    Raises:
        FetchError: the resolver has no citation of a DOI, or cannot be reached.
    """
    citations = {}
    with open_http() as http:
        for doi in dois:
            url = f"{resolver.rstrip('/')}/{quote(doi)}"
            try:
                body = http.get(url, _MAX_CITATION_BYTES, accept)
                text = body.decode("utf-8", "replace").strip()
                if not text or text.startswith("<"):
                    raise HttpError("answers with something else than a citation")
            except HttpError as error:
                message = f"cannot fetch the citation of {doi}: {shown_url(url)} {error}"
                raise FetchError(message) from error
            citations[doi] = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return citations
