"""The counters of one service: each with its value and the moment from which it counts."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agent import columns
from agent.columns import Columns, Shape
from agent.model import Histogram, Labels, Points, Resource
from agent.names import OWN
from runtime.model import ServiceName

Key = tuple[str, Labels]
MICROS = 1_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000

RESTARTS_BY = ("policy", "manual", "midwatch")
EXIT_REASONS = ("ok", "error", "oom", "signal", "stopped")
VICTIMS = ("main", "child", "unknown")

RESTARTS = "midwatch_container_restarts_total"
EXITS = "midwatch_container_exits_total"
OOM_KILLS = "midwatch_oom_kills_total"
DESIRED = "midwatch_containers_desired"
HEALTHY = "midwatch_containers_healthy"
RESTART_RATE = "midwatch_container_restarts_per_hour"
DESIRED_SECONDS = "midwatch_container_desired_seconds_total"
HEALTHY_SECONDS = "midwatch_container_healthy_seconds_total"
INSTANCE_SECONDS = "midwatch_container_instance_seconds_total"
SCRAPED_SECONDS = "midwatch_container_scraped_seconds_total"
UNSCRAPED_SECONDS = "midwatch_container_unscraped_seconds_total"
IN_MILLISECONDS = frozenset((DESIRED_SECONDS, HEALTHY_SECONDS, INSTANCE_SECONDS, SCRAPED_SECONDS, UNSCRAPED_SECONDS))
"""Counters whose integers are milliseconds and whose samples are seconds."""

FROM_FIRST_SIGHT: tuple[Key, ...] = (
    (DESIRED_SECONDS, ()),
    (HEALTHY_SECONDS, ()),
    (INSTANCE_SECONDS, ()),
    *((RESTARTS, (("by", by),)) for by in RESTARTS_BY),
    *((EXITS, (("reason", reason),)) for reason in EXIT_REASONS),
    *((OOM_KILLS, (("cause", "container"), ("victim", victim))) for victim in VICTIMS),
)
"""What every service has with 0 as soon as it is seen."""


@dataclass
class Counter:
    """An integer that only grows, and since when."""

    start_ms: int
    value: int = 0


@dataclass
class Distribution:
    """A histogram: one count per bound and one for +Inf, the sum in integer microseconds."""

    start_ms: int
    counts: list[int]
    sum_us: int = 0
    _told: tuple[int, ...] = field(default=(), repr=False, compare=False)

    def observe(self, bounds: tuple[float, ...], seconds: float | None) -> None:
        """Counts one duration; None (it never ended well) counts in +Inf alone and adds nothing to the sum."""
        if seconds is None:
            self.counts[-1] += 1
            return
        self.counts[bisect_left(bounds, seconds)] += 1
        self.sum_us += round(max(0.0, seconds) * MICROS)

    def told(self) -> tuple[int, ...]:
        """The counts; the very object of before while none of them changed."""
        now = tuple(self.counts)
        if now != self._told:
            self._told = now
        return self._told


class _Layout(NamedTuple):
    """What an account's samples are called, while it has the same ones."""

    gauges: tuple[str, ...]
    counters: tuple[tuple[Counter, int], ...]
    """Each with how many of its units make one of its sample's."""
    starts: tuple[int, ...]
    shape: Shape


def _laid_out(gauges: Mapping[str, float], counters: Mapping[Key, Counter]) -> _Layout:
    keys = [columns.Key(name, (), False) for name in gauges]
    keys += [columns.Key(name, labels, True) for name, labels in counters]
    units = tuple((counter, 1000 if name in IN_MILLISECONDS else 1) for (name, _), counter in counters.items())
    starts = (*(0 for _ in gauges), *(counter.start_ms for counter in counters.values()))
    return _Layout(tuple(gauges), units, starts, columns.shape_of(tuple(keys)))


