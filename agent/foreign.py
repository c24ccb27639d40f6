"""Deploys that others make, as far as the engine's events tell; and when containers were first ready."""

from __future__ import annotations

from collections.abc import Callable

from agent.configs import Deploy as Change
from agent.deploys import Deploy, Ended, settle
from runtime.model import Container, ServiceName

MOST_UNDER_WAY = 200
MOST_REMEMBERED = 5_000


class Stood:
    """When a run of a container was first ready, by the container's id; bounded, the oldest goes."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._at: dict[str, tuple[int | None, int]] = {}

    def note(self, container_id: str, started_ms: int | None, at_ms: int) -> None:
        """The run that began then is ready; what was noted of the same run before stays."""
        known = self._at.get(container_id)
        if known is not None and known[0] == started_ms:
            return
        self._at.pop(container_id, None)
        while len(self._at) >= self._most:
            del self._at[next(iter(self._at))]
        self._at[container_id] = (started_ms, at_ms)

    def of(self, container_id: str, started_ms: int | None) -> int | None:
        """When that run was first ready; None where it was not seen."""
        known = self._at.get(container_id)
        return known[1] if known is not None and known[0] == started_ms else None


class ForeignDeploys:
    """Services that someone else is bringing to another configuration, from their first new container to ready."""

    def __init__(self, most: int = MOST_UNDER_WAY) -> None:
        self._most = most
        self._under_way: dict[ServiceName, Deploy] = {}
        self._made: dict[str, int] = {}

    def made(self, container_id: str, at_ms: int) -> None:
        """The engine told that a container is made."""
        self._made[container_id] = at_ms
        while len(self._made) > self._most:
            del self._made[next(iter(self._made))]

    def started(self, service: ServiceName, container: Container, started_ms: int, change: Change | None) -> None:
        """A new container was started: the first of a deploy, one more of it, or neither."""
        deploy = self._under_way.get(service)
        if change is not None:
            while len(self._under_way) >= self._most:
                del self._under_way[next(iter(self._under_way))]
            previous = change.previous.image if change.previous else ""
            deploy = Deploy(service, container.image, previous, container.created_ms, change.reason, quality="derived")
            deploy.digest = container.image_id
            self._under_way[service] = deploy
        made_ms = min(self._made.pop(container.id, started_ms), started_ms)
        if deploy is not None:
            created_ms = min(container.created_ms, made_ms)
            deploy.created(container.id, created_ms, made_ms, started_ms)

    def over(self, stands: Callable[[str], bool], stood_ms: Callable[[str], int | None], now_ms: int) -> list[Ended]:
        """The deploys that are over now, and under way no more."""
        over = settle(tuple(self._under_way.values()), stands, lambda _: True, now_ms, stood_ms)
        for ended in over:
            self._under_way.pop(ended.deploy.service, None)
        return over
