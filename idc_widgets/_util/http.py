"""Files over HTTP: whole and checked, or not there at all.

Bytes are written to a hidden partial file beside the target, whose name carries what the whole
file must hash to. So a later call, or the next mirror, goes on where this one stopped, and bytes
of another file are never mixed in. Nothing that a server says is put into a message.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import requests

from ..errors import FetchError
from .atomic import move_into_place, remove
from .formatting import human_duration, human_size, plural
from .locks import locked

__all__ = [
    "TIMEOUT",
    "Progress",
    "fetch_citations",
    "fetch_file",
    "fetch_folder",
    "progress_line",
]

#: Called with the bytes that are there, and all there will be, or None if nobody said.
Progress: TypeAlias = "Callable[[int, int | None], object]"

#: Seconds to connect, and seconds without a byte.
TIMEOUT = (10.0, 60.0)

#: Seconds before the first retry; twice as long before each further one.
PAUSE = 0.5

#: Tries of one mirror in a row that bring less than a megabyte each.
_TRIES = 4
_CHUNK = 1 << 14  # what of it had arrived when the connection breaks is lost
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_MAX_LISTING = 10_000_000
_MAX_PAGES = 100
_MAX_CITATION = 100_000


class _MirrorError(Exception):
    """Why one mirror did not do, in our own words."""

    def __init__(self, words: str, *, answered: bool = True, retry: bool = False) -> None:
        super().__init__(words)
        self.answered = answered
        self.retry = retry


@dataclass(frozen=True)
class _Check:
    """What a whole file is known by: a digest in hexadecimal, a size in bytes, or both."""

    algorithm: str = ""
    digest: str = ""
    size: int | None = None

    def complaint(self, path: Path) -> str:
        """What is wrong with the file, or nothing."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"sends {plural(size, 'byte')}, but lists {self.size:,}"
        if self.algorithm:
            # MD5 finds damage only, not malice; it is what S3 has.
            found = hashlib.new(self.algorithm, usedforsecurity=False)
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    found.update(chunk)
            if found.hexdigest() != self.digest:
                return f"sends a file with a wrong {self.algorithm.upper()} checksum"
        return ""


@dataclass(frozen=True)
class _Object:
    """An object of a bucket, as it is listed."""

    key: str
    size: int
    etag: str

    @property
    def check(self) -> _Check:
        # Of an object that was uploaded in parts, the ETag is no MD5; it has a dash then.
        if re.fullmatch("[0-9a-f]{32}", self.etag):
            return _Check("md5", self.etag, self.size)
        return _Check(size=self.size)


def fetch_file(
    name: str,
    urls: Sequence[str],
    target: Path,
    *,
    sha256_urls: Sequence[str],
    progress: Progress | None = None,
    timeout: tuple[float, float] = TIMEOUT,
    pause: float = PAUSE,
    session: requests.Session | None = None,
) -> Path:
    """Fetches one file from the first mirror that gives it whole.

    Args:
        name: what errors call it.
        urls: the mirrors of the file, tried in turn.
        target: where to. Its folder is made; a file that is there is replaced.
        sha256_urls: where its checksum may be had, tried in turn; one holds for all mirrors.
        progress: called while bytes arrive, and at the end.
        timeout: seconds to connect, and seconds without a byte.
        pause: seconds before the first retry of a mirror that broke off.
        session: of requests; by default a new one.

    Returns:
        `target`.

    Raises:
        FetchError: there is no checksum, no mirror gave the whole file, or it cannot be written.
            `target` is then as it was; what arrived before the connection broke is kept beside
            it, hidden, for the next call.
    """
    with _http(session, timeout, pause) as http:
        check, silent = _checksum(http, name, sha256_urls)
        said = []
        with _claimed(name, target, check.digest) as part:
            for url in urls:
                try:
                    if _host(url) in silent:  # do not wait once more for who was not there
                        raise silent[_host(url)]
                    http.pull(url, part, check, progress)
                except _MirrorError as error:
                    said.append(f"{_shown(url)} {error}")
                    continue
                if progress is not None:
                    size = _size(part)
                    progress(size, size)
                move_into_place(part, target)
                return target
    raise FetchError(f"cannot fetch {name}: {'; '.join(said) or 'no mirror is named'}")


