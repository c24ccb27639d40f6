"""What each page's template gets: frozen views in which everything is said in words already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.backtest_views import BacktestView
from dashboards.marks import Mark
from dashboards.panels import HeatPanel, Panel, TimePanel
from dashboards.svg import Spark
from dashboards.views import Frame, Meter, Option, SloRow, Tile


class EvidenceLine(NamedTuple):
    """One line of proof."""

    label: str
    text: str


@dataclass(frozen=True)
class AlertRow:
    """One alert of an incident."""

    name: str
    mark: Mark
    summary: str
    evidence: tuple[EvidenceLine, ...]
    runbook_href: str
    started_ms: int
    ended_ms: int | None


@dataclass(frozen=True)
class IncidentRow:
    """One incident in a list."""

    id: str
    mark: Mark
    subject: str
    road: str
    title: str
    detail: str
    href: str
    runbook_href: str
    opened_ms: int
    lasted: str
    acknowledged: str | None
    """Who acknowledged it, in words."""
    silenced_until_ms: int | None
    open: bool


class BudgetCell(NamedTuple):
    """How much of one objective's budget is consumed."""

    mark: Mark
    meter: Meter
    text: str
    title: str
    href: str


@dataclass(frozen=True)
class BudgetRow:
    """One service's budgets, by the columns of the table; None where it has no such objective."""

    subject: str
    href: str
    mark: Mark
    cells: tuple[BudgetCell | None, ...]


class Unmeasured(NamedTuple):
    """One objective that nothing measures, and why."""

    subject: str
    slo: str
    mark: Mark
    reason: str
    href: str


@dataclass(frozen=True)
class ExecutiveView:
    """The executive page."""

    template: ClassVar[str] = "executive.html"
    fragments: ClassVar[tuple[str, ...]] = ("tiles", "incidents", "budgets", "unmeasured")
    frame: Frame
    tiles: tuple[Tile, ...]
    burn_down: TimePanel
    burn_down_note: str
    budget_columns: tuple[str, ...]
    budgets: tuple[BudgetRow, ...]
    incidents: tuple[IncidentRow, ...]
    unmeasured: tuple[Unmeasured, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All that the browser draws."""
        return (self.burn_down,)


@dataclass(frozen=True)
class DeployRow:
    """One deploy, or one pull that failed."""

    at_ms: int
    mark: Mark
    service: str
    what: str
    note: str
    href: str


@dataclass(frozen=True)
class NodeView:
    """One node now; a meter without a share says no data."""

    name: str
    href: str
    mark: Mark
    said: str
    """What is to be said of it: silent for 3 min, 4 containers, …"""
    meters: tuple[tuple[str, str, Meter], ...]
    """(what, value in words, meter): memory, then its fullest disks."""
    spark: Spark


@dataclass(frozen=True)
class OncallView:
    """The on-call page."""

    template: ClassVar[str] = "oncall.html"
    fragments: ClassVar[tuple[str, ...]] = ("tiles", "slo", "incidents", "deploys", "nodes")
    frame: Frame
    tiles: tuple[Tile, ...]
    burn_columns: tuple[str, ...]
    slo: tuple[SloRow, ...]
    incidents: tuple[IncidentRow, ...]
    errors: TimePanel
    restarts: HeatPanel
    deploys: tuple[DeployRow, ...]
    nodes: tuple[NodeView, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All that the browser draws."""
        return (self.errors, self.restarts)


@dataclass(frozen=True)
class ContainerView:
    """One container now."""

    name: str
    href: str
    service: str
    service_href: str
    node: str
    image: str
    cpu: str
    memory: str
    limit: str
    meter: Meter


@dataclass(frozen=True)
class OomRow:
    """One OOM event."""

    at_ms: int
    service: str
    container: str
    href: str
    count: str
    cause: str
    victim: str
    process: str


@dataclass(frozen=True)
class LogRow:
    """One log line."""

    at_ms: int
    container: str
    href: str
    stream: str
    text: str


@dataclass(frozen=True)
class BuildRow:
    """One image build, its bar against the longest of them."""

    at_ms: int
    mark: Mark
    service: str
    reference: str
    seconds: str
    meter: Meter
    message: str


@dataclass(frozen=True)
class DebugView:
    """The debug page."""

    template: ClassVar[str] = "debug.html"
    fragments: ClassVar[tuple[str, ...]] = ("containers", "ooms", "logs", "builds")
    frame: Frame
    services: tuple[Option, ...]
    nodes: tuple[Option, ...]
    container_options: tuple[Option, ...]
    containers: tuple[ContainerView, ...]
    containers_note: str
    cpu: TimePanel
    memory: TimePanel
    ooms: tuple[OomRow, ...]
    oom_counted: str
    logs: tuple[LogRow, ...]
    logs_note: str
    builds: tuple[BuildRow, ...]
    registry: TimePanel

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All that the browser draws."""
        return (self.cpu, self.memory, self.registry)


@dataclass(frozen=True)
class DayRow:
    """One day of a report, in words."""

    day: str
    mark: Mark
    sli: str
    bad: str
    total: str
    spent: str
    left: str
    coverage: str
    meter: Meter


@dataclass(frozen=True)
class IncidentView:
    """One incident with its proof and what can be done."""

    template: ClassVar[str] = "incident.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    incident: IncidentRow
    resolved_ms: int | None
    alerts: tuple[AlertRow, ...]
    objectives: tuple[SloRow, ...]
    burn_columns: tuple[str, ...]
    oncall_href: str
    debug_href: str
    silences: tuple[tuple[str, int], ...]
    """(who and why, until when) of what keeps its messages back."""
    taken_out: tuple[tuple[str, str], ...] = ()
    """(id, who and why) of what takes its time out of budgets."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()


@dataclass(frozen=True)
class RunbookView:
    """One runbook; `html` comes from our own Markdown, in which no HTML is let through."""

    template: ClassVar[str] = "runbook.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    alert: str
    summary: str
    html: str
    active: tuple[IncidentRow, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()


@dataclass(frozen=True)
class ErrorView:
    """What could not be shown, and what to do."""

    template: ClassVar[str] = "error.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    status: int
    heading: str
    message: str

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()


LiveView = ExecutiveView | OncallView | DebugView
View = LiveView | BacktestView | IncidentView | RunbookView | ErrorView
