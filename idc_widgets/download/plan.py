"""Which object goes to which file, and what is checked and told before anything is written.

A path that this module plans is legal on Linux, macOS and Windows, never leaves the folder the
user chose, and belongs to one series alone.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from .._util import human_size, plural
from ..errors import DownloadError, LargeDownloadError, unknown
from . import disk
from . import path_template as names
from .path_template import DEFAULT_TEMPLATE
from .preview import MAX_GB, Preview, remembered_rate
from .provenance import Provenance
from .s5cmd import OBJECT_NAME

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["DownloadPlan", "PlannedSeries", "Source"]

Source = Literal["aws", "gcs"]

ENDPOINTS: Mapping[str, str] = {
    "aws": "https://s3.amazonaws.com",
    "gcs": "https://storage.googleapis.com",
}

# Where Google has what is in a bucket of AWS, under the same keys. As in idc-index-data's
# prior_versions_index, which has both names (public-datasets-idc was idc-open-data's until v19).
_GCS_BUCKETS = {
    "idc-open-data": "idc-open-data",
    "idc-open-data-two": "idc-open-idc1",
    "idc-open-data-cr": "idc-open-cr",
}

_NEEDED = ("SeriesInstanceUID", "series_aws_url", "instanceCount", "series_size_MB")
_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)/(?P<prefix>[\w.-]+)/\*?", re.ASCII)

_ADDRESS = re.compile(r"(s3|gs|https?|ftp|file):/", re.IGNORECASE)  # a Path has one slash of two

_MOST = 1 << 63  # files, or bytes: no series has so many
_STAGING = ".idc_widgets"  # a name that no template makes: it begins with a dot
_FILE = len("00000000-0000-0000-0000-000000000000.dcm")
_DIGITS = 10  # that s5cmd adds to the name of a file that is still arriving


@dataclass(frozen=True, slots=True)
class PlannedSeries:
    """One series: where its objects are, and where its files go.

    Its objects are `s3://bucket/prefix/*`. They are fetched into `folder`, which is of this
    series alone. It is complete when there are exactly `instances` files of `size_bytes` bytes
    altogether. In the flat form its files are then moved to the folder `home`, as
    `<name of folder>_<name>`.

    If only some of its objects are wanted, these are what all of this is about: other files of the
    series may be there or not.
    """

    SeriesInstanceUID: str
    bucket: str
    prefix: str
    folder: Path
    instances: int
    size_bytes: int
    license: str | None = None
    home: Path | None = None
    """None: its files stay in `folder`."""
    only: Mapping[str, int] | None = field(default=None, hash=False)
    """The wanted objects, name to bytes; None for all that there are."""

    @property
    def destination(self) -> Path:
        """The folder that its files are in at the end."""
        return self.home or self.folder

    def is_complete(self, files: Mapping[Any, int]) -> bool:
        """Whether `files`, name or path to size, are as many and as large as this series has.

        If only some are wanted, each has to have its own size.
        """
        if (len(files), sum(files.values())) != (self.instances, self.size_bytes):
            return False
        return self.only is None or self.only == {
            file if isinstance(file, str) else self._name(file): size
            for file, size in files.items()
        }

    def files(self, at_home: Mapping[str, Mapping[str, int]] | None = None) -> dict[Path, int]:
        """The finished files of this series on the disk, wherever they are, with their sizes.

        If only some are wanted, the others are not told of.

        Args:
            at_home: what `disk.tagged_files` says of `home`; looked up if it is not given.
        """
        arrived = {
            self.folder / name: size
            for name, size in disk.dicom_files(self.folder).items()
            if self.only is None or name in self.only
        }
        if self.home is None:
            return arrived
        if at_home is None:
            at_home = disk.tagged_files(self.home)
        moved = at_home.get(self.folder.name, {})
        # Of a file that is in both, the one that arrived is the newer
        return arrived | {
            self._at_home(name): size
            for name, size in moved.items()
            if self.folder / name not in arrived and (self.only is None or name in self.only)
        }

    def names(self, files: Mapping[Path, int]) -> dict[str, int]:
        """The same files by the names that they have in `folder`."""
        if self.home is None:
            return {path.name: size for path, size in files.items()}
        return {self._name(path): size for path, size in files.items()}

    def lacking(self, names: Mapping[str, int]) -> dict[str, int]:
        """The wanted objects that `names` (of files, to bytes) lack, or have in another size.

        Of a series that is wanted whole nobody knows, so none.
        """
        wanted = self.only or {}
        return {name: size for name, size in wanted.items() if names.get(name) != size}

    def gather(self, files: Mapping[Path, int]) -> dict[str, int]:
        """Get ready for fetching what is missing beside `files`; their names, and sizes.

        What is home of a series that is not complete goes back to `folder`: what is there is not
        fetched again. (Wanted objects are asked for one by one, so those that are home stay there.)

        Args:
            files: as `files` tells them.
        """
        if self.home is None or self.only is not None or self.is_complete(files):
            return self.names(files)
        gathered = {}
        for path, size in files.items():
            name = self._name(path)
            if path.parent != self.folder:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    os.replace(path, self.folder / name)
                except OSError:
                    continue  # then it is fetched again
            gathered[name] = size
        return gathered

    def settle(self, files: Mapping[Path, int] | None = None) -> list[Path]:
        """Move the files of a complete series home; the paths that its files have now, sorted.

        Only the flat form has something to move, and only of a series that is complete. What
        an interrupted call left is moved by the next. Nothing else is touched: `folder` is
        removed when it is empty.

        Args:
            files: as `files` tells them; looked up if they are not given.

        Raises:
            DownloadError: a file cannot be moved.
        """
        if files is None:
            files = self.files()
        if self.home is None or not self.is_complete(files):
            return sorted(files)
        try:
            for path in files:
                if path.parent == self.folder:
                    os.replace(path, self._at_home(path.name))
        except OSError as error:
            raise DownloadError(
                f"the files of series {self.SeriesInstanceUID} are complete in {self.folder}, but "
                f"cannot be moved to {self.home}: {error.strerror or error}"
            ) from error
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # it is not there, or something else is in it
                folder.rmdir()
        return sorted(self._at_home(self._name(path)) for path in files)

    def _at_home(self, name: str) -> Path:
        assert self.home is not None
        return self.home / f"{self.folder.name}_{name}"

    def _name(self, path: Path) -> str:
        """The name that a file has in `folder`."""
        if path.parent == self.folder:
            return path.name
        return path.name.removeprefix(f"{self.folder.name}_")


@dataclass(frozen=True, repr=False)
class DownloadPlan:
    """An immutable plan of a download; make one with `DownloadPlan.make`."""

    series: tuple[PlannedSeries, ...]
    folder: Path
    endpoint_url: str
    provenance: Provenance = field(default=Provenance(), compare=False)
    """Where the series come from; for the record and the report."""

    @property
    def instances(self) -> int:
        """Files of all series."""
        return sum(series.instances for series in self.series)

    @property
    def size_bytes(self) -> int:
        """Bytes of all series, those already on disk included."""
        return sum(series.size_bytes for series in self.series)

    def __contains__(self, uid: object) -> bool:
        """Whether a series is fetched, by its SeriesInstanceUID."""
        return uid in self._uids

    @cached_property
    def _uids(self) -> frozenset[str]:
        return frozenset(series.SeriesInstanceUID for series in self.series)

    def __repr__(self) -> str:
        count, size = plural(len(self.series), "series"), human_size(self.size_bytes)
        return f"<DownloadPlan: {count}, {size}, from {self.endpoint_url} to {self.folder}>"

    # --- what is there -------------------------------------------------------------------------

    def survey(self) -> Iterator[tuple[PlannedSeries, dict[Path, int]]]:
        """The finished files of each series on the disk now, wherever they are, and their sizes."""
        # In the flat form all have the same home, and listing it takes long
        is_flat = any(series.home for series in self.series)
        at_home = disk.tagged_files(self.folder) if is_flat else {}
        for series in self.series:
            yield series, series.files(at_home)

    def complete(self) -> dict[str, list[Path]]:
        """The files of the series that are complete on the disk now, by SeriesInstanceUID."""
        return {
            series.SeriesInstanceUID: sorted(files)
            for series, files in self.survey()
            if series.is_complete(files)
        }

    def table(self) -> pd.DataFrame:
        """A dry run: one row a series, in the order of fetching. Writes nothing.

        The columns are SeriesInstanceUID; folder (where its files will be, below that of the
        plan; "." is itself); files; size_MB (10^6 bytes); on_disk ("complete", "partly" or
        "none", as the disk is now); license (None if it is not known).
        """
        import pandas as pd

        columns = ["SeriesInstanceUID", "folder", "files", "size_MB", "on_disk", "license"]
        rows = [
            (
                one.SeriesInstanceUID,
                one.destination.relative_to(self.folder).as_posix(),
                one.instances,
                one.size_bytes / 1e6,
                "complete" if one.is_complete(files) else "partly" if files else "none",
                one.license,
            )
            for one, files in self.survey()
        ]
        return pd.DataFrame(rows, columns=columns)

    # --- before the start ----------------------------------------------------------------------

    def preview(self) -> Preview:
        """What the download would do, as the disk is now: counts, sizes, space, licences, time.

        Raises:
            DownloadError: the folder cannot be.
        """
        size, files = self._to_fetch()
        free, margin = disk.space(self.folder)
        licenses = Counter(series.license for series in self.series)
        return Preview(
            folder=self.folder,
            series=len(self.series),
            files=self.instances,
            size_bytes=self.size_bytes,
            files_to_fetch=files,
            bytes_to_fetch=size,
            free_bytes=free,
            margin_bytes=margin,
            licenses=dict(licenses.most_common()),
            MB_per_s=remembered_rate(),
        )

    def needs_consent(self, max_GB: float | None = MAX_GB) -> bool:
        """Whether more than `max_GB` (10^9 bytes; None for no limit) are still to fetch."""
        if max_GB is None or self.size_bytes <= max_GB * 1e9:
            return False
        return self._to_fetch()[0] > max_GB * 1e9

    def check_consent(self, max_GB: float | None) -> None:
        """Refuses a download that `needs_consent`.

        Raises:
            LargeDownloadError: more than `max_GB` are still to fetch.
        """
        if not self.needs_consent(max_GB):
            return
        size = self._to_fetch()[0]
        raise LargeDownloadError(
            f"{human_size(size)} are still to fetch, and the limit is {max_GB:g} GB; if you mean "
            f"it, pass max_GB={-(-size // 10**9)}, or choose fewer series",
            preview=str(self.preview()),
        )

    def _to_fetch(self) -> tuple[int, int]:
        """Bytes and files that are not there.

        Of broken files, the bytes that they lack; where it is known which are broken, all.
        """
        size, files = self.size_bytes, self.instances
        if not self.folder.exists():
            return size, files
        for series, there in self.survey():
            if series.is_complete(there):
                size, files = size - series.size_bytes, files - series.instances
            elif series.only is not None:
                lacking = series.lacking(series.names(there))
                size -= series.size_bytes - sum(lacking.values())
                files -= series.instances - len(lacking)
            else:
                size -= min(series.size_bytes, sum(there.values()))
                files -= min(series.instances - 1, len(there))  # one at least is missing or wrong
        return size, files

    @staticmethod
    def check_capacity(folder: str | os.PathLike[str], size_bytes: int) -> None:
        """Refuses what no tidying of the disk could make room for, before any row is read.

        Raises:
            DownloadError: the disk of `folder` is smaller than `size_bytes`.
        """
        disk.check_capacity(_root(folder), size_bytes)

    @classmethod
    def make(
        cls,
        rows: pa.Table,
        folder: str | os.PathLike[str],
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        check_disk: bool = True,
        platform: str = sys.platform,
        only: Mapping[str, Mapping[str, int]] | None = None,
    ) -> DownloadPlan:
        """Plan the download of `rows` into `folder`. Writes nothing that stays.

        Args:
            rows: one row a series, with the columns SeriesInstanceUID, series_aws_url
                (`s3://bucket/uuid/*`), instanceCount, series_size_MB (MB = 10^6 bytes) and those
                that the template names; license_short_name if licences shall be told.
            folder: made when the download starts; `~` is the home folder.
            template: the folder of a series below `folder`; None is `DEFAULT_TEMPLATE`. `%Column`
                is the row's value of that column (the longest column name that fits), `%%` a
                percent sign, `/` a new level. A missing value reads "unknown" (of crdc_series_uuid:
                the prefix of the series in its bucket); characters that a folder name cannot have
                become "_". Or one of two forms: "short" is
                `%collection_id/%PatientID/%crdc_series_uuid`; "flat" puts the files of all series
                right into `folder`, as `<prefix of the series>_<name>`.
            source: whose copy is fetched: "aws" (Amazon) or "gcs" (Google, other bucket names).
            endpoint_url: the S3 server, without a user name or the like, as it is recorded; else,
                for "aws", the environment variable S3_ENDPOINT_URL; else https://s3.amazonaws.com
                or https://storage.googleapis.com.
            check_disk: False for a folder that is only looked at: it need not be writable, nor
                have space.
            platform: whose limit the length of paths has to keep, as of `sys.platform`; names are
                legal on all.
            only: SeriesInstanceUID to the objects that are wanted of it, by name
                (`<uuid>.dcm`) with their bytes; series that are not in it are fetched whole.

        Raises:
            DownloadError: a column, location, count or size is missing; the template is wrong or
                puts two series into one folder; a path is too long; a bucket has no copy at
                `source`; the folder cannot be used; the disk is too full; what is in `only` is no
                name, no size, or of a series without a row.
        """
        template = DEFAULT_TEMPLATE if template is None else template
        root = _root(folder)
        endpoint = _endpoint(endpoint_url, source)
        for column in _NEEDED:
            if column not in rows.column_names:
                raise DownloadError(f"the rows have no column {column}, which a download needs")
        series = tuple(_plan_rows(rows, root, template, source))
        if only is not None:
            series = _narrowed(series, only)
        _refuse_shared_folders(series, template)
        _refuse_long_paths(rows, root, template, series, platform)
        plan = cls(series, root, endpoint)
        if check_disk:
            disk.check_folder(root)
            disk.check_space(root, plan._to_fetch()[0])
        return plan


def _root(folder: str | os.PathLike[str]) -> Path:
    text: Any = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(text, str):
        raise DownloadError(f"{folder!r} is no folder: expected a path as text or as a Path")
    if not text:
        raise DownloadError("the folder has no name; '.' is the one that you work in")
    if _ADDRESS.match(text):
        raise DownloadError(f"{text!r} is an address; choose a folder on this computer")
    try:
        expanded = os.path.expanduser(text)
        root = os.path.abspath(expanded)
    except ValueError:  # no user can have that name, see below
        expanded = root = text
    except OSError as error:
        raise DownloadError(
            f"the folder {text!r} is below the one that you work in, which is no longer there "
            f"({error.strerror}); pass a whole path, like '/home/me/idc_data'"
        ) from error
    # s5cmd takes * and ? in a destination for wildcards, lines end at control characters, and a
    # name that is not Unicode (a lone surrogate in Python) is refused
    if bad := sorted(set(re.findall(r"[*?\x00-\x1f\x7f-\x9f\ud800-\udfff]", root))):
        raise DownloadError(
            f"the folder {root!r} has characters that a download cannot have: "
            f"{' '.join(map(repr, bad))}; choose another folder"
        )
    if expanded.startswith("~"):
        raise DownloadError(
            f"{text!r} is the folder of no user; for one of that name here, pass {f'./{text}'!r}"
        )
    return Path(root)


def _endpoint(url: str | None, source: str) -> str:
    if source not in ENDPOINTS:
        raise DownloadError(unknown("source", source, ENDPOINTS))
    if not url and source == "aws":
        url = os.environ.get("S3_ENDPOINT_URL")
    url = url or ENDPOINTS[source]
    given: Any = url
    if not isinstance(given, str):
        raise DownloadError(f"endpoint_url is a {type(given).__name__}; expected text")
    if re.search("[@?#]", url):
        # It is not repeated: what it holds may be secret
        raise DownloadError(
            "the address of the server (endpoint_url, or the variable S3_ENDPOINT_URL) has one of "
            "the characters @ ? #, as before or after a password or token, which the record and "
            f"lists of processes would show; expected one like {ENDPOINTS['aws']}"
        )
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # what is no name fails
        valid = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or re.search(r"[\s\\]", url):
        raise DownloadError(f"{url!r} is not the address of a server, like {ENDPOINTS['aws']}")
    return parts.scheme + url[len(parts.scheme) :]  # s5cmd wants it in lower case


def _plan_rows(rows: pa.Table, root: Path, template: str, source: str) -> Iterator[PlannedSeries]:
    there = set(rows.column_names)
    parsed = names.Template.parse(template, there | {"crdc_series_uuid"})
    wanted = parsed.columns.union(_NEEDED, ["license_short_name"]) & there
    try:
        dicts = rows.select(sorted(wanted)).to_pylist()
    except UnicodeDecodeError as error:
        raise DownloadError(f"a text in the rows is not Unicode: {error.object!r}") from error
    for row in dicts:
        bucket, prefix = _location(row, source)
        count, size = _amount(row)
        if names.is_missing(row.get("crdc_series_uuid")):
            row["crdc_series_uuid"] = prefix  # of IDC's own series they are the same
        if template == "flat":
            folder, home = root / _STAGING / names.tag(prefix), root
        else:
            folder, home = root.joinpath(*parsed.fill(row)), None
        uid, license = row["SeriesInstanceUID"], row.get("license_short_name")
        yield PlannedSeries(uid, bucket, prefix, folder, count, size, license, home)


def _location(row: Mapping[str, Any], source: str) -> tuple[str, str]:
    """Bucket and prefix of the objects of a series."""
    uid = row["SeriesInstanceUID"]
    if not uid:
        raise DownloadError("a row has no SeriesInstanceUID")
    url = _URL.fullmatch(str(row["series_aws_url"]))
    if not url:
        raise DownloadError(
            f"series {uid} has no location to fetch it from (series_aws_url is "
            f"{row['series_aws_url']!r}, not like 's3://bucket/uuid/*')"
        )
    bucket, prefix = url.groups()
    if source == "gcs":
        if bucket not in _GCS_BUCKETS:
            raise DownloadError(
                f"series {uid} is in the bucket {bucket!r}, of which no copy at Google is known "
                f"(known are those of {', '.join(_GCS_BUCKETS)}); use source='aws'"
            )
        bucket = _GCS_BUCKETS[bucket]
    return bucket, prefix


def _amount(row: Mapping[str, Any]) -> tuple[int, int]:
    """Files and bytes of a series."""
    uid, count, size = row["SeriesInstanceUID"], row["instanceCount"], row["series_size_MB"]
    if not _is_within(count, 1, _MOST) or count % 1:
        raise DownloadError(f"series {uid} has no count of its files (instanceCount is {count!r})")
    if not _is_within(size, 0, _MOST / 1e6):
        raise DownloadError(f"series {uid} has no size (series_size_MB is {size!r})")
    return int(count), round(float(size) * 1e6)


def _is_within(value: Any, least: int, most: float) -> bool:
    return isinstance(value, (int, float, Decimal)) and least <= value < most  # NaN is not


def _narrowed(
    series: tuple[PlannedSeries, ...], only: Mapping[str, Mapping[str, int]]
) -> tuple[PlannedSeries, ...]:
    """The same series, of which only these objects are wanted."""
    if unknown_uids := only.keys() - {one.SeriesInstanceUID for one in series}:
        raise DownloadError(f"objects of series {min(unknown_uids)} are wanted, which has no row")
    for uid, files in only.items():
        if not files:
            raise DownloadError(f"of series {uid} no object is wanted; expected one at least")
        for name, size in files.items():
            if not OBJECT_NAME.fullmatch(name):
                raise DownloadError(
                    f"{name!r} of series {uid} is no name of an object; expected one like "
                    "'00000000-0000-0000-0000-000000000000.dcm'"
                )
            if not isinstance(size, int) or size < 0:
                raise DownloadError(f"the object {name} of series {uid} has no size ({size!r})")

    def narrowed(one: PlannedSeries) -> PlannedSeries:
        files = dict(only.get(one.SeriesInstanceUID, {}))
        count, size = len(files), sum(files.values())
        return replace(one, only=files, instances=count, size_bytes=size) if files else one

    return tuple(map(narrowed, series))


def _refuse_shared_folders(series: tuple[PlannedSeries, ...], template: str) -> None:
    """Raise if two have one folder, where upper and lower case are the same, or are one series."""
    seen: dict[str, PlannedSeries] = {}
    uids: set[str] = set()
    for one in series:
        if one.SeriesInstanceUID in uids:
            raise DownloadError(f"series {one.SeriesInstanceUID} is there twice")
        uids.add(one.SeriesInstanceUID)
        other = seen.setdefault(names.folded(str(one.folder)), one)
        if other is one:
            continue
        own = f"{names.FORMS.get(template, template)}/%SeriesInstanceUID".lstrip("/")
        raise DownloadError(
            f"two series would share the folder {one.folder}: {other.SeriesInstanceUID} and "
            f"{one.SeriesInstanceUID}; give each its own with the template {own!r}"
        )


def _longest(series: PlannedSeries, platform: str) -> int:
    """The length of the longest path that a file of this series has, for a while or for ever."""
    arriving = names.length(series.folder, platform) + 1 + _FILE + _DIGITS
    if series.home is None:
        return arriving
    home = names.length(series.home, platform)
    return max(arriving, home + 1 + len(series.folder.name.encode()) + 1 + _FILE)


def _refuse_long_paths(
    rows: pa.Table, root: Path, template: str, series: tuple[PlannedSeries, ...], platform: str
) -> None:
    """Raise if a path is longer than the platform allows, with what would fit."""
    limit, who_says = names.max_length(platform)
    lengths = [_longest(one, platform) for one in series]
    too_long = [one for one, length in zip(series, lengths, strict=True) if length > limit]
    if not too_long:
        return
    needed = max(lengths)
    for other in ("short", "flat", "%crdc_series_uuid"):
        with suppress(DownloadError):  # the rows lack a column of it
            longest = max(_longest(one, platform) for one in _plan_rows(rows, root, other, "aws"))
            needed = min(needed, longest)
            if longest <= limit:
                advice = f"use the template {other!r}, or a folder with a shorter path"
                break
    else:
        here = names.length(root, platform)
        unit = who_says.split()[-1]
        advice = (
            f"choose a folder with a shorter path, of at most {max(0, limit - needed + here):,} "
            f"{unit}: {root} has {here:,}"
        )
    first = too_long[0]
    raise DownloadError(
        f"the paths of {len(too_long):,} of {plural(len(series), 'series')} would be too long: "
        f"{who_says}, and series {first.SeriesInstanceUID} needs {_longest(first, platform):,} in "
        f"{first.folder}; {advice}"
    )