def fetch_folder(
    name: str,
    endpoint_url: str,
    bucket: str,
    prefix: str,
    target: Path,
    *,
    suffix: str = ".parquet",
    progress: Progress | None = None,
    timeout: tuple[float, float] = TIMEOUT,
    pause: float = PAUSE,
    session: requests.Session | None = None,
) -> Path:
    """Fetches the objects below a prefix of a public S3 bucket into one folder: all, or none.

    The size of each is checked, and its MD5 where the ETag is one.

    Args:
        name: what errors call it.
        endpoint_url: the S3 server.
        bucket: the bucket.
        prefix: what the keys begin with; ends with a slash.
        target: the folder, which is made; one that is there stays as it is.
        suffix: objects whose keys end otherwise are left out.
        progress, timeout, pause, session: as of `fetch_file`.

    Returns:
        `target`, with the files ``00000.parquet`` and so on, in the order of the keys.

    Raises:
        FetchError: not all could be had, or they cannot be written; else as of `fetch_file`.
    """
    base = f"{endpoint_url.rstrip('/')}/{bucket}"
    with _http(session, timeout, pause) as http:
        try:
            objects = [one for one in _listed(http, base, prefix) if one.key.endswith(suffix)]
            if not objects:
                raise _MirrorError(f"has nothing called {prefix}*{suffix}")
        except _MirrorError as error:
            raise FetchError(f"cannot fetch {name}: {_shown(base)} {error}") from error
        total = sum(one.size for one in objects)
        key = hashlib.sha256(repr(objects).encode()).hexdigest()
        with _claimed(name, target, key) as folder:
            folder.mkdir(exist_ok=True)
            done = 0
            for place, one in enumerate(objects):
                file = folder / f"{place:05}{suffix}"
                if not file.is_file():
                    url, part = f"{base}/{quote(one.key)}", folder / f".{file.name}.part"
                    try:
                        http.pull(url, part, one.check, _shifted(progress, done, total))
                    except _MirrorError as error:
                        raise FetchError(f"cannot fetch {name}: {_shown(url)} {error}") from error
                    os.replace(part, file)
                done += one.size
            if progress is not None:
                progress(total, total)
            move_into_place(folder, target)
    return target


def fetch_citations(
    dois: Iterable[str],
    accept: str,
    resolver: str,
    *,
    timeout: tuple[float, float] = TIMEOUT,
    pause: float = PAUSE,
    session: requests.Session | None = None,
) -> dict[str, str]:
    """DOI → what a resolver answers when it is asked for a citation, in the order given.

    Args:
        dois: without an address, such as "10.1148/rg.230180".
        accept: the media type that is asked for.
        resolver: its address.
        timeout, pause, session: as of `fetch_file`.

    Raises:
        FetchError: one of them cannot be had.
    """
    found = {}
    with _http(session, timeout, pause) as http:
        for doi in dois:
            url = f"{resolver.rstrip('/')}/{quote(doi)}"
            try:
                text = http.small(url, _MAX_CITATION, accept).decode("utf-8", "replace").strip()
                if not text or text.startswith("<"):
                    raise _MirrorError("answers with something else than a citation")
            except _MirrorError as error:
                raise FetchError(
                    f"cannot get the citation of {doi}: {_shown(url)} {error}"
                ) from error
            found[doi] = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return found


def progress_line(name: str) -> Progress | None:
    """One line on stderr, rewritten in place; None where it would not be seen so."""
    stream = sys.stderr
    # Jupyter's stream says that it is no terminal, but rewrites a line like one.
    if stream is None or not (stream.isatty() or type(stream).__module__.startswith("ipykernel")):
        return None
    next_at, ended = 0.0, False

    def write(done: int, total: int | None) -> None:
        nonlocal next_at, ended
        if ended or (done != total and time.monotonic() < next_at):
            return
        next_at, ended = time.monotonic() + 0.2, done == total
        text = f"{name}: {_of(done, None if ended else total)}"
        stream.write(f"\r{text:<60}" + "\n" * ended)
        stream.flush()

    return write


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one file of several, told as progress of all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


