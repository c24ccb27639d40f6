"""An in-memory DataSource: exact counts by minute, judged by the real judge, and series as functions of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

from alerts.model import Incident, Silence
from dashboards.model import (
    BurnLine,
    ContainerRow,
    EventQuery,
    Happening,
    Line,
    LogLine,
    NodeRow,
    PanelQuery,
    Scope,
    ServiceRow,
    Status,
)  # fmt: skip
from slo.adjust import Adjustment
from slo.history import Change, Key, Point, Run
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective

MINUTE = 60_000
Minute = tuple[int, int] | None
"""(bad, total) of one minute, None where it was not observed."""


@dataclass(frozen=True)
class Tally:
    """Counts by minute of one indicator, from `first_ms` (a whole minute) on."""

    first_ms: int
    minutes: tuple[Minute, ...]

    @cached_property
    def _sums(self) -> tuple[list[int], list[int], list[int]]:
        known = [it or (0, 0) for it in self.minutes]
        return (
            list(accumulate((bad for bad, _ in known), initial=0)),
            list(accumulate((total for _, total in known), initial=0)),
            list(accumulate((MINUTE if it is not None else 0 for it in self.minutes), initial=0)),
        )

    def _at(self, at_ms: int) -> int:
        return min(max((at_ms - self.first_ms) // MINUTE, 0), len(self.minutes))

    def counts(self, since_ms: int, until_ms: int) -> Counts:
        """The counts of a window whose ends are put to whole minutes."""
        begin, end = self._at(since_ms), self._at(until_ms)
        bad, total, seen = (sums[end] - sums[begin] for sums in self._sums)
        expected = max(0, until_ms - max(since_ms, self.first_ms))
        return Counts(since_ms, until_ms, bad, total, min(seen, expected), expected, 0, self.first_ms)


NOTHING = Tally(0, ())
Wave = Callable[[int], float | None]
"""A line's value at a moment in milliseconds."""


