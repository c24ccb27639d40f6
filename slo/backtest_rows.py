"""Burn rows, conditions and the projection page at every moment at once, as `slo.judge` has them at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from slo.burn import GROWING, Policy, Totals, rows_of, totals_of
from slo.held import NO_DATA_MS
from slo.model import BurnRow, Objective
from slo.slices import Timeslices
from slo.stepped import Seen, Windows, exactly, sign
from slo.stepped_history import NONE, Bools, History, Ints


class Spans(Protocol):
    """Windows of an objective at its moments."""

    moments: Ints
    first: Ints
    paused: Bools
    """Moments that are taken out of the budget: nothing can be told then."""

    def of(self, window_ms: int, own: bool = False) -> Seen:
        """A window of a row, or with `own` the objective's."""
        ...

    def since(self, begins: Ints, own_ms: int | None = None) -> Seen:
        """Windows that begin at these moments; of the objective's own `own_ms` is the whole period."""
        ...


class Fired(NamedTuple):
    """One row at each moment: whether it fires, whether it is known, whether too few events were bad for a page."""

    row: BurnRow
    fired: Bools
    known: Bools
    guarded: Bools
    missing: Bools
    """Of a condition whether it has no burn rate to compare."""


@dataclass(frozen=True)
class Rows:
    """All that is judged of one objective at each moment."""

    moments: Ints
    rows: tuple[Fired, ...]
    own: Seen
    projected: Bools
    projection_known: Bools
    """False too where the projection came true: a budget that is gone is no recovery."""

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Those of several periods, one after another; their rows have the same names."""
        if len(parts) == 1:
            return parts[0]

        def whole(columns: Sequence[Bools]) -> Bools:
            return np.concatenate(list(columns))

        rows = [
            Fired(it[0].row, *(whole([f[column] for f in it]) for column in range(1, 5)))
            for it in zip(*(part.rows for part in parts), strict=True)
        ]
        moments = np.concatenate([it.moments for it in parts])
        known = whole([it.projection_known for it in parts])
        own = Seen.joined([it.own for it in parts])
        return cls(moments, tuple(rows), own, whole([it.projected for it in parts]), known)


def judged(objective: Objective, windows: Spans, own: Seen, policy: Policy) -> Rows:
    """Rows, conditions and projection of an objective whose own window is `own`."""
    table = rows_of(objective, policy)
    found = [_row(objective, windows, it, policy) for it in table]
    fast = min((it for it in table if it.op is None), key=lambda it: it.short_ms)
    young = (windows.first != NONE) & (windows.moments - windows.first < fast.short_ms)
    taught = ~(young | windows.paused)
    rows = tuple(
        it._replace(fired=it.fired & taught, known=it.known & taught, guarded=it.guarded & taught) for it in found
    )
    long, short = windows.of(fast.long_ms), windows.of(fast.short_ms)
    projected = taught & _projected(objective, own, long, short, policy)
    over = taught & _spent(objective, own) & _burning(objective, long, short)
    in_part = rows[0].fired & ~windows.of(rows[0].row.long_ms).covered(policy)
    return Rows(windows.moments, rows, own, projected, projected | (rows[0].known & ~over & ~in_part))


def _row(objective: Objective, windows: Spans, row: BurnRow, policy: Policy) -> Fired:
    long = windows.of(row.long_ms)
    if row.op is not None:
        fired, known = _condition(objective, long, row, policy)
    else:
        burns, long_known = _long_exceeds(objective, long, row, policy)
        still, short_known = _short_exceeds(objective, windows.of(row.short_ms), row, policy)
        fired = burns & long_known & still & short_known
        known = fired | (long_known & ~burns) | (short_known & ~still)
    guarded = fired & long.few(policy) if row.road == "page" else np.zeros(len(fired), np.bool_)
    missing = (windows.first == NONE) | ~long.covered(policy) | ~long.busy
    return Fired(row, fired, known, guarded, missing)


def _long_exceeds(objective: Objective, seen: Seen, row: BurnRow, policy: Policy) -> tuple[Bools, Bools]:
    """(whether the long window burns faster than the row's factor, whether that is known)."""
    covered, limit = seen.covered(policy), row.factor * objective.budget
    part, whole = _part(seen, row.long_ms, totals_of(objective), covered)
    burns = seen.busy & (_against(seen, limit, seen.busy, part, whole) > 0)
    return burns, covered | burns


def _against(seen: Seen, limit: Fraction, where: Bools, part: Ints, whole: Ints) -> NDArray[np.int8]:
    """The sign of share times part, of so much, less the limit; told where it is asked for."""

    def exact(at: int) -> int:
        return sign(seen.exact(at) * Fraction(int(part[at]), int(whole[at])) - limit)

    return exactly(seen.share * (part / whole), np.full(len(part), float(limit)), where, exact)


def _part(seen: Seen, long_ms: int, totals: Totals, covered: Bools) -> tuple[Ints, Ints]:
    """The part of the window that its totals stand for, as (ms, of so many ms)."""
    observed, one = np.minimum(seen.observed, seen.expected), np.ones(len(covered), np.int64)
    match totals:
        case "seen":
            return np.where(covered, seen.expected, observed), one * long_ms
        case "known":
            return np.where(covered, 1, observed), np.where(covered, 1, np.maximum(1, seen.expected))
        case _:
            return one, one


def _short_exceeds(objective: Objective, seen: Seen, row: BurnRow, policy: Policy) -> tuple[Bools, Bools]:
    """As of the long window; without traffic a page's row can't be known."""
    covered, one = seen.covered(policy), np.ones(len(seen.share), np.int64)
    burns = _against(seen, row.factor * objective.budget, seen.busy & covered, one, one) > 0
    return burns & seen.busy, covered & (seen.busy | (row.road != "page"))


def _condition(objective: Objective, seen: Seen, row: BurnRow, policy: Policy) -> tuple[Bools, Bools]:
    """With a gap only that it burns as fast can be known: by what was seen, all else taken for good."""
    covered, limit = seen.covered(policy), row.factor * objective.budget
    totals: Totals = "window" if totals_of(objective) == "window" else "known"
    part, whole = _part(seen, row.long_ms, totals, covered)
    signs = _against(seen, limit, seen.busy, part, whole)
    holds = {"lt": signs < 0, "lte": signs <= 0, "gt": signs > 0, "gte": signs >= 0}[row.op or "gt"]
    fired = holds & seen.busy & (covered if row.op not in GROWING else True)
    return fired, covered | fired


def _spent(objective: Objective, own: Seen) -> Bools:
    """Where the budget is gone."""
    limits = np.full(len(own.share), float(objective.budget))
    return own.busy & (exactly(own.share, limits, own.busy, lambda at: sign(own.exact(at) - objective.budget)) >= 0)


def _burning(objective: Objective, long: Seen, short: Seen) -> Bools:
    """Where both windows of the fastest row burn faster than allowed."""
    budget, found = objective.budget, long.busy & short.busy
    limits = np.full(len(long.share), float(budget))
    for it in (long, short):
        found &= exactly(it.share, limits, it.busy, lambda at, it=it: sign(it.exact(at) - budget)) > 0  # type: ignore[misc]
    return np.asarray(found, np.bool_)


def _projected(objective: Objective, own: Seen, long: Seen, short: Seen, policy: Policy) -> Bools:
    """Where the whole window's budget is left and gone within the policy's time: P - (1 - R) x H <= time x burn."""
    budget, within = objective.budget, policy.projection_ms
    period_ms = objective.period_ms - own.taken_ms
    history = period_ms if isinstance(objective.slices, Timeslices) else own.expected

    def exact(at: int) -> int:
        rate = min(long.exact(at), short.exact(at)) / budget
        return sign(int(period_ms[at]) - own.exact(at) / budget * int(history[at]) - within * rate)

    able = own.busy & _burning(objective, long, short) & ~_spent(objective, own) & ~long.few(policy)
    able &= long.covered(policy) & short.covered(policy)
    rest = period_ms - own.share / float(budget) * history
    soon = exactly(rest, within * np.minimum(long.share, short.share) / float(budget), able, exact) <= 0
    return np.asarray(able & soon, np.bool_)


def held(moments: Ints, it: Fired) -> Fired:
    """A condition that must hold for a while, as `slo.held` has it: what is not known neither begins nor ends it."""
    if it.row.op is None:
        return it
    missing = it.missing
    if it.row.telling.no_data:
        missing = _for_long(moments, missing, np.ones(len(moments), np.bool_), max(it.row.after_ms, NO_DATA_MS))
    fired = _for_long(moments, it.fired, it.known, it.row.after_ms) if it.row.after_ms else it.fired
    return it._replace(fired=fired, missing=missing)


def _for_long(moments: Ints, holds: Bools, known: Bools, after_ms: int) -> Bools:
    if not holds.any():
        return holds
    reset = np.maximum.accumulate(np.where(known & ~holds, np.arange(len(moments)), -1))
    fires = np.flatnonzero(holds)
    begun = fires[np.minimum(np.searchsorted(fires, reset, side="right"), len(fires) - 1)]
    return np.asarray(holds & (moments - moments[begun] >= after_ms), np.bool_)


Shared = dict[tuple[object, ...], Windows]
"""Windows that are the same whatever the target: of one history, method and period, at the same moments."""


def windows_of(
    objective: Objective, history: History, moments: Ints, policy: Policy, shared: Shared | None = None
) -> Windows:
    """The windows of an objective whose window rolls, or is the one of a calendar's present period."""
    longest = max(objective.window_ms, *(it.long_ms for it in rows_of(objective, policy)))
    if shared is None or not len(moments):
        return Windows(objective, history, moments, longest)
    alike = (objective.indicator, objective.query, objective.slices, objective.period_ms, longest, objective.calendar)
    key = (id(history), len(moments), int(moments[0]), int(moments[-1]), *alike)
    if key not in shared:
        shared[key] = Windows(objective, history, moments, longest)
    return shared[key]


def in_period(objective: Objective, window_ms: int, whole_ms: int | None) -> Objective:
    """The objective in a calendar's period of `whole_ms`, of which `window_ms` have passed."""
    return replace(objective, window_ms=window_ms, whole_ms=whole_ms)
