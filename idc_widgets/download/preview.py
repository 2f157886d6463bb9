"""What a download would do, shown before it starts. MB is 10^6 bytes, GB is 10^9."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._util import html_facts, human_duration, human_size, is_non_commercial, plural

__all__ = ["Preview", "remember_rate", "remembered_rate"]

_rate: float | None = None


def remember_rate(MB_per_s: float) -> None:
    """Use this rate for the estimates of later previews in this process; ignore 0 or less."""
    global _rate  # noqa: PLW0603
    if MB_per_s > 0:
        _rate = MB_per_s


def remembered_rate() -> float | None:
    """Return the last rate that was measured, in MB/s; None if there is none yet."""
    return _rate


@dataclass(frozen=True, repr=False)
class Preview:
    """What a download would do with the disk as it is now; `str()` describes it in words.

    Args:
        folder: The folder of the download.
        series: The number of series.
        files: The number of files of all series.
        size_bytes: The bytes of all files, including those on disk.
        files_to_fetch: The least number of files; it can be higher if files of incomplete series
            are damaged.
        bytes_to_fetch: The bytes that are not on disk.
        free_bytes: The free bytes on the disk of `folder`.
        margin_bytes: How many of the free bytes must stay free.
        licenses: License to number of series, most frequent first; None stands for an unknown
            license.
        changed_files: About how many files were changed since they were downloaded. The download
            renames them, and fetches the originals again.
        MB_per_s: The last rate measured in this process; None if there is none yet.
        left_out: Column to the number of series that its filter alone leaves out, as they lack
            a value.
    """

    folder: Path
    series: int
    files: int
    size_bytes: int
    files_to_fetch: int
    bytes_to_fetch: int
    free_bytes: int
    margin_bytes: int
    licenses: Mapping[str | None, int]
    changed_files: int = 0
    MB_per_s: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the files to fetch fit on the disk."""
        return not self.bytes_to_fetch or (
            self.bytes_to_fetch <= self.free_bytes - self.margin_bytes
        )

    @property
    def seconds(self) -> float | None:
        """How long the download may take at the last rate; None if no rate is known."""
        if not self.bytes_to_fetch:
            return 0.0
        return self.bytes_to_fetch / 1e6 / self.MB_per_s if self.MB_per_s else None

    @property
    def non_commercial(self) -> dict[str, int]:
        """The licenses that forbid commercial use, with their numbers of series."""
        return {
            name: count
            for name, count in self.licenses.items()
            if name is not None and is_non_commercial(name)
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"Preview({'; '.join(self._lines()[:2])})"

    def _repr_html_(self) -> str:
        return html_facts("Preview", [("", line) for line in self._lines()])

    def _lines(self) -> list[str]:
        whole = f"{plural(self.files, 'file')}, {human_size(self.size_bytes)}"
        lines = [f"{plural(self.series, 'series')}, {whole}, into {self.folder}"]
        if not self.bytes_to_fetch and not self.files_to_fetch:
            lines.append("everything is on disk already")
        else:
            left = f"{plural(self.files_to_fetch, 'file')}, {human_size(self.bytes_to_fetch)}"
            nothing = "" if self.bytes_to_fetch < self.size_bytes else "; nothing is on disk yet"
            lines.append(f"still to fetch: {left}{nothing}")
            fits = "" if self.fits else ": NOT ENOUGH"
            free, margin = human_size(self.free_bytes), human_size(self.margin_bytes)
            lines.append(f"free on the disk: {free}, of which {margin} must be left{fits}")
            if self.seconds is not None and self.MB_per_s is not None:
                lines.append(
                    f"about {human_duration(self.seconds)} at {self.MB_per_s:,.1f} MB/s, "
                    "the rate of the last download"
                )
        if self.changed_files:
            verb = "was" if self.changed_files == 1 else "were"
            lines.append(
                f"{plural(self.changed_files, 'file')} {verb} changed since the download: kept as "
                "<name>.changed-1, and the original is fetched again"
            )
        for column, count in self.left_out.items():
            verb = "is" if count == 1 else "are"
            series = plural(count, "series")
            lines.append(f"the filter on {column} leaves out {series} that {verb} without a value")
        return [*lines, *self._licenses_in_words()]

    def _licenses_in_words(self) -> list[str]:
        lines = []
        if restricted := self.non_commercial:
            names = ", ".join(restricted)
            if len(restricted) > 1:
                names = ", ".join(f"{count:,} {name}" for name, count in restricted.items())
            verb = "is" if sum(restricted.values()) == 1 else "are"
            count = plural(sum(restricted.values()), "series")
            lines.append(f"{count} {verb} for non-commercial use ({names})")
        if unknown := self.licenses.get(None, 0):
            lines.append(f"the license of {plural(unknown, 'series')} is not known")
        return lines
