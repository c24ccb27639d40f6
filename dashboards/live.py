"""The live stream of a page: the last columns of its panels, and those parts of its HTML that changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from dashboards.page_views import LiveView
from dashboards.render import fragment


class SseEvent(NamedTuple):
    """One server-sent event; `data` is one line of JSON. `key` is what it replaces on the page."""

    event: str
    """`tick`: {"panels": {key: columns}}; `html`: {"target": id, "html": text}; `beat`: {"at": seconds}."""
    key: str
    data: str

    def wire(self) -> str:
        """The event as the stream carries it."""
        return f"event: {self.event}\ndata: {self.data}\n\n"


def events(view: LiveView, now_ms: int) -> list[SseEvent]:
    """All events of one moment, from a view that was built with its last columns only."""
    columns = {panel.key: panel.columns() for panel in view.panels}
    parts = [_event("html", name, {"target": f"f-{name}", "html": fragment(view, name)}) for name in view.fragments]
    return [_event("tick", "panels", {"panels": columns}), *parts, _event("beat", "beat", {"at": now_ms // 1000})]


def _event(event: str, key: str, data: dict[str, object]) -> SseEvent:
    return SseEvent(event, key, json.dumps(data, separators=(",", ":"), ensure_ascii=True))


@dataclass
class Feed:
    """What one reader has been sent: of each moment only that goes out which changed."""

    sent: dict[str, str] = field(default_factory=dict)

    def fresh(self, found: list[SseEvent]) -> list[SseEvent]:
        """Those of the events that this reader does not have yet."""
        new = [it for it in found if self.sent.get(it.key) != it.data]
        self.sent.update({it.key: it.data for it in new})
        return new