# --- one mirror ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Http:
    """A session and how patient it is. All it raises is `_MirrorError`, or OSError of the disk."""

    session: requests.Session
    timeout: tuple[float, float]
    pause: float

    def pull(self, url: str, part: Path, check: _Check, progress: Progress | None) -> None:
        """Makes `part` the whole file; removes it if it turns out to be another."""
        resumed = _size(part) > 0
        self._fill(url, part, check, progress)
        complaint = check.complaint(part)
        if complaint and resumed:  # what was there already may be to blame
            remove(part)
            self._fill(url, part, check, progress)
            complaint = check.complaint(part)
        if complaint:
            remove(part)
            raise _MirrorError(complaint)

    def _fill(self, url: str, part: Path, check: _Check, progress: Progress | None) -> None:
        """Brings `part` to its full length; what it has already is not asked for again."""
        etag, answered, tries = "", False, 0
        while True:
            have = _size(part)
            if have and have == check.size:
                return
            headers = {"Range": f"bytes={have}-"} if have else {}
            if have and etag:  # a file that was replaced meanwhile is then sent whole
                headers["If-Range"] = etag
            try:
                with self._get(url, headers) as response:
                    answered, etag = True, _strong_etag(response)
                    self._save(response, part, have, progress)
                return
            except _MirrorError as said:
                tries = 1 if _size(part) - have > 1_000_000 else tries + 1
                # Who never answered is left for the next mirror; who did may be back in a moment.
                if tries == _TRIES or not (said.retry or (answered and not said.answered)):
                    raise
            time.sleep(self.pause * 2 ** (tries - 1))

    def _save(
        self, response: requests.Response, part: Path, have: int, progress: Progress | None
    ) -> None:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # there is no more
            remove(part)
            raise _MirrorError("does not have that part of the file", retry=True)
        _raise_for_status(response)
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _MirrorError("answers with a web page, not the file (a login page or a proxy?)")
        done, total = 0, _number(response.headers.get("Content-Length", ""))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            sent = re.fullmatch(
                r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)",
                response.headers.get("Content-Range", ""),
            )
            if sent is None or int(sent[1]) != have:
                remove(part)
                raise _MirrorError("sends another part of the file than was asked for", retry=True)
            done, total = have, _number(sent[2])
        try:
            with part.open("ab" if done else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
                file.flush()
                os.fsync(file.fileno())
        except requests.RequestException as error:
            if "timed out" in str(error):
                # A retry may well wait as long again; the next mirror is the better bet.
                how = f"sent nothing for {self._patience()}"
                raise _MirrorError(f"{how}, after {_of(done, total)}") from error
            raise _MirrorError(f"broke off after {_of(done, total)}", retry=True) from error
        if total is not None and done < total:
            raise _MirrorError(f"broke off after {_of(done, total)}", retry=True)

    def small(self, url: str, limit: int, accept: str = "*/*") -> bytes:
        """A short answer, of `limit` bytes at most, as a whole."""
        try:
            return self._small(url, limit, accept)
        except _MirrorError as said:
            if not said.retry:
                raise
        time.sleep(self.pause)
        return self._small(url, limit, accept)

    def _small(self, url: str, limit: int, accept: str) -> bytes:
        with self._get(url, {"Accept": accept}) as response:
            _raise_for_status(response)
            body = b""
            try:
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > limit:
                        raise _MirrorError("answers with something else than was asked for")
            except requests.RequestException as error:
                raise _MirrorError("broke off", retry=True) from error
            return body

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        # Compressed on the way, a part of a file would not be what its Range says.
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            return self.session.get(url, headers=headers, stream=True, timeout=self.timeout)
        except requests.ConnectTimeout as error:
            words = f"does not answer within {human_duration(self.timeout[0])} (offline?)"
            raise _MirrorError(words, answered=False) from error
        except requests.Timeout as error:
            raise _MirrorError(f"sent nothing for {self._patience()}", answered=False) from error
        except requests.exceptions.SSLError as error:
            words = "has a certificate that is not trusted (a proxy in between?)"
            raise _MirrorError(words, answered=False) from error
        except requests.exceptions.ProxyError as error:
            raise _MirrorError("cannot be reached through the proxy", answered=False) from error
        except requests.ConnectionError as error:
            if "Connection aborted" in str(error):  # somebody is there, and hung up
                raise _MirrorError("broke off before it answered", retry=True) from error
            raise _MirrorError("cannot be reached (offline?)", answered=False) from error
        except (requests.RequestException, ValueError) as error:
            words = f"cannot be asked ({type(error).__name__})"
            raise _MirrorError(words, answered=False) from error

    def _patience(self) -> str:
        return human_duration(self.timeout[1])


@contextmanager
def _http(
    session: requests.Session | None, timeout: tuple[float, float], pause: float
) -> Iterator[_Http]:
    if session is not None:
        yield _Http(session, timeout, pause)
        return
    with requests.Session() as session:
        session.headers["User-Agent"] = "idc_widgets"
        yield _Http(session, timeout, pause)


def _checksum(
    http: _Http, name: str, urls: Sequence[str]
) -> tuple[_Check, dict[str, _MirrorError]]:
    """The SHA-256 of a file, and the servers that did not answer when asked for it."""
    said: dict[str, _MirrorError] = {}
    silent: dict[str, _MirrorError] = {}
    for url in urls:
        try:
            # As sha256sum writes it: the digest, and the name of the file.
            words = http.small(url, 1000).decode("ascii", "replace").split()
            if words and re.fullmatch("[0-9a-fA-F]{64}", words[0]):
                return _Check("sha256", words[0].lower()), silent
            raise _MirrorError("is not a checksum")
        except _MirrorError as error:
            said[url] = error
            if not error.answered:
                silent[_host(url)] = error
    if said and all(not error.answered for error in said.values()):
        problem = "no mirror answers"
    else:
        problem = "no mirror has its checksum, without which no file is to be trusted"
    reasons = "; ".join(f"{_shown(url)} {error}" for url, error in said.items())
    raise FetchError(f"cannot fetch {name}: {problem}: {reasons}")


def _listed(http: _Http, base: str, prefix: str) -> list[_Object]:
    """The objects of a bucket whose keys begin with `prefix`, in the order of their keys."""
    objects: list[_Object] = []
    token: str | None = None
    for _ in range(_MAX_PAGES):
        url = f"{base}?list-type=2&prefix={quote(prefix, safe='')}"
        if token:
            url += f"&continuation-token={quote(token, safe='')}"
        body = http.small(url, _MAX_LISTING)
        try:
            if b"<!DOCTYPE" in body:  # S3 sends none; entities could be nested to any size
                raise ValueError("a document type")
            page = ElementTree.fromstring(body)
            for entry in page.iterfind("{*}Contents"):
                key = entry.findtext("{*}Key", "")
                if key.startswith(prefix):
                    etag = entry.findtext("{*}ETag", "").strip('"')
                    objects.append(_Object(key, int(entry.findtext("{*}Size", "")), etag))
        except (ElementTree.ParseError, ValueError) as error:
            raise _MirrorError("answers with something else than a list of files") from error
        token = page.findtext("{*}NextContinuationToken")
        if not token:
            return objects
    raise _MirrorError("lists more files than any table has")


def _raise_for_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    known = {one.value: f" ({one.phrase})" for one in HTTPStatus}
    raise _MirrorError(f"answers HTTP {status}{known.get(status, '')}", retry=status in _TRANSIENT)


def _strong_etag(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    return etag if re.fullmatch(r'"[!#-~]{1,200}"', etag) else ""


def _of(done: int, total: int | None) -> str:
    return human_size(done) if total is None else f"{human_size(done)} of {human_size(total)}"


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _shown(url: str) -> str:
    """An address for a message: no password, no query, not too long."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


# --- the disk ------------------------------------------------------------------------------


@contextmanager
def _claimed(name: str, target: Path, key: str) -> Iterator[Path]:
    """The hidden path beside `target` to write to.

    It is found again by a later call with the same `key`, but only one process has it at a time:
    any other gets a path of its own, which is gone afterwards.

    Raises:
        FetchError: in place of an OSError, also of the block; then nothing is left.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock")) as ours:
            own = key[:16] if ours else uuid.uuid4().hex
            part = target.with_name(f".{target.name}.{own}.{'part' if ours else 'tmp'}")
            if ours:
                for other in target.parent.glob(f".{target.name}.*.part"):
                    if other != part:  # of a file that was replaced
                        remove(other)
            try:
                yield part
            except OSError:
                with suppress(OSError):
                    remove(part)
                raise
            finally:
                if not ours:
                    with suppress(OSError):
                        remove(part)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FetchError(f"cannot fetch {name}: cannot write {target}: {reason}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
