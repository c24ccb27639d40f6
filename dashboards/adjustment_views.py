"""The view of the page of budget adjustments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dashboards.marks import Mark
from dashboards.panels import Panel
from dashboards.views import Frame


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


@dataclass(frozen=True)
class AdjustmentsView:
    """All adjustments, also those that were revoked, newest first."""

    template: ClassVar[str] = "adjustments.html"
    fragments: ClassVar[tuple[str, ...]] = ()
    frame: Frame
    rows: tuple[AdjustmentRow, ...]
    older: int
    """How many more there are."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Nothing is drawn in the browser."""
        return ()
