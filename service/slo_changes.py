"""Changes of objectives: written when one appears, vanishes, or promises something else than what was stored last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from service.store_db import Cursor
from slo.definition import Definition, completed, definition, differences
from slo.history import Change, Key
from slo.model import Labels, Objective
from slo.openslo.objectives import REFUSED

MOST_CHANGES: Final = 100_000
"""Rows that are kept; beyond, the oldest go, but never the last one of an objective."""
Promised = dict[Key, Definition]
"""The promise of every objective that there is."""


class Promises:
    """What is stored of every objective's promise; to be used by one thread at a time."""

    def __init__(self) -> None:
        self._known: Promised | None = None
        self._seen: dict[Key, tuple[Objective, Definition]] = {}

    def write(self, cursor: Cursor, objectives: Sequence[Objective], now_ms: int) -> Promised:
        """Store what differs from what was stored last; to be given to `keep` once the transaction is done."""
        known = last_promises(cursor) if self._known is None else self._known
        present = self._definitions(objectives)
        changes = list(_changes(known, present, now_ms))
        _insert(cursor, changes)
        filled = {key: it for key, it in present.items() if key in known and not known[key].indicator and it.indicator}
        _fill(cursor, {key: it for key, it in filled.items() if not differences(known[key], it)})
        return {key: completed(known[key], it) if key in known else it for key, it in present.items()}

    def keep(self, known: Promised) -> None:
        """The transaction is done."""
        self._known = known

    def _definitions(self, objectives: Sequence[Objective]) -> Promised:
        """Each objective's promise; put into words again only where the objective is another one."""
        found = {}
        for it in objectives:
            if it.slo == REFUSED:
                continue
            key = (it.slo, it.service, it.scope)
            seen = self._seen.get(key)
            found[key] = seen if seen is not None and seen[0] == it else (it, definition(it))
        self._seen = found
        return {key: promise for key, (_, promise) in found.items()}


def _changes(known: Promised, present: Promised, now_ms: int) -> list[Change]:
    found = [Change(now_ms, *key, "appeared", None, it) for key, it in present.items() if key not in known]
    found += [
        Change(now_ms, *key, "changed", known[key], completed(known[key], it))
        for key, it in present.items()
        if key in known and differences(known[key], it)
    ]
    found += [Change(now_ms, *key, "vanished", it, None) for key, it in known.items() if key not in present]
    return found


def _insert(cursor: Cursor, changes: Sequence[Change]) -> None:
    if not changes:
        return
    columns = [
        [it.at_ms for it in changes],
        [it.slo for it in changes],
        [it.service for it in changes],
        [json.dumps(it.scope) for it in changes],
        [it.kind for it in changes],
        [_text(it.before) for it in changes],
        [_text(it.after) for it in changes],
    ]
    cursor.execute(
        "INSERT INTO slo_changes SELECT unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
        " unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
        columns,
    )


def _fill(cursor: Cursor, promises: Promised) -> None:
    """What nothing could measure when it was stored is completed by what measures it first: that is no change."""
    for (slo, service, scope), promise in promises.items():
        where = [slo, service, json.dumps(scope)]
        cursor.execute(
            "UPDATE slo_changes SET after = ? WHERE slo = ? AND service = ? AND scope = ? AND at_ms = "
            "(SELECT max(at_ms) FROM slo_changes WHERE slo = ? AND service = ? AND scope = ?)",
            [_text(promise), *where, *where],
        )


def last_promises(cursor: Cursor) -> Promised:
    """The promise of every objective that had not vanished when its last change was stored."""
    rows = cursor.execute(
        "SELECT slo, service, scope, arg_max(kind, (at_ms, rowid)), arg_max(after, (at_ms, rowid)) FROM slo_changes"
        " GROUP BY ALL"
    ).fetchall()
    found = {}
    for slo, service, scope, kind, after in rows:
        promise = _promise(after)
        if kind != "vanished" and promise is not None:
            found[slo, service, _labels(scope)] = promise
    return found


def read_changes(
    cursor: Cursor, since_ms: int, until_ms: int, service: str | None = None, slo: str | None = None, limit: int = 500
) -> list[Change]:
    """The newest changes within `(since, until]`, newest first; of one service or objective name where given."""
    rows = cursor.execute(
        "SELECT at_ms, slo, service, scope, kind, before, after FROM slo_changes WHERE at_ms > ? AND at_ms <= ?"
        " AND coalesce(service = ?, true) AND coalesce(slo = ?, true) ORDER BY at_ms DESC, slo, service LIMIT ?",
        [since_ms, until_ms, service, slo, limit],
    ).fetchall()
    return [
        Change(at_ms, name, of, _labels(scope), kind, _promise(before), _promise(after))
        for at_ms, name, of, scope, kind, before, after in rows
    ]


def drop_changes(cursor: Cursor, oldest_ms: int, most: int = MOST_CHANGES) -> int:
    """Drop changes from before `oldest`, and the oldest beyond `most`; the last one of each objective stays."""
    rows = cursor.execute(
        "SELECT coalesce(min(at_ms), 0) FROM (SELECT at_ms FROM slo_changes ORDER BY at_ms DESC LIMIT ?)", [most]
    ).fetchall()
    before_ms = max(oldest_ms, rows[0][0] if _count(cursor) > most else 0)
    had = _count(cursor)
    cursor.execute(
        "DELETE FROM slo_changes WHERE at_ms < ? AND rowid NOT IN"
        " (SELECT arg_max(rowid, (at_ms, rowid)) FROM slo_changes GROUP BY slo, service, scope"
        "  HAVING arg_max(kind, (at_ms, rowid)) <> 'vanished')",
        [before_ms],
    )
    return had - _count(cursor)


def _count(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT count(*) FROM slo_changes").fetchall()[0][0])


def _text(promise: Definition | None) -> str | None:
    return None if promise is None else json.dumps(promise._asdict())


def _promise(text: str | None) -> Definition | None:
    return None if text is None else Definition(**json.loads(text))


def _labels(text: str) -> Labels:
    return tuple((name, value) for name, value in json.loads(text))