@dataclass
class FakeSource:
    """What pages are tested with; every field may be put in place by a test."""

    now_ms: int
    objectives: Mapping[Objective, Tally] = field(default_factory=dict)
    waves: Mapping[str, Mapping[tuple[tuple[str, str], ...], Wave]] = field(default_factory=dict)
    """metric -> labels -> value; for counters the value of an increment in a step of a minute."""
    happenings: Sequence[Happening] = ()
    lines: Sequence[LogLine] = ()
    open_incidents: Sequence[Incident] = ()
    active_silences: Sequence[Silence] = ()
    made_adjustments: Sequence[Adjustment] = ()
    service_rows: Sequence[ServiceRow] = ()
    node_rows: Sequence[NodeRow] = ()
    container_rows: Sequence[ContainerRow] = ()
    told: Status | None = None
    abouts: Mapping[str, str] = field(default_factory=dict)
    told_changes: Sequence[Change] = ()
    asked: list[str] = field(default_factory=list)
    _judged: dict[tuple[int, Objective, int], Judgement] = field(default_factory=dict)

    def status(self) -> Status:
        if self.told:
            return self.told
        first = min((it.first_ms for it in self.objectives.values() if it.minutes), default=None)
        return Status(first, self.now_ms - 3000 if first else None, self.now_ms - 9000 if first else None, 5000, True)

    def judgements(self) -> Sequence[Judgement]:
        return [self._judge(objective, tally) for objective, tally in self.objectives.items()]

    def _judge(self, objective: Objective, tally: Tally) -> Judgement:
        at, key = self.now_ms, (self.now_ms, objective, id(tally))
        if key not in self._judged:
            counts = {ms: self._counts(tally, at - ms, at) for ms in windows(objective)}
            self._judged[key] = judge(objective, counts, at)
        return self._judged[key]

    def _counts(self, tally: Tally, since_ms: int, until_ms: int) -> Counts:
        if not tally.minutes:
            return Counts(since_ms, until_ms, 0, 0, 0, until_ms - since_ms)
        return tally.counts(since_ms, until_ms)

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> Sequence[Sequence[Counts]]:
        self.asked.append(f"slices {len(objectives)}x{len(edges_ms) - 1}")
        tallies = {objective.indicator: tally for objective, tally in self.objectives.items()}
        pairs = list(pairwise(edges_ms))
        return [[self._counts(tallies[it.indicator], since, until) for since, until in pairs] for it in objectives]

    def burn_history(self, since_ms: int, until_ms: int, step_ms: int) -> Sequence[BurnLine]:
        found = []
        for objective, tally in self.objectives.items():
            ends = range(since_ms + step_ms, until_ms + 1, step_ms)
            counts = [self._counts(tally, end - 60 * MINUTE, end) if end > tally.first_ms else None for end in ends]
            values = tuple(
                float(it.bad / it.total / objective.budget) if it and it.total and it.observed_ms else None
                for it in counts
            )
            found.append(BurnLine(objective.slo, objective.service, objective.scope, values))
        return found

    def fine(self, objective: Objective, since_ms: int, until_ms: int) -> Sequence[Counts]:
        edges = range(-(-since_ms // MINUTE) * MINUTE, until_ms + 1, MINUTE)
        tally = self.objectives.get(objective)
        return [] if tally is None else [self._counts(tally, begin, end) for begin, end in pairwise(edges)]

    def runs(
        self, since_ms: int, until_ms: int, service: str | None = None, slo: str | None = None
    ) -> Mapping[Key, Sequence[Run]]:
        return {
            (it.slo, it.service, it.scope): _runs_of(it, tally, since_ms, until_ms)
            for it, tally in self.objectives.items()
            if service in (None, it.service) and slo in (None, it.slo)
        }

    def points(self, key: Key, since_ms: int, until_ms: int, limit: int) -> Sequence[Point]:
        return []

    def changes(
        self, since_ms: int, until_ms: int, limit: int, service: str | None = None, slo: str | None = None
    ) -> Sequence[Change]:
        found = [
            it
            for it in self.told_changes
            if since_ms < it.at_ms <= until_ms and service in (None, it.service) and slo in (None, it.slo)
        ]
        return sorted(found, key=lambda it: -it.at_ms)[:limit]

    def series(self, query: PanelQuery, since_ms: int, until_ms: int, step_ms: int) -> Sequence[Line]:
        assert (until_ms - since_ms) % step_ms == 0
        found: dict[tuple[tuple[str, str], ...], list[float | None]] = {}
        for selector in query.selectors:
            for labels, wave in self.waves.get(selector.metric, {}).items():
                has = dict(labels)
                if not all(_matches(it.op, it.value, has.get(it.name, "")) for it in selector.matchers):
                    continue
                key = tuple((name, has.get(name, "")) for name in query.by)
                values = [_value(query, wave, at, step_ms) for at in range(since_ms + step_ms, until_ms + 1, step_ms)]
                found[key] = [_add(a, b) for a, b in zip(found[key], values, strict=True)] if key in found else values
        return [Line(key, tuple(values)) for key, values in sorted(found.items())][: query.limit]

    def events(self, query: EventQuery, since_ms: int, until_ms: int, limit: int) -> Sequence[Happening]:
        found = [
            it
            for it in self.happenings
            if it.name in query.names
            and since_ms < it.at_ms <= until_ms
            and query.scope.service in (None, it.service)
            and query.scope.node in (None, it.node)
            and query.scope.container in (None, it.container)
        ]
        return sorted(found, key=lambda it: -it.at_ms)[:limit]

    def logs(self, scope: Scope, since_ms: int, until_ms: int, limit: int, contains: str = "") -> Sequence[LogLine]:
        found = [
            it
            for it in self.lines
            if since_ms < it.at_ms <= until_ms
            and scope.service in (None, it.service)
            and scope.container in (None, it.container)
            and contains.lower() in it.text.lower()
        ]
        return sorted(found, key=lambda it: -it.at_ms)[:limit]

    def incidents(self, since_ms: int) -> Sequence[Incident]:
        return [it for it in self.open_incidents if it.resolved_ms is None or it.resolved_ms > since_ms]

    def incidents_within(self, since_ms: int, until_ms: int, limit: int) -> Sequence[Incident]:
        return [it for it in self.incidents(since_ms) if it.opened_ms <= until_ms][:limit]

    def incident(self, incident_id: str) -> Incident | None:
        return next((it for it in self.open_incidents if it.id == incident_id), None)

    def silences(self, now_ms: int) -> Sequence[Silence]:
        return [it for it in self.active_silences if it.ends_ms > now_ms]

    def adjustments(self) -> Sequence[Adjustment]:
        return self.made_adjustments

    def about(self, service: str) -> str:
        return self.abouts.get(service, "")

    def services(self, now_ms: int) -> Sequence[ServiceRow]:
        return self.service_rows

    def nodes(self, now_ms: int) -> Sequence[NodeRow]:
        return self.node_rows

    def containers(self, scope: Scope, now_ms: int, limit: int) -> Sequence[ContainerRow]:
        return [
            it
            for it in self.container_rows
            if scope.service in (None, it.service)
            and scope.node in (None, it.node)
            and scope.container in (None, it.container)
        ][:limit]


def _runs_of(objective: Objective, tally: Tally, since_ms: int, until_ms: int) -> list[Run]:
    """Burning where an hour burns more than 14 times, unmeasured where a minute was not observed."""
    found: list[Run] = []
    for index in range(max(0, (since_ms - tally.first_ms) // MINUTE), len(tally.minutes)):
        begin = tally.first_ms + index * MINUTE
        hour = tally.counts(begin - 59 * MINUTE, begin + MINUTE)
        hot = hour.total and hour.bad > 14 * objective.budget * hour.total
        state = "unmeasured" if tally.minutes[index] is None else "burning" if hot else "ok"
        if found and found[-1].state == state:
            found[-1] = found[-1]._replace(until_ms=begin + MINUTE)
        else:
            found.append(Run(state, begin, begin + MINUTE))
    return [it for it in found if it.since_ms < until_ms]


def _matches(op: str, wanted: str, value: str) -> bool:
    if op == "=":
        return value == wanted
    if op == "!=":
        return value != wanted
    return (value in wanted.split("|")) == (op == "=~")


def _value(query: PanelQuery, wave: Wave, at_ms: int, step_ms: int) -> float | None:
    value = wave(at_ms)
    if value is None or query.of == "last":
        return value
    return value / 60 if query.of == "rate" else value * step_ms / MINUTE


def _add(left: float | None, right: float | None) -> float | None:
    return right if left is None else left if right is None else left + right
