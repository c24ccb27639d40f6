"""What the alert rules are told: counts of recent windows and present states, read from the store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.facts import (
    SPOOL_LOSSES,
    ContainerRestarts,
    DiskPoint,
    DiskState,
    Facts,
    NodeState,
    ServerState,
    ServiceState,
    Tally,
)
from alerts.thresholds import Thresholds
from service.model import RangeSeries
from service.ports import Readings, rows_of
from service.roster import WATCHED, Heard, Row
from slo.indicators import NOT_NETWORKED, PLATFORM
from slo.model import Matcher, Selector

STEP_MS = 15_000
MINUTE_MS = 60_000
KILLS = ("midwatch_oom_kills_total", "midwatch_oom_kills_unattributed_total", "midwatch_oom_kills_host_total")
_NETWORKED = Matcher("outcome", "!~", f"ok|{NOT_NETWORKED}")


@dataclass(frozen=True)
class Restart:
    """Restarts by policy of one container within the longest window, newest last."""

    service: str
    node_id: str
    container: str
    at_ms: int
    count: int
    exit_code: str | None


def gather(
    store: Readings,
    rows: Sequence[Row],
    heard: Sequence[Heard],
    server: ServerState,
    thresholds: Thresholds,
    now_ms: int,
) -> Facts:
    """All that the rules need beside judgements, at `now_ms`."""
    reader = _Reader(store, thresholds, now_ms)
    silent = {it.node_id for it in heard if now_ms - it.last_seen_ms > thresholds.silent_after_ms(it.interval_ms)}
    by_service: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_service[row.service].append(row)
    return Facts(
        tuple(reader.service(name, by_service[name], silent) for name in sorted(by_service) if name != PLATFORM),
        tuple(reader.node(it) for it in heard),
        server,
    )


class _Reader:
    """One reading of each series, shared by all services and nodes."""

    def __init__(self, store: Readings, thresholds: Thresholds, now_ms: int) -> None:
        self._store = store
        self._limits = thresholds
        self._now_ms = now_ms
        self._kills = [it for name in KILLS for it in self._increase(name, thresholds.oom_storm_window_ms)]
        self._unauthorized = self._increase(
            "midwatch_image_pulls_total",
            thresholds.pulls_unauthorized_window_ms,
            Matcher("outcome", "=", "unauthorized"),
        )
        self._failed = self._increase("midwatch_image_pulls_total", thresholds.pulls_failing_window_ms, _NETWORKED)
        self._dropped = self._increase(
            "midwatch_agent_dropped_total", thresholds.spool_window_ms, Matcher("reason", "=~", SPOOL_LOSSES)
        )
        past = max(thresholds.container_down_after_ms, thresholds.crash_loop_page_after_ms) + MINUTE_MS
        self._desired = self._gauge("midwatch_containers_desired", past, STEP_MS)
        self._healthy = self._gauge("midwatch_containers_healthy", past, STEP_MS)
        self._disks = self._disk_lines()
        self._restarts = self._restart_rows()
        self._messages = self._pull_messages()

    def service(self, name: str, rows: Sequence[Row], silent: set[str]) -> ServiceState:
        """One service as it is now."""
        desired, healthy = _summed(self._desired, name), _summed(self._healthy, name)
        grid = list(zip(desired, healthy, strict=True)) if len(desired) == len(healthy) else []
        mine = [it for it in self._restarts if it.service == name]
        return ServiceState(
            service=name,
            measured=not any(row.node_id in silent for row in rows),
            declared=any(row.source not in WATCHED for row in rows),
            desired=_newest(desired),
            healthy=_newest(healthy),
            short_since_ms=self._since(grid, lambda d, h: h < d),
            none_since_ms=self._since(grid, lambda d, h: d > 0 and h == 0),
            oom_kills=_sum(self._kills, "service", name),
            restarted=len(self._within(mine, self._limits.mass_restarts_window_ms)),
            restarts=_per_container(self._recent(mine, self._limits.crash_loop_window_ms)),
            pulls_unauthorized=_sum(self._unauthorized, "service", name),
            pulls_failed=_sum(self._failed, "service", name),
            pull_message=self._messages.get(name),
        )

    def node(self, it: Heard) -> NodeState:
        """One node as its agent last told it."""
        desired = [line for line in self._desired if _label(line, "node_id") == it.node_id]
        recent = self._recent(
            [one for one in self._restarts if one.node_id == it.node_id], self._limits.mass_restarts_window_ms
        )
        containers = {(one.service, one.container) for one in recent}
        kills: Counter[str] = Counter()
        for line in self._kills:
            if _label(line, "node_id") == it.node_id:
                kills["" if _label(line, "service") == PLATFORM else _label(line, "service")] += _total(line)
        return NodeState(
            node=it.node,
            node_id=it.node_id,
            last_seen_ms=it.last_seen_ms,
            interval_ms=it.interval_ms,
            containers=round(sum(_newest_value(line) or 0 for line in desired)),
            restarted=_tallies(Counter(service for service, _ in containers)),
            oom_kills=_tallies(kills),
            disks=self._disks.get(it.node_id, ()),
            spool_dropped=_sum(self._dropped, "node_id", it.node_id),
        )

    def _increase(self, metric: str, window_ms: int, *matchers: Matcher) -> list[RangeSeries]:
        since = self._now_ms - window_ms
        return self._store.range(Selector(metric, matchers), since, self._now_ms, window_ms, "increase")

    def _gauge(self, metric: str, window_ms: int, step_ms: int) -> list[RangeSeries]:
        since = self._now_ms - -(-window_ms // step_ms) * step_ms
        return self._store.range(Selector(metric), since, self._now_ms, step_ms)

    def _since(
        self, grid: Sequence[tuple[float | None, float | None]], holds: Callable[[float, float], bool]
    ) -> int | None:
        """Since when a condition holds without a break, at the grid's step; None where it does not hold now."""
        known = [(at, (d, h)) for at, (d, h) in enumerate(grid) if d is not None and h is not None]
        if not known or len(grid) - 1 - known[-1][0] > 3:
            return None
        since = None
        for at, (desired, healthy) in reversed(known):
            if not holds(desired, healthy):
                break
            since = at
        return None if since is None else self._now_ms - (len(grid) - 1 - since) * STEP_MS

    def _recent(self, found: Iterable[Restart], window_ms: int) -> list[Restart]:
        return [it for it in found if it.at_ms > self._now_ms - window_ms]

    def _within(self, found: Iterable[Restart], window_ms: int) -> set[tuple[str, str]]:
        return {(it.node_id, it.container) for it in self._recent(found, window_ms)}

    def _restart_rows(self) -> list[Restart]:
        window = max(self._limits.mass_restarts_window_ms, self._limits.crash_loop_window_ms)
        rows = rows_of(
            self._store.database,
            "SELECT service, node_id, coalesce(container, ''), at_ms,"
            " coalesce(try_cast(attributes->>'count' AS BIGINT), 1), attributes->>'exit_code' FROM events"
            " WHERE name = 'container.restart' AND at_ms > ? AND at_ms <= ? AND attributes->>'by' = 'policy'"
            " ORDER BY at_ms",
            [self._now_ms - window, self._now_ms],
        )
        return [Restart(*row) for row in rows]

    def _pull_messages(self) -> dict[str, str]:
        since = self._now_ms - self._limits.pulls_failing_window_ms
        rows = rows_of(
            self._store.database,
            "SELECT service, arg_max(attributes->>'message', at_ms) FROM events"
            " WHERE name = 'image.pull' AND at_ms > ? AND attributes->>'outcome' NOT IN ('ok', 'cached')"
            " GROUP BY service",
            [since],
        )
        return {service: message for service, message in rows if message}

    def _disk_lines(self) -> dict[str, tuple[DiskState, ...]]:
        window = self._limits.disk_trend_window_ms
        free = self._gauge("node_filesystem_avail_bytes", window, MINUTE_MS)
        sizes = {
            _disk_key(it): _newest_value(it) for it in self._gauge("node_filesystem_size_bytes", window, MINUTE_MS)
        }
        found: dict[str, list[DiskState]] = defaultdict(list)
        for line in free:
            size, available = sizes.get(_disk_key(line)), _newest_value(line)
            if size and available is not None:
                trend = self._trend(line.values)
                state = DiskState(_label(line, "mountpoint"), int(size), int(available), trend)
                found[_label(line, "node_id")].append(state)
        return {node: tuple(sorted(states, key=lambda it: it.mountpoint)) for node, states in found.items()}

    def _trend(self, values: Sequence[float | None]) -> tuple[DiskPoint, ...]:
        last = len(values) - 1
        moments = ((self._now_ms - (last - at) * MINUTE_MS, value) for at, value in enumerate(values))
        return tuple(DiskPoint(at_ms, int(value)) for at_ms, value in moments if value is not None)


