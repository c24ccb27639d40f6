"""The images of this node that come from a registry: those that are needed here, and the others that lie about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from agent.clock import Clock
from agent.ledger import PULLS, Ledger
from runtime.engine import Engine, Insecure
from runtime.errors import RuntimeFault
from runtime.identity import registry_of
from runtime.model import Container, ServiceName

LOG = logging.getLogger(__name__)

LIST_SECONDS = 60.0
"""How long a listing of the engine's images is good for."""


def comes_from_outside(ledger: Ledger, service: ServiceName, image: str) -> bool:
    """False for a name without a registry that was never pulled: an image made on this node has such a name."""
    named = registry_of(image)
    at = {"registry": named.registry, "repository": named.repository}
    return image.startswith(named.registry) or ledger.value(service, PULLS, **at) > 0


class NodeImages:
    """Asks the engine now and then; while it is away, what it said last stands. For one thread."""

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        declared: Callable[[], Iterable[str]],
        containers: Callable[[], Iterable[Container]],
        clock: Clock,
    ) -> None:
        self._engine, self._declared, self._containers, self._clock = engine, declared, containers, clock
        self._listed_at: float | None = None
        self._pulled: Mapping[str, tuple[str, ...]] = {}
        self.insecure = Insecure(frozenset(), ())

    def needed(self) -> Iterator[str]:
        """References of declared services, and of containers whose image a registry knows."""
        yield from self._declared()
        self._list()
        for container in self._containers():
            references = self._pulled.get(container.image_id, ())
            yield from (container.image,) if container.image in references else references

    def others(self) -> Iterator[str]:
        """References of all local images that a registry knows."""
        self._list()
        for references in self._pulled.values():
            yield from references

    def _list(self) -> None:
        now, engine = self._clock.monotonic(), self._engine()
        if engine is None or (self._listed_at is not None and now - self._listed_at < LIST_SECONDS):
            return
        self._listed_at = now
        try:
            self._pulled, self.insecure = engine.pulled_images(), engine.insecure_registries()
        except RuntimeFault as fault:
            LOG.info("the engine's images can't be listed: %s", fault)
