"""Pulls that others made, as far as the engine tells of them: a guess at each, marked as derived.

The engine's event says which image, and only that it worked. Whether anything was fetched shows in the image that the
reference means now and meant before. How long it took, and that other pulls failed, shows in the engine's own metrics
where they are on: its sum and count since the last look, less what is known already.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.clock import Clock
from agent.ledger import UNKNOWN, Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event, Resource
from runtime.engine import Engine
from runtime.engine_metrics import PullActions
from runtime.errors import RuntimeFault
from runtime.identity import Reference, bounded, registry_of
from runtime.model import PLATFORM, EngineEvent, PullOutcome

LOG = logging.getLogger(__name__)

TURN_SECONDS = 0.5
SETTLE_SECONDS = 15.0
"""A pull that the engine counts and no event tells of has failed, once this much later there is none either."""
MAX_KNOWN = 5_000


@dataclass
class _Unexplained:
    """Pulls that the engine counted and nobody told of, and since when there are so many."""

    count: int = 0
    since: float = 0.0


class OthersPulls:
    """For one thread; `actions` reads the engine's metrics, None where they are off."""

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        lifecycle: Lifecycle,
        ledger: Ledger,
        clock: Clock,
        actions: Callable[[], PullActions | None] | None = None,
    ) -> None:
        self._engine, self._lifecycle, self._ledger, self._clock = engine, lifecycle, ledger, clock
        self._actions = actions
        self._last: PullActions | None = None
        self._ours_counted = 0
        self._unexplained = _Unexplained()
        self._looked_at = float("-inf")
        self._known: dict[Reference, str] | None = None
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Looks until told to stop."""
        while not stop.wait(TURN_SECONDS):
            try:
                self.turn()
            except RuntimeFault as fault:
                LOG.info("pulls by others can't be looked at: %s", fault)
            except Exception:  # the loop must outlive what the engine answers: counted and logged
                self.errors += 1
                LOG.exception("looking at pulls by others failed")

    def turn(self) -> None:
        """Takes in what others pulled since the last turn."""
        engine = self._engine()
        if engine is None:
            self._known, self._last = None, None
            return
        if self._known is None:
            self._known = _named(engine)
        events = self._lifecycle.pulls.take_others()
        seconds = self._counted([event for event in events if event.action == "pull"])
        for event in events:
            if event.action == "pull":
                self._pulled(event, engine, seconds)
            else:
                self._forget(event.id)
        if any(event.action != "pull" for event in events):
            # One name less may leave others of the same image.
            self._known = {**_named(engine), **self._known}

    def _forget(self, image_id: str) -> None:
        """An image lost a name, or all of it: what is pulled by its names from here on is fetched anew."""
        self._known = {named: id for named, id in (self._known or {}).items() if id != image_id}

    def _counted(self, events: Sequence[EngineEvent]) -> float | None:
        """What the engine's metrics add: how long the one pull took that they and the events agree on."""
        now, ours = self._clock.monotonic(), self._lifecycle.pulls.ours_ended
        if self._actions is None or not (events or now - self._looked_at >= SETTLE_SECONDS):
            return None
        self._looked_at = now
        last, self._last = self._last, self._actions()
        our_share, self._ours_counted = ours - self._ours_counted, ours
        if last is None or self._last is None or self._last.pulls < last.pulls:
            self._unexplained = _Unexplained(0, now)
            return None
        more = self._last.pulls - last.pulls
        self._settle(self._unexplained.count + more - len(events) - our_share, now)
        return self._last.seconds - last.seconds if more == len(events) == 1 and our_share == 0 else None

    def _settle(self, unexplained: int, now: float) -> None:
        """Counts as failed what stayed unexplained; our own pulls under way may still explain it."""
        if unexplained <= 0 or self._lifecycle.pulls.busy or self._unexplained.count != unexplained:
            self._unexplained = _Unexplained(unexplained, now)
        elif now - self._unexplained.since >= SETTLE_SECONDS:
            for _ in range(min(unexplained, 1000)):
                self._ledger.pull_by_others(UNKNOWN, UNKNOWN, "error", None)
            self._unexplained = _Unexplained(0, now)

    def _pulled(self, event: EngineEvent, engine: Engine, seconds: float | None) -> None:
        named, known = registry_of(event.id), {} if self._known is None else self._known
        image = engine.image(event.id)
        outcome: PullOutcome = "cached" if image is not None and known.get(named) == image.id else "ok"
        if image is not None and (named in known or len(known) < MAX_KNOWN):
            known[named] = image.id
        self._ledger.pull_by_others(named.registry, named.repository, outcome, seconds)
        self._lifecycle.emit(_event(event, named, outcome, seconds))


def _named(engine: Engine) -> dict[Reference, str]:
    """The id of each local image by every name that a registry knows it under."""
    return {registry_of(reference): id for id, references in engine.pulled_images().items() for reference in references}


def _event(event: EngineEvent, named: Reference, outcome: PullOutcome, seconds: float | None) -> Event:
    reference = bounded(event.id)
    facts: dict[str, str | int | float | bool] = {
        "registry": named.registry,
        "repository": named.repository,
        "reference": reference,
        "outcome": outcome,
        "quality": "derived",
    }
    if seconds is not None:
        facts["seconds"] = seconds
    at_ms = event.time_ns // 1_000_000
    return Event("image.pull", at_ms, Resource(PLATFORM), f"{reference} was pulled by someone", facts)
