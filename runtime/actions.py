"""What can be done to bring containers to their desired state, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.model import REPLICA_LABEL, Build, BuildSpec, Container, Pull, ServiceSpec


@dataclass(frozen=True)
class PullImage:
    """Pull an image that is missing, or that is to be looked for anew."""

    service: str
    image: str
    reason: str


@dataclass(frozen=True)
class BuildImage:
    """Build a service's image."""

    service: str
    image: str
    spec: BuildSpec
    reason: str


@dataclass(frozen=True)
class Create:
    """Make and start a replica's container."""

    service: str
    replica: int
    spec: ServiceSpec
    reason: str


@dataclass(frozen=True)
class Recreate:
    """Replace a container by one of the present configuration and image: a deploy."""

    service: str
    replica: int
    container: Container
    spec: ServiceSpec
    reason: str


@dataclass(frozen=True)
class Start:
    """Start a container that stands still and should run."""

    service: str
    container: Container
    reason: str


@dataclass(frozen=True)
class Remove:
    """Stop a container gracefully and remove it."""

    service: str
    container: Container
    reason: str


@dataclass(frozen=True)
class Wait:
    """Nothing to be done now, and why: applying it does nothing."""

    service: str
    reason: str


Action = PullImage | BuildImage | Create | Recreate | Start | Remove | Wait


@dataclass(frozen=True)
class Outcome:
    """How an action ended: `message` says why where it failed; a pull or build brings its record."""

    action: Action
    ok: bool
    message: str | None = None
    pull: Pull | None = None
    build: Build | None = None
    container_id: str | None = None
    making_ms: int | None = None
    """When the making of a container began, after the one that it replaces was removed; ms UTC."""
    made_ms: int | None = None
    """When it was made and its start was asked for; ms UTC."""


def settled(actions: Sequence[Action]) -> bool:
    """True where a plan leaves nothing to do: all is as it should be, or waits for something else."""
    return all(isinstance(action, Wait) for action in actions)


def replica_of(container: Container) -> int:
    """A container's number among its service's replicas, from 1; 0 where its label is no such number."""
    text = container.labels.get(REPLICA_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


def key_of(action: Action) -> str:
    """What an action's failures are counted under for `runtime.backoff`: an image, or a replica of a service."""
    match action:
        case PullImage(image=image) | BuildImage(image=image):
            return f"image {image}"
        case Create(service=service, replica=replica) | Recreate(service=service, replica=replica):
            return f"replica {service} {replica}"
        case Start(service=service, container=container) | Remove(service=service, container=container):
            return f"replica {service} {replica_of(container)}"
        case Wait(service=service):
            return f"wait {service}"
