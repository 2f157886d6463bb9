"""HTTP requests with retry and resume.

Nothing that a server sends is put into an error message.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

import requests

from .atomic import remove
from .formatting import human_duration, human_size, plural
from .http_session import Session
from .own_files import open_partial, partial_size, require_space

__all__ = [
    "RETRY_PAUSE_SECONDS",
    "TIMEOUT_SECONDS",
    "FileCheck",
    "Http",
    "HttpError",
    "ProgressCallback",
    "open_http",
    "server_of",
    "shown_url",
]

#: Called with the number of bytes on disk and the total number, which is None if the server does
#: not report one.
ProgressCallback: TypeAlias = "Callable[[int, int | None], object]"

#: The longest wait for a connection, and the longest wait for the next byte of an answer.
TIMEOUT_SECONDS = (10.0, 60.0)

#: A short answer must be complete within this time, including redirects and the retry.
_MAX_ANSWER_SECONDS = 120.0

#: A server may take this number of read timeouts to send the headers of a file, and then to send
#: each `_LEAST_BYTES`. With the usual timeout, this demands about 1 kB/s.
_TIMEOUTS_PER_CHUNK = 2
_LEAST_BYTES = 100_000

#: A file must be complete within this time, including the retries. Another call resumes it.
_MAX_FILE_SECONDS = 86_400.0

#: Pause before the first retry; it doubles before each further one.
RETRY_PAUSE_SECONDS = 0.5

#: A download fails after this many tries in a row that each bring less than `_PROGRESS_BYTES`.
_MAX_TRIES = 4
_PROGRESS_BYTES = 1_000_000

#: The largest file that is fetched without a listed size: 20 times the largest table.
_MAX_FILE_BYTES = 10**10

#: Number of bytes that are written between two checks of the free space.
_SPACE_CHECK_BYTES = 1 << 26

_CHUNK_BYTES = 1 << 14  # small, because an incomplete chunk is lost when the connection breaks
_HASH_CHUNK_BYTES = 1 << 20

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})


class HttpError(Exception):
    """A request that failed. The message continues a sentence whose subject is the server.

    Args:
        reason: What the server did or did not do, such as "answers HTTP 404 (Not Found)".
        answered: False if the server did not answer at all.
        retry: True if the same request may succeed soon.
    """

    def __init__(self, reason: str, *, answered: bool = True, retry: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered
        self.retry = retry


class _TooLongError(HttpError):
    """The body is longer than the file can be."""


@dataclass(frozen=True)
class FileCheck:
    """The digest or the size, or both, that identify a complete file.

    Args:
        algorithm: The name of the digest in `hashlib`; empty without a digest.
        digest: In lower-case hexadecimal.
        size: In bytes; None if it is not known.
    """

    algorithm: str = ""
    digest: str = ""
    size: int | None = None

    def complaint(self, path: Path) -> str:
        """Return what is wrong with a file, or an empty text."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"sends {plural(size, 'byte')}, but lists {self.size:,}"
        if self.algorithm:
            # MD5, which S3 uses, detects damage but not manipulation.
            digest = hashlib.new(self.algorithm, usedforsecurity=False)
            with path.open("rb") as file:
                while chunk := file.read(_HASH_CHUNK_BYTES):
                    digest.update(chunk)
            if digest.hexdigest() != self.digest:
                return f"sends a file with a wrong {self.algorithm.upper()} checksum"
        return ""


@contextmanager
def open_http(
    timeout: tuple[float, float] = TIMEOUT_SECONDS, pause: float = RETRY_PAUSE_SECONDS
) -> Iterator[Http]:
    """Yield an `Http` with a new session, for use by one thread.

    Args:
        timeout: Seconds to connect, and seconds without a byte.
        pause: Seconds before the first retry.
    """
    with Session() as session:
        session.headers["User-Agent"] = "idc_widgets"
        # s5cmd, which downloads the images, also reads this variable. If REQUESTS_CA_BUNDLE is set,
        # the library requests uses that file instead.
        certificates = os.environ.get("AWS_CA_BUNDLE", "")
        if not os.environ.get("REQUESTS_CA_BUNDLE") and Path(certificates).is_file():
            session.verify = certificates
        yield Http(session, timeout, pause)


