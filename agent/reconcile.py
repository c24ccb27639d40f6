"""Keeps declared projects as their files say: plans, does what is due, looks again; failures are tried later again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.clock import Clock
from agent.deploys import Deploy, Ended, settle
from agent.fetches import build_event, pull_event
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.projects import Handed, ProjectFolder, declared, stopping
from runtime.actions import Action, BuildImage, Create, Outcome, PullImage, Recreate, Wait, key_of, settled
from runtime.apply import Hands, apply
from runtime.backoff import Failed, after, due
from runtime.converge import dismissal, done, plan
from runtime.creation import config_hash
from runtime.credentials import Credentials
from runtime.engine import Engine
from runtime.errors import EngineUnavailable, RuntimeFault
from runtime.identity import registry_of
from runtime.model import PROJECT_LABEL, Container, Project, ServiceName, ServiceSpec

LOG = logging.getLogger(__name__)

EVERY_SECONDS = 15.0
UNSETTLED_SECONDS = 0.2
MOST_PASSES = 20


@dataclass
class Progress:
    """How far one project is; `failures` and `waits` are lines for people."""

    refresh: bool
    settled: bool = False
    stuck: bool = False
    """All that is left to do has failed and is to be tried later again."""
    failures: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    held: Mapping[str, Failed] = field(default_factory=dict)
    deploys: dict[str, Deploy] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    """The last failure that was told of as a failed deploy, by service."""


class Reconciler:
    """The projects and the thread that keeps them; `hand_over` and `stop` may be called from any thread."""

    def __init__(
        self,
        folder: ProjectFolder,
        lifecycle: Lifecycle,
        ledger: Ledger,
        engine: Callable[[], Engine | None],
        clock: Clock,
        *,
        credentials: Callable[[str], Credentials | None] = lambda _registry: None,
        deployed: Callable[[Ended], None] = lambda _ended: None,
    ) -> None:
        self._folder, self._lifecycle, self._ledger = folder, lifecycle, ledger
        self._engine, self._clock = engine, clock
        self._credentials, self._deployed = credentials, deployed
        self._handed = folder.load()
        self._progress = {name: Progress(refresh=False) for name in self._handed}
        self._changed = threading.Condition()
        self._awake = True
        self._stopping = False
        self.errors = 0

    def begin(self) -> None:
        """Declares what was handed over before; once, before anything is watched."""
        self._declare()

    def run(self, stop: threading.Event) -> None:
        """Keeps the projects until told to stop."""
        while not stop.is_set():
            self._turn()
            self._sleep()

    def wake(self) -> None:
        """Something changed: look now."""
        with self._changed:
            self._awake = True
            self._changed.notify_all()

    def close(self) -> None:
        """Ends `run` and everyone who waits; a pull under way is cancelled."""
        self._stopping = True
        self.wake()

    def hand_over(self, project: Project) -> None:
        """Takes a project on, or a new version of one that is kept; raises OSError where it can't be written down."""
        with self._changed:
            before = self._handed.get(project.name)
            handed = Handed(project, dict(before.deployed) if before else {})
            self._folder.save(handed)
            self._handed[project.name] = handed
            self._progress[project.name] = Progress(refresh=True)
        self._declare()
        self.wake()

    def stop(self, name: str) -> bool:
        """Ends a project; False where none of that name is kept."""
        with self._changed:
            handed = self._handed.get(name)
            if handed is None:
                return False
            self._handed[name] = stopping(handed)
            self._folder.save(self._handed[name])
            self._progress[name] = Progress(refresh=False)
        self._declare()
        self.wake()
        return True

    def wait(self, name: str, seconds: float) -> Progress | None:
        """The project's progress once it is settled or stuck, or after that time; None once it is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_settled(name) or self._stopping, seconds)
            progress = self._progress.get(name)
            return replace(progress) if progress else None

    def projects(self) -> dict[str, tuple[Handed, Progress]]:
        """Every project that is kept, with its progress."""
        with self._changed:
            return {name: (handed, replace(self._progress[name])) for name, handed in self._handed.items()}

    def _is_settled(self, name: str) -> bool:
        progress = self._progress.get(name)
        return progress is None or progress.settled or progress.stuck

    def _sleep(self) -> None:
        with self._changed:
            unsettled = any(not progress.settled for progress in self._progress.values())
            self._changed.wait_for(lambda: self._awake, UNSETTLED_SECONDS if unsettled else EVERY_SECONDS)
            self._awake = False

    def _declare(self) -> None:
        with self._changed:
            kept = [handed for handed in self._handed.values() if not handed.stopping]
        self._lifecycle.declare({service: one for handed in kept for service, one in declared(handed).items()})
        for spec, service in ((spec, _of(handed, spec)) for handed in kept for spec in handed.project.services):
            if spec.build is None:
                named = registry_of(spec.image)
                self._ledger.expect_pulls(service, named.registry, named.repository)
            else:
                self._ledger.expect_builds(service)

    def _turn(self) -> None:
        engine = self._engine()
        with self._changed:
            names = list(self._handed) if engine else []
        for name in names:
            try:
                self._bring(name, engine)
            except EngineUnavailable as fault:
                LOG.info("%s waits for the engine: %s", name, fault)
            except RuntimeFault as fault:
                LOG.warning("%s: %s", name, fault)
            except Exception:  # the loop must outlive one project's trouble: counted and logged
                self.errors += 1
                LOG.exception("bringing %s to its desired state failed", name)

    def _bring(self, name: str, engine: Engine | None) -> None:
        for _ in range(MOST_PASSES):
            with self._changed:
                handed, progress = self._handed.get(name), self._progress.get(name)
            if handed is None or progress is None or engine is None or self._stopping:
                return
            if not self._pass(handed, progress, engine):
                return

    def _pass(self, handed: Handed, progress: Progress, engine: Engine) -> bool:
        """One look and what is due now; True where something was done, so that another look is worth it."""
        name = handed.project.name
        containers = engine.containers(label=f"{PROJECT_LABEL}={name}")
        images = engine.image_ids(spec.image for spec in handed.project.services)
        actions = self._plan(handed, progress, containers, images)
        progress.refresh = False
        ready = [one for one in actions if not isinstance(one, Wait) and self._is_due(progress, one)]
        for action in ready:
            if self._handed.get(name) is not handed or self._stopping:
                return True
            self._do(handed, progress, action, images, engine)
        self._looked(handed, progress, actions, images)
        if handed.stopping and not actions:
            self._gone(name, engine)
        return bool(ready)

    def _plan(
        self,
        handed: Handed,
        progress: Progress,
        containers: Sequence[Container],
        images: Mapping[str, str | None],
    ) -> tuple[Action, ...]:
        if handed.stopping:
            return dismissal(handed.project.name, containers)
        return plan(handed.project, containers, images, refresh=progress.refresh, ready=self._stands)

    def _stands(self, container: Container) -> bool:
        return done(container) or self._lifecycle.stands(container.id)

    def _is_due(self, progress: Progress, action: Action) -> bool:
        return due(key_of(action), progress.held, self._clock.now_ms())

    def _do(
        self, handed: Handed, progress: Progress, action: Action, images: Mapping[str, str | None], engine: Engine
    ) -> None:
        began_ms = self._clock.now_ms()
        name, service = handed.project.name, ServiceName(handed.project.name, action.service)
        self._lifecycle.our_work(name)
        if isinstance(action, PullImage):
            self._lifecycle.our_pull(action.image)
        hands = Hands(engine, self._clock.now_ms, self._credentials, lambda: self._stopping)
        outcome = apply(action, name, hands)
        self._lifecycle.our_work(name)
        self._count(service, outcome)
        progress.held = after(key_of(action), outcome.ok, progress.held, self._clock.now_ms())
        if outcome.ok:
            progress.failures.pop(key_of(action), None)
        else:
            progress.failures[key_of(action)] = f"{service}: {outcome.message}"
            LOG.warning("%s: %s", service, outcome.message)
        self._note_deploy(handed, progress, outcome, images, began_ms)

    def _count(self, service: ServiceName, outcome: Outcome) -> None:
        if outcome.pull is not None:
            self._lifecycle.our_pull(outcome.pull.reference)
            self._ledger.pull(outcome.pull, service)
            self._lifecycle.emit(pull_event(service, outcome.pull))
            if outcome.pull.outcome == "ok":
                self._lifecycle.pulled(service, outcome.pull)
        if outcome.build is not None:
            self._ledger.build(service, outcome.build)
            self._lifecycle.emit(build_event(service, outcome.build))

    def _note_deploy(
        self,
        handed: Handed,
        progress: Progress,
        outcome: Outcome,
        images: Mapping[str, str | None],
        began_ms: int,
    ) -> None:
        action = outcome.action
        if not isinstance(action, (PullImage, BuildImage, Create, Recreate)):
            return
        spec = next(spec for spec in handed.project.services if spec.name == action.service)
        if isinstance(action, (Create, Recreate)) and _config(handed.project, spec, images) == _known(handed, spec):
            return
        deploy = progress.deploys.get(spec.name)
        if deploy is None:
            reason = action.reason if _known(handed, spec) else "created"
            deploy = Deploy(_of(handed, spec), spec.image, _previous(handed, spec), began_ms, reason)
            progress.deploys[spec.name] = deploy
        if outcome.pull is not None:
            deploy.fetched(outcome.pull, outcome.ok)
        if outcome.container_id is not None:
            deploy.created(outcome.container_id, began_ms, self._clock.now_ms())
        if not outcome.ok:
            self._failed(progress, spec.name, deploy, outcome.message or "it failed")

    def _failed(self, progress: Progress, service: str, deploy: Deploy, message: str) -> None:
        """A failed deploy is told of once for each reason; the tries go on."""
        if progress.told.get(service) != message:
            progress.told[service] = message
            self._tell(Ended(deploy, self._clock.now_ms(), False, message))
        del progress.deploys[service]

    def _looked(
        self, handed: Handed, progress: Progress, actions: Sequence[Action], images: Mapping[str, str | None]
    ) -> None:
        """What a look came to: who waits for what, which deploys are over, whether all is as it should be."""
        busy = {action.service for action in actions if not isinstance(action, Wait)}
        waiting = {action.service: action.reason for action in actions if isinstance(action, Wait)}
        over = settle(
            tuple(progress.deploys.values()),
            self._lifecycle.stands,
            lambda deploy: deploy.service.name not in busy | waiting.keys(),
            self._clock.now_ms(),
        )
        for ended in over:
            self._over(handed, progress, ended, images)
        for service in [one for one, deploy in progress.deploys.items() if not deploy.made and one not in busy]:
            del progress.deploys[service]
        pending = [one for one in actions if not isinstance(one, Wait) and self._is_due(progress, one)]
        if not pending and not handed.stopping:
            self._lifecycle.launched([_of(handed, spec) for spec in handed.project.services])
        with self._changed:
            progress.waits = waiting
            progress.stuck = bool(progress.failures) and not pending and not settled(actions)
            progress.settled = settled(actions) and not progress.deploys and not _blocked(waiting, handed)
            self._changed.notify_all()

    def _over(self, handed: Handed, progress: Progress, ended: Ended, images: Mapping[str, str | None]) -> None:
        service = ended.deploy.service.name
        del progress.deploys[service]
        progress.told.pop(service, None)
        spec = next(spec for spec in handed.project.services if spec.name == service)
        handed.deployed[service] = _config(handed.project, spec, images)
        self._folder.save(handed)
        self._tell(ended)

    def _tell(self, ended: Ended) -> None:
        self._lifecycle.emit(ended.event())
        self._deployed(ended)

    def _gone(self, name: str, engine: Engine) -> None:
        engine.remove_networks(f"{PROJECT_LABEL}={name}")
        with self._changed:
            self._folder.remove(name)
            self._handed.pop(name, None)
            self._progress.pop(name, None)
            self._changed.notify_all()


def _of(handed: Handed, spec: ServiceSpec) -> ServiceName:
    return ServiceName(handed.project.name, spec.name)


def _config(project: Project, spec: ServiceSpec, images: Mapping[str, str | None]) -> str:
    return f"{config_hash(project.name, spec)} {images.get(spec.image) or ''} {spec.image}"


def _known(handed: Handed, spec: ServiceSpec) -> str | None:
    return handed.deployed.get(spec.name)


def _previous(handed: Handed, spec: ServiceSpec) -> str:
    return (_known(handed, spec) or "").rpartition(" ")[2]


def _blocked(waiting: Mapping[str, str], handed: Handed) -> bool:
    """True while a service waits for another that is on its way; what was given up is waited for by nobody."""
    return any(not reason.startswith("the engine gave") for reason in waiting.values()) and not handed.stopping
