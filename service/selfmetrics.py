"""`/metrics` of the service: every objective as it was judged last, and the service's own state."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.desk import OutboxState
from service.evaluate import Evaluated
from service.slo_metrics import beyond, objective_families

OWN_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "midwatch_server_batches_total": (
        "Batches by signal and what became of them; `behind`: not stored, for a later one of its stream was.",
        ("signal", "outcome"),
    ),
    "midwatch_server_refused_total": ("Points, records and spans that were left out.", ("signal", "reason")),
    "midwatch_server_limited_total": (
        "Batches told to come again later, by the bound they are over.",
        ("signal", "limit"),
    ),
    "midwatch_server_delta_series_forgotten_total": ("Series whose sum of deltas was given up for the bound.", ()),
    "midwatch_server_kept_slices_dropped_total": ("Days of judged slices that had to go for their bound.", ()),
    "midwatch_server_samples_total": ("Samples stored, and of them those that came late.", ("outcome",)),
    "midwatch_server_store_total": (
        "Blocks sealed, days written anew, batches turned away by a bound of memory, chunks let go of from memory.",
        ("what",),
    ),
    "midwatch_server_stream_gaps_total": ("Batches whose sequence was not the next one of their stream.", ("signal",)),
    "midwatch_server_tables_dropped_total": ("Days and months of data dropped: by age or disk.", ("kind", "reason")),
    "midwatch_server_forwarded_samples_total": ("Samples for the remote store, by what became of them.", ("outcome",)),
    "midwatch_server_queries_total": ("Requests to the Prometheus API, by `ok` or the type of error.", ("outcome",)),
    "midwatch_server_query_limits_total": ("Queries that ended at a bound, by its key.", ("limit",)),
    "midwatch_server_backtests_total": (
        "Backtests: `done`, `refused` for what was asked, `turned_away` where too many waited.",
        ("outcome",),
    ),
    "midwatch_server_rule_evaluations_total": ("Rules evaluated, and evaluations of groups missed.", ("outcome",)),
    "midwatch_server_evaluation_failures_total": ("Evaluations that failed.", ()),
    "midwatch_server_objective_failures_total": (
        "Judgements of single objectives that failed: these are unmeasured then, and say why.",
        (),
    ),
    "midwatch_server_alert_changes_total": ("Incidents opened, joined, resolved, suppressed.", ("kind", "road")),
    "midwatch_server_deliveries_total": ("Attempts to deliver a message.", ("receiver", "outcome")),
    "midwatch_server_connections_ended_total": (
        "Connections that were one too many, or whose request's headers took too long.",
        ("reason",),
    ),
    "midwatch_server_history_rows_total": (
        "Stored judgements and changes of objectives that were thinned out, or dropped by age or bound.",
        ("outcome",),
    ),
    "midwatch_server_digests_total": ("Digests put into the outbox.", ("receiver",)),
    "midwatch_server_errors_total": ("Errors caught at the top of a loop.", ("loop",)),
}
OWN_GAUGES: dict[str, str] = {
    "midwatch_server_database_most_bytes": "What the database may use: beyond, the oldest days go.",
    "midwatch_server_open_samples": "Samples of blocks that are not sealed, which are held in memory.",
    "midwatch_server_chunk_bytes": "Memory of sealed chunks that were read lately.",
    "midwatch_server_evaluation_timestamp_seconds": "When objectives were last judged.",
    "midwatch_server_evaluation_seconds": "How long the last evaluation took.",
    "midwatch_server_outbox_messages": "Messages that wait for delivery.",
    "midwatch_server_series": "Series that are known.",
    "midwatch_server_writes_waiting": "Writes that wait for their turn.",
    "midwatch_server_forward_queue_bytes": "Bytes that wait to be forwarded to the remote store.",
    "midwatch_server_forward_oldest_timestamp_seconds": "Since when the oldest of them waits.",
    "midwatch_server_rule_faults": "Faults in rule files as they are; the rules that were good go on.",
    "midwatch_server_slo_file_faults": "Faults in OpenSLO files as they are; the objectives that were good go on.",
    "midwatch_server_adjustments": "Adjustments that take time out of budgets, and are not revoked.",
    "midwatch_server_adjustments_left_off": "Times that could not be taken out of objectives' budgets, for the bound.",
    "midwatch_server_slo_hidden": "Objectives that are not in midwatch_slo_..., for they are too many.",
    "midwatch_server_database_bytes": "Size of the database file.",
    "midwatch_server_resident_memory_max_bytes": "Most resident memory so far.",
}

Counted = Mapping[str, Mapping[tuple[str, ...], float]]


class Own:
    """Counters of the service, by name and label values."""

    def __init__(self) -> None:
        self.found: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in OWN_COUNTERS}

    def add(self, name: str, labels: tuple[str, ...], n: float = 1) -> None:
        """Count `n` more."""
        row = self.found[name]
        row[labels] = row.get(labels, 0.0) + n


class ServiceCollector(Collector):
    """Families of one scrape, read when it comes."""

    def __init__(
        self,
        evaluated: Callable[[], Evaluated | None],
        counted: Callable[[], Counted],
        gauges: Callable[[], Mapping[str, float]],
    ) -> None:
        self._evaluated = evaluated
        self._counted = counted
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """All families."""
        last = self._evaluated()
        if last is not None:
            yield from objective_families(last.judgements)
        yield from _counters(self._counted())
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(name, OWN_GAUGES[name], value=value)


def registry(collector: ServiceCollector) -> CollectorRegistry:
    """A registry that holds this collector alone."""
    found = CollectorRegistry()
    found.register(collector)
    return found


def _counters(counted: Counted) -> Iterator[Metric]:
    for name, rows in counted.items():
        help_text, labels = OWN_COUNTERS[name]
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, count in sorted(rows.items()):
            family.add_metric(values, count)
        if rows or not labels:
            yield family


def gauges(
    last: Evaluated | None, outbox: OutboxState, series: int, database_bytes: int, writes: int
) -> dict[str, float]:
    """The service's own gauges as they are."""
    found = {
        "midwatch_server_outbox_messages": float(outbox.waiting),
        "midwatch_server_series": float(series),
        "midwatch_server_writes_waiting": float(writes),
        "midwatch_server_database_bytes": float(database_bytes),
        "midwatch_server_resident_memory_max_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    }
    if last is not None:
        found["midwatch_server_slo_hidden"] = float(beyond(len(last.judgements)))
        found["midwatch_server_evaluation_timestamp_seconds"] = last.at_ms / 1000
        found["midwatch_server_evaluation_seconds"] = last.seconds
    return found