@dataclass(frozen=True)
class Http:
    """A session with its timeouts; see `open_http`.

    All methods raise `HttpError` when the server fails and OSError when the disk does.
    """

    session: Session
    timeout: tuple[float, float]
    pause: float

    def download(
        self, url: str, part: Path, check: FileCheck, progress: ProgressCallback | None
    ) -> None:
        """Complete the partial file `part`, and remove it if it is not the expected file.

        Args:
            url: The address of the file.
            part: The path of the partial file. Bytes that are there are kept; only the rest is
                requested.
            check: The digest or the size of the complete file.
            progress: Called while bytes arrive.
        """
        resumed = partial_size(part) > 0
        self.session.deadline.begin(_MAX_FILE_SECONDS)
        self._complete(url, part, check, progress)
        complaint = check.complaint(part)
        if complaint and resumed:  # the bytes that were there before may be the wrong ones
            remove(part)
            self._complete(url, part, check, progress)
            complaint = check.complaint(part)
        if complaint:
            remove(part)
            raise HttpError(complaint)

    def get(self, url: str, max_bytes: int, accept: str = "*/*") -> bytes:
        """Return the body of a short answer.

        Args:
            url: The address.
            max_bytes: A longer answer is an error.
            accept: The media type to request.
        """
        self.session.deadline.begin(_MAX_ANSWER_SECONDS)
        try:
            return self._get_once(url, max_bytes, accept)
        except HttpError as error:
            if not error.retry:
                raise
        time.sleep(self.pause)
        return self._get_once(url, max_bytes, accept)

    def _complete(
        self, url: str, part: Path, check: FileCheck, progress: ProgressCallback | None
    ) -> None:
        """Request the rest of `part` until it has its full length."""
        # Count the tries in a row that add less than a megabyte to the longest part so far. Their
        # number is limited, so the loop ends.
        etag, has_answered, tries, longest = "", False, 0, partial_size(part)
        while True:
            done = partial_size(part)
            if done and done == check.size:
                return
            headers = {"Range": f"bytes={done}-"} if done else {}
            if done and etag:  # if the file has changed, the server sends the whole new one
                headers["If-Range"] = etag
            self.session.deadline.set_in(_TIMEOUTS_PER_CHUNK * self.timeout[1])
            try:
                with self._request(url, headers) as response:
                    has_answered, etag = True, _strong_etag(response)
                    self._save(response, part, done, check, progress)
                return
            except HttpError as error:
                size = partial_size(part)
                tries = 1 if size - longest > _PROGRESS_BYTES else tries + 1
                longest = max(longest, size)
                # Give up on a server that never answered; retry one that did.
                is_worth_a_retry = error.retry or (has_answered and not error.answered)
                if tries == _MAX_TRIES or not is_worth_a_retry:
                    raise
            time.sleep(self.pause * 2 ** (tries - 1))

    def _save(
        self,
        response: requests.Response,
        part: Path,
        start: int,
        check: FileCheck,
        progress: ProgressCallback | None,
    ) -> None:
        """Append the body of a response to `part`, which has `start` bytes, or replace `part`."""
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return  # the file is complete
            remove(part)
            raise HttpError("does not have that part of the file", retry=True)
        _raise_for_status(response)
        _refuse_compression(response)
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise HttpError("answers with a web page, not the file (a login page or a proxy?)")
        done, total = 0, _integer(response.headers.get("Content-Length", ""))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            content_range = re.fullmatch(
                r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)",
                response.headers.get("Content-Range", ""),
            )
            if content_range is None or int(content_range[1]) != start:
                remove(part)
                raise HttpError("sends another part of the file than requested", retry=True)
            done, total = start, _integer(content_range[2])
        limit = _limit(check, total)
        if total is not None and total > limit:
            remove(part)
            raise HttpError(f"sends {plural(total, 'byte')}, but at most {limit:,} are expected")
        require_space(part.parent, limit - done if (check.size or total) else 0)
        try:
            with open_partial(part, resume=done > 0) as file:
                done = self._write_body(response, file, part.parent, done, total, limit, progress)
        except _TooLongError:
            remove(part)
            raise
        except requests.RequestException as error:
            arrived = _amount(partial_size(part), total)
            # Do not retry, which could take as long again: the next mirror may be faster.
            if not self.session.deadline.seconds_left:
                raise HttpError(f"sends too slowly: only {arrived} arrived") from error
            if "timed out" in str(error):
                silence = f"sent nothing for {self._read_timeout()}"
                raise HttpError(f"{silence}, after {arrived}") from error
            raise HttpError(f"broke off after {arrived}", retry=True) from error
        if total is not None and done < total:
            raise HttpError(f"broke off after {_amount(done, total)}", retry=True)

    def _write_body(
        self,
        response: requests.Response,
        file: BinaryIO,
        folder: Path,
        done: int,
        total: int | None,
        limit: int,
        progress: ProgressCallback | None,
    ) -> int:
        """Write a body to a file that has `done` bytes, and return its new number of bytes."""
        next_check, next_deadline = done + _SPACE_CHECK_BYTES, done + _LEAST_BYTES
        for chunk in _chunks(response):
            if done + len(chunk) > limit:
                raise _TooLongError(f"sends more than the expected {plural(limit, 'byte')}")
            file.write(chunk)
            done += len(chunk)
            if done >= next_deadline:  # not after each chunk, which may have a single byte
                self.session.deadline.set_in(_TIMEOUTS_PER_CHUNK * self.timeout[1])
                next_deadline = done + _LEAST_BYTES
            if done >= next_check:
                require_space(folder, _SPACE_CHECK_BYTES)
                next_check = done + _SPACE_CHECK_BYTES
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
        return done

    def _get_once(self, url: str, max_bytes: int, accept: str) -> bytes:
        with self._request(url, {"Accept": accept}) as response:
            _raise_for_status(response)
            _refuse_compression(response)
            body = bytearray()
            try:
                for chunk in _chunks(response):
                    body += chunk
                    if len(body) > max_bytes:
                        raise HttpError(f"answers with more than {plural(max_bytes, 'byte')}")
            except requests.RequestException as error:
                if not self.session.deadline.seconds_left:
                    raise HttpError("sends too slowly") from error
                raise HttpError("broke off", retry=True) from error
            return bytes(body)

    def _request(self, url: str, headers: dict[str, str]) -> requests.Response:
        # "identity" asks for no compression: a Range counts the bytes of the file itself.
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            return self.session.get(url, headers=headers, stream=True, timeout=self.timeout)
        except requests.ConnectTimeout as error:
            reason = f"does not answer within {human_duration(self.timeout[0])} (offline?)"
            raise HttpError(reason, answered=False) from error
        except requests.Timeout as error:
            if not self.session.deadline.seconds_left:
                raise HttpError("sends too slowly", answered=False) from error
            raise HttpError(f"sent nothing for {self._read_timeout()}", answered=False) from error
        except requests.exceptions.SSLError as error:
            reason = "has a certificate that is not trusted (a proxy in between?)"
            raise HttpError(reason, answered=False) from error
        except requests.exceptions.ProxyError as error:
            raise HttpError("cannot be reached through the proxy", answered=False) from error
        except requests.ConnectionError as error:
            if "Connection aborted" in str(error):  # a server was there and closed the connection
                raise HttpError("broke off before it answered", retry=True) from error
            raise HttpError("cannot be reached (offline?)", answered=False) from error
        except (requests.RequestException, ValueError) as error:
            reason = f"cannot be requested ({type(error).__name__})"
            raise HttpError(reason, answered=False) from error

    def _read_timeout(self) -> str:
        return human_duration(self.timeout[1])


