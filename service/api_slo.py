"""Objectives, burn tables and OpenSLO files as the API tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction

from service.api_models_slo import (
    Burn,
    BurnTable,
    CalendarModel,
    Checked,
    FileModel,
    Files,
    FindingModel,
    Judged,
    MemberModel,
    RowJudged,
    RowModel,
    TakenOutModel,
    WindowCounts,
)
from service.settings_burn import OWN_ROWS, BurnSettings
from service.slo_book import Shelf
from service.slo_promql import why_not
from slo.burn import DEFAULT, Policy
from slo.model import Counts, Judgement, Objective, RowResult
from slo.openslo.faults import Finding
from slo.openslo.plans import indicators, plan
from slo.openslo.resolve import load
from slo.periods import CalendarPeriods
from slo.rows import TABLES, RowTable, burn_rows
from slo.text import utc
from slo.wording import indicator_text, units


def ratio(value: Fraction | None) -> float | None:
    """The double nearest to a ratio; None too where JSON has no number that large."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _utc(at_ms: int | None) -> str | None:
    return None if at_ms is None else utc(at_ms)


def judged(it: Judgement) -> Judged:
    """One objective as it was judged."""
    of, unit = it.objective, units(it.objective)
    target = None if of.members or of.allowance else 1 - of.budget
    return Judged(
        slo=of.slo,
        service=of.service,
        scope=dict(of.scope),
        title=of.title,
        target=of.target_text,
        target_ratio=ratio(target),
        target_exact=_exact(target),
        budget_ratio=float(of.budget),
        budget_exact=str(of.budget),
        window_ms=of.window_ms,
        period_ms=of.period_ms,
        calendar=_calendar(of.calendar),
        method="Occurrences" if of.slices is None else type(of.slices).__name__,  # type: ignore[arg-type]
        slice_ms=None if of.slices is None else of.slices.slice_ms,
        indicator=indicator_text(of),
        members=[MemberModel(slo=name, weight=float(weight)) for name, weight in of.members],
        part_of=of.part_of,
        state=it.state,
        reason=it.reason,
        note=of.note,
        at=utc(it.at_ms),
        at_ms=it.at_ms,
        bad=it.counts.bad,
        total=it.counts.total,
        bad_unit=unit.bad,
        total_unit=unit.total,
        parts=unit.parts,
        observed_ms=it.counts.observed_ms,
        expected_ms=it.counts.expected_ms,
        unknown_starts=it.counts.unknown_starts,
        baseline=it.baseline,
        unscraped_ms=it.counts.unscraped_ms,
        unscraped_events=it.counts.unscraped_events,
        sli=ratio(it.sli),
        sli_exact=_exact(it.sli),
        budget_remaining=ratio(it.budget_remaining),
        budget_remaining_exact=_exact(it.budget_remaining),
        coverage=ratio(it.coverage),
        in_part=it.in_part,
        burns={str(window): ratio(burn) for window, burn in it.burns},
        rows=[_row(row) for row in it.rows],
        projected_gone=it.projected_gone,
        exhausted_at=_utc(it.exhausted_at_ms),
        exhausted_at_ms=it.exhausted_at_ms,
        ending=it.ending,
        since=_utc(it.since_ms),
        since_ms=it.since_ms,
        taken_out=[TakenOutModel(**asdict(one)) for one in it.taken_out],
    )


def _calendar(it: CalendarPeriods | None) -> CalendarModel | None:
    if it is None:
        return None
    return CalendarModel(start=f"{it.start:%Y-%m-%d %H:%M:%S}", zone=it.zone, number=it.number, unit=it.unit)


def _row(it: RowResult) -> RowJudged:
    row = it.row
    return RowJudged(
        row=row.name,
        road=row.road,
        long_ms=row.long_ms,
        short_ms=row.short_ms,
        factor=float(row.factor),
        factor_exact=str(row.factor),
        budget_share=float(row.budget_share),
        op=row.op,
        after_ms=row.after_ms,
        long_burn=ratio(it.long_burn),
        short_burn=ratio(it.short_burn),
        long=_counts(it.long_counts),
        short=_counts(it.short_counts),
        fired=it.fired,
        measured=it.measured,
        guarded=it.guarded,
        in_part=it.in_part,
    )


def _counts(it: Counts) -> WindowCounts:
    return WindowCounts(bad=it.bad, total=it.total, observed_ms=it.observed_ms, expected_ms=it.expected_ms)


def where_is(objective: Objective, where: str) -> bool:
    """Whether a parameter `where`, as pages write it (`node=n1,node_id=…`), is the objective's scope."""
    return ",".join(f"{name}={value}" for name, value in objective.scope) == where


def burn(settings: BurnSettings, period_ms: int) -> Burn:
    """The tables of burn rows, for one period."""
    policy = settings.policy()
    own = [RowTable(OWN_ROWS, "service.burn.rows, each with its source", policy.made_for_ms, policy.rows)]
    return Burn(
        table=settings.named,
        period_ms=period_ms,
        min_bad=policy.min_bad,
        min_total=policy.min_total,
        coverage_floor=float(policy.coverage_floor),
        projection_ms=policy.projection_ms,
        tables=[_table(it, period_ms) for it in (*TABLES, *(own if settings.rows else ()))],
    )


def _table(it: RowTable, period_ms: int) -> BurnTable:
    rows = [
        RowModel(
            name=row.name,
            road=row.road,
            long_ms=row.long_ms,
            short_ms=row.short_ms,
            budget_share=float(row.budget_share),
            factor=float(row.factor),
            factor_exact=str(row.factor),
            source=share.source or it.source,
        )
        for share, row in zip(it.rows, burn_rows(period_ms, it.rows, it.period_ms), strict=True)
    ]
    return BurnTable(name=it.name, source=it.source, made_for_ms=it.period_ms, rows=rows)


def finding(it: Finding) -> FindingModel:
    """One finding on a file."""
    return FindingModel(
        file=it.at.file, line=it.at.line, path=it.at.path, what=it.what, remedy=it.remedy, level=it.level, text=str(it)
    )


def files(shelf: Shelf, strict: bool) -> Files:
    """The OpenSLO files as they were last looked at."""
    faulty = {it.at.file for it in shelf.faults}
    names = sorted({*shelf.files, *shelf.good})
    return Files(
        strict=strict,
        looked_ms=shelf.looked_ms,
        files=[
            FileModel(
                file=name,
                faulty=name in faulty,
                in_force=name in shelf.good,
                objectives=[it.name for it in shelf.plans if it.at.file == name],
            )
            for name in names
        ],
        faults=[finding(it) for it in shelf.faults],
        warnings=[finding(it) for it in shelf.warnings],
    )


def checked(texts: Sequence[tuple[str, str]], strict: bool, policy: Policy = DEFAULT) -> Checked:
    """What there is to say of texts."""
    loaded = load(texts, strict)
    planned = plan(loaded.slos, strict, why_not, policy=policy)
    told = dict.fromkeys((*loaded.findings, *indicators(loaded, strict, why_not), *planned.findings))
    found = sorted(told, key=lambda it: (it.at.file, it.at.line))
    wrong = [finding(it) for it in found if it.level == "error"]
    return Checked(
        good=not wrong,
        objectives=[] if wrong else [it.name for it in planned.plans],
        faults=wrong,
        warnings=[finding(it) for it in found if it.level != "error"],
    )
