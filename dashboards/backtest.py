"""The page `/slo/backtest`: an OpenSLO text tried over history, beside what is in force."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple
from urllib.parse import urlencode

from dashboards import svg
from dashboards.backtest_views import (
    AlertLine,
    Asked,
    BacktestView,
    Chart,
    FindingRow,
    Stat,
    TargetRow,
    TriedView,
)
from dashboards.desk import frame, open_desk
from dashboards.marks import Level, Mark, mark
from dashboards.request import PageRequest
from dashboards.slo_rows import subject, where
from dashboards.source import DataSource
from dashboards.text import counted, duration, number, percent, percent_split
from dashboards.views import Option
from slo.adjust import Adjustment
from slo.backtest import NICE, Backtest
from slo.backtest_alerts import Alert
from slo.burn import DEFAULT
from slo.compare import Difference, Tried, taken_out
from slo.model import Judgement, Objective
from slo.openslo.faults import Finding
from slo.rows import TABLES

WIDTH, HEIGHT = 900, 160
LOWEST = Fraction(-1)
"""A budget that is overspent further is drawn at this."""
MOST_ALERTS = 40
NO_ALERT = "No page and no ticket would have gone out."
NOT_COUNTED = "Nothing was counted: nobody knows what would have gone out."
SPANS = ("1d", "7d", "30d", "90d")


class Outcome(NamedTuple):
    """What became of a try."""

    tried: Sequence[Tried] = ()
    findings: Sequence[Finding] = ()
    problem: str | None = None


def backtest(
    source: DataSource, asked: Asked, outcome: Outcome, now_ms: int, chosen: Objective | None = None
) -> BacktestView:
    """The page with what was tried."""
    desk = open_desk(source, PageRequest("slo", "auto"), now_ms)
    adjustments = source.adjustments() if outcome.tried else ()
    judgements = sorted(source.judgements(), key=lambda it: (it.objective.service, it.objective.slo))
    return BacktestView(
        frame=frame(desk, "Try an objective", "slo", ranges=False),
        asked=asked,
        objectives=tuple(_option(it, chosen) for it in judgements),
        spans=tuple(Option(it, it, it == asked.since) for it in SPANS),
        tables=tuple(Option(it, it, it == asked.table) for it in _tables(asked.table)),
        targets=" ".join(number(it * 100, 4) for it in NICE),
        found=tuple(_tried(it, adjustments) for it in outcome.tried),
        findings=tuple(_finding(it) for it in sorted(outcome.findings, key=lambda it: it.at.line)),
        problem=outcome.problem,
    )


def _tables(chosen: str) -> list[str]:
    """Tables by name, and rows that are set one by one, where they are in force."""
    return [*(it.name for it in TABLES), *(["own"] if chosen == "own" else [])]


def _option(judgement: Judgement, chosen: Objective | None) -> Option:
    it = judgement.objective
    value = urlencode({"slo": it.slo, "service": it.service, "where": where(it)})
    return Option(value, f"{subject(it)} · {it.slo}", chosen is not None and chosen == it)


def _finding(it: Finding) -> FindingRow:
    level = {"error": mark("crit", "fault"), "warning": mark("warn"), "note": mark("quiet", "note")}[it.level]
    return FindingRow(it.at.line, level, it.at.path, f"{it.what}; {it.remedy}")


def _tried(it: Tried, adjustments: Sequence[Adjustment]) -> TriedView:
    of, asked = it.objective, it.asked
    return TriedView(
        title=f"{subject(of)} · {of.slo}",
        sub=f"{of.target_text} over {duration(of.window_ms)}",
        why_not=it.why_not,
        note="" if asked is None else _note(it, asked, adjustments),
        stats=() if asked is None else _stats(asked, it.in_force),
        chart=None if asked is None else _chart(asked, it.in_force),
        targets=() if asked is None else tuple(_targets(it, asked)),
        alerts=() if asked is None else tuple(_alerts(asked, it.difference)[:MOST_ALERTS]),
        calm=NO_ALERT if asked is None or _counted(asked) else NOT_COUNTED,
        more=0 if asked is None else max(0, len(_alerts(asked, it.difference)) - MOST_ALERTS),
    )


def _note(it: Tried, asked: Backtest, adjustments: Sequence[Adjustment]) -> str:
    taken = taken_out(it.objective, adjustments, asked.since_ms, asked.until_ms)
    said = "" if it.in_force is not None else "No objective of this name is in force. "
    if taken:
        said += f"Without what {counted(taken, 'budget adjustment')} took out."
    return said.strip()


def _stats(asked: Backtest, other: Backtest | None) -> tuple[Stat, ...]:
    covered = "no data" if asked.coverage is None else f"{percent(asked.coverage, 0)} observed"
    pages, tickets = (_number(asked, road) for road in ("page", "ticket"))
    calm = mark("ok") if _counted(asked) else mark("unmeasured", "no data")
    sli = " ".join(percent_split(asked.sli)).strip()
    return (
        Stat("SLI", sli, covered, mark("quiet" if asked.sli is None else "ok")),
        Stat("Budget left", _share(asked.budget_left), _than(other, "budget_left"), _left_mark(asked)),
        Stat("Least left", _share(asked.least_left), _than(other, "least_left"), _left_mark(asked, least=True)),
        Stat("Pages", str(pages), _count_than(other, "page"), mark("crit") if pages else calm),
        Stat("Tickets", str(tickets), _count_than(other, "ticket"), mark("warn") if tickets else calm),
        Stat("Suggested", *_suggested(asked), mark("quiet" if asked.suggested is None else "ok")),
    )  # fmt: skip


def _suggested(asked: Backtest) -> tuple[str, str]:
    it = asked.suggested
    if it is None:
        return "none", "no usual target fits, or no traffic"
    what = "by the worst window" if it.windows else "by all of history"
    return f"{number(it.target * 100, 4)} %", f"{percent(it.spent, 0)} spent {what}"


def _share(left: Fraction | None) -> str:
    return "no data" if left is None else percent(left, 1)


def _counted(it: Backtest) -> bool:
    return it.budget_left is not None or it.sli is not None


def _left_mark(it: Backtest, *, least: bool = False) -> Mark:
    """No green where little was observed."""
    left = it.least_left if least else it.budget_left
    if left is None:
        return mark("unmeasured", "no data")
    calm: Level = "ok" if it.coverage is not None and it.coverage >= DEFAULT.coverage_floor else "part"
    return mark("crit" if left <= 0 else "warn" if left < Fraction(1, 4) else calm)


def _than(other: Backtest | None, field: str) -> str:
    return "" if other is None else f"in force {_share(getattr(other, field))}"


def _count_than(other: Backtest | None, road: str) -> str:
    return "" if other is None else f"in force {_number(other, road)}"


def _number(it: Backtest, road: str) -> int:
    return sum(one.road == road for one in it.alerts)


def _targets(it: Tried, asked: Backtest) -> list[TargetRow]:
    every = [("as tried", asked), *((f"target {one.objective.target_text}", one) for one in it.what_if)]
    every += [("in force", it.in_force)] if it.in_force is not None else []
    return [
        TargetRow(
            what,
            one.objective.target_text,
            _share(one.budget_left),
            _share(one.least_left),
            _number(one, "page"),
            _number(one, "ticket"),
            _left_mark(one),
        )
        for what, one in every
    ]


def _alerts(asked: Backtest, than: Difference | None) -> list[AlertLine]:
    """All pages and tickets of either, newest first."""
    if than is None:
        return [_line(it, None, "") for it in reversed(asked.alerts)]
    rows = [_line(it, None, "new") for it in than.new]
    rows += [_line(None, it, "gone") for it in than.gone]
    rows += [_line(it.asked, it.in_force, _sooner(it.sooner_ms)) for it in than.both]
    return sorted(rows, key=lambda it: -it.at_ms)


def _sooner(ms: int) -> str:
    return "same" if not ms else f"{duration(abs(ms))} {'sooner' if ms > 0 else 'later'}"


def _line(asked: Alert | None, in_force: Alert | None, than: str) -> AlertLine:
    first = asked or in_force
    if first is None:
        raise LookupError("an alert of neither")
    level = mark("crit" if first.road == "page" else "warn", first.road)
    return AlertLine(first.opened_ms, level, first.road, _lasted(asked), _lasted(in_force), than, ", ".join(first.rows))


def _lasted(it: Alert | None) -> str:
    if it is None:
        return "–"
    return "goes on" if it.resolved_ms is None else duration(it.resolved_ms - it.opened_ms)


def _chart(asked: Backtest, other: Backtest | None) -> Chart | None:
    points = [it for one in (asked, other) if one is not None for it in one.line if it.left is not None]
    if not points:
        return None
    low = max(LOWEST, min(Fraction(0), *(it.left for it in points if it.left is not None)))
    since, until = min(it.at_ms for it in points), max(it.at_ms for it in points)
    span = max(1, until - since)

    def path(one: Backtest | None) -> str:
        if one is None:
            return ""
        line = [it for it in one.line if since <= it.at_ms <= until]
        places = [((it.at_ms - since) / span, None if it.left is None else float(it.left)) for it in line]
        return svg.timed(places, WIDTH, HEIGHT, float(low), 1.0)

    ticks = [round(WIDTH * (it.opened_ms - since) / span, 1) for it in asked.alerts if it.road == "page"]
    return Chart(
        asked=path(asked),
        in_force=path(other),
        pages="".join(f"M{x} {HEIGHT}v-12" for x in ticks[:200]),
        high="100 %",
        low=percent(low, 0),
        zero_y=round(HEIGHT * (1 - float(-low) / float(1 - low)), 1) if low < 0 else None,
        since_ms=since,
        until_ms=until,
    )
