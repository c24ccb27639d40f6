"""Objectives of every kind, and their rules as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction

from slo.burn import DEFAULT, Policy
from slo.model import Allowance, BurnRow, EventRatio, Matcher, MinuteSlices, Objective, QueryIndicator, Selector
from slo.periods import CalendarPeriods
from slo.prometheus.alerting import Alerting
from slo.prometheus.export import exported, fields_of, written
from slo.slices import RatioTimeslices, Timeslices
from tests.slo.support import DAY, HOUR, MINUTE

BAD = Selector("requests_total", (Matcher("code", "=~", "5.."),))
ALL = Selector("requests_total")
GOOD = Selector("requests_total", (Matcher("code", "!~", "5.."),))
RATIO = EventRatio((ALL,), bad=(BAD,))


def objective(slo: str = "api", **changed: object) -> Objective:
    """An objective of the counters above."""
    base: dict[str, object] = {
        "slo": slo, "service": "shop/api", "scope": (), "indicator": RATIO, "budget": Fraction(1, 1000),
        "target_text": "99.9 %", "window_ms": 30 * DAY, "title": "Answers",
    }  # fmt: skip
    return Objective(**{**base, **changed})  # type: ignore[arg-type]


def every_kind() -> list[Objective]:
    """One of each kind, by name."""
    disk = MinuteSlices("gauge", Selector("avail"), Selector("size"), Fraction(7, 10), complement=True)
    steal = MinuteSlices("counter", Selector("cpu", (Matcher("mode", "=", "steal"),)), Selector("cpu"), Fraction(1, 20))
    deaths = Allowance((BAD,), (Selector("up_seconds"),))
    condition = BurnRow("hot", HOUR, HOUR, Fraction(0), Fraction(2), "page", "gte", 5 * MINUTE)
    return [
        objective("bad"),
        objective("good", indicator=EventRatio((ALL,), good=(GOOD,), scale=1000)),
        objective("several", indicator=EventRatio((ALL, Selector("more_total")), bad=(BAD,))),
        objective("allowance", indicator=deaths, budget=Fraction(1, 36_000_000)),
        objective("disk", indicator=disk, scope=(("node", "n1"),)),
        objective("steal", indicator=steal, window_ms=7 * DAY),
        objective("slices", slices=Timeslices(Fraction(95, 100), MINUTE)),
        objective("ratios", slices=RatioTimeslices(5 * MINUTE)),
        objective("kills", indicator=deaths, slices=Timeslices(Fraction(9, 10), HOUR)),
        objective("deaths", indicator=deaths, slices=RatioTimeslices(HOUR)),
        objective("disks", indicator=disk, slices=Timeslices(Fraction(9, 10), 5 * MINUTE)),
        objective("query-good", query=QueryIndicator("good", "sum(rate(g[{{.window}}])) # g", "rate(t[5m])")),
        objective("query-bad", query=QueryIndicator("bad", "rate(b[{{.window}}])", "rate(t[{{.window}}])")),
        objective("raw-good", query=QueryIndicator("raw-good", "share")),
        objective("raw-bad", query=QueryIndicator("raw-bad", "share"), slices=Timeslices(Fraction(9, 10), MINUTE)),
        objective("threshold", query=QueryIndicator("threshold", "lag", op="lte", value=Fraction(1, 3))),
        objective("policy", conditions=(condition,)),
        objective("month", calendar=CalendarPeriods(datetime(2026, 1, 1), "UTC", 1, "M")),
        objective("both", budget=Fraction(1), members=(("bad", Fraction(1)), ("member", Fraction(1, 2)))),
        objective("member", part_of="both"),
        objective("union", budget=Fraction(1), slices=Timeslices(Fraction(95, 100), MINUTE),
                  members=(("slices", Fraction(1)), ("part", Fraction(1, 2)))),
        objective("part", slices=Timeslices(Fraction(1, 2), MINUTE), part_of="union", budget=Fraction(1, 100)),
        objective("foreign", unmeasurable="Midwatch does not read sources of type Datadog."),
    ]  # fmt: skip


def rules(
    objectives: Iterable[Objective], policy: Policy = DEFAULT, how: Alerting | None = None
) -> tuple[str, Sequence[str]]:
    """The rule file, and what is left out."""
    found = exported(objectives, policy, how or Alerting())
    left_out = [str(it) for it in found.left_out]
    return written([fields_of(it) for it in found.groups], left_out), left_out
