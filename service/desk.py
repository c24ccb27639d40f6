"""What people and the alerting decide, as rows: the alert book, incidents, silences and the outbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final, NamedTuple

from alerts import codec
from alerts.message import Links, body, payload
from alerts.model import AlertBook, Change, Incident, Silence, SilenceMatcher
from service.store_db import Cursor

MOST_FRESH: Final = 50
MOST_INCIDENTS: Final = 500
REFRESH_MS: Final = 60_000


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


class KeptBook:
    """The book as it was stored last, and as it is since, so that it is decoded once and not at each evaluation.

    Of open incidents whose alerts only go on (a newer summary, newer evidence), no more than MOST_FRESH are stored at
    once; the others are within REFRESH_MS.
    """

    def __init__(self) -> None:
        self._stored_ms: int | None = None
        self._book = AlertBook(())
        self._refreshed_ms = 0
        self._behind = False

    def read(self, cursor: Cursor) -> AlertBook:
        """The book; decoded anew where another one has been stored."""
        rows = cursor.execute("SELECT max(at_ms) FROM alert_book").fetchall()
        if rows[0][0] is None or rows[0][0] != self._stored_ms:
            return read_book(cursor)
        return self._book

    def write(self, cursor: Cursor, before: AlertBook, after: AlertBook, now_ms: int) -> Kept:
        """Store what has changed; what is returned is to be given to `keep` once the transaction is done."""
        known = {it.id: it for it in before.incidents}
        fresh = [it for it in after.incidents if known.get(it.id) != it]
        wait = len(fresh) > MOST_FRESH and 0 <= now_ms - self._refreshed_ms < REFRESH_MS
        if wait:
            fresh = [it for it in fresh if it.id not in known or _bare(it) != _bare(known[it.id])]
        elif len(fresh) > MOST_FRESH or self._behind:
            fresh = list(after.incidents)
            self._refreshed_ms = now_ms
        if not fresh and {it.id for it in after.incidents} == known.keys():
            return Kept(self._stored_ms, after, self._behind or wait)
        write_book(cursor, after, now_ms)
        write_incidents(cursor, fresh)
        return Kept(now_ms, after, wait)

    def keep(self, kept: Kept) -> None:
        """The transaction is done."""
        self._stored_ms, self._book, self._behind = kept


class Kept(NamedTuple):
    """When the stored book was written, the book, and whether stored incidents lack newer evidence."""

    stored_ms: int | None
    book: AlertBook
    behind: bool


def _bare(incident: Incident) -> Incident:
    """The incident without what changes at each evaluation while its alerts fire."""
    alerts = tuple(replace(it, last_true_ms=0, summary="", evidence=()) for it in incident.alerts)
    return replace(incident, alerts=alerts)


def read_book(cursor: Cursor) -> AlertBook:
    """The book as it was stored last; empty at the first start."""
    rows = cursor.execute("SELECT book FROM alert_book ORDER BY at_ms DESC LIMIT 1").fetchall()
    return codec.decode(json.loads(rows[0][0])) if rows else AlertBook(())


def write_book(cursor: Cursor, book: AlertBook, now_ms: int) -> None:
    """Make this the book."""
    cursor.execute("DELETE FROM alert_book")
    cursor.execute("INSERT INTO alert_book VALUES (?, ?)", [now_ms, json.dumps(codec.encode(book))])


def write_incidents(cursor: Cursor, incidents: Sequence[Incident]) -> None:
    """Store these incidents, new or changed, in two statements; of several of one id the last."""
    last = {it.id: it for it in incidents}
    if not last:
        return
    cursor.execute("DELETE FROM incidents WHERE id IN (SELECT unnest(?::VARCHAR[]))", [list(last)])
    columns = [
        list(last),
        [it.opened_ms for it in last.values()],
        [it.resolved_ms for it in last.values()],
        [json.dumps(codec.encode_incident(it)) for it in last.values()],
    ]
    cursor.execute(
        "INSERT INTO incidents SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[]), unnest(?::BIGINT[]),"
        " unnest(?::VARCHAR[])",
        columns,
    )


def read_incidents(
    cursor: Cursor, since_ms: int, until_ms: int | None = None, limit: int = MOST_INCIDENTS
) -> list[Incident]:
    """Those that are open or were resolved after `since_ms`, and were opened by `until_ms`; newest first."""
    rows = cursor.execute(
        "SELECT incident FROM incidents WHERE (resolved_ms IS NULL OR resolved_ms > ?)"
        " AND coalesce(opened_ms <= ?, true) ORDER BY opened_ms DESC LIMIT ?",
        [since_ms, until_ms, limit],
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


def post(cursor: Cursor, changes: Sequence[Change], receivers: Sequence[Receiver], base_url: str, now_ms: int) -> int:
    """Put the messages that changes ask for into the outbox, in their order; how many there are."""
    wanted = [(it, receiver) for it in changes if it.notify for receiver in recipients(it, receivers)]
    if not wanted:
        return 0
    ((last,),) = cursor.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchall()
    rows = list(enumerate(wanted, last + 1))
    columns = [
        [f"{change.incident.id}-{change.incident.status}-{position}" for position, (change, _) in rows],
        [position for position, _ in rows],
        [change.incident.id for change, _ in wanted],
        [receiver.name for _, receiver in wanted],
        [body(payload(it, Links(base_url, receiver.name), now_ms)).decode("ascii") for it, receiver in wanted],
    ]
    cursor.execute(
        "INSERT INTO outbox SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[]),"
        " unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), ?, 0, ?, NULL, NULL, NULL",
        [*columns, now_ms, now_ms],
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


def hasten(cursor: Cursor, latest_ms: int, now_ms: int) -> None:
    """Let messages that would wait beyond a moment be tried now."""
    cursor.execute(
        "UPDATE outbox SET next_ms = ? WHERE next_ms > ? AND delivered_ms IS NULL AND given_up_ms IS NULL",
        [now_ms, latest_ms],
    )


def recipients(change: Change, receivers: Sequence[Receiver]) -> list[Receiver]:
    """Whom a change is told: those it names, all of its road, and none twice.

    A name that no receiver has any more, or never had, stands for all of the road: better too many than nobody.
    """
    names = {it.name for it in receivers}

    def meant(who: Sequence[str]) -> set[str]:
        everybody = any(it not in names for it in who)
        of_road = {it.name for it in receivers if everybody and change.incident.road in it.roads}
        return of_road | (names & set(who))

    chosen = meant(change.to) - meant(change.but)
    return [it for it in receivers if it.name in chosen]


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
