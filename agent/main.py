"""The agent's composition root: makes the parts, runs them on threads, and ends them in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from agent.arenas import few_arenas
from agent.assembly import ScrapeRounds, log_limits, scraper_of
from agent.clock import Clock
from agent.coldstart import Probes
from agent.collect import Collector
from agent.commands import AgentCommands
from agent.control import ControlServer
from agent.engine_watch import EngineWatch
from agent.exposition_server import CannotListen, MetricsServer
from agent.home import Home, HomeTaken
from agent.layer_look import LayerLook
from agent.ledger import LONGEST_STEP_MS, Ledger
from agent.lifecycle import Lifecycle
from agent.logs import LogFollowers
from agent.memory import Memory
from agent.model import Event, NodeIdentity, Resource
from agent.node_images import NodeImages, comes_from_outside
from agent.others_pulls import OthersPulls
from agent.own import Own
from agent.owner import Owner
from agent.post import Poster
from agent.projects import ProjectFolder
from agent.reconcile import Reconciler
from agent.registries import RegistryProbe
from agent.rounds import Outbox, Parts, Rounds
from agent.runs import Runs
from agent.selfmetrics import describe, status, version
from agent.settings import DEFAULT_SERVER, Settings, host_and_port
from agent.ship import Shipper
from agent.spool import Spool
from agent.spool_files import SIGNALS
from agent.story import Story
from agent.threads import Threads
from runtime.credentials import credentials_for
from runtime.discover import find_engine
from runtime.engine import Engine
from runtime.engine_metrics import metrics_url, pull_actions
from runtime.engine_streams import LogStream
from runtime.errors import EngineUnavailable, RuntimeFault
from runtime.kept import raise_file_limit
from runtime.layers import Layers
from runtime.model import PLATFORM, ServiceName
from runtime.oom import OomWatcher
from runtime.probe import ready

LOG = logging.getLogger(__name__)

ROUND_SECONDS = 2.5
WORK_SECONDS = 0.5
DOOR_SECONDS = 0.5
FLUSH_SECONDS = 1.0
SHIP_SECONDS = 0.3
"""What the parts of the end may take: together less than the 5 s that are promised."""

__all__ = ["Agent", "CannotListen", "HomeTaken", "run"]


def run(
    settings: Settings,
    data: Path,
    stop: threading.Event,
    environ: Mapping[str, str],
    clock: Clock = Clock(),  # noqa: B008 - a frozen value
    started: Callable[[Agent], None] = lambda _agent: None,
) -> None:
    """Runs the agent until `stop` is set; returns within seconds of it, everything spooled.

    Raises HomeTaken where the data folder is another's or unusable, CannotListen where /metrics can't be served.
    """
    few_arenas()
    with ExitStack() as stack:
        home = Home(data)
        stack.callback(home.close)
        agent = Agent(settings, home, environ, clock)
        agent.start()
        stack.callback(agent.stop)
        started(agent)
        stop.wait()
        LOG.info("stopping")


class Agent:
    """All parts of one agent; `start` once, then `stop` once."""

    def __init__(self, settings: Settings, home: Home, environ: Mapping[str, str], clock: Clock) -> None:
        raise_file_limit()
        self.settings, self.home, self.environ, self.clock = settings, home, environ, clock
        self.node: NodeIdentity = home.identity(settings.node)
        self.own = Own(clock.now_ms)
        self.layers = Layers(
            Path("/"),
            container_seconds=settings.layers.container_seconds,
            round_seconds=settings.layers.round_seconds,
        )
        self.collector = Collector(
            more_capabilities=self._capabilities, layer_of=self.layers.use, labels=settings.labels.names
        )
        interval_ms = round(settings.interval_seconds * 1000)
        self.ledger = Ledger(
            clock.now_ms,
            max_services=settings.max_services,
            longest_step_ms=max(LONGEST_STEP_MS, 3 * interval_ms),
        )
        story = Story(
            self.ledger,
            self.collector.cgroup_path,
            max_containers=settings.max_containers,
            max_services=settings.max_services,
        )
        self.lifecycle = Lifecycle(
            story,
            clock.now_ms,
            removed_after_ms=round(settings.removed_after_seconds * 1000),
            deadline_ms=round(settings.readiness.deadline_seconds * 1000),
            monotonic=clock.monotonic,
        )
        self.scraper = scraper_of(settings.scrape, clock, self.ledger)
        scrapes = self.scraper.book if self.scraper else None
        self.memory = Memory(home.folder, self.ledger, self.lifecycle, clock, scrapes)
        self.memory.recall()
        self.spool = Spool(
            home.folder / "spool",
            settings.spool.max_bytes,
            max_age_seconds=settings.spool.max_age_seconds,
            max_event_age_seconds=settings.spool.max_event_age_seconds,
        )
        self.oom = self._oom_watcher()
        self.probes = self._probes()
        self.outbox = Outbox(self.spool, self.node)
        self.reconciler = self._reconciler()
        self.watch = self._engine_watch()
        self.logs = self._logs()
        self.registries = RegistryProbe(
            settings.registries, self._images(), self._credentials, self.ledger, self.lifecycle, clock
        )
        self.others_pulls = self._others_pulls()
        self.http = Poster(files=settings.tls.files())
        url = settings.server or DEFAULT_SERVER
        self.shipper = Shipper(self.spool, self.node.node_id, url, settings.token, self.http)
        self.rounds = Rounds(self._parts(), settings.interval_seconds)
        self.scrapes = ScrapeRounds(self.scraper, self.rounds, self.outbox, clock, settings.interval_seconds)
        self.control = self._control_server()
        self.server = self._metrics_server()
        self._stopping, self._shipping = threading.Event(), threading.Event()
        self._round, self._work, self._ship = Threads(), Threads(), Threads()
        describe(self)

    def start(self) -> None:
        """Starts everything."""
        self.reconciler.begin()
        if self.oom is not None:
            self.oom.start()
        self.probes.start()
        facts: dict[str, str | float] = {"version": version(), "interval_seconds": self.settings.interval_seconds}
        body = f"the agent of {self.node.node} began to watch"
        self.lifecycle.emit(Event("agent.start", self.clock.now_ms(), Resource(PLATFORM), body, facts))
        self.server.start()
        self.control.start()
        self._work.start("watch", self.watch.run, self._stopping)
        self._round.start("rounds", self.rounds.run, self._stopping)
        self._work.start("reconcile", self.reconciler.run, self._stopping)
        self._work.start("registries", self.registries.run, self._stopping)
        self._work.start("pulls", self.others_pulls.run, self._stopping)
        if self.scraper is not None:
            self._work.start("scrape", self.scrapes.run, self._stopping)
        if self.settings.layers.measure:
            look = LayerLook(self.layers, self.collector, self._engine_data, self.settings.layers)
            self.own.ask(look.images)
            self._work.start("layers", look.run, self._stopping)
        self._ship.start("ship", self.shipper.run, self._shipping)

    def stop(self) -> None:
        """Ends everything: last round and checkpoint first, then what can still be shipped.

        What hangs on an engine or a service that does not answer is left behind: its thread ends with the process.
        """
        doors = Threads()
        for name, door in (("control", self.control), ("metrics", self.server)):
            doors.start(name, lambda _stop, door=door: door.stop(), self._stopping)  # type: ignore[misc] # its default
        self._stopping.set()
        self.probes.stop()
        self.reconciler.close()
        self.rounds.hurry()
        late = self._round.join(ROUND_SECONDS) + self._work.join(WORK_SECONDS)
        if late:
            LOG.warning("still at work at the end: %s", ", ".join(late))
        if self.scraper is not None:
            self.scraper.close()
        self._flush()
        self._shipping.set()
        self.spool.release()
        self._ship.join(SHIP_SECONDS)
        doors.join(DOOR_SECONDS)
        if self.oom is not None:
            self.oom.stop()
        self.collector.close()
        self.http.close()

    @property
    def metrics_port(self) -> int:
        """The port of /metrics, which matters where 0 was asked for."""
        return self.server.port

    def status(self) -> Mapping[str, Any]:
        """What the agent says of itself."""
        return status(self)

    def _oom_watcher(self) -> OomWatcher | None:
        try:
            return OomWatcher(self.collector.layout, self._killed, clock_ms=self.clock.now_ms)
        except OSError as error:
            LOG.error("OOM kills can't be watched here: %s", error)
            return None

    def _killed(self, kill: Any) -> None:
        self.lifecycle.oom(kill)
        self.rounds.hurry()

    def _probes(self) -> Probes:
        settings = self.settings.readiness
        return Probes(
            self.lifecycle,
            lambda probe, container: ready(probe, container, self._needed_engine()),
            self.clock,
            poll_seconds=settings.poll_seconds,
            deadline_seconds=settings.deadline_seconds,
            recheck_seconds=self.settings.interval_seconds,
            workers=settings.workers,
        )

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            ProjectFolder(self.home.folder / "projects"),
            self.lifecycle,
            self.ledger,
            lambda: self.watch.link.engine,
            self.clock,
            Owner(self.home, self.node.node_id),
            credentials=self._credentials,
            deployed=self.outbox.deploy,
        )

    def _engine_watch(self) -> EngineWatch:
        runs = Runs(self.probes, self.collector, self.oom, self.memory.kernel_count, lambda _record: self._changed())
        return EngineWatch(
            self._connect,
            self.lifecycle,
            runs,
            self.clock,
            rebooted=self.memory.rebooted,
            resync_seconds=self.settings.resync_seconds,
        )

    def _changed(self) -> None:
        self.reconciler.wake()
        self.rounds.hurry()

    def _connect(self) -> Engine:
        return Engine(self.settings.engine or find_engine(self.environ), environ=self.environ)

    def _engine_data(self) -> str | None:
        engine = self.watch.link.engine
        try:
            return engine.info().root if engine else None
        except RuntimeFault:
            return None

    def _needed_engine(self) -> Engine:
        engine = self.watch.link.engine
        if engine is None:
            raise EngineUnavailable(self.watch.link.fault)
        return engine

    def _logs(self) -> LogFollowers | None:
        settings = self.settings.logs
        if not settings.follow:
            return None
        since_ms = self.memory.saved_ms or self.clock.now_ms()
        return LogFollowers(self._open_log, self.clock.now_ms, since_ms, self.memory.positions, log_limits(settings))

    def _open_log(self, container_id: str, since_ms: int) -> LogStream:
        return self._needed_engine().logs(container_id, since_ms)

    def _parts(self) -> Parts:
        return Parts(
            self.clock, self.lifecycle, self.ledger, self.collector, self.oom, self.own, self.memory, self.logs,
            self.outbox,
        )  # fmt: skip

    def _metrics_server(self) -> MetricsServer:
        host, port = host_and_port(self.settings.listen)
        everywhere = self.settings.labels.everywhere
        try:
            return MetricsServer(
                host, port, self.rounds.scraped, self.settings.listen_token, labels_everywhere=everywhere
            )
        except CannotListen:
            self.control.stop()
            raise

    def _control_server(self) -> ControlServer:
        try:
            return ControlServer(self.home.socket, self._commands())
        except OSError as error:
            raise HomeTaken(
                f"the socket {self.home.socket} can't be made: {error}; choose another, shorter folder by --data"
            ) from error

    def _commands(self) -> AgentCommands:
        return AgentCommands(self.reconciler, self.lifecycle, self.ledger, self.environ, self.status)

    def _images(self) -> NodeImages:
        return NodeImages(
            lambda: self.watch.link.engine,
            self._declared_images,
            lambda: self.lifecycle.look(lambda record: record.container),
            self.clock,
        )

    def _declared_images(self) -> Iterator[str]:
        for handed, _ in self.reconciler.projects().values():
            for spec in handed.project.services:
                service = ServiceName(handed.project.name, spec.name)
                if spec.build is None and comes_from_outside(self.ledger, service, spec.image):
                    yield spec.image

    def _others_pulls(self) -> OthersPulls:
        url = self.settings.engine_metrics or metrics_url()
        actions = None if url is None else partial(pull_actions, url)
        return OthersPulls(lambda: self.watch.link.engine, self.lifecycle, self.ledger, self.clock, actions)

    def _credentials(self, registry: str) -> Any:
        return credentials_for(registry, self.environ)

    def _capabilities(self) -> Mapping[str, bool]:
        return self.oom.capabilities() if self.oom is not None else {"oom_counter": False}

    def _flush(self) -> None:
        """Gives what was spooled last a moment to reach the service; the rest waits on disk."""
        deadline = self.clock.monotonic() + FLUSH_SECONDS
        while any(map(self.spool.waiting, SIGNALS)) and self.clock.monotonic() < deadline and not self.shipper.fault:
            threading.Event().wait(0.05)
