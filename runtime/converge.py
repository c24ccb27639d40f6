"""From what runs to what should: a pure plan, one action at a time, and their execution.

A plan looks at the present alone, so it holds only what can be done now: an image is pulled first and its containers
are made by the next plan; a service waits for those it depends on; replicas are replaced one by one, each only once
its forerunner stands. Plan, apply, look again, until nothing but Wait is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

from runtime.actions import Action, BuildImage, Create, PullImage, Recreate, Remove, Start, Wait, replica_of
from runtime.creation import config_hash
from runtime.model import CONFIG_HASH_LABEL, PROJECT_LABEL, SERVICE_LABEL, Container, Project, ServiceSpec


def done(container: Container) -> bool:
    """True for a job that ended well and that its policy does not start again."""
    policy = container.restart_policy in ("no", "on-failure")
    return policy and container.state == "exited" and container.exit_code == 0


def standing(container: Container) -> bool:
    """True where a container is as good as it gets: running and not unhealthy or starting, or done."""
    return done(container) or (container.state == "running" and container.health in ("none", "healthy"))


def plan(
    project: Project,
    containers: Sequence[Container],
    image_ids: Mapping[str, str | None],
    *,
    refresh: bool = False,
    ready: Callable[[Container], bool] = standing,
) -> tuple[Action, ...]:
    """What to do now so that the project's containers become what its file says.

    `containers` may be all of the node: only those with the project's own label are ever looked at. `image_ids` has
    the local image of each service, None where it is missing. `refresh` pulls images whose policy is `always` and
    builds again what is built here: meant for the first plan after a file was handed over. `ready` tells whether a
    replica stands, so that its dependents may start and the next may be replaced.
    """
    by_service, orphans = _grouped(project, containers)
    actions: list[Action] = [
        Remove(_service_of(orphan), orphan, "its service is not in the file") for orphan in orphans
    ]
    fetching: set[str] = set()
    for spec in in_order(project.services):
        image_id = image_ids.get(spec.image)
        kept, leaving, surplus = _numbered(spec, by_service[spec.name])
        actions += surplus
        fetch = _fetch(spec, image_id, refresh, spec.image in fetching)
        if fetch is not None or image_id is None:
            actions += [] if fetch is None else [fetch]
            fetching.add(spec.image)
            continue
        waits_for = _unmet(spec, project.services, by_service, ready)
        actions += _service(spec, _sorted_out(project.name, spec, kept, leaving, image_id), waits_for, ready)
    return tuple(actions)


def dismissal(project: str, containers: Sequence[Container]) -> tuple[Action, ...]:
    """What to do so that nothing of the project is left; its networks and volumes are not containers and stay."""
    own = (container for container in containers if container.labels.get(PROJECT_LABEL) == project)
    return tuple(Remove(_service_of(container), container, "the project was stopped") for container in own)


def _service_of(container: Container) -> str:
    return container.labels.get(SERVICE_LABEL, "")


def _grouped(project: Project, containers: Sequence[Container]) -> tuple[dict[str, list[Container]], list[Container]]:
    by_service: dict[str, list[Container]] = {spec.name: [] for spec in project.services}
    orphans: list[Container] = []
    for container in containers:
        if container.labels.get(PROJECT_LABEL) == project.name:
            by_service.get(_service_of(container), orphans).append(container)
    return by_service, [orphan for orphan in orphans if orphan.state != "removing"]


def in_order(services: Sequence[ServiceSpec]) -> tuple[ServiceSpec, ...]:
    """The services so that each comes after those it depends on; otherwise as the file has them."""
    left, ordered, placed = list(services), [], set[str]()
    names = {spec.name for spec in services}
    while left:
        free = [spec for spec in left if set(spec.depends_on) & names <= placed] or left
        ordered += free
        placed |= {spec.name for spec in free}
        left = [spec for spec in left if spec.name not in placed]
    return tuple(ordered)


def _fetch(spec: ServiceSpec, image_id: str | None, refresh: bool, under_way: bool) -> Action | None:
    missing = image_id is None
    if under_way:
        return Wait(spec.name, f"waits for image {spec.image}")
    if spec.build is not None:
        reason = "the image is missing" if missing else "the file was handed over"
        return BuildImage(spec.name, spec.image, spec.build, reason) if missing or refresh else None
    if spec.pull_policy == "never":
        return Wait(spec.name, f"image {spec.image} is missing and pull_policy is never") if missing else None
    if missing:
        return PullImage(spec.name, spec.image, "the image is missing")
    return (
        PullImage(spec.name, spec.image, "pull_policy is always") if refresh and spec.pull_policy == "always" else None
    )


def _unmet(
    spec: ServiceSpec,
    services: Sequence[ServiceSpec],
    by_service: Mapping[str, Sequence[Container]],
    ready: Callable[[Container], bool],
) -> str | None:
    replicas = {other.name: other.replicas for other in services}
    for name, condition in spec.depends_on.items():
        passed = [container for container in by_service.get(name, ()) if _meets(container, condition, ready)]
        if len(passed) < replicas.get(name, 0):
            return f"waits for {name} ({condition.replace('_', ' ')})"
    return None


def _meets(container: Container, condition: str, ready: Callable[[Container], bool]) -> bool:
    match condition:
        case "service_healthy":
            return container.state == "running" and (container.health == "healthy" or _own_word(container, ready))
        case "service_completed_successfully":
            return container.state == "exited" and container.exit_code == 0
    return container.state in ("running", "restarting", "paused") or done(container)


def _own_word(container: Container, ready: Callable[[Container], bool]) -> bool:
    return container.health == "none" and ready(container)


def _numbered(
    spec: ServiceSpec, containers: Sequence[Container]
) -> tuple[dict[int, Container], set[int], list[Action]]:
    kept: dict[int, Container] = {}
    leaving: set[int] = set()
    surplus: list[Action] = []
    for container in sorted(containers, key=lambda found: (found.created_ms, found.id)):
        number = replica_of(container)
        if container.state == "removing":
            leaving.add(number)
            surplus.append(Wait(spec.name, f"{container.name} is being removed"))
        elif container.state == "dead":
            surplus.append(Remove(spec.name, container, "the engine could not remove it"))
        elif 1 <= number <= spec.replicas and number not in kept:
            kept[number] = container
        else:
            surplus.append(Remove(spec.name, container, f"{spec.replicas} replicas are declared"))
    return kept, leaving, surplus


class _Sorted(NamedTuple):
    """A service's replicas by number: as the file has them, those that differ with the reason, those that go."""

    fresh: Mapping[int, Container]
    stale: Mapping[int, tuple[Container, str]]
    leaving: Set[int]

    @property
    def numbers(self) -> set[int]:
        """The numbers whose names are taken."""
        return {*self.fresh, *self.stale, *self.leaving}


