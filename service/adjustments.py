"""Budget adjustments as rows: each that was made, and each that was revoked; nothing is ever changed or deleted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import time
from typing import Any, Final

from service.errors import ServiceFault
from service.store_db import Cursor
from slo.adjust import MOST_STANDING, Adjustment, Recurrence, Revoked, standing

MOST_EVER: Final = 20_000
"""Rows of the table: one for each adjustment, and one more for each that was revoked."""


class TooMany(ServiceFault):
    """No more adjustments are kept."""


def add(cursor: Cursor, made: Adjustment) -> None:
    """Store a new adjustment; raises TooMany."""
    every = read(cursor)
    if len(standing(every)) >= MOST_STANDING:
        raise TooMany(f"there are {MOST_STANDING} adjustments already: revoke some, or use * in patterns")
    if len(every) >= MOST_EVER // 2:
        raise TooMany(f"{MOST_EVER // 2} adjustments were made already, and none is ever deleted")
    _append(cursor, made.id, made.created_ms, "created", _told(made))


def revoke(cursor: Cursor, adjustment_id: str, revoked: Revoked) -> bool:
    """Store that an adjustment holds no more; False where none of this id stands."""
    if all(it.id != adjustment_id for it in standing(read(cursor))):
        return False
    _append(cursor, adjustment_id, revoked.at_ms, "revoked", {"by": revoked.by, "why": revoked.why})
    return True


def read(cursor: Cursor) -> list[Adjustment]:
    """Every adjustment that was ever made, in order."""
    rows = cursor.execute("SELECT id, at_ms, what, said FROM adjustments ORDER BY position").fetchall()
    found: dict[str, Adjustment] = {}
    for number, at_ms, what, said in rows:
        told = json.loads(said)
        if what == "created":
            found[number] = _decoded(told)
        elif number in found:
            found[number] = replace(found[number], revoked=Revoked(at_ms, told["by"], told["why"]))
    return list(found.values())


def _append(cursor: Cursor, number: str, at_ms: int, what: str, said: dict[str, Any]) -> None:
    cursor.execute(
        "INSERT INTO adjustments SELECT coalesce(max(position), 0) + 1, ?, ?, ?, ? FROM adjustments",
        [number, at_ms, what, json.dumps(said, default=str)],
    )


def _told(made: Adjustment) -> dict[str, Any]:
    return asdict(replace(made, revoked=None))


def _decoded(told: dict[str, Any]) -> Adjustment:
    patterns = {name: tuple(told[name]) for name in ("slos", "services", "nodes")}
    again = told["recurrence"]
    if again is not None:
        again = Recurrence(**{**again, "on": tuple(again["on"]), "at": time.fromisoformat(again["at"])})
    return Adjustment(**{**told, **patterns, "recurrence": again})


class AdjustmentBook:
    """All adjustments as they are stored, read anew where one more row is there."""

    def __init__(self) -> None:
        self._rows = -1
        self.every: tuple[Adjustment, ...] = ()
        """Also those that were revoked."""
        self.standing: tuple[Adjustment, ...] = ()

    def look(self, cursor: Cursor) -> tuple[Adjustment, ...]:
        """Those that stand at the cursor's moment."""
        ((rows,),) = cursor.execute("SELECT count(*) FROM adjustments").fetchall()
        if rows != self._rows:
            self.every = tuple(read(cursor))
            self.standing, self._rows = standing(self.every), rows
        return self.standing
