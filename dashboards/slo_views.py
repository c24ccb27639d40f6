"""What the templates of objectives and reports get: frozen views in which everything is said in words already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.marks import Mark
from dashboards.page_views import IncidentRow
from dashboards.panels import Panel
from dashboards.timeline import Plot, Strip
from dashboards.views import BurnCell, Frame, Meter, Option, Tile


class Link(NamedTuple):
    """A link with its words."""

    text: str
    href: str


@dataclass(frozen=True)
class ObjectiveRow:
    """One objective in the list."""

    mark: Mark
    slo: str
    title: str
    href: str
    sli: str
    target: str
    budget: Meter
    budget_text: str
    burns: tuple[BurnCell, ...]
    strip: Strip | None
    """None where there are too many to draw."""
    runs_out: str
    runs_out_title: str
    coverage: str
    coverage_low: bool
    reason: str
    taken_out: str
    """How much time adjustments took out, and what each took; empty where none did."""
    taken_out_title: str


@dataclass(frozen=True)
class ObjectiveGroup:
    """The objectives of one service or subject."""

    subject: str
    href: str
    mark: Mark
    said: str
    about: str
    """What files say of the service."""
    rows: tuple[ObjectiveRow, ...]


class ChangeRow(NamedTuple):
    """One change of an objective, in words."""

    at_ms: int
    what: str
    """`appeared`, `changed`, `vanished`."""
    subject: str
    slo: str
    href: str
    text: str


class ShareRow(NamedTuple):
    """One incident and what went while it was open."""

    incident: IncidentRow
    resolved_ms: int | None
    bad: str
    spent: str
    meter: Meter


class WorstRow(NamedTuple):
    """One of the worst stretches."""

    since_ms: int
    length: str
    bad: str
    total: str
    ratio: str
    spent: str


class TakenRow(NamedTuple):
    """What one adjustment took out of an objective's window."""

    reason: str
    by: str
    lasted: str
    counts: str


class BurnLineRow(NamedTuple):
    """One burn row of an objective, as judged."""

    name: str
    mark: Mark
    said: str
    road: str
    share: str
    limit: str
    long: str
    long_window: str
    long_counts: str
    short: str
    short_window: str


@dataclass(frozen=True)
class ObjectivesView:
    """The page of all objectives, or of those of one service."""

    template: ClassVar[str] = "slo.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    service: str | None
    tiles: tuple[Tile, ...]
    services: tuple[Option, ...]
    states: tuple[Option, ...]
    burn_columns: tuple[str, ...]
    groups: tuple[ObjectiveGroup, ...]
    note: str
    links: tuple[Link, ...]
    incidents: tuple[ShareRow, ...]
    changes: tuple[ChangeRow, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()


@dataclass(frozen=True)
class ObjectiveView:
    """The page of one objective."""

    template: ClassVar[str] = "objective.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    title: str
    subject: str
    subject_href: str
    slo: str
    mark: Mark
    reason: str
    note: str | None
    facts: tuple[tuple[str, str], ...]
    """(what, in words) of the promise: target, window, method, indicator, source."""
    links: tuple[Link, ...]
    tiles: tuple[Tile, ...]
    plot: Plot | None
    plot_note: str
    window: str
    strip: Strip
    rows: tuple[BurnLineRow, ...]
    incidents: tuple[ShareRow, ...]
    elsewhere: str
    """What of the budget went while no incident was open; "" where that is not known."""
    worst: tuple[WorstRow, ...]
    worst_note: str
    changes: tuple[ChangeRow, ...]
    taken: tuple[TakenRow, ...]
    backtest: str | None
    """The command that tries the objective's file over history."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All is drawn on the server."""
        return ()
