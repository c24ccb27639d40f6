"""What an objective and its burn rows would have done over stored history: the same judgement, minute by minute.

What `slo.judge` says of one moment is said here of all moments at once, and tests hold the one against the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from slo.backtest_alerts import Alert, alerts_of
from slo.backtest_composite import Together
from slo.backtest_rows import Fired, Rows, Shared, Spans, held, in_period, judged, windows_of
from slo.burn import DEFAULT, Policy, rows_of
from slo.model import Objective
from slo.stepped import Seen, Windows
from slo.stepped_history import FIVE_MS, NONE, Bools, History, Ints

MINUTE_MS = 60_000
LINE_POINTS = 240
"""Points of a budget's line."""
NICE = tuple(
    Fraction(it) / 100 for it in ("90", "95", "98", "99", "99.5", "99.9", "99.95", "99.99", "99.995", "99.999")
)
"""Targets that people choose."""
Histories = Sequence[tuple[Objective, History]]
"""The objective and its history; of a composite its members and theirs, in the order of their names."""


class Suggestion(NamedTuple):
    """The strictest of NICE of whose budget the worst window spent three quarters at most."""

    target: Fraction
    spent: Fraction
    """Share of that target's budget that the worst window spent."""
    windows: bool
    """True: the worst whole window; False: all of a history that is shorter than the window."""


class Point(NamedTuple):
    """What was left of the budget at a moment; None without traffic."""

    at_ms: int
    left: Fraction | None


@dataclass(frozen=True)
class Backtest:
    """What would have been over `(since, until]`."""

    objective: Objective
    since_ms: int
    until_ms: int
    bad: int
    total: int
    """Over all of it, as judgements count; of a composite nothing."""
    sli: Fraction | None
    budget_left: Fraction | None
    """Of the objective's window, at the end."""
    least_left: Fraction | None
    """The least budget that was left at any moment."""
    least_ms: int | None
    coverage: Fraction | None
    alerts: tuple[Alert, ...]
    line: tuple[Point, ...]
    suggested: Suggestion | None
    """None without traffic, where no target is so lenient, and for what has no target."""


