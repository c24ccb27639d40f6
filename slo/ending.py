"""When the budget ends at the present burn, by the formula of its kind of window."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from slo import budget as budgets
from slo.model import Counts, Ending, Objective, RowResult
from slo.slices import Timeslices
from slo.tail import Leaving, gone_in_ms


def present_burn(rows: tuple[RowResult, ...]) -> Fraction | None:
    """The burn that both windows of the fastest row sustain, the lower of the two; None where either has no traffic."""
    fast = fastest(rows)
    if fast.long_burn is None or fast.short_burn is None:
        return None
    return min(fast.long_burn, fast.short_burn)


def fastest(rows: tuple[RowResult, ...]) -> RowResult:
    """The row of the table with the shortest short window."""
    return min((it for it in rows if it.row.op is None), key=lambda it: it.row.short_ms)


def ending(
    objective: Objective,
    own: Counts,
    rows: tuple[RowResult, ...],
    left: Fraction | None,
    tail: Sequence[Leaving] | None = None,
) -> tuple[Fraction | None, Ending | None]:
    """Milliseconds until the budget is gone at the present burn, and how that is told; None where it has no end.

    Without a tail, with one that ends before the budget does, and where something is taken out of the window, as if
    nothing bad left it meanwhile.
    """
    rate = present_burn(rows)
    closed = None if left is None or rate is None else _closed(objective, own, rows, left, rate)
    if closed is None or rate is None:
        return None, None
    if objective.calendar is not None:
        return closed, "calendar"
    whole = isinstance(objective.slices, Timeslices)
    usable = tail if tail and not own.taken_ms else ()  # what was taken out of the window leaves it too
    true = gone_in_ms(own, objective.budget, rate, objective.window_ms, usable, whole=whole)
    return (closed, "clean-tail") if true is None else (true, "tail")


def _closed(
    objective: Objective, own: Counts, rows: tuple[RowResult, ...], left: Fraction, rate: Fraction
) -> Fraction | None:
    if isinstance(objective.slices, Timeslices):
        return _slices_gone_in(objective, own, rows, left)
    if objective.whole_ms is not None:
        rest_ms = objective.whole_ms - objective.window_ms
        return budgets.exhausted_in_period_ms(left, rate, own.expected_ms, rest_ms)
    return budgets.exhausted_in_ms(left, rate, own.expected_ms, objective.window_ms - own.taken_ms)


def _slices_gone_in(objective: Objective, own: Counts, rows: tuple[RowResult, ...], left: Fraction) -> Fraction | None:
    """R x P / burn: the budget of Timeslices is that of the whole period, without what is taken out, from the start."""
    rate = present_burn(rows)
    if left <= 0 or not rate or (rate <= 1 and objective.whole_ms is None):
        return None
    gone_in = left * (objective.period_ms - own.taken_ms) / rate
    rest_ms = None if objective.whole_ms is None else objective.whole_ms - objective.window_ms
    return gone_in if rest_ms is None or gone_in <= rest_ms else None
