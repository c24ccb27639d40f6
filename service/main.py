"""The service as one process: its parts put together, run, and taken apart in order."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from apscheduler.schedulers.background import BackgroundScheduler

from service.connections import counted
from service.desk import Receiver, outbox_state
from service.digest import Digests, digests_of
from service.evaluate import Evaluator
from service.live import Live
from service.outbox import Courier
from service.pace import Pace
from service.parts import Parts
from service.ports import ask
from service.querying import queries_of, rules_of
from service.remote_open import opened
from service.remote_store import RemoteStore
from service.rules import RuleBook
from service.selfmetrics import Own, ServiceCollector, gauges, registry
from service.settings import Settings
from service.slo_book import SloBook
from service.slo_changes import drop_changes
from service.slo_good import GoodFiles
from service.slo_history import Trimmed, trim
from service.source import StoreSource
from service.store import Store
from service.store_append import Bounds
from service.store_records import Records
from service.wire import Wire, wire

_LOG = logging.getLogger(__name__)
DAY_MS = 86_400_000
KEEP_SECONDS = 300
HISTORY_SECONDS = 3600
DIGEST_SECONDS = 20
CLOSE_SECONDS = 10


def system_clock() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


@dataclass
class _Threads:
    """What runs beside the server."""

    pace: Pace
    courier: Courier
    scheduler: BackgroundScheduler
    delivery: threading.Thread
    rules: RuleBook
    working: threading.Thread

    def start(self) -> None:
        """Begin all."""
        self.pace.start()
        self.delivery.start()
        self.working.start()
        self.scheduler.start()

    def stop(self) -> None:
        """End all, what is under way first."""
        self.scheduler.shutdown(wait=False)
        self.pace.stop()
        self.courier.stop()
        self.rules.stop()
        self.delivery.join(CLOSE_SECONDS)
        self.working.join(CLOSE_SECONDS)


@contextmanager
def running(settings: Settings, data: Path, clock: Callable[[], int]) -> Iterator[Parts]:
    """The service's parts, at work without HTTP; closed at the end."""
    keep = settings.retention
    held = settings.memory
    bounds = Bounds(
        settings.max_series, keep.raw_days * DAY_MS, keep.rollup_days * DAY_MS, keep.max_bytes,
        planes_bytes=held.chunk_bytes, open_samples=held.open_samples, metadata=held.metadata,
    )  # fmt: skip
    path = data / "server" / "midwatch.duckdb"
    with opened(settings, path, clock, bounds) as store, httpx.Client(trust_env=False) as client:
        parts, threads = _assemble(settings, data, store, client, clock)
        threads.start()
        try:
            yield parts
        finally:
            parts.live.closed = True
            threads.stop()


def _assemble(
    settings: Settings, data: Path, store: Store, client: httpx.Client, clock: Callable[[], int]
) -> tuple[Parts, _Threads]:
    receivers = [Receiver(it.name, it.url, tuple(it.roads), it.secret) for it in settings.receivers]
    own = Own()
    courier = Courier(store.database, receivers, client, clock)
    ours = [settings.base_url, settings.remote_url or ""]
    names = [it.name for it in receivers]
    slos = SloBook(settings.slos, settings.slos_strict, names, ours, settings.burn.policy(), GoodFiles(store.database))
    queries = queries_of(settings, store, clock)
    evaluator = Evaluator(
        store, receivers, settings.base_url, settings.thresholds(), clock, courier.wake,
        settings.retention.max_bytes, slos, queries.engine, settings.burn.policy(),
        store.bounds.raw_ms,
    )  # fmt: skip
    source = StoreSource(store, evaluator, store.span, any(it.roads for it in receivers), clock)
    digests = digests_of(settings, store.database, source, clock, courier.wake)
    live = Live(source, clock, lambda: own.add("midwatch_server_errors_total", ("live",)))
    pace = Pace(evaluator.tick, live.changed, lambda: own.add("midwatch_server_evaluation_failures_total", ()))
    if isinstance(store, RemoteStore):
        store.sent = pace.ask
    rules = rules_of(settings, store, queries, clock)
    way_in = wire(settings, data, store, clock)
    ended: Counter[str] = Counter()
    collector = ServiceCollector(
        lambda: evaluator.last,
        lambda: {
            **_counted(own, store, evaluator, courier, rules, way_in),
            "midwatch_server_connections_ended_total": counted(ended),
        },
        lambda: _gauges(store, evaluator, rules),
    )
    records = Records(store.database, store.streams, clock, store.bounds.raw_ms)
    parts = Parts(
        settings, store, records, evaluator, pace, source, live, own, registry(collector), clock, way_in, queries,
        rules, ended,
    )  # fmt: skip
    delivery = threading.Thread(target=courier.run, name="outbox", daemon=True)
    working = threading.Thread(target=rules.run, name="rules", daemon=True)
    return parts, _Threads(
        pace, courier, _scheduler(settings, store, pace, own, clock, digests), delivery, rules, working
    )


