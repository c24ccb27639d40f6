"""When a disk will be full: a least-squares trend, believed only where the end of its window shows it too."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from alerts.facts import DiskPoint, DiskState
from alerts.thresholds import Thresholds
from slo.text import duration


def seconds_to_full(disk: DiskState, thresholds: Thresholds) -> Fraction | None:
    """Seconds until nothing is available; None where the trend is not falling, too short, or has ended.

    The whole window and its end must both fall: what a build or a pull wrote at once is no trend. The slower counts.
    """
    points = disk.trend
    if len(points) < 3 or points[-1].at_ms - points[0].at_ms < thresholds.disk_trend_min_ms:
        return None
    recent_from = points[-1].at_ms - thresholds.disk_trend_recent_ms
    slopes = [slope(points), slope([it for it in points if it.at_ms >= recent_from])]
    falling = [-it for it in slopes if it is not None and it < 0]
    return disk.available_bytes / min(falling) / 1000 if len(falling) == len(slopes) else None


def slope(points: Sequence[DiskPoint]) -> Fraction | None:
    """Bytes per millisecond by least squares, exact; None for fewer than two moments."""
    if not points:
        return None
    count = len(points)
    times = [it.at_ms - points[0].at_ms for it in points]
    sizes = [it.available_bytes for it in points]
    spread = count * sum(t * t for t in times) - sum(times) ** 2
    if spread == 0:
        return None
    return Fraction(count * sum(t * s for t, s in zip(times, sizes, strict=True)) - sum(times) * sum(sizes), spread)


def hours_text(seconds: Fraction) -> str:
    """A span in words."""
    return duration(int(seconds) * 1000)
