"""The story as JSON and back: what an agent must know of before it ended to count exactly what happened meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agent.book import Presence, Record
from agent.configs import Config
from agent.endings import Ending
from agent.story import Story
from agent.verdict import KillSeen
from runtime.model import Container, ServiceName

_RECORD = tuple(
    field.name for field in fields(Record) if field.name not in ("container", "service", "kills", "lost", "_current")
)
_ENDING = tuple(field.name for field in fields(Ending) if field.name not in ("record", "kills"))
_CONTAINER = frozenset(field.name for field in fields(Container))


def to_json(story: Story) -> dict[str, Any]:
    """Containers that are there, open ends, services and their configurations."""
    records = [record for record in story.book.records.values() if record.phase != "gone"]
    return {
        "records": [_record(record) for record in records],
        "endings": [_ending(ending) for ending in story.endings.all()],
        "services": [
            [list(service), presence.first_seen_ms, presence.empty_ms, presence.was_declared]
            for service, presence in story.book.services.items()
        ],
        "configs": [[list(service), replica, list(kept)] for (service, replica), kept in story.configs.last.items()],
    }


def restore(story: Story, data: Mapping[str, Any], now_ms: int) -> None:
    """Fills an empty story; raises KeyError, TypeError or ValueError where the data is none."""
    records = [_read_record(one) for one in data["records"]]
    endings = [_read_ending(one) for one in data["endings"]]
    services = {
        _service(service): Presence(int(first), now_ms, empty, bool(declared))
        for service, first, empty, declared in data["services"]
    }
    configs = {(_service(service), str(replica)): Config(*kept) for service, replica, kept in data["configs"]}
    for record in records:
        story.book.add(record)
    story.book.services = services
    story.configs.last = configs
    for ending in endings:
        story.endings.put_back(ending)
    for record in records:
        story.see(record.service, now_ms)


def _record(record: Record) -> dict[str, Any]:
    kept = {name: getattr(record, name) for name in _RECORD}
    container = {name: getattr(record.container, name) for name in _CONTAINER}
    container["labels"] = dict(record.container.labels)
    return {**kept, "container": container, "service": list(record.service), "kills": [list(k) for k in record.kills]}


def _read_record(data: Mapping[str, Any]) -> Record:
    # An older version knew fewer fields: what it did not write is as in a record that begins.
    kept = {name: data[name] for name in _RECORD if name in data}
    container = Container(**{name: value for name, value in data["container"].items() if name in _CONTAINER})
    kills = [KillSeen(*kill) for kill in data["kills"]]
    return Record(container=container, service=_service(data["service"]), kills=kills, **kept)


def _ending(ending: Ending) -> dict[str, Any]:
    kept = {
        field.name: getattr(ending, field.name) for field in fields(Ending) if field.name not in ("record", "kills")
    }
    return {**kept, "record": _record(ending.record), "kills": [list(kill) for kill in ending.kills]}


def _read_ending(data: Mapping[str, Any]) -> Ending:
    kept = {name: data[name] for name in _ENDING}
    return Ending(record=_read_record(data["record"]), kills=[KillSeen(*kill) for kill in data["kills"]], **kept)


def _service(pair: list[str]) -> ServiceName:
    namespace, name = pair
    return ServiceName(str(namespace), str(name))