@dataclass
class Account:
    """What one service has had since its first sight; `active` where it is published."""

    service: ServiceName
    start_ms: int
    seen_ms: int
    declared: bool = False
    active: bool = True
    counters: dict[Key, Counter] = field(default_factory=dict)
    distributions: dict[Key, Distribution] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    hour: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Once a minute of the last hour: the time, restarts by policy and instances' milliseconds up to then."""
    _layout: _Layout | None = field(default=None, repr=False, compare=False)

    def add(self, key: Key, n: int, now_ms: int) -> None:
        """Adds to a counter, which begins now where it is new."""
        counter = self.counters.get(key)
        if counter is None:
            counter = self.counters[key] = Counter(now_ms)
        counter.value += n

    def observe(self, key: Key, seconds: float | None, now_ms: int) -> None:
        """Counts one duration in a histogram."""
        self.distribution(key, now_ms).observe(OWN[key[0]].bounds, seconds)

    def distribution(self, key: Key, now_ms: int) -> Distribution:
        """The histogram of that name and labels, which begins now where it is new."""
        found = self.distributions.get(key)
        if found is None:
            found = self.distributions[key] = Distribution(now_ms, [0] * (len(OWN[key[0]].bounds) + 1))
        return found

    def begin_time_anew(self, now_ms: int) -> None:
        """Container-seconds count from now on."""
        for name, labels in self.counters:
            if name in IN_MILLISECONDS:
                self.counters[name, labels] = Counter(now_ms)
        self._layout = None

    def restart_rate(self, now_ms: int) -> float | None:
        """Restarts by policy per instance and hour over the last hour; None where it had no instance."""
        restarts = self.counters[RESTARTS, (("by", "policy"),)].value
        had = self.counters.get((INSTANCE_SECONDS, ()))
        instances_ms = had.value if had else 0
        if self.hour and (now_ms < self.hour[-1][0] or instances_ms < self.hour[-1][2]):
            self.hour.clear()
        if not self.hour or now_ms - self.hour[-1][0] >= MINUTE_MS:
            self.hour.append((now_ms, restarts, instances_ms))
        while now_ms - self.hour[0][0] > HOUR_MS:
            self.hour.popleft()
        _, restarts_then, instances_then = self.hour[0]
        exposed_ms = instances_ms - instances_then
        return (restarts - restarts_then) * HOUR_MS / exposed_ms if exposed_ms else None

    def resource(self) -> Resource:
        """Whose points these are: the service, no container."""
        return Resource(self.service)

    def points(self, now_ms: int) -> Iterator[Points]:
        """Every gauge and counter as samples of this moment, and after them every histogram."""
        resource = self.resource()
        if self.gauges or self.counters:
            yield Points(resource, self._columns(now_ms))
        if self.distributions:
            yield Points(resource, tuple(self._histograms(now_ms)))

    def _columns(self, now_ms: int) -> Columns:
        layout = self._layout
        if layout is None or len(layout.counters) != len(self.counters) or layout.gauges != tuple(self.gauges):
            layout = self._layout = _laid_out(self.gauges, self.counters)
        values = [*map(float, self.gauges.values()), *[counter.value / by for counter, by in layout.counters]]
        return Columns(layout.shape, values, now_ms, layout.starts)

    def _histograms(self, now_ms: int) -> Iterator[Histogram]:
        for (name, labels), found in self.distributions.items():
            counts, total = found.told(), found.sum_us / MICROS
            yield Histogram(name, labels, OWN[name].bounds, counts, total, now_ms, found.start_ms)


def to_json(account: Account) -> dict[str, Any]:
    """An account for the checkpoint; gauges are not kept, they are of the moment."""
    return {
        "service": list(account.service),
        "start_ms": account.start_ms,
        "seen_ms": account.seen_ms,
        "declared": account.declared,
        "active": account.active,
        "counters": [[name, labels, c.start_ms, c.value] for (name, labels), c in account.counters.items()],
        "distributions": [
            [name, labels, d.start_ms, d.counts, d.sum_us] for (name, labels), d in account.distributions.items()
        ],
    }


def from_json(data: dict[str, Any]) -> Account:
    """An account of a checkpoint; raises KeyError, TypeError or ValueError where it is not one.

    A series whose labels or bounds have changed since begins anew.
    """
    namespace, name = data["service"]
    account = Account(
        ServiceName(str(namespace), str(name)),
        int(data["start_ms"]),
        int(data["seen_ms"]),
        bool(data["declared"]),
        bool(data["active"]),
    )
    for metric, labels, start_ms, value in data["counters"]:
        if _labelled_as_now(metric, labels):
            account.counters[metric, _labels(labels)] = Counter(int(start_ms), int(value))
    for metric, labels, start_ms, counts, sum_us in data["distributions"]:
        if _labelled_as_now(metric, labels) and len(counts) == len(OWN[metric].bounds) + 1:
            kept = Distribution(int(start_ms), [int(count) for count in counts], int(sum_us))
            account.distributions[metric, _labels(labels)] = kept
    return account


def _labelled_as_now(metric: str, pairs: list[list[str]]) -> bool:
    return metric in OWN and {name for name, _ in pairs} == set(OWN[metric].labels)


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((str(name), str(value)) for name, value in pairs)
