"""Cases from public trackers about SLOs: literal input, right answer. Others stand beside what they are about."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest

from slo.budget import remaining
from slo.burndown import burn_down
from slo.judge import judge, placed, windows
from slo.model import Counts, Objective
from slo.openslo.resolve import load
from slo.periods import CalendarPeriods
from slo.slices import Timeslices
from tests.slo.openslo.support import with_line
from tests.slo.support import DAY, HOUR, MINUTE, NOW, RATIO, counts


@pytest.mark.parametrize(
    ("line", "path"),
    [("target: 1", "target"), ("target: 1.0", "target"), ("targetPercent: 100", "targetPercent")],
)
def test_a_target_of_100_percent_is_refused(line: str, path: str) -> None:
    """sloth #749, PR #800: it made burn rates of ±Inf."""
    found = load([("a.yaml", with_line("target: 0.999", line))])
    assert found.slos == ()
    assert [str(it).split(": ")[1] for it in found.faults] == [f"spec.objectives[0].{path}"]


def _weekly(minute: int, bad: int) -> tuple[Objective, dict[int, Counts]]:
    begin = datetime(2026, 3, 2)
    calendar = CalendarPeriods(begin, "UTC", 1, "w")
    begin_ms = int((begin - datetime(1970, 1, 1)).total_seconds()) * 1000
    now = begin_ms + minute * MINUTE
    rule = Timeslices(Fraction(99, 100), 5 * MINUTE)
    of = Objective("x", "s", (), RATIO, Fraction(1, 100), "99 %", 7 * DAY, "X", calendar=calendar, slices=rule)
    of = placed(of, now)
    slices = of.period_ms // (5 * MINUTE)
    found = {ms: Counts(now - ms, now, 0, slices, ms, ms, 0, begin_ms - DAY) for ms in windows(of)}
    found[of.window_ms] = Counts(now - of.window_ms, now, bad, slices, of.window_ms, of.window_ms, 0, begin_ms - DAY)
    return of, found


def test_what_a_calendar_week_of_slices_has_spent_never_falls_within_it() -> None:
    """kibana #143980: bad slices were divided by those elapsed; of 5 min there are 2,016 from minute 0 on."""
    left = []
    for minute in (5, 60, 1440, 10_079):
        of, found = _weekly(minute, bad=3)
        judgement = judge(of, found, of.window_ms + found[of.window_ms].since_ms)
        assert judgement.counts.total == 2016
        left.append(judgement.budget_remaining)
    assert left == [1 - Fraction(3, 2016) / Fraction(1, 100)] * 4


def test_the_number_of_a_tile_is_the_last_of_its_graph() -> None:
    """pyrra #697, PR #698: the tile said 66.5 % and the graph 33 %: of one window there is one number."""
    budget = Fraction(1, 100)
    steps = [
        Counts(NOW - (4 - at) * HOUR, NOW - (3 - at) * HOUR, bad, 20_000, HOUR, HOUR, 0, NOW - DAY)
        for at, bad in enumerate((67, 67, 67, 67))
    ]
    whole = counts(268, 80_000, 4 * HOUR)
    assert remaining(whole, budget) == Fraction(665, 1000)
    assert burn_down(steps, budget).points[-1].remaining == Fraction(665, 1000)
