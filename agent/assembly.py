"""Parts of the agent as its settings have them, and the loop that scrapes."""

from __future__ import annotations

import logging
import threading

from agent.clock import Clock
from agent.ledger import Ledger
from agent.log_bounds import LogLimits
from agent.rounds import Outbox, Rounds
from agent.scrape import ScrapeLimits
from agent.scraper import Scraper
from agent.settings import LogSettings, ScrapeSettings

LOG = logging.getLogger(__name__)


def log_limits(settings: LogSettings) -> LogLimits:
    """The bounds of following logs; a burst of bytes is what eight seconds may bring."""
    return LogLimits(
        followers=settings.containers,
        lines_per_second=settings.lines_per_second,
        burst_lines=settings.burst_lines,
        bytes_per_second=settings.bytes_per_second,
        burst_bytes=round(8 * settings.bytes_per_second),
    )


def scraper_of(settings: ScrapeSettings, clock: Clock, ledger: Ledger) -> Scraper | None:
    """Who scrapes the containers' own metrics, None where that is switched off."""
    if not settings.enabled:
        return None
    limits = ScrapeLimits(
        samples=settings.samples,
        lines=10 * settings.samples,
        series=settings.series,
        round_samples=settings.round_samples,
        timeout_seconds=settings.timeout_seconds,
    )
    return Scraper(clock.now_ms, limits, spend=ledger.scraped)


class ScrapeRounds:
    """Scrapes the containers of the last round on a steady beat, as the rounds do; missed beats are left out."""

    def __init__(self, scraper: Scraper | None, rounds: Rounds, outbox: Outbox, clock: Clock, seconds: float) -> None:
        self._scraper, self._rounds, self._outbox = scraper, rounds, outbox
        self._clock, self._seconds = clock, seconds
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        due = self._clock.monotonic() + self._seconds
        while self._scraper is not None and not stop.wait(max(0.0, due - self._clock.monotonic())):
            due = max(due + self._seconds, self._clock.monotonic())
            try:
                self._outbox.points(self._scraper.round(self._rounds.pairs()))
            except Exception:  # the loop must outlive what one container exposes: counted and logged
                self.errors += 1
                LOG.exception("a round of scrapes failed")
