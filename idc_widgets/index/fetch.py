"""Fetch tables over HTTP: each is there whole and checked, or not at all.

Bytes are written to a hidden partial file beside the target. The name of the partial file contains
the digest of the complete file. So a later call, or the next mirror, resumes the same partial file,
and never adds bytes of another file.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from .._util import (
    RETRY_PAUSE_SECONDS,
    TIMEOUT_SECONDS,
    FileCheck,
    Http,
    HttpError,
    ProgressCallback,
    S3Object,
    bucket_url,
    human_size,
    list_objects,
    locked,
    make_own_folder,
    make_partial_folder,
    move_into_place,
    open_http,
    remove,
    remove_leftovers,
    require_space,
    server_of,
    shown_url,
)
from ..errors import FetchError

__all__ = ["fetch_file", "fetch_folder", "progress_line"]

#: Seconds between two updates of the progress line.
_LINE_SECONDS = 0.2

#: The longest answer that is read as a checksum, in bytes.
_MAX_CHECKSUM_BYTES = 1000

#: The ending of the objects of a table in a bucket, and of its files in a folder.
_SUFFIX = ".parquet"

#: The names of files that are written while another process fetches the same table. No later call
#: can resume them if the process is killed. Names of files that can be resumed end in ``.part``.
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def fetch_file(
    name: str,
    urls: Sequence[str],
    target: Path,
    *,
    sha256_urls: Sequence[str],
    progress: ProgressCallback | None = None,
    timeout: tuple[float, float] = TIMEOUT_SECONDS,
    pause: float = RETRY_PAUSE_SECONDS,
) -> Path:
    """Fetch one file from the first mirror that sends it completely.

    Args:
        name: The name of the table in error messages.
        urls: The mirrors of the file, tried in turn.
        target: The file to write or to replace. Its folder is created.
        sha256_urls: The addresses of its checksum, tried in turn; the first answer holds for all
            mirrors.
        progress: Called while bytes arrive, and at the end.
        timeout: Seconds to connect, and seconds without a byte.
        pause: Seconds before the first retry of a mirror whose connection broke.

    Returns:
        `target`.

    Raises:
        FetchError: There is no checksum, no mirror sent the complete file, or the file cannot be
            written. `target` is then unchanged; bytes that arrived before a connection broke are
            kept beside it, hidden, for the next call.
    """
    with open_http(timeout, pause) as http:
        check, silent = _checksum(http, name, sha256_urls)
        reasons = []
        with _partial_path(name, target, check.digest) as part:
            for url in urls:
                try:
                    if server_of(url) in silent:  # do not wait for a silent server again
                        raise silent[server_of(url)]
                    http.download(url, part, check, progress)
                except HttpError as error:
                    reasons.append(f"{shown_url(url)} {error}")
                    continue
                if progress is not None:
                    size = part.stat().st_size
                    progress(size, size)
                move_into_place(part, target)
                return target
    raise FetchError(f"cannot fetch {name}: {'; '.join(reasons) or 'there is no mirror'}")


def fetch_folder(
    name: str,
    endpoint_url: str,
    bucket: str,
    prefix: str,
    target: Path,
    *,
    progress: ProgressCallback | None = None,
) -> Path:
    """Fetch the Parquet files below a prefix of a public S3 bucket into one folder, all or none.

    The size of each object is checked, and also its MD5 if its ETag is an MD5.

    Args:
        name: The name of the table in error messages.
        endpoint_url: The S3 server.
        bucket: The bucket.
        prefix: The beginning of the keys; ends with a slash.
        target: The folder to create. An existing folder stays as it is.
        progress: Called while bytes arrive, and at the end.

    Returns:
        `target`, with the files ``00000.parquet`` and so on, in the order of the keys.

    Raises:
        FetchError: The bucket cannot be listed or has no such object, or an object is damaged,
            cannot be fetched or cannot be written.
    """
    with open_http() as http:
        objects = _objects(http, name, endpoint_url, bucket, prefix)
        total = sum(entry.size for entry in objects)
        key = hashlib.sha256(repr(objects).encode()).hexdigest()
        with _partial_path(name, target, key) as folder:
            make_partial_folder(folder)
            require_space(folder, _missing_bytes(folder, objects))
            done = 0
            for place, entry in enumerate(objects):
                file = folder / f"{place:05}{_SUFFIX}"
                if not file.is_file():
                    url = f"{bucket_url(endpoint_url, bucket)}/{quote(entry.key)}"
                    part = folder / f".{file.name}.part"
                    try:
                        http.download(url, part, entry.check, _shifted(progress, done, total))
                    except HttpError as error:
                        raise FetchError(
                            f"cannot fetch {name}: {shown_url(url)} {error}"
                        ) from error
                    part.replace(file)
                done += entry.size
            if progress is not None:
                progress(total, total)
            move_into_place(folder, target)
    return target


def progress_line(name: str) -> ProgressCallback | None:
    """Return a callback that rewrites one line on stderr; None if stderr cannot show one."""
    stream = sys.stderr
    # The stream of Jupyter is not a terminal, but rewrites a line like one.
    if stream is None or not (stream.isatty() or type(stream).__module__.startswith("ipykernel")):
        return None
    next_at, ended = 0.0, False

    def write(done: int, total: int | None) -> None:
        nonlocal next_at, ended
        if ended or (done != total and time.monotonic() < next_at):
            return
        next_at, ended = time.monotonic() + _LINE_SECONDS, done == total
        amount = human_size(done)
        if total is not None and not ended:
            amount = f"{amount} of {human_size(total)}"
        stream.write(f"\r{f'{name}: {amount}':<60}" + "\n" * ended)
        stream.flush()

    return write


def _objects(http: Http, name: str, endpoint_url: str, bucket: str, prefix: str) -> list[S3Object]:
    """Return the objects of a folder; raise an error if there are none."""
    try:
        listed = list_objects(http, endpoint_url, bucket, prefix)
        if objects := [entry for entry in listed if entry.key.endswith(_SUFFIX)]:
            return objects
        raise HttpError(f"has no object {prefix}*{_SUFFIX}")
    except HttpError as error:
        shown = shown_url(bucket_url(endpoint_url, bucket))
        raise FetchError(f"cannot fetch {name}: {shown} {error}") from error


def _missing_bytes(folder: Path, objects: Sequence[S3Object]) -> int:
    """Return the total size in bytes of the objects that are not in the partial folder yet."""
    return sum(
        entry.size
        for place, entry in enumerate(objects)
        if not (folder / f"{place:05}{_SUFFIX}").is_file()
    )


def _shifted(progress: ProgressCallback | None, before: int, total: int) -> ProgressCallback | None:
    """Return a callback for one of several files; it reports the progress of all files together."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _checksum(http: Http, name: str, urls: Sequence[str]) -> tuple[FileCheck, dict[str, HttpError]]:
    """Return the SHA-256 of a file, and the error of each server that did not answer.

    Raises:
        FetchError: None of the addresses has a checksum.
    """
    errors: dict[str, HttpError] = {}
    silent: dict[str, HttpError] = {}
    for url in urls:
        try:
            # The answer has the format of sha256sum: the digest, and the name of the file.
            words = http.get(url, _MAX_CHECKSUM_BYTES).decode("ascii", "replace").split()
            if words and re.fullmatch("[0-9a-fA-F]{64}", words[0]):
                return FileCheck("sha256", words[0].lower()), silent
            raise HttpError("is not a checksum")
        except HttpError as error:
            errors[url] = error
            if not error.answered:
                silent[server_of(url)] = error
    if errors and all(not error.answered for error in errors.values()):
        problem = "no mirror answers"
    else:
        problem = "no mirror has its checksum, and a file without one cannot be trusted"
    reasons = "; ".join(f"{shown_url(url)} {error}" for url, error in errors.items())
    raise FetchError(f"cannot fetch {name}: {problem}: {reasons}")


