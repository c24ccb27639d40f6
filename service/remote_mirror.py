"""A copy of those samples that objectives count, pulled from the remote store into the local one.

Judgements then come from one implementation of counting, over increments that are taken from raw samples. A start time
is not known there: the first sample that is pulled of a series is a baseline, which counts nothing and is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from service.model import MetricBatch, Series
from service.remote_api import Line, RemoteApi
from service.store_db import Cursor, Database
from slo.model import Allowance, EventRatio, Indicator, MinuteSlices, Selector

OVERLAP_MS: Final = 120_000
"""Samples may become visible this long after others that are younger."""
FRESH_MS: Final = 500
"""What was pulled so shortly before is not pulled again."""
FIRST_SPAN_MS: Final = 600_000
LEAST_SPAN_MS: Final = 60_000
MOST_SPAN_MS: Final = 86_400_000
FEW, MANY = 100_000, 300_000
TABLE: Final = "mirrored(metric VARCHAR, from_ms BIGINT, until_ms BIGINT)"

Kind = Literal["counter", "gauge"]


class Reach(NamedTuple):
    """Which stretch of a metric is here: `(from, until]`."""

    from_ms: int
    until_ms: int


class Mirror:
    """Pulls what is asked for and not here yet; safe to use from any thread."""

    def __init__(
        self, api: RemoteApi, database: Database, append: Callable[[MetricBatch], object], clock: Callable[[], int]
    ) -> None:
        self._api, self._database, self._append, self._clock = api, database, append, clock
        self._lock = threading.Lock()
        self._notes = threading.Lock()
        """Never held while anything is asked or written, for the writing thread takes it too."""
        self._last: dict[Series, int] = {}
        self._late: dict[str, int] = {}
        self._pulled_ms: dict[str, int] = {}
        self._reach = {metric: Reach(*rest) for metric, *rest in database.write(_load)}

    def late(self, batch: MetricBatch) -> None:
        """Note what was forwarded that is older than what is here: it is pulled once more."""
        with self._notes:
            for metric, ts_ms in _earliest(batch).items():
                reach = self._reach.get(metric)
                if reach is not None and ts_ms <= reach.until_ms - OVERLAP_MS:
                    self._late[metric] = min(ts_ms, self._late.get(metric, ts_ms))

    def sent(self) -> None:
        """Something was taken by the remote store: what is here may be old."""
        with self._notes:
            self._pulled_ms.clear()

    def need(self, indicators: Sequence[Indicator], since_ms: int, until_ms: int) -> None:
        """Have the samples of these indicators in `(since, until]`, as far as the remote store has them."""
        with self._lock:
            before = dict(self._reach)
            for metric, kind in sorted(metrics_of(indicators).items()):
                self._have(metric, kind, since_ms, until_ms)
            changed = {name: it for name, it in self._reach.items() if before.get(name) != it}
            if changed:
                self._database.write(lambda cursor: _save(cursor, changed))

    def _have(self, metric: str, kind: Kind, since_ms: int, until_ms: int) -> None:
        now = self._clock()
        reach = self._reach.get(metric)
        if reach is None:
            self._pull(metric, kind, since_ms, max(until_ms, now))
            self._reach[metric] = Reach(since_ms, max(until_ms, now))
            return
        if since_ms < reach.from_ms:
            self._pull(metric, kind, since_ms, reach.from_ms, every=True)
            reach = self._reach[metric] = Reach(since_ms, reach.until_ms)
        with self._notes:
            late, pulled_ms = self._late.pop(metric, None), self._pulled_ms.get(metric, 0)
        if late is not None:
            self._pull(metric, kind, max(late - 1, reach.from_ms), reach.until_ms, every=True)
        if late is not None or (until_ms > reach.until_ms and now >= pulled_ms + FRESH_MS):
            self._pull(metric, kind, reach.until_ms - OVERLAP_MS, max(until_ms, now))
            self._reach[metric] = Reach(reach.from_ms, max(until_ms, now, reach.until_ms))
            with self._notes:
                self._pulled_ms[metric] = now

    def _pull(self, metric: str, kind: Kind, since_ms: int, until_ms: int, every: bool = False) -> None:
        """Append what there is; without `every` only what is younger than the last of its series."""
        for lines in self._stretches(metric, since_ms, until_ms):
            kept = [_after(it, -1 if every else self._last.get(it.series, -1)) for it in lines]
            kept = [it for it in kept if len(it.ts_ms)]
            if not kept:
                continue
            self._append(batch_of(kept, kind))
            for it in kept:
                self._last[it.series] = max(self._last.get(it.series, -1), int(it.ts_ms[-1]))

    def _stretches(self, metric: str, since_ms: int, until_ms: int) -> Iterator[list[Line]]:
        span, at = FIRST_SPAN_MS, since_ms
        while at < until_ms:
            end = min(at + span, until_ms)
            lines = self._api.raw(Selector(metric), at, end)
            yield lines
            at, span = end, _next_span(span, sum(len(it.ts_ms) for it in lines))


def metrics_of(indicators: Iterable[Indicator]) -> dict[str, Kind]:
    """The metrics that indicators count, and of which kind they are."""
    found: dict[str, Kind] = {}
    for it in indicators:
        match it:
            case EventRatio():
                found |= {one.metric: "counter" for one in (*it.total, *it.good, *it.bad)}
            case Allowance():
                found |= {one.metric: "counter" for one in (*it.bad, *it.exposure)}
            case MinuteSlices():
                found |= {one.metric: it.kind for one in (it.numerator, it.denominator)}
    return found


def batch_of(lines: Sequence[Line], kind: Kind) -> MetricBatch:
    """Lines as a batch without identity and without start times."""
    index = np.repeat(np.arange(len(lines)), [len(it.ts_ms) for it in lines])
    return MetricBatch(
        identity=None,
        series=tuple(it.series for it in lines),
        kinds=(kind,) * len(lines),
        series_index=index.tolist(),
        ts_ms=np.concatenate([it.ts_ms for it in lines]).tolist(),
        value=np.concatenate([it.value for it in lines]).tolist(),
        start_ms=[None] * len(index),
    )


def _next_span(span_ms: int, samples: int) -> int:
    if samples > MANY:
        return max(span_ms // 2, LEAST_SPAN_MS)
    return min(span_ms * (2 if samples else 8), MOST_SPAN_MS) if samples < FEW else span_ms


def _after(line: Line, at_ms: int) -> Line:
    kept = line.ts_ms > at_ms
    return line if kept.all() else Line(line.series, line.ts_ms[kept], line.value[kept])


def _earliest(batch: MetricBatch) -> dict[str, int]:
    """The earliest moment of each metric of a batch."""
    found: dict[str, int] = {}
    index, ts_ms = np.asarray(batch.series_index, np.int64), np.asarray(batch.ts_ms, np.int64)
    first = np.full(len(batch.series), np.iinfo(np.int64).max)
    np.minimum.at(first, index, ts_ms)
    for at in np.unique(index).tolist():
        metric = batch.series[at].metric
        found[metric] = min(int(first[at]), found.get(metric, int(first[at])))
    return found


def _load(cursor: Cursor) -> list[tuple[str, int, int]]:
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
    rows = cursor.execute("SELECT metric, min(from_ms), max(until_ms) FROM mirrored GROUP BY metric")
    return [(str(metric), int(begin), int(end)) for metric, begin, end in rows.fetchall()]


def _save(cursor: Cursor, changed: dict[str, Reach]) -> None:
    for metric, reach in changed.items():
        cursor.execute("DELETE FROM mirrored WHERE metric = ?", [metric])
        cursor.execute("INSERT INTO mirrored VALUES (?, ?, ?)", [metric, *reach])
