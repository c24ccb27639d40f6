"""How far a project is on its way to what its file says, and which of its deploys are under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.deploys import Deploy, Ended, settle
from agent.projects import Handed
from runtime.actions import Action, BuildImage, Create, Outcome, PullImage, Recreate, Wait, key_of, settled
from runtime.backoff import Failed, after, due
from runtime.creation import config_hash
from runtime.model import Project, ServiceName, ServiceSpec

Images = Mapping[str, str | None]
"""The id of each image's local copy, None where there is none."""
GIVEN_UP = "the engine gave"
"""How a wait begins that nobody has to wait for."""


@dataclass
class Progress:
    """One project's way; `failures` and `waits` are lines for people, by what they are about."""

    refresh: bool
    settled: bool = False
    stuck: bool = False
    """All that is left to do has failed and is to be tried later again."""
    failures: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    held: Mapping[str, Failed] = field(default_factory=dict)
    deploys: dict[str, Deploy] = field(default_factory=dict)
    began: float | None = None
    """When the file was handed over, by monotonic seconds; None once it was looked at."""
    wanted: dict[str, float] = field(default_factory=dict)
    """Since when each service waits for containers, by monotonic seconds."""
    fetched: dict[str, float] = field(default_factory=dict)
    """Seconds of that wait that its own pull or build took."""
    told: dict[str, str] = field(default_factory=dict)
    """The last failure that was told of as a failed deploy, by service."""

    def due(self, actions: Sequence[Action], now_ms: int) -> list[Action]:
        """What can be done now: waiting is not, nor what failed a short while ago."""
        return [one for one in actions if not isinstance(one, Wait) and due(key_of(one), self.held, now_ms)]

    def wants(self, actions: Sequence[Action], now: float) -> None:
        """Notes which services wait for containers from now on, or since their file was handed over."""
        since, self.began = now if self.began is None else self.began, None
        self.wanted = {one.service: self.wanted.get(one.service, since) for one in actions if _makes(one)}
        self.fetched = {service: seconds for service, seconds in self.fetched.items() if service in self.wanted}

    def queue_seconds(self, service: str, now: float) -> float:
        """How long a service waited for its turn; its own pull or build is no wait."""
        return max(0.0, now - self.wanted.get(service, now) - self.fetched.get(service, 0.0))

    def done(self, service: ServiceName, outcome: Outcome, now_ms: int) -> None:
        """Notes how an action ended."""
        key = key_of(outcome.action)
        self.held = after(key, outcome.ok, self.held, now_ms)
        if outcome.ok:
            self.failures.pop(key, None)
        else:
            self.failures[key] = f"{service}: {outcome.message}"

    def note_deploy(self, handed: Handed, outcome: Outcome, images: Images, began_ms: int, now_ms: int) -> Ended | None:
        """Notes what an action means for a deploy; a failure that was not told of before is one to tell."""
        action = outcome.action
        if not isinstance(action, (PullImage, BuildImage, Create, Recreate)):
            return None
        spec = _spec(handed, action.service)
        known = handed.deployed.get(spec.name)
        if isinstance(action, (Create, Recreate)) and _config(handed.project, spec, images) == known:
            return None
        deploy = self.deploys.get(spec.name)
        if deploy is None:
            previous, reason = (known or "").rpartition(" ")[2], action.reason if known else "created"
            service = ServiceName(handed.project.name, spec.name)
            deploy = self.deploys[spec.name] = Deploy(service, spec.image, previous, began_ms, reason)
        if outcome.pull is not None:
            deploy.fetched(outcome.pull, outcome.ok)
        if outcome.build is not None:
            deploy.built(began_ms, now_ms, outcome.ok, outcome.message or "")
        if isinstance(action, (Create, Recreate)):
            _made(deploy, outcome, began_ms, now_ms)
        return None if outcome.ok else self._failed(spec.name, outcome.message or "it failed", now_ms)

    def looked(
        self,
        handed: Handed,
        actions: Sequence[Action],
        images: Images,
        stands: Callable[[str], bool],
        now_ms: int,
        stood_ms: Callable[[str], int | None] = lambda _container_id: None,
    ) -> list[Ended]:
        """What a look came to: who waits for what, whether all is as it should be; the deploys that are over."""
        busy = {action.service for action in actions if not isinstance(action, Wait)}
        waits = {action.service: action.reason for action in actions if isinstance(action, Wait)}
        under_way = tuple(self.deploys.values())
        over = settle(under_way, stands, lambda one: one.service.name not in busy | waits.keys(), now_ms, stood_ms)
        for ended in over:
            service = ended.deploy.service.name
            del self.deploys[service]
            self.told.pop(service, None)
            handed.deployed[service] = _config(handed.project, _spec(handed, service), images)
        # An image that was looked for anew and is the same deploys nothing.
        self.deploys = {name: one for name, one in self.deploys.items() if one.made or name in busy}
        blocked = any(not reason.startswith(GIVEN_UP) for reason in waits.values())
        self.waits = {**dict.fromkeys(self.deploys, "its containers are not ready yet"), **waits}
        self.stuck = bool(self.failures) and not self.due(actions, now_ms) and not settled(actions)
        self.settled = settled(actions) and not self.deploys and not blocked and not handed.stopping
        return over

    def _failed(self, service: str, message: str, now_ms: int) -> Ended | None:
        deploy = self.deploys.pop(service)
        if self.told.get(service) == message:
            return None
        self.told[service] = message
        return Ended(deploy, now_ms, False, message)


def _makes(action: Action) -> bool:
    """True where the action leads to a container that is new."""
    if isinstance(action, Wait):
        return not action.reason.startswith(GIVEN_UP)
    return isinstance(action, (PullImage, BuildImage, Create, Recreate))


def _made(deploy: Deploy, outcome: Outcome, began_ms: int, now_ms: int) -> None:
    """What making a container came to, as parts of its deploy."""
    making_ms = outcome.making_ms or began_ms
    if isinstance(outcome.action, Recreate) and making_ms > began_ms:
        deploy.replaced(began_ms, making_ms)
    if outcome.container_id is not None:
        deploy.created(outcome.container_id, making_ms, outcome.made_ms or now_ms, now_ms)
    elif not outcome.ok:
        deploy.refused(making_ms, now_ms, outcome.message or "it failed")


def _spec(handed: Handed, service: str) -> ServiceSpec:
    return next(spec for spec in handed.project.services if spec.name == service)


def _config(project: Project, spec: ServiceSpec, images: Images) -> str:
    return f"{config_hash(project.name, spec)} {images.get(spec.image) or ''} {spec.image}"
