"""Since when conditions of alert policies hold, kept over a restart."""

from __future__ import annotations

from collections.abc import Mapping

from service.store_db import Cursor


def read_held(cursor: Cursor) -> dict[str, int]:
    """What was stored last."""
    return dict(cursor.execute("SELECT key, since_ms FROM held_conditions").fetchall())


def write_held(cursor: Cursor, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Store what has changed since `before` was stored."""
    gone = [key for key in before if key not in after]
    new = {key: at for key, at in after.items() if before.get(key) != at}
    if gone or new:
        cursor.execute("DELETE FROM held_conditions WHERE key IN (SELECT unnest(?::VARCHAR[]))", [[*gone, *new]])
    if new:
        cursor.execute(
            "INSERT INTO held_conditions SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
            [list(new), list(new.values())],
        )
