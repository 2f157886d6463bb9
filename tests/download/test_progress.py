"""ProgressTracker and Outcome: how far a download is."""

from __future__ import annotations

from collections.abc import Callable

from support.downloads import small

from idc_widgets.download import DownloadPlan, s5cmd
from idc_widgets.download.outcome import Outcome
from idc_widgets.download.progress import ProgressTracker, Slowness, Speed

Plan = Callable[..., DownloadPlan]


def test_each_byte_counts_once(plan: Plan) -> None:
    one = plan(small(instanceCount=2, series_size_MB=0.001))
    series = one.series[0]
    series.folder.mkdir(parents=True)
    name = f"{series.prefix}.dcm"
    tracker = ProgressTracker(one)
    tracker.add(series, {name: 400})  # truncated
    assert (tracker.bytes_done, tracker.files_done) == (400, 1)
    (series.folder / f"{name}12345").write_bytes(b"x" * 600)
    assert tracker.poll(1) and tracker.bytes_done == 600, "it will replace the truncated file"
    assert not tracker.poll(1)
    tracker.update(s5cmd.FileDone(f"s3://bucket/{series.prefix}/{name}", "", 600))
    assert (tracker.bytes_done, tracker.files_done) == (600, 1), "the unfinished file is gone"
    tracker.update(s5cmd.FileDone(f"s3://bucket/{series.prefix}/other.dcm", "", 700))
    assert (tracker.bytes_done, tracker.files_done) == (1000, 2), "never more than the series has"
    assert not tracker.update(s5cmd.FileDone("s3://bucket/elsewhere/x.dcm", "", 1))
    assert tracker.progress().fraction == 1


def test_progress_never_goes_back(plan: Plan) -> None:
    one = plan(small())
    outcome, tracker = Outcome(one), ProgressTracker(one)
    for done, shown in [(500, 500), (300, 500), (600, 600)]:
        tracker.bytes_done = tracker.files_done = done
        outcome.advance(tracker)
        assert (outcome.progress.bytes_done, outcome.progress.files_done) == (shown, shown)


def test_speed_is_measured_over_the_last_seconds() -> None:
    speed = Speed()
    speed.add(0.0, 0)
    assert speed.MB_per_s is None, "not known yet"
    speed.add(2.0, 4_000_000)
    assert speed.MB_per_s == 2.0
    speed.add(6.0, 4_000_000)
    assert speed.MB_per_s == 0.0, "the first measurement is too old to count"


def test_a_slow_download_is_noticed_after_a_while() -> None:
    slowness = Slowness(10.0)
    looks = [(0, 10**9, 7), (5, 10**9 + 1, 7), (9.9, 10**9 + 2, 7)]
    assert not any(slowness.is_too_slow(*look) for look in looks)
    assert slowness.is_too_slow(10.0, 10**9 + 3, 7)
    assert str(slowness) == "less than 1.0 kB per second for 10 s"
    # In the next 10 s, one file begins again, and 12 kB arrive
    assert not slowness.is_too_slow(15.0, 5_000, 7)
    assert not slowness.is_too_slow(20.0, 17_000, 7)
    assert not slowness.is_too_slow(30.0, 17_100, 8), "a small file counts for more than its size"
    assert slowness.is_too_slow(40.0, 26_000, 8)
