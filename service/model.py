"""What the service's parts hand to each other: decoded batches, stored points, queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from slo.model import Counts, Indicator, Labels, Selector


class BatchIdentity(NamedTuple):
    """`<node_id>/<spool_id>/<signal>/<sequence>`; the store keeps the highest sequence of each stream."""

    node_id: str
    spool_id: str
    signal: Literal["metrics", "logs", "traces"]
    sequence: int


class Series(NamedTuple):
    """A metric name and its sorted labels."""

    metric: str
    labels: Labels


MetricType = Literal["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]


class Metadata(NamedTuple):
    """What a sender tells of a metric family: its name without `_bucket` and the like, type, help text and unit."""

    metric: str
    type: MetricType
    help: str
    unit: str


@dataclass(frozen=True)
class MetricBatch:
    """Decoded samples as columns of one length; `series_index` points into `series`."""

    identity: BatchIdentity | None
    series: Sequence[Series]
    kinds: Sequence[Literal["counter", "gauge"]]
    """One per series."""
    series_index: Sequence[int] | NDArray[np.int64]
    ts_ms: Sequence[int] | NDArray[np.int64]
    value: Sequence[float] | NDArray[np.float64]
    start_ms: Sequence[int | None] | NDArray[np.int64]
    """None where unknown; in an array it is -(2**62)."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Points left out at decoding, by reason."""
    metadata: Sequence[Metadata] = ()
    """What was told of metrics; of several of one name the last holds."""
    numbers: Sequence[int] | NDArray[np.int64] = ()
    """The store's own numbers of the series, 0 where unknown, as `Directory.numbers_of` gave them: nothing is looked
    up then. Empty where nobody knows them."""
    epoch: int = -1
    """The directory's epoch when these numbers were given; of another one they are not used."""


@dataclass(frozen=True)
class EventRow:
    """One stored event; `attributes` is what the event carries beside its identity."""

    name: str
    at_ms: int
    node: str
    node_id: str
    service: str
    container: str | None
    id: str | None
    image: str | None
    body: str
    attributes: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class LogRow:
    """One stored line of a container's log."""

    at_ms: int
    node: str
    node_id: str
    service: str
    container: str | None
    id: str | None
    stream: str
    text: str
    severity: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


@dataclass(frozen=True)
class LogBatch:
    """Decoded OTLP logs: our events (they have an event name) and plain lines."""

    identity: BatchIdentity | None
    events: tuple[EventRow, ...]
    lines: tuple[LogRow, ...]
    refused: Mapping[str, int] = field(default_factory=dict)
    """Records left out at decoding, by reason."""


@dataclass(frozen=True)
class SpanRow:
    """One stored span; times in milliseconds UTC."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    node: str
    node_id: str
    service: str
    start_ms: int
    end_ms: int
    ok: bool
    attributes: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class TraceBatch:
    """Decoded OTLP spans."""

    identity: BatchIdentity | None
    spans: tuple[SpanRow, ...]
    refused: Mapping[str, int] = field(default_factory=dict)
    """Spans left out at decoding, by reason."""


class InstantPoint(NamedTuple):
    """The last sample of one series at or before the asked moment."""

    series: Series
    ts_ms: int
    value: float


class RangeSeries(NamedTuple):
    """One series on a regular grid: element i is at `start + i x step`; None is a gap."""

    series: Series
    values: Sequence[float | None]


class SampleStore(Protocol):
    """The narrow interface above which nobody knows where samples live."""

    def append(self, batch: MetricBatch) -> bool:
        """Store the batch durably; False where its identity was seen before."""
        ...

    def instant(self, selector: Selector, at_ms: int, lookback_ms: int = 300_000) -> list[InstantPoint]:
        """The last sample of each series in `(at - lookback, at]`."""
        ...

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments."""
        ...

    def counts(self, indicator: Indicator, windows_ms: Sequence[int], until_ms: int) -> list[Counts]:
        """Exact counts of each window `(until - window, until]`, in the order asked."""
        ...