def server_of(url: str) -> str:
    """Return the host and port of an address."""
    return urlsplit(url).netloc


def shown_url(url: str) -> str:
    """Return an address for a message: without password and query, 300 characters at most."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def _raise_for_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    # Our own phrase: the server could put anything into its own.
    phrases = {known.value: f" ({known.phrase})" for known in HTTPStatus}
    reason = f"answers HTTP {status}{phrases.get(status, '')}"
    raise HttpError(reason, retry=status in _TRANSIENT_STATUSES)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the body of a response in pieces.

    Raises:
        requests.RequestException: The connection breaks, or the server breaks the rules of HTTP.
    """
    try:
        yield from response.iter_content(_CHUNK_BYTES)
    except ValueError as error:  # the library does not catch all errors that a server can cause
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _refuse_compression(response: requests.Response) -> None:
    # Kilobytes can expand to gigabytes, and a Range would count other bytes than the file has.
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise HttpError("sends compressed bytes, which were not requested")


def _limit(check: FileCheck, total: int | None) -> int:
    """Return the largest number of bytes that the file may have."""
    if check.size is not None:
        return check.size
    return _MAX_FILE_BYTES if total is None else min(total, _MAX_FILE_BYTES)


def _strong_etag(response: requests.Response) -> str:
    """Return the ETag if it is a strong one (RFC 9110, 8.8.1), else an empty text."""
    etag = response.headers.get("ETag", "")
    return etag if re.fullmatch(r'"[!#-~]{1,200}"', etag) else ""


def _amount(done: int, total: int | None) -> str:
    return human_size(done) if total is None else f"{human_size(done)} of {human_size(total)}"


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
