"""The agent's composition root: makes the parts, runs them on threads, and ends them in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

from agent.clock import Clock
from agent.coldstart import Probes
from agent.collect import Collector
from agent.commands import AgentCommands
from agent.control import ControlServer
from agent.engine_watch import EngineWatch
from agent.exposition_server import CannotListen, MetricsServer
from agent.home import Home, HomeTaken
from agent.ledger import LONGEST_STEP_MS, PULLS, Ledger
from agent.lifecycle import Lifecycle
from agent.logs import LogFollowers, LogLimits
from agent.memory import Memory
from agent.model import Event, NodeIdentity, Resource
from agent.own import Own, process_cost
from agent.projects import ProjectFolder
from agent.reconcile import Reconciler
from agent.registries import RegistryProbe
from agent.rounds import Outbox, Parts, Rounds
from agent.runs import Runs
from agent.scrape import ScrapeLimits, Scraper
from agent.selfmetrics import counted_elsewhere
from agent.settings import DEFAULT_SERVER, Settings, host_and_port
from agent.ship import Shipper
from agent.spool import Spool
from agent.spool_files import SIGNALS
from agent.story import Story
from agent.threads import Threads
from runtime.credentials import credentials_for
from runtime.discover import find_engine
from runtime.engine import Engine
from runtime.engine_streams import LogStream
from runtime.errors import EngineUnavailable
from runtime.identity import registry_of
from runtime.kept import raise_file_limit
from runtime.model import PLATFORM, ServiceName
from runtime.oom import OomWatcher
from runtime.probe import ready

LOG = logging.getLogger(__name__)

FLUSH_SECONDS = 1.5
HTTP_TIMEOUT = httpx.Timeout(10.0, connect=2.0)

__all__ = ["Agent", "CannotListen", "HomeTaken", "run"]


def version() -> str:
    """The version that is installed."""
    return metadata.version("midwatch")


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
        self.collector = Collector(more_capabilities=self._capabilities)
        interval_ms = round(settings.interval_seconds * 1000)
        self.ledger = Ledger(
            clock.now_ms,
            max_services=settings.max_services,
            longest_step_ms=max(LONGEST_STEP_MS, 3 * interval_ms),
        )
        story = Story(self.ledger, self.collector.cgroup_path, max_containers=settings.max_containers)
        self.lifecycle = Lifecycle(
            story,
            clock.now_ms,
            removed_after_ms=round(settings.removed_after_seconds * 1000),
            deadline_ms=round(settings.readiness.deadline_seconds * 1000),
        )
        self.memory = Memory(home.folder, self.ledger, self.lifecycle, clock)
        self.memory.recall()
        self.spool = Spool(home.folder / "spool", settings.spool.max_bytes)
        self.oom = self._oom_watcher()
        self.probes = self._probes()
        self.outbox = Outbox(self.spool, self.node)
        self.reconciler = self._reconciler()
        self.watch = self._engine_watch()
        self.logs = self._logs()
        self.scraper = self._scraper()
        self.scrape_errors = 0
        self.registries = RegistryProbe(
            settings.registries, self._images, self._credentials, self.ledger, self.lifecycle, clock
        )
        self.http = httpx.Client(timeout=HTTP_TIMEOUT, trust_env=False)
        url = settings.server or DEFAULT_SERVER
        self.shipper = Shipper(self.spool, self.node.node_id, url, settings.token, self.http)
        self.rounds = Rounds(self._parts(), settings.interval_seconds)
        self.control = self._control_server()
        self.server = self._metrics_server()
        self._stopping, self._shipping = threading.Event(), threading.Event()
        self._work, self._ship = Threads(), Threads()
        self._describe()

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
        self._work.start("rounds", self.rounds.run, self._stopping)
        self._work.start("reconcile", self.reconciler.run, self._stopping)
        self._work.start("registries", self.registries.run, self._stopping)
        if self.scraper is not None:
            self._work.start("scrape", self._scrape, self._stopping)
        self._ship.start("ship", self.shipper.run, self._shipping)

    def stop(self) -> None:
        """Ends everything: last round and checkpoint first, then what can still be shipped."""
        self.control.stop()
        self._stopping.set()
        self.probes.stop()
        self.reconciler.close()
        self.rounds.hurry()
        self._work.join(3.0)
        if self.scraper is not None:
            self.scraper.close()
        self._flush()
        self._shipping.set()
        self._ship.join(0.5)
        self.server.stop()
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
        link = self.watch.link
        return {
            "version": version(),
            "node": self.node.node,
            "node_id": self.node.node_id,
            "interval_seconds": self.settings.interval_seconds,
            "engine_up": link.engine is not None,
            "engine": link.engine.url if link.engine else None,
            "engine_fault": link.fault or None,
            "server": self.settings.server or DEFAULT_SERVER,
            "server_fault": self.shipper.fault,
            "spool_bytes": self.spool.waiting_bytes,
            "spool_batches": {signal: self.spool.waiting(signal) for signal in SIGNALS},
            "rounds": self.rounds.rounds,
            "rounds_failed": self.rounds.failed,
            "metrics_port": self.metrics_port,
            "scrape_faults": dict(self.scraper.faults) if self.scraper else {},
        }

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

    def _needed_engine(self) -> Engine:
        engine = self.watch.link.engine
        if engine is None:
            raise EngineUnavailable(self.watch.link.fault)
        return engine

    def _logs(self) -> LogFollowers | None:
        settings = self.settings.logs
        if not settings.follow:
            return None
        limits = LogLimits(
            followers=settings.containers,
            lines_per_second=settings.lines_per_second,
            burst_lines=settings.burst_lines,
        )
        since_ms = self.memory.saved_ms or self.clock.now_ms()
        return LogFollowers(self._open_log, self.clock.now_ms, since_ms, self.memory.positions, limits)

    def _open_log(self, container_id: str, since_ms: int) -> LogStream:
        return self._needed_engine().logs(container_id, since_ms)

    def _scraper(self) -> Scraper | None:
        settings = self.settings.scrape
        if not settings.enabled:
            return None
        limits = ScrapeLimits(samples=settings.samples, timeout_seconds=settings.timeout_seconds)
        return Scraper(self.clock.now_ms, limits)

    def _scrape(self, stop: threading.Event) -> None:
        scraper = self.scraper
        while scraper is not None and not stop.wait(self.settings.interval_seconds):
            try:
                self.outbox.points(scraper.round(self.rounds.pairs()))
            except Exception:  # the loop must outlive what one container exposes: counted and logged
                self.scrape_errors += 1
                LOG.exception("a round of scrapes failed")

    def _parts(self) -> Parts:
        return Parts(
            self.clock, self.lifecycle, self.ledger, self.collector, self.oom, self.own, self.memory, self.logs,
            self.outbox,
        )  # fmt: skip

    def _metrics_server(self) -> MetricsServer:
        host, port = host_and_port(self.settings.listen)
        try:
            return MetricsServer(host, port, self.rounds.scraped, self.settings.listen_token)
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

    def _images(self) -> Iterator[str]:
        for handed, _ in self.reconciler.projects().values():
            for spec in handed.project.services:
                if spec.build is None and self._comes_from_outside(
                    ServiceName(handed.project.name, spec.name), spec.image
                ):
                    yield spec.image

    def _comes_from_outside(self, service: ServiceName, image: str) -> bool:
        """False for a name without a registry that was never pulled: an image made on this node has such a name."""
        named = registry_of(image)
        at = {"registry": named.registry, "repository": named.repository}
        return image.startswith(named.registry) or self.ledger.value(service, PULLS, **at) > 0

    def _credentials(self, registry: str) -> Any:
        return credentials_for(registry, self.environ)

    def _capabilities(self) -> Mapping[str, bool]:
        return self.oom.capabilities() if self.oom is not None else {"oom_counter": False}

    def _flush(self) -> None:
        """Gives what was spooled last a moment to reach the service; the rest waits on disk."""
        deadline = self.clock.monotonic() + FLUSH_SECONDS
        while any(map(self.spool.waiting, SIGNALS)) and self.clock.monotonic() < deadline and not self.shipper.fault:
            threading.Event().wait(0.05)

    def _describe(self) -> None:
        self.own.set("midwatch_agent_info", 1, version=version())
        self.own.set("midwatch_agent_interval_seconds", self.settings.interval_seconds)
        for outcome in ("ok", "failed"):
            self.own.add("midwatch_agent_rounds_total", 0, outcome=outcome)
        self.own.ask(process_cost)
        self.own.ask(lambda: counted_elsewhere(self))
