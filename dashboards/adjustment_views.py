"""The view of the page of budget adjustments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.marks import Mark
from dashboards.panels import Panel
from dashboards.views import Frame, Option


class AdjustmentRow(NamedTuple):
    """One adjustment in words."""

    id: str
    mark: Mark
    when: str
    of: str
    """What it covers."""
    reason: str
    by: str
    created_ms: int
    next: str
    """The time that comes next; empty for none, and while one is now."""
    incident_href: str
    """The page of the incident that it takes out; empty for none."""
    silence: bool
    covers: int
    """Objectives judged now that it covers."""
    revoked: str
    """By whom and why; empty while it stands."""
    revoked_ms: int


class WindowForm(NamedTuple):
    """What the form of a new window holds, each field as it was written."""

    services: str = ""
    slos: str = ""
    nodes: str = ""
    every: str = ""
    """`day`, `week` or `month`; empty for one time."""
    begin: str = ""
    end: str = ""
    on: str = ""
    at: str = ""
    minutes: str = ""
    interval: str = ""
    zone: str = ""
    silence: str = ""
    created_by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class AdjustmentsView:
    """All adjustments, also those that were revoked, newest first, and the form of a new window."""

    template: ClassVar[str] = "adjustments.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    rows: tuple[AdjustmentRow, ...]
    older: int
    """How many more there are."""
    form: WindowForm
    problem: str
    """Why the form could not be obeyed; empty where it was not sent."""
    every: tuple[Option, ...]
    services: tuple[str, ...]
    """Names that the form proposes."""
    slos: tuple[str, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()
