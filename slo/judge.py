"""The judgement of one objective at one moment: pure and exact; tile, graph, API and alert all show this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from slo import budget as budgets
from slo.burn import DEFAULT, Policy, covered, judge_row, rows_of, too_few, totals_of
from slo.ending import ending, fastest, present_burn
from slo.model import Counts, Judgement, Objective, RowResult, State
from slo.slices import Timeslices
from slo.tail import Leaving
from slo.text import duration, percent, times
from slo.wording import by_a_part

_WORDS = {"lt": "below", "lte": "at or below", "gt": "above", "gte": "at or above"}


def windows(objective: Objective, policy: Policy = DEFAULT) -> tuple[int, ...]:
    """All windows whose counts a judgement needs, in ms, ascending; the objective's own is among them."""
    rows = rows_of(objective, policy)
    return tuple(sorted({objective.window_ms, *(ms for row in rows for ms in (row.long_ms, row.short_ms))}))


def placed(objective: Objective, now_ms: int) -> Objective:
    """The objective with the window of this moment: of a calendar's period the part that has passed."""
    if objective.calendar is None:
        return objective
    bounds = objective.calendar.bounds(now_ms)
    if bounds is None:
        begins = f"{objective.calendar.start:%Y-%m-%d %H:%M:%S} {objective.calendar.zone}"
        return replace(objective, unmeasurable=f"Its first period begins at {begins}.")
    return replace(objective, window_ms=now_ms - bounds.since_ms, whole_ms=bounds.until_ms - bounds.since_ms)


def judge(
    objective: Objective,
    counts: Mapping[int, Counts],
    now_ms: int,
    policy: Policy = DEFAULT,
    paused: str | None = None,
    tail: Sequence[Leaving] | None = None,
) -> Judgement:
    """The judgement at `now_ms` from counts by window, those of `windows(objective, policy)`.

    `paused` is why the present is taken out of the budget: nothing can be told then, and alerts freeze. With `tail`,
    what the window held at its begin, the budget's end is told with what leaves the window.

    An objective that nothing can measure needs no counts. KeyError names a window that is missing. SLI and budget are
    of what was measured, also where the state is `unmeasured`; an allowance has no SLI.
    """
    if objective.unmeasurable is not None:
        return _unmeasurable(objective, now_ms, objective.unmeasurable)
    own = counts[objective.window_ms]
    rows = _rows(objective, counts, policy)
    young = own.first_ms is not None and now_ms - own.first_ms < fastest(rows).row.short_ms
    if young or paused:
        rows = tuple(_held(row) for row in rows)
    left = budgets.remaining(own, objective.budget)
    gone_in, how = (None, None) if paused else ending(objective, own, rows, left, tail)
    projected = not (young or paused) and _projected(objective, own, rows, left, policy)
    state, reason = _state(objective, own, rows, left, projected, young, policy, paused)
    return Judgement(
        objective=objective,
        at_ms=now_ms,
        paused=paused is not None,
        state=state,
        reason=reason,
        counts=own,
        sli=budgets.sli_of(objective, own),
        budget_remaining=left,
        burns=_burns(rows),
        coverage=own.coverage,
        exhausted_at_ms=None if gone_in is None else now_ms + int(gone_in),
        rows=rows,
        since_ms=own.first_ms,
        projected_gone=projected,
        in_part=not covered(own, policy),
        ending=how,
    )


def _rows(objective: Objective, counts: Mapping[int, Counts], policy: Policy) -> tuple[RowResult, ...]:
    totals = totals_of(objective)
    return tuple(
        judge_row(row, counts[row.long_ms], counts[row.short_ms], objective.budget, policy, totals=totals)
        for row in rows_of(objective, policy)
    )


def _held(row: RowResult) -> RowResult:
    """A row of an objective that is still learning: neither fires nor is quiet."""
    return RowResult(
        row.row, row.long_burn, row.short_burn, row.long_counts, row.short_counts, False, False, guarded=False
    )


def _projected(
    objective: Objective, own: Counts, rows: tuple[RowResult, ...], left: Fraction | None, policy: Policy
) -> bool:
    """True where the whole window's budget is left now and gone within the policy's time.

    A young objective's budget of minutes would be gone within hours at any burn: it is the whole window's that counts.
    """
    fast, rate = fastest(rows), present_burn(rows)
    if left is None or left <= 0 or rate is None or rate <= 1 or too_few(fast.long_counts, policy):
        return False
    if not (covered(fast.long_counts, policy) and covered(fast.short_counts, policy)):
        return False
    period_ms = objective.period_ms - own.taken_ms
    history_ms = period_ms if isinstance(objective.slices, Timeslices) else own.expected_ms
    return budgets.whole_window_gone_in_ms(left, rate, history_ms, period_ms) <= policy.projection_ms


def _burns(rows: tuple[RowResult, ...]) -> tuple[tuple[int, Fraction | None], ...]:
    burns = {it.row.long_ms: it.long_burn for it in rows} | {it.row.short_ms: it.short_burn for it in rows}
    return tuple(sorted(burns.items(), key=lambda it: it[0]))


def _state(
    objective: Objective,
    own: Counts,
    rows: tuple[RowResult, ...],
    left: Fraction | None,
    projected: bool,
    young: bool,
    policy: Policy,
    paused: str | None,
) -> tuple[State, str]:
    short = fastest(rows).short_counts
    if own.first_ms is None:
        return "unmeasured", "No sample has been seen yet."
    if paused:
        return "unmeasured", paused
    if young:
        return "learning", f"Watched for less than {duration(fastest(rows).row.short_ms)}."
    if not covered(short, policy):
        seen = percent(short.coverage or Fraction(0))
        return "unmeasured", f"Only {seen} of the last {duration(fastest(rows).row.short_ms)} was observed."
    if own.total <= 0 or left is None:
        return "no-traffic", f"Measured, but nothing was counted in {duration(objective.window_ms)}."
    if left <= 0:
        return "exhausted", f"The budget is spent: {percent(left)} left."
    return _spending(own, rows, left, projected, policy)


def _spending(
    own: Counts, rows: tuple[RowResult, ...], left: Fraction, projected: bool, policy: Policy
) -> tuple[State, str]:
    fired = next((it for it in rows if it.fired and not it.row.after_ms and it.row.telling.breaching), None)
    if fired is not None:
        return "burning", (
            f"The budget burns {times(fired.long_burn)} over {duration(fired.row.long_ms)} and "
            f"{times(fired.short_burn)} over {duration(fired.row.short_ms)}, "
            f"above {times(fired.row.factor)}{by_a_part(fired)}."
            if fired.row.op is None
            else f"The condition {fired.row.name} of its alert policy holds: {times(fired.long_burn)} over "
            f"{duration(fired.row.long_ms)}, {_WORDS[fired.row.op]} {times(fired.row.factor)}{by_a_part(fired)}."
        )
    if projected:
        return "burning", f"At the present burn the budget is gone within {duration(policy.projection_ms)}."
    if not covered(own, policy):
        seen, whole = percent(own.coverage or Fraction(0)), duration(own.expected_ms)
        return "ok", f"{percent(left)} of the budget is left by the {seen} of {whole} that was observed."
    return "ok", f"{percent(left)} of the budget is left."


def _unmeasurable(objective: Objective, now_ms: int, why: str) -> Judgement:
    nothing = Counts(now_ms - objective.window_ms, now_ms, 0, 0, 0, 0)
    return Judgement(objective, now_ms, "unmeasured", why, nothing, None, None, (), None, None, (), None, False)
