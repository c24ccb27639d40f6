"""Silences that come with adjustments: each begins with a time that is taken out, and ends with it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Final

from alerts.model import Silence, SilenceMatcher
from alerts.silence import faults
from service import desk
from service.store_db import Cursor
from slo.adjust import Adjustment

_SPACE: Final = uuid.UUID("6f0c1f0a-6a55-4b1e-9f0e-6d1d7767a5b1")
"""Ids of these silences are derived from adjustment and time: each is made once, and one that was ended stays so."""


def silence_of(it: Adjustment, since_ms: int, until_ms: int) -> Silence:
    """The silence of one time of an adjustment."""
    number = str(uuid.uuid5(_SPACE, f"{it.id}/{since_ms}"))
    named = (("slo", it.slos), ("service", it.services), ("node", it.nodes))
    matchers = tuple(_matcher(name, patterns) for name, patterns in named if patterns)
    return Silence(number, matchers, since_ms, until_ms, it.created_by, f"{it.reason} (taken out of the budget)")


def _matcher(name: str, patterns: Sequence[str]) -> SilenceMatcher:
    if len(patterns) == 1 and "*" not in patterns[0]:
        return SilenceMatcher(name, patterns[0])
    texts = [".+" if it == "*" else ".*".join(re.escape(part) for part in it.split("*")) for it in patterns]
    return SilenceMatcher(name, f"(?:{'|'.join(texts)})" if len(texts) > 1 else texts[0], is_regex=True)


def problems(it: Adjustment, now_ms: int) -> list[str]:
    """Why pages can't be silenced with this adjustment; empty where they can."""
    if not it.silence:
        return []
    if it.recurrence is None and it.until_ms is not None and it.until_ms <= now_ms:
        return ["what is over needs no silence: leave silence out"]
    return [f"silence: {text}" for text in faults(silence_of(it, now_ms, now_ms + 60_000), now_ms)]


def begun(cursor: Cursor, adjustments: Sequence[Adjustment], now_ms: int) -> None:
    """Make the silences of what is taken out now, those that were not made yet."""
    due = [silence_of(it, *one) for it in adjustments if it.silence for one in it.within(now_ms - 1, now_ms)]
    if not due:
        return
    sql = "SELECT id FROM silences WHERE id IN (SELECT unnest(?::VARCHAR[]))"
    known = {number for (number,) in cursor.execute(sql, [[it.id for it in due]]).fetchall()}
    for it in due:
        if it.id not in known:
            desk.write_silence(cursor, it)


def ended(cursor: Cursor, it: Adjustment, now_ms: int) -> None:
    """End the silence of an adjustment that was revoked."""
    for one in it.within(now_ms - 1, now_ms) if it.silence else ():
        desk.end_silence(cursor, silence_of(it, *one).id, now_ms)
