"""The page `/adjustments`: what was ever taken out of budgets, by whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from dashboards.adjustment_views import AdjustmentRow, AdjustmentsView, WindowForm
from dashboards.desk import frame, open_desk
from dashboards.marks import Mark, mark
from dashboards.reporting import reported
from dashboards.request import PageRequest
from dashboards.source import DataSource
from dashboards.text import duration, stamp
from dashboards.views import Option
from slo.adjust import Adjustment, coming, state, when
from slo.model import Objective

MOST_SHOWN: Final = 300
MOST_PROPOSED: Final = 500
"""Names that the form of a new window proposes."""
EVERY: Final = (("", "once"), ("day", "every day"), ("week", "every week"), ("month", "every month"))


def adjustments(source: DataSource, now_ms: int, form: WindowForm | None = None, problem: str = "") -> AdjustmentsView:
    """The view: those that stand first, then the newest; with a form that could not be obeyed, and why."""
    every = sorted(source.adjustments(), key=lambda it: (it.revoked is not None, -it.created_ms))
    objectives = [it.objective for it in reported(source.judgements())]
    desk = open_desk(source, PageRequest("oncall", "auto"), now_ms)
    return AdjustmentsView(
        frame=frame(desk, "What costs no budget", "adjustments", ranges=False),
        rows=tuple(_row(it, objectives, now_ms) for it in every[:MOST_SHOWN]),
        older=max(0, len(every) - MOST_SHOWN),
        form=form or WindowForm(),
        problem=problem,
        every=tuple(Option(value, text, form is not None and form.every == value) for value, text in EVERY),
        services=tuple(sorted({it.service for it in objectives})[:MOST_PROPOSED]),
        slos=tuple(sorted({it.slo for it in objectives})[:MOST_PROPOSED]),
    )


def _row(it: Adjustment, objectives: Sequence[Objective], now_ms: int) -> AdjustmentRow:
    found, gone = coming(it, now_ms), it.revoked
    named = (("objectives", it.slos), ("services", it.services), ("nodes", it.nodes))
    return AdjustmentRow(
        id=it.id,
        mark=_mark(it, now_ms),
        when=when(it),
        of=" · ".join(f"{what} {', '.join(names)}" for what, names in named if names),
        reason=it.reason,
        by=it.created_by,
        created_ms=it.created_ms,
        next=""
        if found is None or found.since_ms <= now_ms
        else f"{stamp(found.since_ms, day=True)} UTC, {duration(found[1] - found[0])}",
        incident_href="" if it.incident is None else f"/incidents/{quote(it.incident, safe='')}",
        silence=it.silence,
        covers=sum(map(it.covers, objectives)) if gone is None else 0,
        revoked="" if gone is None else f"{gone.by}: {gone.why}",
        revoked_ms=0 if gone is None else gone.at_ms,
    )


def _mark(it: Adjustment, now_ms: int) -> Mark:
    """What is taken out now is neither good nor bad."""
    match state(it, now_ms):
        case "active":
            return mark("unmeasured", "now")
        case "pending":
            return mark("learning", "to come")
        case "past":
            return mark("quiet", "over")
        case _:
            return mark("quiet", "revoked")
