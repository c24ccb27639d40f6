"""Looks at the registries that the images come from: one timed manifest request each, now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event, Resource
from agent.settings import RegistrySettings
from runtime.credentials import Credentials
from runtime.identity import Reference, registry_of
from runtime.model import PLATFORM, RegistryTiming
from runtime.registry import time_manifest

LOG = logging.getLogger(__name__)


class RegistryProbe:
    """Asks each registry for one image that comes from it."""

    def __init__(
        self,
        settings: RegistrySettings,
        images: Callable[[], Iterable[str]],
        credentials: Callable[[str], Credentials | None],
        ledger: Ledger,
        lifecycle: Lifecycle,
        clock: Clock,
    ) -> None:
        self._settings, self._images, self._credentials = settings, images, credentials
        self._ledger, self._lifecycle, self._clock = ledger, lifecycle, clock
        self._told: dict[str, str] = {}
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Looks until told to stop."""
        while not stop.wait(self._settings.interval_seconds):
            for named in self.targets():
                if stop.is_set():
                    return
                self._look(named)

    def targets(self) -> list[Reference]:
        """One image of each registry, in a steady order."""
        by_registry: dict[str, Reference] = {}
        for image in (*self._settings.references, *self._images()):
            named = registry_of(image)
            by_registry.setdefault(named.registry, named)
        return list(by_registry.values())[: self._settings.most]

    def _look(self, named: Reference) -> None:
        try:
            timing = time_manifest(
                named.registry,
                named.repository,
                named.tag,
                now_ms=self._clock.now_ms(),
                credentials=self._credentials(named.registry),
            )
        except Exception:  # the loop must outlive what one registry answers: counted and logged
            self.errors += 1
            LOG.exception("looking at registry %s failed", named.registry)
            return
        self.took(timing)

    def took(self, timing: RegistryTiming) -> None:
        """Counts a request; a failure is told of once for each reason, until a request works again."""
        self._ledger.registry(timing)
        message = "" if timing.ok else timing.message or "it failed"
        if message and self._told.get(timing.registry) != message:
            self._lifecycle.emit(failure_event(timing))
        self._told[timing.registry] = message


def failure_event(timing: RegistryTiming) -> Event:
    """The event `registry.request` of a request that failed."""
    message = (timing.message or "")[:500]
    phase = next(reversed(list(timing.phases)), "connect")
    facts = {"registry": timing.registry, "phase": phase, "message": message}
    return Event("registry.request", timing.at_ms, Resource(PLATFORM), f"{timing.registry}: {message}", facts)
