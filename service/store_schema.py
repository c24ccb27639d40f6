"""The tables of the database, and how old a file may be.

Samples, increments, rollups and logs live in tables of their own per period: dropping a table is what frees space. All
of them are only ever appended to: what a late sample changes is appended as a difference.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1

TABLES: Final = (
    "meta(version INTEGER NOT NULL)",
    "batches(node_id VARCHAR, spool_id VARCHAR, signal VARCHAR, sequence BIGINT, gaps BIGINT, received_ms BIGINT)",
    "series(series_id UINTEGER, metric VARCHAR, labels VARCHAR, counter BOOLEAN)",
    # the last row of a series holds; written whole at every rollup
    "series_state(series_id UINTEGER, first_ms BIGINT, first_from_ms BIGINT, baseline BOOLEAN, last_ms BIGINT, "
    "last_value DOUBLE, last_start_ms BIGINT, run_from_ms BIGINT)",
    # rows of a table of samples that `series_state` already knows
    "replayed(day INTEGER, known_rows BIGINT)",
    "runs(series_id UINTEGER, from_ms BIGINT, to_ms BIGINT)",
    "periods(kind VARCHAR, period INTEGER)",
    "rolled(until_ms BIGINT)",
    "minute_slices(indicator VARCHAR, minute_ms BIGINT, bad BOOLEAN)",
    "events(name VARCHAR, at_ms BIGINT, node VARCHAR, node_id VARCHAR, service VARCHAR, container VARCHAR, id VARCHAR, "
    "image VARCHAR, body VARCHAR, attributes VARCHAR)",
    "services(service VARCHAR, node_id VARCHAR, node VARCHAR, replicas INTEGER, source VARCHAR, probe VARCHAR, "
    "labels VARCHAR, first_seen_ms BIGINT, last_seen_ms BIGINT, gone_ms BIGINT)",
    "judgements(at_ms BIGINT, slo VARCHAR, service VARCHAR, scope VARCHAR, state VARCHAR, burn DOUBLE, "
    "remaining DOUBLE)",
    "alert_book(at_ms BIGINT, book VARCHAR)",
    "incidents(id VARCHAR, opened_ms BIGINT, resolved_ms BIGINT, incident VARCHAR)",
    "silences(id VARCHAR, starts_ms BIGINT, ends_ms BIGINT, silence VARCHAR)",
    "outbox(id VARCHAR, position BIGINT, incident_id VARCHAR, receiver VARCHAR, payload VARCHAR, created_ms BIGINT, "
    "attempts INTEGER, next_ms BIGINT, delivered_ms BIGINT, given_up_ms BIGINT, detail VARCHAR)",
)

PERIOD_MS: Final = {
    "samples": 86_400_000,
    "increments": 86_400_000,
    "logs": 86_400_000,
    "fives": 30 * 86_400_000,
    "hours": 30 * 86_400_000,
    "spans": 86_400_000,
}
"""The kinds of tables of which there is one per period, and how long a period is."""

FIVE_MS: Final = 300_000
HOUR_MS: Final = 3_600_000

_COLUMNS: Final = {
    "samples": "series_id UINTEGER, ts_ms BIGINT, value DOUBLE, start_ms BIGINT",
    # a counter's increments that are not zero, in whole units and billionths
    "increments": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    # the same summed over buckets; ts_ms is the bucket's end
    "fives": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    "hours": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    "logs": "at_ms BIGINT, node VARCHAR, node_id VARCHAR, service VARCHAR, container VARCHAR, id VARCHAR, "
    "stream VARCHAR, body VARCHAR, severity VARCHAR, trace_id VARCHAR, span_id VARCHAR",
    "spans": "trace_id VARCHAR, span_id VARCHAR, parent_id VARCHAR, name VARCHAR, node VARCHAR, node_id VARCHAR, "
    "service VARCHAR, start_ms BIGINT, end_ms BIGINT, ok BOOLEAN, attributes VARCHAR",
}


def create(kind: str, period: int) -> str:
    """The statement that makes the table of a kind for a period."""
    return f"CREATE TABLE IF NOT EXISTS {table(kind, period)}({_COLUMNS[kind]})"


def table(kind: str, period: int) -> str:
    """The name of the table of a kind for a period; both come from here alone, never from outside."""
    if kind not in PERIOD_MS:
        raise KeyError(kind)
    return f"{kind}_{int(period)}"


def period_of(kind: str, at_ms: int) -> int:
    """The period that a moment belongs to."""
    return at_ms // PERIOD_MS[kind]


def bucket_end(at_ms: int, size_ms: int) -> int:
    """The end of the bucket `(end - size, end]` that holds a moment."""
    return -(-at_ms // size_ms) * size_ms
