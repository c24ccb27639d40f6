"""Every number that a default alert compares with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@dataclass(frozen=True)
class Thresholds:
    """Limits of the default alerts; durations in milliseconds, ratios exact."""

    hold_ms: int = MINUTE
    """How long a condition must be gone before its alert resolves."""
    oom_storm_window_ms: int = 5 * MINUTE
    oom_storm_service_kills: int = 3
    oom_storm_node_kills: int = 5
    mass_restarts_window_ms: int = 5 * MINUTE
    mass_restarts_ratio: Fraction = Fraction(3, 10)
    mass_restarts_min: int = 3
    crash_loop_window_ms: int = 10 * MINUTE
    crash_loop_restarts: int = 3
    crash_loop_page_after_ms: int = 2 * MINUTE
    """How long none of the service must be healthy for a crash loop to page."""
    pulls_unauthorized_window_ms: int = 5 * MINUTE
    pulls_unauthorized: int = 2
    pulls_failing_window_ms: int = 10 * MINUTE
    pulls_failing: int = 3
    container_down_after_ms: int = 5 * MINUTE
    disk_trend_window_ms: int = HOUR
    disk_trend_min_ms: int = 30 * MINUTE
    """How much of the trend's window must be seen before it is believed."""
    disk_trend_recent_ms: int = 15 * MINUTE
    """The end of the window that must show the trend too: what was written once is not going on."""
    disk_full_within_ms: int = 4 * HOUR
    disk_page_ratio: Fraction = Fraction(9, 10)
    disk_ticket_ratio: Fraction = Fraction(7, 10)
    silent_rounds: int = 3
    silent_extra_ms: int = 30 * SECOND
    """An agent is silent after `silent_rounds` of its rounds and this."""
    evaluation_late_after_ms: int = 2 * MINUTE
    outbox_stuck_after_ms: int = 5 * MINUTE
    spool_window_ms: int = 5 * MINUTE
    spool_dropped: int = 1
    store_full_ratio: Fraction = Fraction(9, 10)

    def silent_after_ms(self, interval_ms: int) -> int:
        """Milliseconds without a batch after which an agent with this interval counts as silent."""
        return self.silent_rounds * interval_ms + self.silent_extra_ms


DEFAULT = Thresholds()
