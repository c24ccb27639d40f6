"""Objectives and counts for tests, in few words."""

from __future__ import annotations

from fractions import Fraction

from slo.judge import windows
from slo.model import Counts, EventRatio, Indicator, Objective, Selector

DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000
NOW = 1_800_000_000_000
RATIO = EventRatio((Selector("all_total"),), bad=(Selector("bad_total"),))


def objective(
    budget: Fraction = Fraction(1, 1000), days: int = 30, indicator: Indicator = RATIO, unmeasurable: str | None = None
) -> Objective:
    return Objective("test", "shop/api", (), indicator, budget, "99.9 %", days * DAY, "Test", None, unmeasurable)


def counts(
    bad: int,
    total: int,
    window_ms: int = HOUR,
    *,
    observed_ms: int | None = None,
    expected_ms: int | None = None,
    first_ms: int | None = NOW - 400 * DAY,
) -> Counts:
    """Counts of `(NOW - window, NOW]`, fully observed unless said otherwise."""
    expected = window_ms if expected_ms is None else expected_ms
    observed = expected if observed_ms is None else observed_ms
    return Counts(NOW - window_ms, NOW, bad, total, observed, expected, 0, first_ms)


def steady(
    of: Objective, bad_per_million: int = 0, *, per_hour: int = 1_000_000, history_ms: int = 400 * DAY
) -> dict[int, Counts]:
    """Counts of all windows at a constant share of bad events, over a history of this length."""
    found = {}
    for window in windows(of):
        span = min(window, history_ms)
        total = per_hour * span // HOUR
        found[window] = counts(
            total * bad_per_million // 1_000_000, total, window, expected_ms=span, first_ms=NOW - history_ms
        )
    return found
