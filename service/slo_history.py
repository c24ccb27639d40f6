"""History of judgements: each minute's with its exact counts, thinned to hours before it is dropped.

A row of the thinned table stands for its hour, or for the moment in which a state changed: no change is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from service.store_db import Cursor
from slo.history import Point, Run
from slo.model import Judgement, Labels

STEP_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
HOLDS_MS: Final = 3 * STEP_MS
"""A judgement stands for so long at most; after it nothing was judged."""
THIN_HOLDS_MS: Final = HOUR_MS + HOLDS_MS
LEAST_DAYS: Final = 2
"""Days whose minutes are never thinned for the bound of rows."""
MOST_RUNS: Final = 5_000
_MOST_HUGE: Final = 10**38 - 1
_POINT: Final = "state, burn, remaining, bad, total, observed_ms, expected_ms, target, budget, window_ms"
_COLUMNS: Final = f"at_ms, slo, service, scope, {_POINT}"
_EVERY: Final = (
    f"(SELECT {_COLUMNS}, {HOLDS_MS} AS holds_ms FROM judgements UNION ALL "  # noqa: S608 - constants of ours
    f"SELECT {_COLUMNS}, {THIN_HOLDS_MS} AS holds_ms FROM judgement_hours)"
)


class Trimmed(NamedTuple):
    """Rows that were thinned out, and rows that were dropped."""

    thinned: int
    dropped: int


def fast_burn(judgement: Judgement) -> float | None:
    """The burn of the fast row's long window, for graphs."""
    row = next(iter(judgement.rows), None)
    return None if row is None or row.long_burn is None else float(row.long_burn)


def write_history(cursor: Cursor, judgements: Sequence[Judgement], now_ms: int) -> None:
    """One statement for all, column by column: a row at a time cost a millisecond each."""
    columns = [
        [it.objective.slo for it in judgements],
        [it.objective.service for it in judgements],
        [json.dumps(it.objective.scope) for it in judgements],
        [it.state for it in judgements],
        [fast_burn(it) for it in judgements],
        [None if it.budget_remaining is None else float(it.budget_remaining) for it in judgements],
        [_counted(it, it.counts.bad) for it in judgements],
        [_counted(it, it.counts.total) for it in judgements],
        [it.counts.observed_ms for it in judgements],
        [it.counts.expected_ms for it in judgements],
        [it.objective.target_text for it in judgements],
        [str(it.objective.budget) for it in judgements],
        [it.objective.period_ms for it in judgements],
    ]
    cursor.execute(
        f"INSERT INTO judgements({_COLUMNS}) SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
        " unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::DOUBLE[]), unnest(?::DOUBLE[]), unnest(?::HUGEINT[]),"
        " unnest(?::HUGEINT[]), unnest(?::BIGINT[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
        " unnest(?::BIGINT[])",
        [now_ms, *columns],
    )


def _counted(judgement: Judgement, count: int) -> int | None:
    """A count as 38 digits hold it. A composite counts nothing itself, and what was never seen was not counted."""
    unknown = bool(judgement.objective.members) or judgement.counts.first_ms is None
    return None if unknown or abs(count) > _MOST_HUGE else count


def read_points(
    cursor: Cursor, slo: str, service: str, scope: Labels, since_ms: int, until_ms: int, limit: int
) -> list[Point]:
    """The newest stored judgements of one objective within `(since, until]`, oldest first."""
    rows = cursor.execute(
        f"SELECT at_ms, {_POINT} FROM {_EVERY}"  # noqa: S608
        " WHERE slo = ? AND service = ? AND scope = ? AND at_ms > ? AND at_ms <= ? ORDER BY at_ms DESC LIMIT ?",
        [slo, service, json.dumps(scope), since_ms, until_ms, limit],
    ).fetchall()
    return [Point(*row) for row in reversed(rows)]


def read_runs(
    cursor: Cursor, since_ms: int, until_ms: int, service: str | None = None, slo: str | None = None
) -> dict[tuple[str, str, Labels], list[Run]]:
    """By objective how its state went within `(since, until]`, in order of time, at most MOST_RUNS in all."""
    rows = cursor.execute(
        "WITH h AS (SELECT slo, service, scope, at_ms, state, holds_ms, lag(state) OVER w AS before,"  # noqa: S608
        "  lag(at_ms + holds_ms) OVER w AS ended, lead(at_ms) OVER w AS next"
        f" FROM {_EVERY} WHERE at_ms > ? AND at_ms <= ? AND coalesce(service = ?, true) AND coalesce(slo = ?, true)"
        "  WINDOW w AS (PARTITION BY slo, service, scope ORDER BY at_ms)),"
        " r AS (SELECT slo, service, scope, at_ms, state, least(coalesce(next, ?), at_ms + holds_ms, ?) AS ends,"
        "  sum((before IS DISTINCT FROM state OR ended < at_ms)::INTEGER)"
        "  OVER (PARTITION BY slo, service, scope ORDER BY at_ms) AS run FROM h)"
        " SELECT slo, service, scope, any_value(state), min(at_ms) AS begin, max(ends) FROM r"
        " GROUP BY slo, service, scope, run ORDER BY begin DESC LIMIT ?",
        [since_ms, until_ms, service, slo, until_ms, until_ms, MOST_RUNS],
    ).fetchall()
    found: dict[tuple[str, str, Labels], list[Run]] = {}
    for name, of, scope, state, begin, end in reversed(rows):
        key = (name, of, tuple((label, value) for label, value in json.loads(scope)))
        found.setdefault(key, []).append(Run(state, begin, end))
    return found


