"""What an objective and its burn rows would have done over stored history: the same judgement, minute by minute.

Counts come as one element per step. What `slo.burn.judge_row` says of one moment is said here of all moments at once,
and a test holds the one against the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slo.burn import DEFAULT, Policy, rows_of
from slo.model import BurnRow, Objective
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices

Bools = NDArray[np.bool_]
Whole = NDArray[np.int64] | NDArray[np.object_]
Road = Literal["page", "ticket"]
_SAFE = 2**61
NICE = tuple(
    Fraction(it) / 100 for it in ("90", "95", "98", "99", "99.5", "99.9", "99.95", "99.99", "99.995", "99.999")
)
"""Targets that people choose."""


@dataclass(frozen=True)
class History:
    """Counts of contiguous steps; times in milliseconds, one element per step."""

    since_ms: int
    step_ms: int
    bad: Whole
    total: Whole
    observed_ms: NDArray[np.int64]
    first_ms: int | None
    """First sight of any series."""
    events: int = 1
    """What one event counts."""

    @property
    def ends_ms(self) -> NDArray[np.int64]:
        """When each step ends."""
        return self.since_ms + self.step_ms * np.arange(1, len(self.bad) + 1)


class Alert(NamedTuple):
    """A page or a ticket that would have gone out, and when it would have been resolved; None where it goes on."""

    road: Road
    opened_ms: int
    resolved_ms: int | None
    rows: tuple[str, ...]
    """The rows that fired when it opened."""


@dataclass(frozen=True)
class Backtest:
    """What would have been over `(since, until]`."""

    objective: Objective
    since_ms: int
    until_ms: int
    bad: int
    total: int
    """Over all of it, in whole events, or slices."""
    sli: Fraction | None
    budget_left: Fraction | None
    """Of the objective's window, at the end."""
    least_left: Fraction | None
    """The least budget that was left at the end of any step."""
    coverage: Fraction | None
    alerts: tuple[Alert, ...]
    suggested: Fraction | None
    """The strictest of NICE of which history spent at most three quarters; None without traffic, and where there
    is none."""


class _Sums:
    """Sums over windows that end with each step."""

    def __init__(self, values: Whole) -> None:
        self._until = np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])

    def over(self, steps: int) -> Whole:
        high = np.arange(1, len(self._until))
        found: Whole = self._until[high] - self._until[np.maximum(0, high - steps)]
        return found


def sliced(history: History, rule: Timeslices | RatioTimeslices) -> History:
    """The history in slices, whose length is a multiple of the step's; it must begin where a slice begins."""
    per = rule.slice_ms // history.step_ms
    slices = len(history.bad) // per

    def folded(values: Whole) -> Whole:
        found: Whole = values[: slices * per].reshape(slices, per).sum(axis=1)
        return found

    bad, total, observed = folded(history.bad), folded(history.total), folded(history.observed_ms)
    begins = history.since_ms + rule.slice_ms * np.arange(slices)
    expected = np.zeros(slices, np.int64)
    if history.first_ms is not None:
        expected = np.clip(begins + rule.slice_ms - np.maximum(begins, history.first_ms), 0, rule.slice_ms)
    measured = (observed > 0) & (observed * 10 >= expected * 9) & (total > 0)
    spent = _spent(rule, np.minimum(bad, total), total, measured)
    unit = 1 if isinstance(rule, Timeslices) else RATIO_UNIT
    whole = measured.astype(np.int64) * unit
    return History(history.since_ms, rule.slice_ms, spent, whole, observed.astype(np.int64), history.first_ms, unit)


def _spent(rule: Timeslices | RatioTimeslices, bad: Whole, total: Whole, measured: Bools) -> Whole:
    found = np.zeros(len(bad), np.int64)
    for at in np.flatnonzero(measured & (bad > 0)).tolist():
        share = Fraction(int(bad[at]), int(total[at]))
        found[at] = 1 - share < rule.target if isinstance(rule, Timeslices) else round(share * RATIO_UNIT)
    return found


