"""What pages are drawn from, over the store: the dashboards' `DataSource`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

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
)
from service import adjustments, catalogue, desk, roster
from service.evaluate import Evaluated
from service.model import RangeSeries
from service.ports import Readings, ask, rows_of
from service.slo_book import SloBook
from service.slo_changes import read_changes
from service.slo_fine import fine_edges
from service.slo_history import read_burns, read_points, read_runs
from service.source_rows import container_rows, node_rows
from service.store_layout import read_layout
from slo.adjust import Adjustment
from slo.history import Change, Key, Point, Run
from slo.model import Counts, Judgement, Labels, Objective, Selector
from slo.openslo.model import Service

MINUTE_MS = 60_000
MOST_SLICES = 400
DEFAULT_INTERVAL_MS = 5_000


class Told(Protocol):
    """Who knows the last evaluation."""

    @property
    def last(self) -> Evaluated | None:
        """The last finished one."""
        ...

    @property
    def slos(self) -> SloBook:
        """The objectives of files."""
        ...

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> Sequence[Sequence[Counts]]:
        """Counts of contiguous steps of each objective, as it is judged."""
        ...


class StoreSource:
    """`dashboards.source.DataSource` over one store and one evaluator."""

    def __init__(
        self,
        store: Readings,
        evaluator: Told,
        span: Callable[[], tuple[int | None, int | None]],
        receiver: bool,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._evaluator = evaluator
        self._span = span
        self._receiver = receiver
        self._clock = clock

    def status(self) -> Status:
        """How far the service is."""
        first, last = self._span()
        evaluated = self._evaluator.last
        heard = catalogue.nodes(self._store, self._clock())
        interval = max((it.interval_ms for it in heard), default=DEFAULT_INTERVAL_MS)
        return Status(first, last, evaluated.at_ms if evaluated else None, interval, self._receiver)

    def judgements(self) -> Sequence[Judgement]:
        """The latest judgement of every objective."""
        return self._evaluator.last.judgements if self._evaluator.last else ()

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> Sequence[Sequence[Counts]]:
        """Exact counts of each contiguous step, per objective."""
        return self._evaluator.steps(objectives, list(edges_ms)[: MOST_SLICES + 1])

    def burn_history(self, since_ms: int, until_ms: int, step_ms: int) -> Sequence[BurnLine]:
        """The last stored burn of each step, per objective."""
        steps = (until_ms - since_ms) // step_ms
        rows = ask(self._store.database, lambda cursor: read_burns(cursor, since_ms, until_ms, step_ms))
        found: dict[tuple[str, str, str], list[float | None]] = defaultdict(lambda: [None] * steps)
        for slo, service, scope, step, burn in rows:
            if 0 <= step < steps:
                found[slo, service, scope][step] = burn
        return [
            BurnLine(slo, service, _labels(scope), tuple(values)) for (slo, service, scope), values in found.items()
        ]

    def fine(self, objective: Objective, since_ms: int, until_ms: int) -> Sequence[Counts]:
        """Counts of the finest contiguous steps there are; none of a composite."""
        if objective.members or objective.unmeasurable is not None:
            return ()
        layout = ask(self._store.database, read_layout)
        found: list[Counts] = []
        for edges in fine_edges(objective, since_ms, until_ms, layout.oldest_raw_ms()):
            found += self._evaluator.steps([objective], edges)[0]
        return found

    def runs(
        self, since_ms: int, until_ms: int, service: str | None = None, slo: str | None = None
    ) -> Mapping[Key, Sequence[Run]]:
        """How the state of each objective went."""
        return ask(self._store.database, lambda cursor: read_runs(cursor, since_ms, until_ms, service, slo))

    def points(self, key: Key, since_ms: int, until_ms: int, limit: int) -> Sequence[Point]:
        """Stored judgements of one objective."""
        return ask(self._store.database, lambda cursor: read_points(cursor, *key, since_ms, until_ms, limit))

    def changes(
        self, since_ms: int, until_ms: int, limit: int, service: str | None = None, slo: str | None = None
    ) -> Sequence[Change]:
        """The newest changes of objectives."""
        return ask(self._store.database, lambda it: read_changes(it, since_ms, until_ms, service, slo, limit))

    def series(self, query: PanelQuery, since_ms: int, until_ms: int, step_ms: int) -> Sequence[Line]:
        """Lines on a grid, folded by labels, ordered by key; those with the greatest maximum where there are many."""
        of: Literal["last", "increase"] = "last" if query.of == "last" else "increase"
        found = [
            it for selector in query.selectors for it in self._store.range(selector, since_ms, until_ms, step_ms, of)
        ]
        folded = _folded(found, query)
        seconds = step_ms / 1000 if query.of == "rate" else 1.0
        lines = [Line(key, tuple(None if it is None else it / seconds for it in row)) for key, row in folded.items()]
        lines.sort(key=lambda it: -max((value for value in it.values if value is not None), default=0.0))
        return sorted(lines[: query.limit], key=lambda it: it.key)

    def events(self, query: EventQuery, since_ms: int, until_ms: int, limit: int) -> Sequence[Happening]:
        """The newest events that satisfy the query, newest first."""
        where, parameters = _scoped(query.scope)
        for name, value in query.where:
            where.append("attributes->>? = ?")
            parameters += [name, value]
        rows = rows_of(
            self._store.database,
            "SELECT name, at_ms, node, service, container, image, body, attributes FROM events"  # noqa: S608
            " WHERE name IN (SELECT unnest(?::VARCHAR[])) AND at_ms > ? AND at_ms <= ?"
            f"{''.join(f' AND {it}' for it in where)} ORDER BY at_ms DESC, rowid DESC LIMIT ?",
            [list(query.names), since_ms, until_ms, *parameters, limit],
        )
        return [
            Happening(name, at_ms, node, service, container, image, body, json.loads(attributes))
            for name, at_ms, node, service, container, image, body, attributes in rows
        ]

    def logs(self, scope: Scope, since_ms: int, until_ms: int, limit: int, contains: str = "") -> Sequence[LogLine]:
        """The newest log lines, newest first; those of one millisecond in the order in which they came."""
        where, parameters = _scoped(scope)
        if contains:
            where.append("contains(lower(body), lower(?))")
            parameters.append(contains)
        with self._store.database.read(read_layout) as (cursor, layout):
            lines = layout.source("logs", since_ms, until_ms, "at_ms", "*, rowid AS place")
            rows = cursor.execute(
                f"SELECT at_ms, node, service, container, stream, body FROM ({lines})"  # noqa: S608
                f" WHERE true{''.join(f' AND {it}' for it in where)} ORDER BY at_ms DESC, place DESC LIMIT ?",
                [*parameters, limit],
            ).fetchall()
        return [LogLine(*row) for row in rows]

    def incidents(self, since_ms: int) -> Sequence[Incident]:
        """Open incidents, and those that were resolved after `since_ms`."""
        return ask(self._store.database, lambda cursor: desk.read_incidents(cursor, since_ms))

    def incidents_within(self, since_ms: int, until_ms: int, limit: int) -> Sequence[Incident]:
        """Incidents that were open at some time of a period."""
        return ask(self._store.database, lambda it: desk.read_incidents(it, since_ms, until_ms, limit))

    def incident(self, incident_id: str) -> Incident | None:
        """One incident."""
        return ask(self._store.database, lambda cursor: desk.read_incident(cursor, incident_id))

    def silences(self, now_ms: int) -> Sequence[Silence]:
        """Silences that have not ended."""
        return ask(self._store.database, lambda cursor: desk.read_silences(cursor, now_ms))

    def adjustments(self) -> Sequence[Adjustment]:
        """Every budget adjustment that was ever made."""
        return ask(self._store.database, adjustments.read)

    def about(self, service: str) -> str:
        """What files say of a service."""
        found = (it for it in self._evaluator.slos.shelf.documents if isinstance(it, Service))
        told = next((it for it in found if it.meta.name == service), None)
        return "" if told is None else ": ".join(filter(None, (told.meta.display_name, told.description)))

    def services(self, now_ms: int) -> Sequence[ServiceRow]:
        """Every service that is not gone, ordered by name."""
        rows = ask(self._store.database, roster.present)
        desired = self._by_service("midwatch_containers_desired", now_ms)
        healthy = self._by_service("midwatch_containers_healthy", now_ms)
        names = sorted({it.service for it in rows} - {"platform"})
        return [
            ServiceRow(
                name,
                tuple(sorted({it.node for it in rows if it.service == name})),
                desired.get(name),
                healthy.get(name),
                min(it.first_seen_ms for it in rows if it.service == name),
            )
            for name in names
        ]

    def nodes(self, now_ms: int) -> Sequence[NodeRow]:
        """Every node that reported within the last day."""
        return node_rows(self._store, catalogue.nodes(self._store, now_ms), now_ms)

    def containers(self, scope: Scope, now_ms: int, limit: int) -> Sequence[ContainerRow]:
        """Containers that reported within the last minute, most CPU first."""
        return container_rows(self._store, scope, now_ms)[:limit]

    def _by_service(self, metric: str, now_ms: int) -> dict[str, int]:
        found: dict[str, float] = defaultdict(float)
        for it in self._store.instant(Selector(metric), now_ms, MINUTE_MS):
            found[dict(it.series.labels).get("service", "")] += it.value
        return {name: round(value) for name, value in found.items()}


def _labels(text: str) -> Labels:
    return tuple((name, value) for name, value in json.loads(text))


def _scoped(scope: Scope) -> tuple[list[str], list[str]]:
    """Conditions on rows with the columns service, node, node_id and container, and their parameters."""
    where: list[str] = []
    parameters: list[str] = []
    if scope.service is not None:
        where.append("service = ?")
        parameters.append(scope.service)
    if scope.node is not None:
        where.append("(node = ? OR node_id = ?)")
        parameters += [scope.node, scope.node]
    if scope.container is not None:
        where.append("container = ?")
        parameters.append(scope.container)
    return where, parameters


def _folded(found: Iterable[RangeSeries], query: PanelQuery) -> dict[Labels, list[float | None]]:
    lines: dict[Labels, list[float | None]] = {}
    for it in found:
        labels = dict(it.series.labels)
        key = tuple((name, labels.get(name, "")) for name in query.by)
        row = list(it.values)
        lines[key] = [_fold(a, b, query.fold) for a, b in zip(lines[key], row, strict=True)] if key in lines else row
    return lines


def _fold(a: float | None, b: float | None, fold: str) -> float | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b if fold == "sum" else max(a, b)
