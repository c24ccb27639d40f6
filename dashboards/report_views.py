"""What the templates of reports get: frozen views in which everything is said in words already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.adjustment_views import AdjustmentsView
from dashboards.marks import Mark
from dashboards.page_views import DayRow, View
from dashboards.panels import Panel
from dashboards.slo_views import ChangeRow, Link, ObjectivesView, ObjectiveView, ShareRow, WorstRow
from dashboards.timeline import Plot
from dashboards.views import Frame, Meter, Option, Tile


@dataclass(frozen=True)
class Form:
    """What was asked for, as the form shows it."""

    objectives: tuple[Option, ...]
    periods: tuple[Option, ...]
    from_day: str
    to_day: str
    zone: str


class SummaryRow(NamedTuple):
    """One objective of a report of many."""

    mark: Mark
    subject: str
    slo: str
    href: str
    target: str
    sli: str
    kept: str
    spent: str
    meter: Meter
    counts: str
    unmeasured: str
    incidents: str


@dataclass(frozen=True)
class ReportView:
    """A report for a period: of one objective with `rows` by day, or of many with `summary`."""

    template: ClassVar[str] = "report.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    form: Form
    heading: str
    target: str
    period: str
    note: str
    files: tuple[Link, ...]
    tiles: tuple[Tile, ...]
    plot: Plot | None
    rows: tuple[DayRow, ...]
    worst: tuple[WorstRow, ...]
    worst_note: str
    summary: tuple[SummaryRow, ...]
    incidents: tuple[ShareRow, ...]
    elsewhere: str
    """What of the budget went while no incident was open; "" where that is not known or not of one objective."""
    changes: tuple[ChangeRow, ...]
    single: bool
    page_href: str

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Reports are drawn on the server."""
        return ()


AnyView = View | ObjectivesView | ObjectiveView | ReportView | AdjustmentsView
