"""What the agent's parts count of themselves, under the names that `agent.names` has for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from agent.model import Labels
from agent.own import process_cost
from agent.settings import DEFAULT_SERVER
from agent.spool_files import SIGNALS

if TYPE_CHECKING:
    from agent.main import Agent

Sample = tuple[str, Labels, float]


def version() -> str:
    """The version that is installed."""
    return metadata.version("midwatch")


def status(agent: Agent) -> Mapping[str, Any]:
    """What the agent says of itself."""
    link = agent.watch.link
    return {
        "version": version(),
        "node": agent.node.node,
        "node_id": agent.node.node_id,
        "interval_seconds": agent.settings.interval_seconds,
        "engine_up": link.engine is not None,
        "engine": link.engine.url if link.engine else None,
        "engine_fault": link.fault or None,
        "server": agent.settings.server or DEFAULT_SERVER,
        "server_fault": agent.shipper.fault,
        "spool_bytes": agent.spool.waiting_bytes,
        "spool_batches": {signal: agent.spool.waiting(signal) for signal in SIGNALS},
        "rounds": agent.rounds.rounds,
        "rounds_failed": agent.rounds.failed,
        "metrics_port": agent.metrics_port,
        "scrape_faults": dict(agent.scraper.faults) if agent.scraper else {},
    }


def describe(agent: Agent) -> None:
    """Begins to publish what the agent counts of itself; what it has not met yet is 0."""
    agent.own.set("midwatch_agent_info", 1, version=version())
    agent.own.set("midwatch_agent_interval_seconds", agent.settings.interval_seconds)
    for outcome in ("ok", "failed"):
        agent.own.add("midwatch_agent_rounds_total", 0, outcome=outcome)
    agent.own.ask(process_cost)
    agent.own.ask(lambda: counted_elsewhere(agent))


def counted_elsewhere(agent: Agent) -> Iterator[Sample]:
    """Every counter and gauge that a part keeps itself."""
    yield "midwatch_engine_up", (), float(agent.watch.link.engine is not None)
    yield from agent.registries.samples()
    yield from _shipping(agent)
    yield from _losses(agent)
    yield from _errors(agent)
    if agent.logs is not None:
        yield "midwatch_agent_log_lines_total", (), float(agent.logs.lines_read)
    if agent.scraper is not None:
        for outcome, n in list(agent.scraper.outcomes.items()):
            yield "midwatch_agent_scrapes_total", (("outcome", outcome),), float(n)
        for reason, n in list(agent.scraper.refused.items()):
            yield "midwatch_agent_scrape_samples_refused_total", (("reason", reason),), float(n)


def _shipping(agent: Agent) -> Iterator[Sample]:
    yield "midwatch_agent_spool_bytes", (), float(agent.spool.waiting_bytes)
    for signal in SIGNALS:
        at: Labels = (("signal", signal),)
        yield "midwatch_agent_spool_batches", at, float(agent.spool.waiting(signal))
        yield "midwatch_agent_shipped_batches_total", at, float(agent.shipper.shipped[signal])
    for (signal, reason), n in list(agent.shipper.failures.items()):
        yield "midwatch_agent_ship_failures_total", (("reason", reason), ("signal", signal)), float(n)


def _losses(agent: Agent) -> Iterator[Sample]:
    lost: dict[tuple[str, str], int] = dict(agent.spool.dropped)
    lost.update({(what, "bound"): n for what, n in agent.ledger.dropped().items()})
    lost.update({(what, "bound"): n for what, n in dict(agent.lifecycle.story.dropped).items()})
    lost["engine events", "queue"] = agent.watch.overflows
    lost["sizes of layers", "time"] = agent.layers.out_of_time
    lost["pulls by others", "bound"] = agent.lifecycle.pulls.dropped
    lost["connections of /metrics", "bound"] = agent.server.turned_away
    lost["checkpoints", "disk"] = agent.memory.failures
    lost.update(dict(agent.logs.dropped) if agent.logs else {})
    lost.update({(what, "bound"): n for what, n in agent.oom.lost.items()} if agent.oom else {})
    for (what, reason), n in lost.items():
        yield "midwatch_agent_dropped_total", (("reason", reason), ("what", what)), float(n)


def _errors(agent: Agent) -> Iterator[Sample]:
    loops = {
        "watch": agent.watch.errors,
        "reconcile": agent.reconciler.errors,
        "probes": agent.probes.errors,
        "registries": agent.registries.errors,
        "pulls": agent.others_pulls.errors,
        "rounds": agent.rounds.failed,
        "logs": agent.logs.errors if agent.logs else 0,
        "oom": agent.oom.errors if agent.oom else 0,
        "scrape": agent.scrapes.errors,
    }
    for loop, n in loops.items():
        yield "midwatch_agent_errors_total", (("loop", loop),), float(n)
