"""The narrow interface between pages and the store: everything a dashboard shows comes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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
from slo.adjust import Adjustment
from slo.history import Change, Key, Point, Run
from slo.model import Counts, Judgement, Objective


class DataSource(Protocol):
    """Read-only, from any thread; times are milliseconds UTC, windows half-open `(since, until]`."""

    def status(self) -> Status:
        """How far the service is."""
        ...

    def judgements(self) -> Sequence[Judgement]:
        """The latest judgement of every objective that exists: the ones that alerts were decided on."""
        ...

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> Sequence[Sequence[Counts]]:
        """Exact counts of each contiguous step `(edges[i], edges[i + 1]]`, per objective, in the order asked.

        At most 400 steps. `first_ms` as in the store's `counts`.
        """
        ...

    def burn_history(self, since_ms: int, until_ms: int, step_ms: int) -> Sequence[BurnLine]:
        """How every objective's burn went, from the judgements that were stored."""
        ...

    def fine(self, objective: Objective, since_ms: int, until_ms: int) -> Sequence[Counts]:
        """Counts of the finest contiguous steps there are: minutes, or five where single samples are gone, or slices.

        None for a composite, which counts nothing itself.
        """
        ...

    def runs(
        self, since_ms: int, until_ms: int, service: str | None = None, slo: str | None = None
    ) -> Mapping[Key, Sequence[Run]]:
        """How the state of each objective went, as it was judged, in order of time."""
        ...

    def points(self, key: Key, since_ms: int, until_ms: int, limit: int) -> Sequence[Point]:
        """The newest stored judgements of one objective, oldest first, at most `limit`."""
        ...

    def changes(
        self, since_ms: int, until_ms: int, limit: int, service: str | None = None, slo: str | None = None
    ) -> Sequence[Change]:
        """The newest changes of objectives, newest first, at most `limit`."""
        ...

    def series(self, query: PanelQuery, since_ms: int, until_ms: int, step_ms: int) -> Sequence[Line]:
        """Lines on a grid of `(until - since) / step` steps (it divides evenly), ordered by key."""
        ...

    def events(self, query: EventQuery, since_ms: int, until_ms: int, limit: int) -> Sequence[Happening]:
        """The newest events that satisfy the query, newest first, at most `limit`."""
        ...

    def logs(self, scope: Scope, since_ms: int, until_ms: int, limit: int, contains: str = "") -> Sequence[LogLine]:
        """The newest log lines, newest first, at most `limit`; `contains` is plain text, letter case ignored."""
        ...

    def incidents(self, since_ms: int) -> Sequence[Incident]:
        """All open incidents, and those that were resolved after `since_ms`; newest first."""
        ...

    def incidents_within(self, since_ms: int, until_ms: int, limit: int) -> Sequence[Incident]:
        """Incidents that were open at some time of `(since, until]`, newest first, at most `limit`."""
        ...

    def incident(self, incident_id: str) -> Incident | None:
        """One incident, open or resolved; None where there is none of this id."""
        ...

    def silences(self, now_ms: int) -> Sequence[Silence]:
        """Silences that are active at `now_ms` or begin later."""
        ...

    def adjustments(self) -> Sequence[Adjustment]:
        """Every budget adjustment that was ever made, also those that were revoked, in order."""
        ...

    def about(self, service: str) -> str:
        """What files say of a service, its display name and its description; empty where they say nothing."""
        ...

    def services(self, now_ms: int) -> Sequence[ServiceRow]:
        """Every service that is not gone, ordered by name, without `platform`."""
        ...

    def nodes(self, now_ms: int) -> Sequence[NodeRow]:
        """Every node that reported within the last day, ordered by name and id."""
        ...

    def containers(self, scope: Scope, now_ms: int, limit: int) -> Sequence[ContainerRow]:
        """Containers that reported within the last minute, most CPU first, at most `limit`."""
        ...
