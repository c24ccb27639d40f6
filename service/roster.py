"""Which services and nodes there are: learnt from the agents' events and batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.model import EventRow
from service.store_db import Cursor
from service.store_layout import marks, read_layout
from slo.indicators import ServiceFacts

WATCHED = ("compose", "engine")
"""Sources of services that Midwatch watches without keeping them."""


class Row(NamedTuple):
    """One service on one node."""

    service: str
    node_id: str
    node: str
    replicas: int
    source: str
    probe: bool
    labels: Mapping[str, str]
    first_seen_ms: int
    last_seen_ms: int


def learn(cursor: Cursor, events: Sequence[EventRow]) -> None:
    """Take what `service.declared` and `service.removed` tell; what is older than what is known is left."""
    for event in sorted(events, key=lambda it: it.at_ms):
        if event.name == "service.declared":
            _declare(cursor, event)
        elif event.name == "service.removed":
            cursor.execute(
                "UPDATE services SET gone_ms = ? WHERE service = ? AND node_id = ? AND last_seen_ms <= ?",
                [event.at_ms, event.service, event.node_id, event.at_ms],
            )


def _declare(cursor: Cursor, event: EventRow) -> None:
    key = [event.service, event.node_id]
    known = cursor.execute(
        "SELECT first_seen_ms, last_seen_ms FROM services WHERE service = ? AND node_id = ?", key
    ).fetchall()
    if known and known[0][1] > event.at_ms:
        return
    told = event.attributes
    labels = {name.removeprefix("label."): str(value) for name, value in told.items() if name.startswith("label.")}
    first = min(_whole(told.get("first_seen_ms"), event.at_ms), known[0][0] if known else event.at_ms)
    cursor.execute("DELETE FROM services WHERE service = ? AND node_id = ?", key)
    cursor.execute(
        "INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [
            *key,
            event.node,
            _whole(told.get("replicas"), 0),
            str(told.get("source", "engine")),
            "yes" if told.get("probe") else "",
            json.dumps(labels),
            first,
            event.at_ms,
        ],
    )


def _whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, (int, float)) else otherwise


def present(cursor: Cursor) -> list[Row]:
    """Services that are not gone, by name and node."""
    rows = cursor.execute(
        "SELECT service, node_id, node, replicas, source, probe, labels, first_seen_ms, last_seen_ms FROM services"
        " WHERE gone_ms IS NULL ORDER BY service, node_id"
    ).fetchall()
    return [
        Row(name, node_id, node, replicas, source, probe != "", json.loads(labels), first, last)
        for name, node_id, node, replicas, source, probe, labels, first, last in rows
    ]


def gone(cursor: Cursor) -> frozenset[str]:
    """Services that were there and are on no node any more."""
    rows = cursor.execute("SELECT service FROM services GROUP BY service HAVING count(gone_ms) = count(*)").fetchall()
    return frozenset(name for (name,) in rows)


def facts(rows: Sequence[Row]) -> list[ServiceFacts]:
    """What objectives are built from: one entry per service; of several nodes the newest word on labels stands."""
    found: dict[str, ServiceFacts] = {}
    for row in sorted(rows, key=lambda it: it.last_seen_ms):
        before = found.get(row.service)
        found[row.service] = ServiceFacts(
            row.service,
            row.replicas + (before.replicas if before else 0),
            row.labels,
            row.probe or (before is not None and before.has_probe),
            (*(before.nodes if before else ()), row.node),
        )
    return [found[name] for name in sorted(found)]


class Heard(NamedTuple):
    """A node, and when the last batch of its metrics was stored."""

    node: str
    node_id: str
    last_seen_ms: int
    interval_ms: int


def heard(cursor: Cursor, since_ms: int) -> dict[str, int]:
    """node_id -> when its last batch of metrics was stored, of those after `since_ms`."""
    rows = cursor.execute(
        f"SELECT node_id, max(received_ms) FROM ({marks(read_layout(cursor))}) "  # noqa: S608 - names of ours
        "WHERE signal = 'metrics' AND received_ms > ? GROUP BY node_id",
        [since_ms],
    )
    return {node_id: int(at_ms) for node_id, at_ms in rows.fetchall()}