def _label(line: RangeSeries, name: str) -> str:
    return dict(line.series.labels).get(name, "")


def _disk_key(line: RangeSeries) -> tuple[tuple[str, str], ...]:
    return line.series.labels


def _total(line: RangeSeries) -> int:
    return round(sum(value for value in line.values if value is not None))


def _sum(lines: Iterable[RangeSeries], label: str, value: str) -> int:
    return sum(_total(it) for it in lines if _label(it, label) == value)


def _newest_value(line: RangeSeries) -> float | None:
    return next((value for value in reversed(line.values[-4:]) if value is not None), None)


def _newest(values: Sequence[float | None]) -> int | None:
    value = next((it for it in reversed(values[-4:]) if it is not None), None)
    return None if value is None else round(value)


def _summed(lines: Iterable[RangeSeries], service: str) -> list[float | None]:
    """The lines of one service over its nodes, added up step by step."""
    mine = [it.values for it in lines if _label(it, "service") == service]
    return [
        None if all(value is None for value in column) else sum(value or 0.0 for value in column)
        for column in zip(*mine, strict=True)
    ]


def _tallies(found: Mapping[str, int]) -> tuple[Tally, ...]:
    return tuple(Tally(service, count) for service, count in sorted(found.items()) if count)


def _per_container(found: Iterable[Restart]) -> tuple[ContainerRestarts, ...]:
    counts: dict[str, int] = defaultdict(int)
    last: dict[str, str | None] = {}
    for it in found:
        counts[it.container] += it.count
        last[it.container] = None if it.exit_code is None else f"exit code {it.exit_code}"
    return tuple(ContainerRestarts(name, counts[name], last[name]) for name in sorted(counts))
