"""What pages are made of: frozen parts in which everything is said in words already, so that no template computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dashboards.marks import Mark
from dashboards.request import PageRequest
from dashboards.svg import Spark


class NavLink(NamedTuple):
    """One link of the navigation or of the ranges."""

    key: str
    text: str
    href: str
    current: bool


class Chip(NamedTuple):
    """One thing that the page is narrowed to, and the address without it."""

    kind: str
    value: str
    href: str


class Found(NamedTuple):
    """One thing that the search finds."""

    text: str
    kind: str
    href: str


@dataclass(frozen=True)
class Notice:
    """What is missing or wrong with the measurement itself, and what to do."""

    mark: Mark
    title: str
    text: str
    todo: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What surrounds every page."""

    title: str
    key: str
    request: PageRequest
    now_ms: int
    nav: tuple[NavLink, ...]
    ranges: tuple[NavLink, ...]
    chips: tuple[Chip, ...] = ()
    notices: tuple[Notice, ...] = ()
    found: tuple[Found, ...] = ()
    range_text: str = ""
    """The period in words where it is a custom one."""


@dataclass(frozen=True)
class Tile:
    """One number of the summary."""

    key: str
    mark: Mark
    label: str
    value: str
    unit: str
    detail: str
    href: str


class Meter(NamedTuple):
    """A bar: `share` from 0 to 1, None draws it hollow."""

    share: float | None
    mark: Mark
    label: str

    @property
    def width(self) -> float:
        """Percent of the bar that is filled."""
        return 0.0 if self.share is None else round(min(max(self.share, 0.0), 1.0) * 100, 1)


class BurnCell(NamedTuple):
    """One burn rate of a row: `mark` is critical or a warning where its row fired, hollow where it can't be known."""

    text: str
    window: str
    title: str
    mark: Mark


@dataclass(frozen=True)
class SloRow:
    """One objective with all that a person on call asks of it."""

    key: str
    mark: Mark
    subject: str
    slo: str
    title: str
    href: str
    page_href: str
    sli: str
    target: str
    budget: Meter
    budget_text: str
    burns: tuple[BurnCell, ...]
    spark: Spark
    runs_out: str
    runs_out_title: str
    coverage: str
    coverage_low: bool
    reason: str
    note: str | None
    taken_out: str = ""
    """How much time adjustments took out of its window, and what each took."""
    taken_out_title: str = ""


class Option(NamedTuple):
    """One choice of a filter."""

    value: str
    text: str
    chosen: bool