def _scheduler(
    settings: Settings, store: Store, pace: Pace, own: Own, clock: Callable[[], int], digests: Digests
) -> BackgroundScheduler:
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None})
    scheduler.add_job(pace.ask, "interval", seconds=settings.evaluate_seconds, id="evaluate")

    def guarded(name: str, what: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                what()
            except Exception:  # noqa: BLE001 - the next turn must come: counted, and in the log
                _LOG.exception("%s failed", name)
                own.add("midwatch_server_errors_total", (name,))

        return run

    def history() -> None:
        trimmed = trimmed_history(store, settings, clock())
        own.add("midwatch_server_history_rows_total", ("thinned",), trimmed.thinned)
        own.add("midwatch_server_history_rows_total", ("dropped",), trimmed.dropped)

    def posted() -> None:
        for it in digests.look():
            own.add("midwatch_server_digests_total", (it.receiver,))

    for name, what, every in (
        ("keep", store.keep, KEEP_SECONDS), ("history", history, HISTORY_SECONDS), ("digests", posted, DIGEST_SECONDS)
    ):  # fmt: skip
        scheduler.add_job(guarded(name, what), "interval", seconds=every, id=name)
    return scheduler


def trimmed_history(store: Store, settings: Settings, now_ms: int) -> Trimmed:
    """Thin and drop what was judged long ago, and the oldest changes of objectives."""
    keep = settings.retention.rollup_days * DAY_MS
    write = store.database.write
    found = trim(write, now_ms, settings.history.minute_days * DAY_MS, keep, settings.history.most_rows)
    return found._replace(dropped=found.dropped + write(lambda cursor: drop_changes(cursor, now_ms - keep)))


def _counted(
    own: Own, store: Store, evaluator: Evaluator, courier: Courier, rules: RuleBook, way_in: Wire
) -> dict[str, dict[tuple[str, ...], float]]:
    dropped = {tuple(key.split(":")): float(n) for key, n in store.dropped.items()}
    return {
        **own.found,
        "midwatch_server_objective_failures_total": {(): float(evaluator.failures)},
        "midwatch_server_kept_slices_dropped_total": {(): float(evaluator.slices_dropped)},
        "midwatch_server_samples_total": {(key,): float(store.sample_counts[key]) for key in ("stored", "late")},
        "midwatch_server_stream_gaps_total": {(key,): float(n) for key, n in store.streams.gaps.items()},
        "midwatch_server_delta_series_forgotten_total": {(): float(way_in.deltas.counts["forgotten"])},
        "midwatch_server_tables_dropped_total": dropped,
        "midwatch_server_store_total": {(key,): float(n) for key, n in store.counts_of_work().items()},
        "midwatch_server_forwarded_samples_total": _forwarded(store),
        "midwatch_server_rule_evaluations_total": {(key,): float(n) for key, n in rules.counts.items()},
        "midwatch_server_alert_changes_total": {key: float(n) for key, n in evaluator.changes.items()},
        "midwatch_server_deliveries_total": {key: float(n) for key, n in courier.sent.items()},
    }


def _gauges(store: Store, evaluator: Evaluator, rules: RuleBook) -> dict[str, float]:
    outbox = ask(store.database, outbox_state)
    found = gauges(evaluator.last, outbox, len(store.directory), store.used_bytes(), store.database.waiting())
    found["midwatch_server_database_most_bytes"] = float(store.bounds.disk_bytes)
    found["midwatch_server_open_samples"] = float(store.memory.open_samples())
    found["midwatch_server_chunk_bytes"] = float(store.memory.planes.nbytes)
    found["midwatch_server_rule_faults"] = float(len(rules.faults))
    found["midwatch_server_slo_file_faults"] = float(len(evaluator.slos.faults))
    found["midwatch_server_adjustments"] = float(len(evaluator.adjustments.standing))
    found["midwatch_server_adjustments_left_off"] = float(evaluator.left_off)
    if isinstance(store, RemoteStore):
        found["midwatch_server_forward_queue_bytes"] = float(store.queue.size())
        if (oldest_ms := store.queue.oldest_ms()) is not None:
            found["midwatch_server_forward_oldest_timestamp_seconds"] = oldest_ms / 1000
    return found


def _forwarded(store: Store) -> dict[tuple[str, ...], float]:
    if not isinstance(store, RemoteStore):
        return {}
    return {(outcome,): float(store.forwarder.samples[outcome]) for outcome in ("sent", "refused", "expired")}
