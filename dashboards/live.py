"""The live stream of a page: the last columns of its panels, and those parts of its HTML that changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from dashboards.page_views import LiveView
from dashboards.patch import patch
from dashboards.render import fragment


class SseEvent(NamedTuple):
    """One server-sent event; `data` is one line of JSON. `key` is what it replaces on the page."""

    event: str
    """`tick`: {"panels": {key: columns}}; `html`: {"target": id, "lines": patch}; `beat`: {"at": seconds}."""
    key: str
    data: str
    lines: tuple[str, ...] = ()
    """Of an `html` event: the lines of the HTML, from which a `Feed` makes a smaller one."""

    def wire(self) -> str:
        """The event as the stream carries it."""
        return f"event: {self.event}\ndata: {self.data}\n\n"


def events(view: LiveView, now_ms: int) -> list[SseEvent]:
    """All events of one moment, from a view that was built with its last columns only."""
    columns = {panel.key: panel.columns() for panel in view.panels}
    parts = [_html(name, tuple(fragment(view, name).split("\n"))) for name in view.fragments]
    return [_event("tick", "panels", {"panels": columns}), *parts, _event("beat", "beat", {"at": now_ms // 1000})]


def _event(event: str, key: str, data: dict[str, object]) -> SseEvent:
    return SseEvent(event, key, json.dumps(data, separators=(",", ":"), ensure_ascii=True))


def _html(name: str, lines: tuple[str, ...], earlier: tuple[str, ...] = ()) -> SseEvent:
    return _event("html", name, {"target": f"f-{name}", "lines": patch(earlier, lines)})._replace(lines=lines)


@dataclass
class Feed:
    """What one reader has been sent: of each moment only that goes out which changed, HTML line by line."""

    sent: dict[str, SseEvent] = field(default_factory=dict)

    def fresh(self, found: list[SseEvent]) -> list[SseEvent]:
        """Those of the events that this reader does not have yet; HTML as a change of what it has."""
        new = [it for it in found if it.key not in self.sent or self.sent[it.key].data != it.data]
        small = [self._smaller(it) for it in new]
        self.sent.update({it.key: it for it in new})
        return small

    def _smaller(self, event: SseEvent) -> SseEvent:
        earlier = self.sent.get(event.key)
        return event if earlier is None or not event.lines else _html(event.key, event.lines, earlier.lines)
