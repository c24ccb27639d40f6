"""Keeps declared projects as their files say: plans, does what is due, looks again; failures are tried later again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.clock import Clock
from agent.deploys import Ended
from agent.fetches import build_event, pull_event
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.owner import Owner, ProjectTaken, taken
from agent.progress import Images, Progress
from agent.projects import Handed, ProjectFolder, declared, other_file, same_file, stopping
from runtime.actions import Action, BuildImage, Create, Outcome, PullImage, Recreate, Remove, Start
from runtime.apply import Hands, apply
from runtime.converge import dismissal, done, plan
from runtime.credentials import Credentials
from runtime.engine import Engine
from runtime.errors import EngineUnavailable, RuntimeFault
from runtime.identity import registry_of
from runtime.model import PROJECT_LABEL, Container, Project, ServiceName, ServiceSpec

LOG = logging.getLogger(__name__)

EVERY_SECONDS = 15.0
UNSETTLED_SECONDS = 0.2
MOST_PASSES = 20
TAKEN = "agent"
"""What a project's failure is kept under that another agent keeps."""


class Reconciler:
    """The projects and the thread that keeps them; `hand_over` and `stop` may be called from any thread."""

    def __init__(
        self,
        folder: ProjectFolder,
        lifecycle: Lifecycle,
        ledger: Ledger,
        engine: Callable[[], Engine | None],
        clock: Clock,
        owner: Owner,
        *,
        credentials: Callable[[str], Credentials | None] = lambda _registry: None,
        deployed: Callable[[Ended], None] = lambda _ended: None,
    ) -> None:
        self._folder, self._lifecycle, self._ledger = folder, lifecycle, ledger
        self._engine, self._clock, self._owner = engine, clock, owner
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

    def hand_over(self, project: Project, *, instead: bool = False) -> None:
        """Takes a project on, or a new version of one that is kept; `instead` of another file's where it says so.

        Raises ProjectTaken where another agent keeps it or it is kept from another file, OSError where it can't be
        written down.
        """
        self._refuse_taken(project.name)
        with self._changed:
            before = self._handed.get(project.name)
            if before is not None and not (instead or before.stopping or same_file(before.project, project)):
                raise ProjectTaken(other_file(before.project, project))
            handed = Handed(project, dict(before.deployed) if before else {})
            self._folder.save(handed)
            self._handed[project.name] = handed
            self._progress[project.name] = Progress(refresh=True, began=self._clock.monotonic())
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
            self._changed.wait_for(lambda: self._is_over(name) or self._stopping, seconds)
            progress = self._progress.get(name)
            return replace(progress) if progress else None

    def projects(self) -> dict[str, tuple[Handed, Progress]]:
        """Every project that is kept, with its progress."""
        with self._changed:
            return {name: (handed, replace(self._progress[name])) for name, handed in self._handed.items()}

    def _is_over(self, name: str) -> bool:
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
        for service, spec in ((_of(handed, spec), spec) for handed in kept for spec in handed.project.services):
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
        others = self._owner.others(containers)
        if others and not handed.stopping:
            self._give_way(progress, taken(name, others))
            return False
        containers = tuple(one for one in containers if one not in others)
        images = engine.image_ids(spec.image for spec in handed.project.services)
        actions = self._plan(handed, progress, containers, images)
        progress.refresh = False
        progress.failures.pop(TAKEN, None)
        progress.wants(actions, self._clock.monotonic())
        todo = progress.due(actions, self._clock.now_ms())
        for action in todo:
            if self._handed.get(name) is not handed or self._stopping:
                return True
            self._do(handed, progress, action, images, engine)
        self._looked(handed, progress, actions, images)
        if handed.stopping and not actions:
            self._gone(name, engine)
        return bool(todo)

    def _refuse_taken(self, name: str) -> None:
        """An engine that is away can't tell; the first look finds out then."""
        engine = self._engine()
        if engine is None:
            return
        try:
            others = self._owner.others(engine.containers(label=f"{PROJECT_LABEL}={name}"))
        except RuntimeFault as fault:
            LOG.info("whether another agent keeps %s can't be told: %s", name, fault)
            return
        if others:
            raise ProjectTaken(taken(name, others))

    def _give_way(self, progress: Progress, message: str) -> None:
        """Leaves the project to the agent that keeps it, and says so."""
        with self._changed:
            if progress.failures.get(TAKEN) != message:
                LOG.warning("%s", message)
            progress.failures[TAKEN] = message
            progress.settled, progress.stuck = False, True
            self._changed.notify_all()

    def _plan(
        self, handed: Handed, progress: Progress, containers: Sequence[Container], images: Images
    ) -> tuple[Action, ...]:
        if handed.stopping:
            return dismissal(handed.project.name, containers)
        return plan(handed.project, containers, images, refresh=progress.refresh, ready=self._stands)

    def _stands(self, container: Container) -> bool:
        return done(container) or self._lifecycle.stands(container.id)

    def _do(self, handed: Handed, progress: Progress, action: Action, images: Images, engine: Engine) -> None:
        began_ms, began = self._clock.now_ms(), self._clock.monotonic()
        service = ServiceName(handed.project.name, action.service)
        self._announce(action)
        if isinstance(action, (Create, Recreate)):
            self._lifecycle.queued(service, progress.queue_seconds(action.service, began))
        hands = Hands(engine, self._clock.now_ms, self._credentials, lambda: self._stopping, self._owner.labels)
        outcome = None
        try:
            outcome = apply(action, handed.project.name, hands)
        finally:
            self._ended(action, outcome)
        now = self._clock.now_ms()
        if isinstance(action, (PullImage, BuildImage)):
            progress.fetched[action.service] = self._clock.monotonic() - began
        self._count(service, outcome)
        with self._changed:
            progress.done(service, outcome, now)
            failed = progress.note_deploy(handed, outcome, images, began_ms, now)
        if not outcome.ok:
            LOG.warning("%s: %s", service, outcome.message)
        if failed is not None:
            self._tell(failed)

    def _announce(self, action: Action) -> None:
        """What the engine is about to tell of is our own doing."""
        match action:
            case Start(container=container) | Remove(container=container) | Recreate(container=container):
                self._lifecycle.our_work(container.id)
            case PullImage(image=image):
                self._lifecycle.pulls.begin(image)

    def _ended(self, action: Action, outcome: Outcome | None) -> None:
        if isinstance(action, PullImage):
            pull = outcome.pull if outcome is not None else None
            reached = pull is not None and pull.outcome != "bad_reference"
            self._lifecycle.pulls.end(action.image, reached_engine=reached)

    def _count(self, service: ServiceName, outcome: Outcome) -> None:
        if outcome.pull is not None:
            self._ledger.pull(outcome.pull, service)
            self._lifecycle.emit(pull_event(service, outcome.pull))
            if outcome.pull.outcome == "ok":
                self._lifecycle.pulled(service, outcome.pull)
        if outcome.build is not None:
            self._ledger.build(service, outcome.build)
            self._lifecycle.emit(build_event(service, outcome.build))

    def _looked(self, handed: Handed, progress: Progress, actions: Sequence[Action], images: Images) -> None:
        now = self._clock.now_ms()
        if not progress.due(actions, now) and not handed.stopping:
            self._lifecycle.launched([_of(handed, spec) for spec in handed.project.services])
        with self._changed:
            over = progress.looked(handed, actions, images, self._lifecycle.stands, now, self._lifecycle.stood_ms)
            if over and self._handed.get(handed.project.name) is handed:
                self._folder.save(handed)
            self._changed.notify_all()
        for ended in over:
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
