"""The tables of the database, and how old a file may be.

Samples, rollups and logs live in tables of their own per period: dropping a table is what frees space. They are only
ever appended to: what a late sample changes of a rollup is appended as a difference.

Samples come in blocks of two hours. While a block is open each commit is one frame in its `head`; once it is over they
are sealed into the `chunks` of its day, with a row of `stats` per series. What comes later opens a head again, until
the day is written anew.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 3

JUDGED: Final = (
    "at_ms BIGINT, slo VARCHAR, service VARCHAR, scope VARCHAR, state VARCHAR, burn DOUBLE, remaining DOUBLE, "
    "bad HUGEINT, total HUGEINT, observed_ms BIGINT, expected_ms BIGINT, target VARCHAR, budget VARCHAR, "
    "window_ms BIGINT"
)
TABLES: Final = (
    "meta(version INTEGER NOT NULL)",
    "batches(node_id VARCHAR, spool_id VARCHAR, signal VARCHAR, sequence BIGINT, gaps BIGINT, received_ms BIGINT)",
    # grp: series of one metric that are sealed together
    "series(series_id UINTEGER, metric VARCHAR, labels VARCHAR, counter BOOLEAN, grp UINTEGER)",
    # the last row of a series holds; written whole at every rollup
    "series_state(series_id UINTEGER, first_ms BIGINT, first_from_ms BIGINT, baseline BOOLEAN, last_ms BIGINT, "
    "last_value DOUBLE, last_start_ms BIGINT, run_from_ms BIGINT)",
    # frames of a head that `series_state` already knows
    "replayed(block INTEGER, known_rows BIGINT)",
    # in which chunk a block is, by the chunk's first block; a chunk written anew is of another edition
    "sealed(block INTEGER, chunk INTEGER, edition INTEGER)",
    # the last sample of each counter before the oldest day that is kept
    "carry(series_id UINTEGER, ts_ms BIGINT, value DOUBLE, start_ms BIGINT)",
    # what senders tell of metrics; the last row of a metric holds
    "metadata(metric VARCHAR, type VARCHAR, help VARCHAR, unit VARCHAR)",
    "runs(series_id UINTEGER, from_ms BIGINT, to_ms BIGINT)",
    "periods(kind VARCHAR, period INTEGER)",
    "rolled(until_ms BIGINT)",
    "minute_slices(indicator VARCHAR, minute_ms BIGINT, bad BOOLEAN)",
    "events(name VARCHAR, at_ms BIGINT, node VARCHAR, node_id VARCHAR, service VARCHAR, container VARCHAR, id VARCHAR, "
    "image VARCHAR, body VARCHAR, attributes VARCHAR)",
    "services(service VARCHAR, node_id VARCHAR, node VARCHAR, replicas INTEGER, source VARCHAR, probe VARCHAR, "
    "labels VARCHAR, first_seen_ms BIGINT, last_seen_ms BIGINT, gone_ms BIGINT)",
    # what was judged each minute; `judgement_hours` is what is left of it when it gets old
    f"judgements({JUDGED})",
    f"judgement_hours({JUDGED})",
    # promises of objectives as JSON; the last row of an objective holds
    "slo_changes(at_ms BIGINT, slo VARCHAR, service VARCHAR, scope VARCHAR, kind VARCHAR, before VARCHAR, "
    "after VARCHAR)",
    # which digests were put into the outbox, or left out at the first sight of their setting
    "digests(receiver VARCHAR, every VARCHAR, period VARCHAR, posted_ms BIGINT)",
    # slices judged in whole days (UTC): what they counted, compressed; see slo_kept
    "kept_slices(key VARCHAR, day INTEGER, data BLOB)",
    # since when conditions of alert policies hold, by what names them
    "held_conditions(key VARCHAR, since_ms BIGINT)",
    # OpenSLO files as they were good last
    "good_files(file VARCHAR, text VARCHAR)",
    "alert_book(at_ms BIGINT, book VARCHAR)",
    "incidents(id VARCHAR, opened_ms BIGINT, resolved_ms BIGINT, incident VARCHAR)",
    "silences(id VARCHAR, starts_ms BIGINT, ends_ms BIGINT, silence VARCHAR)",
    # what was done about budgets, in order; nothing of it is ever changed or deleted
    "adjustments(position BIGINT, id VARCHAR, at_ms BIGINT, what VARCHAR, said VARCHAR)",
    "outbox(id VARCHAR, position BIGINT, incident_id VARCHAR, receiver VARCHAR, payload VARCHAR, created_ms BIGINT, "
    "attempts INTEGER, next_ms BIGINT, delivered_ms BIGINT, given_up_ms BIGINT, detail VARCHAR)",
)

PERIOD_MS: Final = {
    "head": 7_200_000,
    "chunks": 86_400_000,
    "stats": 86_400_000,
    "logs": 86_400_000,
    "fives": 30 * 86_400_000,
    "hours": 30 * 86_400_000,
    "spans": 86_400_000,
}
"""The kinds of tables of which there is one per period, and how long a period is."""

BLOCK_MS: Final = PERIOD_MS["head"]
DAY_MS: Final = PERIOD_MS["chunks"]
BLOCKS_PER_DAY: Final = DAY_MS // BLOCK_MS
FIVE_MS: Final = 300_000
HOUR_MS: Final = 3_600_000

# compressed a second time, blobs would be a little smaller and read far slower
_BLOB: Final = "BLOB USING COMPRESSION uncompressed"

_COLUMNS: Final = {
    # see flat_frame; with the identity of the batch, which a second statement would make dear
    "head": f"n UINTEGER, data {_BLOB}, node_id VARCHAR, spool_id VARCHAR, signal VARCHAR, sequence BIGINT, "
    "gaps BIGINT, received_ms BIGINT",
    # see chunk; `block` is the first that it covers
    "chunks": f"block INTEGER, grp UINTEGER, n UINTEGER, data {_BLOB}",
    # of the samples of one series in one chunk that are numbers
    "stats": "block INTEGER, series_id UINTEGER, n UINTEGER, first_ms BIGINT, last_ms BIGINT, first_value DOUBLE, "
    "last_value DOUBLE, last_start_ms BIGINT, low DOUBLE, high DOUBLE, total DOUBLE, increase DOUBLE, resets UINTEGER",
    # counters' increments summed over buckets, in whole units and billionths; ts_ms is the bucket's end
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
