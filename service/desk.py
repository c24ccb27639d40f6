"""What people and the alerting decide, as rows: the alert book, incidents, silences and the outbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from alerts import codec
from alerts.message import Links, body, payload
from alerts.model import AlertBook, Change, Incident, Silence, SilenceMatcher
from service.store_db import Cursor


class Receiver(NamedTuple):
    """Who gets messages of which roads; `secret` signs them."""

    name: str
    url: str
    roads: tuple[str, ...]
    secret: str | None = None


class Message(NamedTuple):
    """One row of the outbox that waits; its id survives retries."""

    id: str
    incident_id: str
    receiver: str
    payload: str
    created_ms: int
    attempts: int
    next_ms: int


def read_book(cursor: Cursor) -> AlertBook:
    """The book as it was stored last; empty at the first start."""
    rows = cursor.execute("SELECT book FROM alert_book ORDER BY at_ms DESC LIMIT 1").fetchall()
    return codec.decode(json.loads(rows[0][0])) if rows else AlertBook(())


def write_book(cursor: Cursor, book: AlertBook, now_ms: int) -> None:
    """Make this the book."""
    cursor.execute("DELETE FROM alert_book")
    cursor.execute("INSERT INTO alert_book VALUES (?, ?)", [now_ms, json.dumps(codec.encode(book))])


def write_incidents(cursor: Cursor, incidents: Sequence[Incident]) -> None:
    """Store these incidents, new or changed."""
    for it in incidents:
        cursor.execute("DELETE FROM incidents WHERE id = ?", [it.id])
        text = json.dumps(codec.encode_incident(it))
        cursor.execute("INSERT INTO incidents VALUES (?, ?, ?, ?)", [it.id, it.opened_ms, it.resolved_ms, text])


def read_incidents(cursor: Cursor, since_ms: int) -> list[Incident]:
    """Open incidents, and those that were resolved after `since_ms`; newest first."""
    rows = cursor.execute(
        "SELECT incident FROM incidents WHERE resolved_ms IS NULL OR resolved_ms > ? ORDER BY opened_ms DESC LIMIT 500",
        [since_ms],
    )
    return [codec.decode_incident(json.loads(text)) for (text,) in rows.fetchall()]


def read_incident(cursor: Cursor, incident_id: str) -> Incident | None:
    """One incident; None where there is none of this id."""
    rows = cursor.execute("SELECT incident FROM incidents WHERE id = ?", [incident_id]).fetchall()
    return codec.decode_incident(json.loads(rows[0][0])) if rows else None


def read_silences(cursor: Cursor, now_ms: int) -> list[Silence]:
    """Silences that have not ended."""
    rows = cursor.execute("SELECT silence FROM silences WHERE ends_ms > ? ORDER BY starts_ms, id", [now_ms])
    return [_silence(json.loads(text)) for (text,) in rows.fetchall()]


def write_silence(cursor: Cursor, silence: Silence) -> None:
    """Store a silence, or what it has become."""
    cursor.execute("DELETE FROM silences WHERE id = ?", [silence.id])
    text = json.dumps(asdict(silence) | {"matchers": [it._asdict() for it in silence.matchers]})
    cursor.execute("INSERT INTO silences VALUES (?, ?, ?, ?)", [silence.id, silence.starts_ms, silence.ends_ms, text])


def end_silence(cursor: Cursor, silence_id: str, now_ms: int) -> bool:
    """End a silence now; False where none of this id is left."""
    found = next((it for it in read_silences(cursor, now_ms) if it.id == silence_id), None)
    if found is None:
        return False
    ended = Silence(**{**asdict(found), "matchers": found.matchers, "ends_ms": now_ms})
    write_silence(cursor, ended)
    return True


def _silence(data: dict[str, Any]) -> Silence:
    return Silence(**{**data, "matchers": tuple(SilenceMatcher(**it) for it in data["matchers"])})


def post(cursor: Cursor, change: Change, receivers: Sequence[Receiver], base_url: str, now_ms: int) -> int:
    """Put the messages that a change asks for into the outbox; how many there are."""
    wanted = [it for it in receivers if change.incident.road in it.roads] if change.notify else []
    for receiver in wanted:
        message = body(payload(change, Links(base_url, receiver.name), now_ms)).decode("ascii")
        ((position,),) = cursor.execute("SELECT coalesce(max(position), 0) + 1 FROM outbox").fetchall()
        number = f"{change.incident.id}-{change.incident.status}-{position}"
        cursor.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, 0, ?, NULL, NULL, NULL)",
            [number, position, change.incident.id, receiver.name, message, now_ms, now_ms],
        )
    return len(wanted)


def waiting(cursor: Cursor) -> list[Message]:
    """The first message of each incident and receiver that still waits: a resolve never overtakes its page."""
    rows = cursor.execute(
        "SELECT id, incident_id, receiver, payload, created_ms, attempts, next_ms FROM outbox"
        " WHERE delivered_ms IS NULL AND given_up_ms IS NULL"
        " QUALIFY row_number() OVER (PARTITION BY incident_id, receiver ORDER BY position) = 1 ORDER BY position"
    )
    return [Message(*row) for row in rows.fetchall()]


def delivered(cursor: Cursor, message_id: str, now_ms: int, detail: str) -> None:
    """Mark a message as delivered: its receiver has answered with a 2xx."""
    cursor.execute(
        "UPDATE outbox SET delivered_ms = ?, attempts = attempts + 1, detail = ? WHERE id = ?",
        [now_ms, detail, message_id],
    )


def postponed(cursor: Cursor, message_id: str, next_ms: int | None, now_ms: int, detail: str) -> None:
    """Try a message again at `next_ms`, or with None give it up."""
    cursor.execute(
        "UPDATE outbox SET attempts = attempts + 1, next_ms = coalesce(?, next_ms), given_up_ms = ?, detail = ?"
        " WHERE id = ?",
        [next_ms, None if next_ms is not None else now_ms, detail, message_id],
    )


class OutboxState(NamedTuple):
    """What waits: how many messages, since when the oldest does, what its receiver last said."""

    waiting: int
    oldest_ms: int | None
    detail: str | None


def outbox_state(cursor: Cursor) -> OutboxState:
    """The outbox as it is."""
    rows = cursor.execute(
        "SELECT count(*), min(created_ms), arg_min(detail, created_ms) FROM outbox"
        " WHERE delivered_ms IS NULL AND given_up_ms IS NULL"
    ).fetchall()
    return OutboxState(*rows[0])
