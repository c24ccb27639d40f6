"""The second store: samples live in a Prometheus-compatible server; all else, and what waits to go there, is here."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from service.increments import DEFAULT as RULES
from service.model import InstantPoint, MetricBatch, RangeSeries
from service.remote_api import RemoteApi, text
from service.remote_encode import Encoder, compressed
from service.remote_mirror import Mirror
from service.remote_queue import Bounds as QueueBounds
from service.remote_queue import Entry, Queue
from service.remote_range import increases, last_values
from service.remote_send import Answer, Forwarder
from service.store import DEFAULT_BOUNDS, Store
from service.store_append import Bounds, Stored
from service.store_batch import FUTURE_MS
from service.store_db import Cursor
from service.streams import Written
from slo.model import Counts, Indicator, Selector

RAW_LOOKBACK_MS = 600_000
"""Up to this lookback an instant reads raw samples, which tell their times; beyond, `ts_ms` is the asked moment."""
LABELS_MS = 15_000
"""How long the label sets of a metric are taken as they were."""


class Remote(NamedTuple):
    """What a remote store is asked and fed through."""

    api: RemoteApi
    post: Callable[[bytes], Answer]
    queue: QueueBounds = QueueBounds()
    samples_per_request: int = 10_000


class _Plan(NamedTuple):
    entry: Entry | None
    identity: Written | None
    stored: Stored


class RemoteStore(Store):
    """What `Store` promises, of samples that a remote engine keeps.

    A batch is acknowledged when it is on disk here; it is forwarded from there. Objectives are counted from a copy of
    the samples that they need; all other readings are asked of the remote engine when they are needed.
    """

    def __init__(self, path: Path, clock: Callable[[], int], remote: Remote, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        super().__init__(path, clock, bounds)
        self.queue = Queue(self.database, remote.queue)
        self._encoder = Encoder()
        self.api, self._now = remote.api, clock
        self._mirror = Mirror(remote.api, self.database, super().append_counted, clock)
        self.sent: Callable[[], None] = lambda: None
        """Told when the remote store has taken something."""
        self.forwarder = Forwarder(self.queue, remote.post, clock, remote.samples_per_request, self._taken)
        self._newest_ms: int | None = None
        self._labels: dict[str, tuple[int, int, list[Mapping[str, str]]]] = {}
        self._counted: Counter[str] = Counter()
        self.database.reopened = self._reopened
        self._thread = threading.Thread(target=self.forwarder.run, name="forward", daemon=True)

    @property
    def sample_counts(self) -> Counter[str]:
        """Samples taken in since this process began: `stored`."""
        return self._counted

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def append_counted(self, batch: MetricBatch) -> Stored:
        """Have the batch on disk, to be forwarded; raises StoreUnavailable, also where too much waits."""
        return self.database.write(
            lambda cursor: self._queue_up(cursor, batch), lambda it: self._took(it, batch)
        ).stored

    def instant(self, selector: Selector, at_ms: int, lookback_ms: int = 300_000) -> list[InstantPoint]:
        """The last sample of each series in `(at - lookback, at]`."""
        if lookback_ms <= RAW_LOOKBACK_MS:
            lines = self.api.raw(selector, at_ms - lookback_ms, at_ms)
        else:
            lines = self.api.instant(f"last_over_time({text(selector)}[{lookback_ms - 1}ms])", at_ms)
        named = [(it.series._replace(metric=selector.metric), it) for it in lines]
        return [InstantPoint(series, int(it.ts_ms[-1]), float(it.value[-1])) for series, it in named]

    def recent_labels(self, metric: str, since_ms: int) -> list[Mapping[str, str]]:
        """The labels of those series of a metric that had a sample after `since`."""
        now = self._now()
        kept = self._labels.get(metric)
        if kept is not None and kept[0] <= since_ms <= kept[0] + LABELS_MS and now - kept[1] < LABELS_MS:
            return kept[2]
        query = f"last_over_time({text(Selector(metric))}[{max(now - since_ms, 1)}ms])"
        found: list[Mapping[str, str]] = [dict(it.series.labels) for it in self.api.instant(query, now)]
        self._labels[metric] = (since_ms, now, found)
        return found

    def bounds_since(self, metric: str) -> Mapping[tuple[str, str], int]:
        """Of a store elsewhere nobody knows: none."""
        return {}

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments; None where there is none."""
        if of == "last":
            return last_values(self.api, selector, since_ms, until_ms, step_ms)
        return increases(self.api, selector, since_ms, until_ms, step_ms, RULES)

    def counts_of(
        self, indicators: Sequence[Indicator], windows_ms: Sequence[Sequence[int]], until_ms: int
    ) -> list[list[Counts]]:
        """Exact counts, from raw samples; those of a window that a series' first sample lies in have a baseline."""
        longest = max((window for windows in windows_ms for window in windows), default=0)
        self._mirror.need(indicators, self._begin(until_ms - longest), until_ms)
        return super().counts_of(indicators, windows_ms, until_ms)

    def slices(self, indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Exact counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
        if len(edges_ms) > 1:
            self._mirror.need(indicators, self._begin(edges_ms[0]), edges_ms[-1])
        return super().slices(indicators, edges_ms)

    def span(self) -> tuple[int | None, int | None]:
        """(oldest sample of what objectives count, newest sample that came)."""
        first, last = super().span()
        return first, max((it for it in (last, self._newest_ms) if it is not None), default=None)

    def close(self) -> None:
        """End forwarding and let go of the file; what waits goes on at the next start."""
        self.forwarder.stop()
        if self._thread.is_alive():
            self._thread.join(15.0)
        super().close()

    def _begin(self, since_ms: int) -> int:
        """Where pulling begins: what is older than samples are kept here is never pulled."""
        day = 86_400_000
        return max(since_ms // day * day, self._now() // day * day - self.bounds.raw_ms + day)

    def _queue_up(self, cursor: Cursor, batch: MetricBatch) -> _Plan:
        now = self._now()
        if batch.identity is not None and self.streams.seen(batch.identity):
            return _Plan(None, None, Stored(False))
        index, ts = np.asarray(batch.series_index, np.int64), np.asarray(batch.ts_ms, np.int64)
        faults = {"in_future": ts > now + FUTURE_MS, "too_old": ts <= now - self.bounds.raw_ms}
        kept = ~np.logical_or.reduce(list(faults.values())) if len(ts) else np.zeros(0, np.bool_)
        refused = {reason: int(bad.sum()) for reason, bad in faults.items() if bad.any()}
        entry = None
        if kept.any():
            value = np.asarray(batch.value, np.float64)
            encoded = self._encoder.encode(batch.series, index[kept], ts[kept], value[kept])
            entry = self.queue.write(cursor, compressed(encoded.body), encoded.samples, now)
        identity = None if batch.identity is None else self.streams.write(cursor, batch.identity, now)
        return _Plan(entry, identity, Stored(True, refused))

    def _took(self, plan: _Plan, batch: MetricBatch) -> None:
        self.streams.apply(plan.identity)
        if plan.entry is not None:
            self.queue.take(plan.entry)
            self._counted["stored"] += plan.entry.samples
            self._newest_ms = max(int(np.max(batch.ts_ms)), self._newest_ms or 0)
            self._mirror.late(batch)

    def _taken(self) -> None:
        self._mirror.sent()
        self.sent()

    def _reopened(self, cursor: Cursor) -> None:
        self.memory.load(cursor)
        self.queue.load(cursor)