def read_burns(cursor: Cursor, since_ms: int, until_ms: int, step_ms: int) -> list[tuple[str, str, str, int, float]]:
    """(slo, service, scope as JSON, step, the last burn in it) of every objective and step."""
    return cursor.execute(
        "SELECT slo, service, scope, (at_ms - ? - 1) // ? AS step, arg_max(burn, at_ms)"  # noqa: S608
        f" FROM {_EVERY} WHERE at_ms > ? AND at_ms <= ? GROUP BY ALL",
        [since_ms, step_ms, since_ms, until_ms],
    ).fetchall()


Write = Callable[[Callable[[Cursor], int]], int]


def trim(write: Write, now_ms: int, minutes_ms: int, kept_ms: int, most_rows: int) -> Trimmed:
    """Thin days that are older than `minutes_ms`, drop hours older than `kept_ms`; beyond `most_rows` do so earlier.

    Each step is a transaction of its own. First go minutes of more than LEAST_DAYS ago, then the oldest hours.
    """
    today = now_ms // DAY_MS
    thinned = dropped = 0
    thinned += _thin_before(write, (now_ms - minutes_ms) // DAY_MS)
    dropped += write(lambda cursor: _drop_before(cursor, now_ms - kept_ms))
    while (rows := write(_rows)) > most_rows and (gone := _thin_oldest(write, today - LEAST_DAYS)) is not None:
        thinned += gone
    while rows > most_rows and (gone := write(_drop_oldest_day)):
        dropped += gone
        rows = write(_rows)
    return Trimmed(thinned, dropped)


def _thin_before(write: Write, day: int) -> int:
    thinned = 0
    while (gone := _thin_oldest(write, day)) is not None:
        thinned += gone
    return thinned


def _thin_oldest(write: Write, before_day: int) -> int | None:
    """Rows thinned out of the oldest day of minutes; None where there is none before that day."""
    oldest = write(lambda cursor: _first_day(cursor, "judgements"))
    if oldest < 0 or oldest >= before_day:
        return None
    return write(lambda cursor: _thin(cursor, oldest))


def _thin(cursor: Cursor, day: int) -> int:
    """Put one day's last judgements of each hour, and those in which the state changed, into the hours' table."""
    had, before = _rows(cursor), [day * DAY_MS, (day + 1) * DAY_MS]
    cursor.execute(
        f"INSERT INTO judgement_hours({_COLUMNS}) SELECT {_COLUMNS} FROM judgements"  # noqa: S608
        " WHERE at_ms >= ? AND at_ms < ? WINDOW w AS (PARTITION BY slo, service, scope ORDER BY at_ms)"
        " QUALIFY lag(state) OVER w IS DISTINCT FROM state"
        f" OR lead(at_ms // {HOUR_MS}) OVER w IS DISTINCT FROM at_ms // {HOUR_MS}",
        before,
    )
    cursor.execute("DELETE FROM judgements WHERE at_ms < ?", [before[1]])
    return had - _rows(cursor)


def _drop_before(cursor: Cursor, at_ms: int) -> int:
    had = _rows(cursor)
    for name in ("judgements", "judgement_hours"):
        cursor.execute(f"DELETE FROM {name} WHERE at_ms < ?", [at_ms])  # noqa: S608
    return had - _rows(cursor)


def _drop_oldest_day(cursor: Cursor) -> int:
    """Rows of the oldest day of hours; 0 where there is none."""
    day = _first_day(cursor, "judgement_hours")
    if day < 0:
        return 0
    return _drop_before(cursor, (day + 1) * DAY_MS)


def _first_day(cursor: Cursor, name: str) -> int:
    ((first,),) = cursor.execute(f"SELECT min(at_ms) FROM {name}").fetchall()  # noqa: S608
    return -1 if first is None else int(first) // DAY_MS


def _rows(cursor: Cursor) -> int:
    rows = cursor.execute("SELECT (SELECT count(*) FROM judgements) + (SELECT count(*) FROM judgement_hours)")
    return int(rows.fetchall()[0][0])
