"""Carrying actions out on an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runtime.actions import Action, BuildImage, Create, Outcome, PullImage, Recreate, Remove, Start, Wait
from runtime.creation import config_hash, creation, network_name, owner_labels, volume_name
from runtime.credentials import Credentials
from runtime.engine import Engine
from runtime.engine_images import Clock
from runtime.errors import EngineRefused
from runtime.identity import registry_of
from runtime.model import Build, Container, Pull, ServiceSpec


@dataclass(frozen=True)
class Hands:
    """What carrying out an action needs: the engine, the time, and the credentials of a registry."""

    engine: Engine
    clock: Clock
    credentials: Callable[[str], Credentials | None] = lambda _registry: None
    stop: Callable[[], bool] = lambda: False
    owner: Mapping[str, str] = field(default_factory=dict)
    """Labels of every container that is made."""


def apply(action: Action, project: str, hands: Hands) -> Outcome:
    """Carries one action out. What the engine refuses is the outcome; EngineUnavailable is raised."""
    try:
        match action:
            case PullImage(image=image):
                return _pulled(action, hands.engine.pull(image, _credentials(image, hands), hands.clock, hands.stop))
            case BuildImage(image=image, spec=build):
                return _built(action, hands.engine.build(build, image, hands.clock))
            case Create(replica=replica, spec=spec):
                return _created(action, project, spec, replica, hands)
            case Recreate(replica=replica, spec=spec, container=container):
                _removed(container, hands.engine)
                return _created(action, project, spec, replica, hands)
            case Start(container=container):
                hands.engine.start(container.id)
                return Outcome(action, True, container_id=container.id)
            case Remove(container=container):
                _removed(container, hands.engine)
            case Wait():
                pass
    except EngineRefused as refused:
        return Outcome(action, False, str(refused))
    return Outcome(action, True)


def _credentials(image: str, hands: Hands) -> Credentials | None:
    return hands.credentials(registry_of(image).registry)


def _pulled(action: Action, pull: Pull) -> Outcome:
    ok = pull.outcome in ("ok", "cached")
    return Outcome(action, ok, None if ok else f"pull of {pull.reference}: {pull.message or pull.outcome}", pull=pull)


def _built(action: Action, build: Build) -> Outcome:
    return Outcome(action, build.ok, None if build.ok else f"build of {build.reference}: {build.message}", build=build)


def _created(action: Action, project: str, spec: ServiceSpec, replica: int, hands: Hands) -> Outcome:
    engine, labels, making_ms = hands.engine, owner_labels(project), hands.clock()
    for network in spec.networks:
        engine.ensure_network(network_name(project, network), labels)
    for mount in spec.mounts:
        if mount.kind == "volume" and mount.source:
            engine.ensure_volume(volume_name(project, mount.source), labels)
    made = creation(project, spec, replica, config_hash(project, spec), hands.owner)
    id = engine.create(made.name, made.body, made.further_networks)
    made_ms = hands.clock()
    engine.start(id)
    return Outcome(action, True, container_id=id, making_ms=making_ms, made_ms=made_ms)


def _removed(container: Container, engine: Engine) -> None:
    if container.state in ("running", "paused", "restarting"):
        engine.stop(container.id)
    engine.remove(container.id)