def moments_of(histories: Histories, since_ms: int, until_ms: int) -> Ints:
    """The whole minutes of `(since, until]`; every fifth where single samples are gone."""
    coarse_ms = max((it.coarse_ms for _, it in histories), default=0)
    every = np.arange(since_ms // MINUTE_MS + 1, until_ms // MINUTE_MS + 1, dtype=np.int64) * MINUTE_MS
    found: Ints = every[(every > coarse_ms) | (every % FIVE_MS == 0)]
    return found


def judged_over(
    objective: Objective, histories: Histories, moments: Ints, policy: Policy = DEFAULT, shared: Shared | None = None
) -> Rows | None:
    """All rows at all moments, conditions held as long as they must; None where no moment is in any period."""
    parts = list(_parts(objective, histories, moments, policy, shared))
    if not parts:
        return None
    found = Rows.joined(parts)
    rows = tuple(held(found.moments, it) for it in found.rows)
    return Rows(found.moments, rows, found.own, found.projected, found.projection_known)


def _parts(
    objective: Objective, histories: Histories, moments: Ints, policy: Policy, shared: Shared | None
) -> Iterator[Rows]:
    """Rows of each period of a calendar; all at once for a window that rolls."""
    calendar = objective.calendar
    if calendar is None:
        if len(moments):
            windows = _windows(objective, histories, moments, policy, shared)
            yield judged(objective, windows, windows.of(objective.window_ms, own=True), policy)
        return
    every = moments.tolist()
    at = bisect_left(every, True, key=lambda it: calendar.bounds(it) is not None)
    while at < len(every):
        bounds = calendar.bounds(every[at])
        if bounds is None:
            return
        until = bisect_left(every, bounds.until_ms + 1)
        mine, whole_ms = moments[at:until], bounds.until_ms - bounds.since_ms
        placed = in_period(objective, every[until - 1] - bounds.since_ms, whole_ms)
        inside = [(in_period(it, placed.window_ms, whole_ms), of) for it, of in histories]
        windows = _windows(placed, inside, mine, policy, shared)
        yield judged(placed, windows, windows.since(np.full(len(mine), bounds.since_ms), whole_ms), policy)
        at = until


def _windows(objective: Objective, histories: Histories, moments: Ints, policy: Policy, shared: Shared | None) -> Spans:
    found = [windows_of(it, history, moments, policy, shared) for it, history in histories]
    if not objective.members:
        return found[0]
    return Together(objective, [(it, windows) for (it, _), windows in zip(histories, found, strict=True)])


def backtest(
    objective: Objective,
    histories: Histories,
    since_ms: int,
    until_ms: int,
    hold_ms: int = 60_000,
    policy: Policy = DEFAULT,
    no_page: bool = False,
    shared: Shared | None = None,
) -> Backtest:
    """What would have been in `(since, until]`; histories begin earlier, so that windows are whole from then on.

    `shared` keeps windows for other backtests of the same histories, which must outlive it.
    """
    waits = any(it.after_ms or it.telling.no_data for it in rows_of(objective, policy))
    begin_ms = min([since_ms, *(it.since_ms for _, it in histories)]) if waits else since_ms
    found = judged_over(objective, histories, moments_of(histories, begin_ms, until_ms), policy, shared)
    if found is None or found.moments[-1] <= since_ms:
        return Backtest(objective, since_ms, until_ms, 0, 0, None, None, None, None, None, (), (), None)
    found = _cut(found, since_ms)
    found = replace(found, own=_known(objective, found.own))
    bad, total, coverage = _counted(objective, histories, since_ms, found.moments[-1:])
    worst = _worst(found.own)
    ratio = total > 0 and not objective.members and not objective.allowance
    alerts = () if objective.part_of is not None else alerts_of(found, hold_ms, no_page)
    return Backtest(
        objective=objective,
        since_ms=since_ms,
        until_ms=int(found.moments[-1]),
        bad=bad,
        total=total,
        sli=1 - Fraction(bad, total) if ratio else None,
        budget_left=_left(objective, found.own, len(found.moments) - 1),
        least_left=None if worst is None else _left(objective, found.own, worst),
        least_ms=None if worst is None else int(found.moments[worst]),
        coverage=coverage,
        alerts=tuple(sorted(alerts, key=lambda it: (it.opened_ms, it.road))),
        line=tuple(_line(objective, found)),
        suggested=_suggested(objective, histories, found) if ratio else None,
    )


def _known(objective: Objective, own: Seen) -> Seen:
    """The objective's windows; of a composite nothing is told where a member was never seen."""
    return own._replace(busy=own.busy & (own.expected > 0)) if objective.members else own


def _cut(found: Rows, since_ms: int) -> Rows:
    """What is after `since`."""
    at = int(np.searchsorted(found.moments, since_ms, side="right"))
    if at == 0:
        return found

    def cut(column: Bools) -> Bools:
        return column[at:]

    rows = tuple(Fired(it.row, *map(cut, it[1:])) for it in found.rows)
    return Rows(found.moments[at:], rows, found.own.after(at), found.projected[at:], found.projection_known[at:])


def _counted(objective: Objective, histories: Histories, since_ms: int, last: Ints) -> tuple[int, int, Fraction | None]:
    """Bad, total and coverage of all the time; there is none where nothing was expected of one of the members."""
    seen = [_whole(it, history, since_ms, last) for it, history in histories]
    covers = [Fraction(int(it.observed[0]), int(it.expected[0])) for _, _, it in seen if it.expected[0] > 0]
    coverage = min(covers, default=None) if len(covers) == len(seen) else None
    return (0, 0, coverage) if objective.members else (*seen[0][:2], coverage)


def _whole(objective: Objective, history: History, since_ms: int, last: Ints) -> tuple[int, int, Seen]:
    begins = np.full(1, max(since_ms, history.since_ms))
    windows = Windows(objective, history, last, max(0, int(last[0] - begins[0])))
    bad, total = windows.counts(begins)
    return int(bad[0]), int(total[0]), windows.since(begins)


def _left(objective: Objective, own: Seen, at: int) -> Fraction | None:
    return 1 - own.exact(at) / objective.budget if own.busy[at] else None


def _worst(own: Seen, among: Bools | None = None) -> int | None:
    """The place of the window that spent most: of those whose share is greatest as a double, the first."""
    able = own.busy if among is None else own.busy & among
    if not able.any():
        return None
    share = np.where(able, own.share, -1.0)
    near = np.flatnonzero(share >= share.max() * (1 - 1e-12))[:1000].tolist()
    found: int = max(near, key=own.exact)
    return found


def _line(objective: Objective, found: Rows) -> Iterator[Point]:
    """The budget that was left, at moments evenly apart, from the first with traffic on."""
    moments = found.moments[int(found.own.busy.argmax()) :]
    times = np.linspace(moments[0], moments[-1], min(len(moments), LINE_POINTS))
    for at in np.unique(np.searchsorted(found.moments, times.round().astype(np.int64))).tolist():
        yield Point(int(found.moments[at]), _left(objective, found.own, at))


def _suggested(objective: Objective, histories: Histories, found: Rows) -> Suggestion | None:
    """From the worst whole window: a mean over all of history would forget the week that spent the budget."""
    first = histories[0][1].first_ms
    full = np.asarray(found.moments - (NONE if first is None else first) >= objective.window_ms, np.bool_)
    rolls = objective.calendar is None and bool((full & found.own.busy).any())
    worst = _worst(found.own, full) if rolls else len(found.moments) - 1
    if worst is None or not found.own.busy[worst]:
        return None
    share = found.own.exact(worst)
    target = max((it for it in NICE if share * 4 <= (1 - it) * 3), default=None)
    return None if target is None else Suggestion(target, share / (1 - target), rolls)