@contextmanager
def _partial_path(name: str, target: Path, key: str) -> Iterator[Path]:
    """Yield the hidden path beside `target` to write to.

    A later call with the same `key` gets the same path and resumes what is there. Only one process
    at a time gets this path. Another process gets a random path, whose file is removed at the end.

    Args:
        name: The name of the table in error messages.
        target: The file or folder that is fetched.
        key: The digest that identifies its content, in hexadecimal.

    Raises:
        FetchError: The `with` block or this function raised an OSError; the partial file is
            removed.
    """
    try:
        make_own_folder(target.parent)
        remove_leftovers(target.parent, _LEFTOVER.fullmatch)
        with locked(target.with_name(f".{target.name}.lock")) as is_ours:
            if is_ours:
                part = target.with_name(f".{target.name}.{key[:16]}.part")
                for other in target.parent.glob(f".{target.name}.*.part"):
                    if other != part:  # the partial file of another version
                        remove(other)
            else:
                part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
            try:
                yield part
            except OSError:
                with suppress(OSError):
                    remove(part)
                raise
            finally:
                if not is_ours:
                    with suppress(OSError):
                        remove(part)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if "IDC_WIDGETS_DATA_DIR" not in reason:
            reason += "; to use another folder, set the environment variable IDC_WIDGETS_DATA_DIR"
        raise FetchError(f"cannot fetch {name}: cannot write {target}: {reason}") from error
