"""Deploys under way: from the first action of a service to when its replicas stand, told as one event and trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.model import Event, Resource
from runtime.model import Pull, ServiceName

DEADLINE_MS = 120_000
NOT_READY = "it was not ready in time"


class Step(NamedTuple):
    """One part of a deploy: `pull`, `build`, `stop`, `create`, `start`, `ready`; times in milliseconds UTC."""

    name: str
    from_ms: int
    to_ms: int
    ok: bool
    message: str = ""
    container_id: str = ""


@dataclass
class Deploy:
    """One service on its way to another configuration."""

    service: ServiceName
    image: str
    previous_image: str
    began_ms: int
    reason: str
    steps: list[Step] = field(default_factory=list)
    digest: str = ""
    made: set[str] = field(default_factory=set)
    made_ms: int | None = None
    quality: str = "exact"
    """`derived` where others made it, and the engine's events are all that is known."""

    def fetched(self, pull: Pull, ok: bool) -> None:
        """A pull of its image ended."""
        to_ms = pull.at_ms + round(pull.seconds * 1000)
        self.steps.append(Step("pull", pull.at_ms, to_ms, ok, pull.message or ""))
        self.digest = pull.digest or self.digest

    def built(self, from_ms: int, to_ms: int, ok: bool, message: str) -> None:
        """A build of its image ended."""
        self.steps.append(Step("build", from_ms, to_ms, ok, message))

    def replaced(self, from_ms: int, to_ms: int) -> None:
        """The container that the next one replaces was stopped and removed."""
        self.steps.append(Step("stop", from_ms, to_ms, True))

    def created(self, container_id: str, from_ms: int, made_ms: int, started_ms: int) -> None:
        """A container of it was made, then started."""
        self.steps.append(Step("create", from_ms, made_ms, True, "", container_id))
        self.steps.append(Step("start", made_ms, started_ms, True, "", container_id))
        self.made.add(container_id)
        self.made_ms = started_ms

    def refused(self, from_ms: int, to_ms: int, message: str) -> None:
        """A container of it could not be made or started."""
        self.steps.append(Step("create", from_ms, to_ms, False, message))


@dataclass(frozen=True)
class Ended:
    """A deploy that is over, for better or worse."""

    deploy: Deploy
    at_ms: int
    ok: bool
    reason: str

    def event(self) -> Event:
        """The event `deploy`."""
        deploy = self.deploy
        seconds = (self.at_ms - deploy.began_ms) / 1000
        facts: dict[str, str | int | float | bool] = {
            "image": deploy.image,
            "previous_image": deploy.previous_image,
            "digest": deploy.digest,
            "ok": self.ok,
            "seconds": seconds,
            "reason": self.reason[:500],
        }
        what = f"runs {deploy.image}" if self.ok else f"could not be brought to {deploy.image}"
        return Event("deploy", self.at_ms, Resource(deploy.service), f"{deploy.service} {what}: {self.reason}", facts)


def settle(
    deploys: Sequence[Deploy],
    standing: Callable[[str], bool],
    complete: Callable[[Deploy], bool],
    now_ms: int,
    stood_ms: Callable[[str], int | None] = lambda _container_id: None,
) -> list[Ended]:
    """The deploys that are over now: all their containers stand, or they took too long after the last was made.

    `stood_ms` is when a container was first ready; where that is not known, it is now.
    """
    over: list[Ended] = []
    for deploy in deploys:
        if deploy.made_ms is None or not complete(deploy):
            continue
        ready = all(standing(container_id) for container_id in deploy.made)
        if ready or now_ms - deploy.made_ms >= DEADLINE_MS:
            at_ms = max(deploy.made_ms, *(stood_ms(id_) or now_ms for id_ in deploy.made)) if ready else now_ms
            deploy.steps.append(Step("ready", deploy.made_ms, at_ms, ready, "" if ready else NOT_READY))
            over.append(Ended(deploy, at_ms, ready, deploy.reason if ready else NOT_READY))
    return over
