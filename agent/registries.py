"""Looks at the registries that this node's images come from: a manifest and a small blob of each, now and then."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event, Labels, Resource
from agent.settings import RegistrySettings
from runtime.credentials import Credentials
from runtime.engine import Insecure
from runtime.identity import Reference, registry_of
from runtime.model import PLATFORM, KnownBlob, RateLimit, RegistryTiming
from runtime.registry import time_manifest
from runtime.registry_trust import Trust, is_insecure, unchecked

LOG = logging.getLogger(__name__)

AT_ONCE = 8
"""Most registries that are looked at side by side: one that hangs does not hold the others up."""
OTHERS_SECONDS = 60.0
"""Least time between two looks at a registry that nothing here needs."""
LONGEST_ROUND_SECONDS = 60.0


class Images(Protocol):
    """The node's images, as `agent.node_images` knows them."""

    insecure: Insecure

    def needed(self) -> Iterable[str]:
        """References of what is declared or runs here."""

    def others(self) -> Iterable[str]:
        """References of all other images that a registry knows."""


@dataclass
class _Seen:
    """What is remembered of one registry."""

    due: float = 0.0
    told: str = ""
    answered: bool = False
    known: dict[Reference, KnownBlob] = field(default_factory=dict)
    limit: RateLimit | None = None


class RegistryProbe:
    """Asks each registry for one image that comes from it."""

    def __init__(
        self,
        settings: RegistrySettings,
        images: Images,
        credentials: Callable[[str], Credentials | None],
        ledger: Ledger,
        lifecycle: Lifecycle,
        clock: Clock,
        trust: Trust | None = None,
    ) -> None:
        self._settings, self._images, self._credentials = settings, images, credentials
        self._ledger, self._lifecycle, self._clock = ledger, lifecycle, clock
        self._trust = trust or Trust()
        self._seen: dict[str, _Seen] = {}
        self._needed: frozenset[str] = frozenset()
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Looks until told to stop."""
        while not stop.wait(self._settings.interval_seconds):
            try:
                self.look(stop)
            except Exception:  # the loop must outlive what the engine answers: counted and logged
                self.errors += 1
                LOG.exception("looking at the registries failed")

    def look(self, stop: threading.Event) -> None:
        """One look at every registry that is due; what hangs goes on by itself, to its own deadline."""
        now = self._clock.monotonic()
        waiting = deque(one for one in self.targets() if self._seen[one.registry].due <= now)
        workers = [
            threading.Thread(target=self._work, args=(waiting, stop), name=f"registry-{number}", daemon=True)
            for number in range(min(AT_ONCE, len(waiting)))
        ]
        for worker in workers:
            worker.start()
        until = self._clock.monotonic() + LONGEST_ROUND_SECONDS
        while any(worker.is_alive() for worker in workers) and self._clock.monotonic() < until:
            if stop.wait(0.05):
                return

    def targets(self) -> list[Reference]:
        """One image of each registry, those that are needed here first; others are forgotten."""
        chosen: dict[str, Reference] = {}
        for named in map(registry_of, (*self._settings.references, *self._images.needed())):
            chosen.setdefault(named.registry, named)
        needed = frozenset(chosen)
        for named in map(registry_of, self._images.others()):
            chosen.setdefault(named.registry, named)
        targets = list(chosen.values())[: self._settings.most]
        self._needed = needed
        self._seen = {one.registry: self._seen.get(one.registry) or _Seen() for one in targets}
        return targets

    def took(self, timing: RegistryTiming) -> None:
        """Counts a request; a failure is told of once for each reason, until a request works again.

        A registry that nothing here needs counts from its first answer on: it may be long gone.
        """
        seen = self._seen.setdefault(timing.registry, _Seen())
        seen.answered = seen.answered or timing.ok
        every = 0.0 if timing.registry in self._needed else OTHERS_SECONDS
        seen.due = self._clock.monotonic() + max(every, timing.retry_after_seconds or 0.0)
        seen.limit = timing.rate_limit
        if timing.registry not in self._needed and not seen.answered:
            return
        self._ledger.registry(timing)
        message = timing.blob_message or "" if timing.ok else timing.message or "it failed"
        if message and seen.told != message:
            self._lifecycle.emit(failure_event(timing, message))
        seen.told = message

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """What the registries said of their limits when they were looked at last."""
        for registry, seen in list(self._seen.items()):
            if seen.limit is None:
                continue
            for name, value in (
                ("limit", seen.limit.limit),
                ("remaining", seen.limit.remaining),
                ("window_seconds", seen.limit.window_seconds),
            ):
                if value is not None:
                    yield f"midwatch_registry_ratelimit_{name}", (("registry", registry),), float(value)

    def _work(self, waiting: deque[Reference], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                named = waiting.popleft()
            except IndexError:
                return
            try:
                self.took(self._timed(named))
            except Exception:  # the loop must outlive what one registry answers: counted and logged
                self.errors += 1
                LOG.exception("looking at registry %s failed", named.registry)

    def _timed(self, named: Reference) -> RegistryTiming:
        seen = self._seen.get(named.registry) or _Seen()
        insecure = self._images.insecure
        if is_insecure(named.registry, insecure.names, insecure.networks):
            return self._timed_unchecked(named, seen)
        timing = time_manifest(
            *named,
            now_ms=self._clock.now_ms(),
            credentials=self._credentials(named.registry),
            tls=self._trust.context(named.registry),
            known=seen.known.get(named),
        )
        return _kept(timing, named, seen)

    def _timed_unchecked(self, named: Reference, seen: _Seen) -> RegistryTiming:
        """As the engine does it: TLS whoever answers, else plain HTTP; without a password, for anyone could read it."""
        known, now_ms = seen.known.get(named), self._clock.now_ms()
        timing = time_manifest(*named, now_ms=now_ms, tls=unchecked(), known=known)
        if timing.outcome in ("tls", "unreachable") and "manifest" not in timing.phases:
            timing = time_manifest(*named, now_ms=now_ms, plain=True, known=known)
        return _kept(timing, named, seen)


def _kept(timing: RegistryTiming, named: Reference, seen: _Seen) -> RegistryTiming:
    seen.known = {named: timing.known} if timing.known is not None else {}
    return timing


def failure_event(timing: RegistryTiming, message: str) -> Event:
    """The event `registry.request` of a request that failed, for a manifest or for a blob."""
    message = message[:500]
    phase = "blob" if timing.ok else next(reversed(list(timing.phases)), "connect")
    facts = {"registry": timing.registry, "phase": phase, "outcome": timing.outcome, "message": message}
    return Event("registry.request", timing.at_ms, Resource(PLATFORM), f"{timing.registry}: {message}", facts)