class _Windows:
    """Counts of a window that ends with each step."""

    def __init__(self, objective: Objective, history: History) -> None:
        self._objective, self._history = objective, history
        self._bad, self._total = _Sums(history.bad), _Sums(history.total)
        self._observed = _Sums(history.observed_ms)
        self._kept: dict[int, tuple[Whole, Whole, NDArray[np.int64], NDArray[np.int64]]] = {}

    def of(self, window_ms: int) -> tuple[Whole, Whole, NDArray[np.int64], NDArray[np.int64]]:
        """(bad, total, observed, expected)."""
        if window_ms not in self._kept:
            history = self._history
            steps = max(1, window_ms // history.step_ms)
            bad, total = self._bad.over(steps), self._total.over(steps)
            if isinstance(self._objective.slices, Timeslices):
                total = np.where(total > 0, steps, 0)
            ends = history.ends_ms
            begins = ends - steps * history.step_ms
            first = history.first_ms
            expected = (
                np.zeros(len(ends), np.int64) if first is None else ends - np.clip(begins, min(first, 2**62), ends)
            )
            self._kept[window_ms] = bad, total, np.asarray(self._observed.over(steps), np.int64), expected
        return self._kept[window_ms]


class Fired(NamedTuple):
    """One row at each step: whether it fires, whether it is known, whether too few events were bad for a page."""

    row: BurnRow
    fired: Bools
    known: Bools
    guarded: Bools


def row_by_row(objective: Objective, history: History, policy: Policy = DEFAULT) -> list[Fired]:
    """Every burn row at the end of every step, as `judge_row` has it."""
    windows = _Windows(objective, history)
    whole = isinstance(objective.slices, Timeslices)
    found = []
    for row in rows_of(objective, policy):
        if row.op is not None:
            continue
        long, long_known = _exceeds(windows, row.long_ms, objective, row, policy, young=not whole, silent=True)
        silent = row.road != "page"
        short, short_known = _exceeds(windows, row.short_ms, objective, row, policy, young=False, silent=silent)
        quiet = (long_known & ~long) | (short_known & ~short)
        fired = long & long_known & short & short_known
        bad, total, *_ = windows.of(row.long_ms)
        few = (bad < policy.min_bad * history.events) | (total < policy.min_total * history.events)
        found.append(
            Fired(row, fired, fired | quiet, fired & few if row.road == "page" else np.zeros(len(fired), bool))
        )
    return found


def _exceeds(
    windows: _Windows, window_ms: int, objective: Objective, row: BurnRow, policy: Policy, *, young: bool, silent: bool
) -> tuple[Bools, Bools]:
    """(whether the window burns faster than the row's factor, whether that is known).

    `silent`: without traffic it is known that it does not.
    """
    bad, total, observed, expected = windows.of(window_ms)
    floor, factor, budget = policy.coverage_floor, row.factor, objective.budget
    covered = (observed > 0) & (expected > 0)
    covered &= (observed + policy.coverage_grace_ms) * floor.denominator >= floor.numerator * expected
    left, right = budget.denominator * factor.denominator, factor.numerator * budget.numerator
    seen: Whole = expected if young else np.ones(len(bad), np.int64)
    right *= row.long_ms if young else 1
    most = max(int(bad.max(initial=0)) * left * int(seen.max(initial=1)), int(total.max(initial=0)) * right)
    if most >= _SAFE:
        bad, total, seen = bad.astype(object), total.astype(object), seen.astype(object)
    exceeds = np.asarray(bad * seen * left > total * right, np.bool_)
    busy = np.asarray(total > 0, np.bool_)
    return exceeds & busy, covered & (busy | silent)


def alerts_of(rows: list[Fired], ends_ms: NDArray[np.int64], hold_ms: int) -> Iterator[Alert]:
    """The incidents that the rows would have opened and resolved, as the alerts' state machine does."""
    pages = [it for it in rows if it.row.road == "page"]
    page = _any([it.fired & ~it.guarded for it in pages], len(ends_ms))
    ticket = _any([it.fired & (it.guarded | (it.row.road == "ticket")) for it in rows], len(ends_ms))
    known = {
        "page": _all([it.known for it in pages], len(ends_ms)),
        "ticket": _all([it.known for it in rows], len(ends_ms)),
    }
    roads: tuple[tuple[Road, Bools], ...] = (("page", page), ("ticket", ticket))
    for road, firing in roads:
        here: list[Alert] = []
        opened, gone = -1, -1
        # only where something changes is there something to do
        state = np.where(firing, 2, np.where(known[road], 1, 0))
        for at in range(len(state)) if firing.any() else ():
            if opened < 0 and state[at] != 2:
                continue
            if state[at] == 2:
                opened, gone = (at if opened < 0 else opened), -1
            elif state[at] == 0:
                gone = -1
            else:
                gone = at if gone < 0 else gone
                if ends_ms[at] - ends_ms[gone] >= hold_ms:
                    here.append(_alert(road, rows, ends_ms, opened, int(ends_ms[at])))
                    opened = gone = -1
        if opened >= 0:
            here.append(_alert(road, rows, ends_ms, opened, None))
        yield from here


def _any(found: list[Bools], size: int) -> Bools:
    return np.asarray(np.logical_or.reduce([np.zeros(size, np.bool_), *found]), np.bool_)


def _all(found: list[Bools], size: int) -> Bools:
    return np.asarray(np.logical_and.reduce([np.ones(size, np.bool_), *found]), np.bool_)


def _alert(road: Road, rows: list[Fired], ends_ms: NDArray[np.int64], at: int, resolved_ms: int | None) -> Alert:
    mine = [it for it in rows if it.fired[at] and (road == "ticket" or (it.row.road == "page" and not it.guarded[at]))]
    return Alert(road, int(ends_ms[at]), resolved_ms, tuple(it.row.name for it in mine))


def backtest(
    objective: Objective, history: History, since_ms: int, hold_ms: int = 60_000, policy: Policy = DEFAULT
) -> Backtest:
    """What would have been after `since`; the history may begin earlier, so that windows are whole from then on."""
    if objective.slices is not None:
        history = sliced(history, objective.slices)
    ends = history.ends_ms
    asked = ends > since_ms
    rows = row_by_row(objective, history, policy)
    taught = _taught(rows, history)
    rows = [Fired(it.row, (it.fired & taught)[asked], (it.known & taught)[asked], it.guarded[asked]) for it in rows]
    bad, total = (sum(it[asked].tolist()) for it in (history.bad, history.total))
    own = _Windows(objective, history).of(objective.window_ms)
    left = [_left(objective, int(b), int(t)) for b, t in _worst(own[0][asked], own[1][asked])]
    last = _left(objective, int(own[0][-1]), int(own[1][-1])) if len(ends) else None
    seen, expected = sum(history.observed_ms[asked].tolist()), _expected(history, since_ms)
    return Backtest(
        objective=objective,
        since_ms=since_ms,
        until_ms=int(ends[-1]) if len(ends) else since_ms,
        bad=round(Fraction(bad, history.events)),
        total=round(Fraction(total, history.events)),
        sli=1 - Fraction(bad, total) if total > 0 else None,
        budget_left=last,
        least_left=min((it for it in (*left, last) if it is not None), default=None),
        coverage=Fraction(seen, expected) if expected > 0 else None,
        alerts=tuple(sorted(alerts_of(rows, ends[asked], hold_ms), key=lambda it: (it.opened_ms, it.road))),
        suggested=_suggested(Fraction(bad, total)) if total > 0 else None,
    )


def _taught(rows: list[Fired], history: History) -> Bools:
    """Where history is older than the fastest row's short window: before, an objective is learning."""
    if history.first_ms is None or not rows:
        return np.zeros(len(history.bad), np.bool_)
    least_ms = min(it.row.short_ms for it in rows)
    return np.asarray(history.ends_ms - history.first_ms >= least_ms, np.bool_)


def _left(objective: Objective, bad: int, total: int) -> Fraction | None:
    return None if total <= 0 else 1 - Fraction(bad, total) / objective.budget


def _worst(bad: Whole, total: Whole) -> Iterator[tuple[int, int]]:
    """The windows among which the one that spent most is: those whose share is greatest as a double."""
    busy = np.flatnonzero(total > 0)
    if len(busy):
        shares = bad[busy].astype(np.float64) / total[busy].astype(np.float64)
        for at in busy[shares >= shares.max() * (1 - 1e-12)][:1000].tolist():
            yield int(bad[at]), int(total[at])


def _expected(history: History, since_ms: int) -> int:
    if history.first_ms is None or not len(history.bad):
        return 0
    return max(0, int(history.ends_ms[-1]) - max(since_ms, history.first_ms, history.since_ms))


def _suggested(share: Fraction) -> Fraction | None:
    """The strictest target of NICE of whose budget this share of bad events is at most three quarters."""
    return max((it for it in NICE if share * 4 <= (1 - it) * 3), default=None)
