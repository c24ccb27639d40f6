"""What the page of backtests gets: a text with its findings, and what each of its objectives would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.marks import Mark
from dashboards.panels import Panel
from dashboards.views import Frame, Option


class FindingRow(NamedTuple):
    """One finding of the text."""

    line: int
    mark: Mark
    path: str
    text: str


class Stat(NamedTuple):
    """One number of what is tried, beside that of what is in force."""

    label: str
    value: str
    detail: str
    mark: Mark


class AlertLine(NamedTuple):
    """One page or ticket: when either would have sent it, and what differs."""

    at_ms: int
    mark: Mark
    road: str
    asked: str
    in_force: str
    than: str
    rows: str


class TargetRow(NamedTuple):
    """What one target would have done."""

    what: str
    target: str
    left: str
    least: str
    pages: int
    tickets: int
    mark: Mark


@dataclass(frozen=True)
class Chart:
    """The budget's lines in a box of 900 x 160."""

    asked: str
    in_force: str
    """SVG path data; empty where nothing is in force."""
    pages: str
    """Ticks of pages, as path data."""
    high: str
    low: str
    zero_y: float | None
    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class TriedView:
    """One objective as it was tried; without stats it was not, and `why_not` says why."""

    title: str
    sub: str
    why_not: str | None
    note: str
    stats: tuple[Stat, ...]
    chart: Chart | None
    targets: tuple[TargetRow, ...]
    alerts: tuple[AlertLine, ...]
    calm: str
    """What is said where there are none."""
    more: int
    """Alerts that are not listed."""


@dataclass(frozen=True)
class Asked:
    """What the form says."""

    text: str
    target: str
    since: str
    table: str


@dataclass(frozen=True)
class BacktestView:
    """The page of backtests."""

    template: ClassVar[str] = "backtest.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    asked: Asked
    objectives: tuple[Option, ...]
    spans: tuple[Option, ...]
    tables: tuple[Option, ...]
    targets: str
    """Targets of the slider, ascending, joined by spaces."""
    found: tuple[TriedView, ...]
    findings: tuple[FindingRow, ...]
    problem: str | None
    """Why nothing was tried at all."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Lines are drawn on the server."""
        return ()
