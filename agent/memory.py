"""What the agent knows, from its checkpoint at the start and into it before anything newer is shipped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import checkpoint, story_json
from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.log_bounds import Position
from agent.scrape_book import ScrapeBook

LOG = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Memory:
    """Ties ledger, lifecycle and the positions in logs to one file; for one thread."""

    def __init__(
        self, folder: Path, ledger: Ledger, lifecycle: Lifecycle, clock: Clock, scrapes: ScrapeBook | None = None
    ) -> None:
        self._scrapes = scrapes
        self._folder, self._ledger, self._lifecycle, self._clock = folder, ledger, lifecycle, clock
        self._revision = -1
        self._saved_at = 0.0
        self._kernel_counts: dict[str, int] = {}
        self.rebooted = False
        """True where the machine began anew since the checkpoint."""
        self.positions: dict[str, Position] = {}
        self.saved_ms: int | None = None
        self.failures = 0

    def recall(self) -> None:
        """Goes on from the checkpoint; one that can't be used is set aside, and everything begins anew."""
        try:
            state = checkpoint.read(self._folder)
            if state is not None:
                self._restore(state)
        except (checkpoint.BadCheckpoint, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            LOG.error("the checkpoint can't be used, counters begin anew: %s", error)
            checkpoint.set_aside(self._folder)
            self._ledger.restore([], complete=True)

    def kernel_count(self, container_id: str) -> int | None:
        """The cgroup's own count of kills in a run that was known at the last end; None where there was none."""
        return self._kernel_counts.get(container_id)

    def save_if_due(self, positions: Mapping[str, Position], counted: Callable[[str], int]) -> None:
        """Writes where a count changed since, or some time has passed."""
        late = self._clock.monotonic() - self._saved_at >= EVERY_SECONDS
        if late or self._ledger.revision != self._revision:
            self.save(positions, counted, complete=False)

    def save(self, positions: Mapping[str, Position], counted: Callable[[str], int], *, complete: bool) -> None:
        """Writes now; a disk that refuses is counted and told of, and the agent goes on."""
        with self._lifecycle.locked():
            revision = self._ledger.revision
            state = self._state(positions, counted)
        try:
            checkpoint.write(self._folder, state, complete=complete)
        except OSError as error:
            self.failures += 1
            LOG.warning("the checkpoint can't be written: %s", error)
        self._revision, self._saved_at = revision, self._clock.monotonic()

    def _state(self, positions: Mapping[str, Position], counted: Callable[[str], int]) -> dict[str, Any]:
        lifecycle = self._lifecycle
        alive = [record.container.id for record in lifecycle.story.book.records.values() if record.alive]
        return {
            "saved_ms": self._clock.now_ms(),
            "boot_id": _boot_id(),
            "last_event_ns": lifecycle.last_event_ns,
            "watched_ms": lifecycle.watched_ms,
            "ledger": self._ledger.to_json(),
            "story": story_json.to_json(lifecycle.story),
            "kernel_counts": {container_id: counted(container_id) for container_id in alive},
            "scrapes": self._scrapes.to_json() if self._scrapes is not None else None,
            "positions": {container_id: list(position) for container_id, position in positions.items()},
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        now = self._clock.now_ms()
        self._ledger.restore(state["ledger"], complete=bool(state["complete"]))
        story_json.restore(self._lifecycle.story, state["story"], now)
        self._lifecycle.last_event_ns, self._lifecycle.watched_ms = state["last_event_ns"], state["watched_ms"]
        self._lifecycle.set_back()
        self._kernel_counts = {str(key): int(count) for key, count in state["kernel_counts"].items()}
        self.positions = {str(key): Position(*position) for key, position in state["positions"].items()}
        if self._scrapes is not None and state.get("scrapes") is not None:
            self._scrapes.restore(state["scrapes"], now)
        self.rebooted = state["boot_id"] != _boot_id()
        self.saved_ms = int(state["saved_ms"])


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