def _sorted_out(
    project: str, spec: ServiceSpec, kept: Mapping[int, Container], leaving: Set[int], image_id: str
) -> _Sorted:
    wanted = config_hash(project, spec)
    reasons = {number: _difference(container, wanted, image_id) for number, container in kept.items()}
    return _Sorted(
        {number: kept[number] for number, reason in reasons.items() if reason is None},
        {number: (kept[number], reason) for number, reason in reasons.items() if reason is not None},
        leaving,
    )


def _difference(container: Container, wanted: str, image_id: str) -> str | None:
    if container.labels.get(CONFIG_HASH_LABEL) != wanted:
        return "its configuration changed"
    return "its image changed" if container.image_id != image_id else None


def _service(
    spec: ServiceSpec, replicas: _Sorted, waits_for: str | None, ready: Callable[[Container], bool]
) -> list[Action]:
    todo: list[Action] = [action for found in replicas.fresh.values() if (action := _revival(spec, found)) is not None]
    for number in range(1, spec.replicas + 1):
        if number not in replicas.numbers:
            todo.append(Create(spec.name, number, spec, "a replica is missing"))
    if waits_for and (todo or replicas.stale):
        return [Wait(spec.name, waits_for)]
    return todo + _replacing(spec, replicas, ready)


def _revival(spec: ServiceSpec, container: Container) -> Action | None:
    if container.state == "created":
        return Start(spec.name, container, "it was made but never started")
    if container.state != "exited" or spec.restart == "no" or done(container):
        return None
    # The engine brings back what crashes and shows it as restarting: one that is exited was stopped, or given up.
    if spec.restart == "on-failure" and 0 < spec.max_retries <= container.restart_count:
        times = "1 restart" if container.restart_count == 1 else f"{container.restart_count} restarts"
        return Wait(spec.name, f"the engine gave {container.name} up after {times}")
    return Start(spec.name, container, "it was stopped")


def _replacing(spec: ServiceSpec, replicas: _Sorted, ready: Callable[[Container], bool]) -> list[Action]:
    if not replicas.stale:
        return []
    unready = [found.name for found in replicas.fresh.values() if not ready(found)]
    if unready:
        return [Wait(spec.name, f"waits until {unready[0]} stands before the next is replaced")]
    # What does not serve anyway goes first.
    number = min(replicas.stale, key=lambda number: (ready(replicas.stale[number][0]), number))
    container, reason = replicas.stale[number]
    return [Recreate(spec.name, number, container, spec, reason)]
