"""Which services this node has: their facts, told at first sight, on change and now and then, and their going."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.book import Presence, Record
from agent.model import Event, Resource
from agent.story import Story
from runtime.identity import COMPOSE_PROJECT_LABEL
from runtime.model import ServiceName

TOLD_EVERY_MS = 600_000
REMOVED_AFTER_MS = 3_600_000
OWN_LABELS = "midwatch."
MAX_LABELS = 50
MAX_VALUE_CHARS = 512

Facts = Mapping[str, str | int | float | bool]


def tell_presence(story: Story, now_ms: int, removed_after_ms: int = REMOVED_AFTER_MS) -> None:
    """Tells of new, changed and gone services."""
    for service, records in story.book.by_service().items():
        presence = story.book.services.get(service)
        if presence is None:
            continue
        if _is_removed(story, service, presence, records, now_ms, removed_after_ms):
            story.remove(service, now_ms)
            continue
        declared, first_ms = story.book.declared.get(service), presence.first_seen_ms
        known = (declared, first_ms, [(one.container, one.watch, one.wanted) for one in records])
        due = presence.told_ms is None or now_ms - presence.told_ms >= TOLD_EVERY_MS
        facts = facts_of(story, service, records) if due or known != presence.known else presence.told
        presence.known = known
        if due or facts != presence.told:
            presence.told_ms, presence.told = now_ms, facts
            body = f"{service} is watched"
            story.emit(Event("service.declared", now_ms, Resource(service), body, facts))


def facts_of(story: Story, service: ServiceName, records: Sequence[Record]) -> Facts:
    """The attributes of `service.declared`."""
    declared = story.book.declared.get(service)
    labels = dict(declared.labels) if declared else _labels(records)
    watched = [record.watch for record in records if record.watch != "none"]
    return {
        "replicas": declared.replicas if declared else sum(record.wanted for record in records),
        "source": declared.source if declared else _source(records),
        "probe": bool(watched) or (declared is not None and declared.probed),
        "first_seen_ms": story.book.services[service].first_seen_ms,
        **{f"label.{name}": value[:MAX_VALUE_CHARS] for name, value in _own(labels)},
    }


def _own(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name[:200], value) for name, value in sorted(labels.items()) if name.startswith(OWN_LABELS)][:MAX_LABELS]


def _labels(records: Sequence[Record]) -> Mapping[str, str]:
    newest = max(records, key=lambda record: record.container.created_ms, default=None)
    return newest.container.labels if newest else {}


def _source(records: Sequence[Record]) -> str:
    return "compose" if any(COMPOSE_PROJECT_LABEL in record.container.labels for record in records) else "engine"


def _is_removed(
    story: Story,
    service: ServiceName,
    presence: Presence,
    records: Sequence[Record],
    now_ms: int,
    removed_after_ms: int,
) -> bool:
    """True where it is neither declared nor has containers: at once where its project was ended, else after a time."""
    if service in story.book.declared:
        presence.was_declared, presence.empty_ms = True, None
        return False
    if records or story.endings.of(service):
        presence.empty_ms = None
        return False
    presence.empty_ms = now_ms if presence.empty_ms is None else presence.empty_ms
    return presence.was_declared or now_ms - presence.empty_ms >= removed_after_ms
