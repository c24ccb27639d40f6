"""What the API answers about objectives: how they are judged, by which burn rows, from which files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.api_models import Asked, Model
from slo.model import Ending, State

Road = Literal["page", "ticket"]
Op = Literal["lt", "lte", "gt", "gte"]


class WindowCounts(Model):
    """What one window counted; integers, of which JavaScript can't hold all: they may be above 2^53."""

    bad: int = Field(description="Bad, in the objective's `bad_unit`.")
    total: int = Field(description="All, in the objective's `total_unit`.")
    observed_ms: int = Field(description="Time that was observed.")
    expected_ms: int = Field(description="Time that should have been, from the first sample on.")


class RowJudged(Model):
    """One burn row, or one condition of an alert policy, as it is now."""

    row: str = Field(description="Its name.")
    road: Road = Field(description="What it does where it fires.")
    long_ms: int = Field(description="The long window.")
    short_ms: int = Field(description="The short window; of a condition it is the long one.")
    factor: float = Field(description="It fires where both windows burn faster, strictly.")
    factor_exact: str = Field(description="The factor as a fraction.")
    budget_share: float = Field(description="The budget's share that is gone when the long window trips; 0: condition.")
    op: Op | None = Field(description="The comparison of a condition; null for a burn row.")
    after_ms: int = Field(description="How long a condition must hold before it fires.")
    long_burn: float | None = Field(description="How many times faster than allowed the long window burns.")
    short_burn: float | None = Field(description="The same of the short window.")
    long: WindowCounts = Field(description="Counts of the long window.")
    short: WindowCounts = Field(description="Counts of the short window.")
    fired: bool = Field(description="It fires.")
    measured: bool = Field(description="False where it can't be known, so that alerts stay as they are.")
    guarded: bool = Field(description="It fires with too few events for a page: a ticket.")
    in_part: bool = Field(description="It fires by a part of its long window; what was not seen is taken for good.")


class CalendarModel(Model):
    """Periods of a calendar."""

    start: str = Field(description="When the first begins, on the clock of `zone`: `2026-01-01 00:00:00`.")
    zone: str = Field(description="An IANA time zone.")
    number: int = Field(description="Units in a period.")
    unit: Literal["m", "h", "d", "w", "M", "Q", "Y"] = Field(description="m is minutes, M months.")


class MemberModel(Model):
    """One member of a composite."""

    slo: str = Field(description="The member's name, of the same service.")
    weight: float = Field(description="How many times its burn counts.")


class TakenOutModel(Model):
    """What one adjustment took out of an objective's window."""

    id: str = Field(description="The adjustment.")
    kind: Literal["maintenance", "incident"] = Field(description="Planned, or marked.")
    reason: str = Field(description="Why.")
    by: str = Field(description="Who made it.")
    ms: int = Field(description="Time that would have counted.")
    bad: int = Field(description="In `bad_unit`.")
    total: int = Field(description="In `total_unit`.")
    now: bool = Field(description="Whether the present is taken out.")


class Judged(Model):
    """One objective as it was last judged; the pages show these numbers, rounded."""

    slo: str = Field(description="The objective's name.")
    service: str = Field(description="Its service, or `platform`.")
    scope: dict[str, str] = Field(description="What else identifies it: a node, a registry.")
    title: str = Field(description="What it is, for people.")
    target: str = Field(description="The target as people write it.")
    target_ratio: float | None = Field(description="The share that must be good; null for allowances and composites.")
    target_exact: str | None = Field(description="The same as a fraction.")
    budget_ratio: float = Field(description="The share that may be bad; of an allowance events per millisecond.")
    budget_exact: str = Field(description="The same as a fraction.")
    window_ms: int = Field(description="The window that is judged; of a calendar's period what has passed.")
    period_ms: int = Field(description="The time that the budget is for: the window, or the whole period.")
    calendar: CalendarModel | None = Field(description="The periods; null for a window that rolls.")
    method: Literal["Occurrences", "Timeslices", "RatioTimeslices"] = Field(description="What is counted.")
    slice_ms: int | None = Field(description="Length of a slice; null for Occurrences.")
    indicator: str = Field(description="What is counted or asked, in words of PromQL.")
    members: list[MemberModel] = Field(description="Of a composite its members; else empty.")
    part_of: str | None = Field(description="The composite that alerts in its place; else null.")
    state: State = Field(description="How it is; only `ok` is good.")
    reason: str = Field(description="One sentence: why this state.")
    note: str | None = Field(description="A remark: where it was asked for, which bucket is used.")
    at: str = Field(description="When it was judged, for people, in UTC.")
    at_ms: int = Field(description="When it was judged.")
    bad: int = Field(description="Bad, in `bad_unit`, over the window; may be above 2^53.")
    total: int = Field(description="All, in `total_unit`, over the window; may be above 2^53.")
    bad_unit: str = Field(description="What `bad` counts: events, milliseconds, minutes, slices.")
    total_unit: str = Field(description="What `total` counts.")
    parts: int = Field(description="Counts are in so many parts of their unit: 1, 10^9 for queries, 10^12 for ratios.")
    observed_ms: int = Field(description="Time of the window that was observed.")
    expected_ms: int = Field(description="Time that should have been, from the first sample on.")
    unknown_starts: int = Field(description="Counters first seen within the window with an unknown start.")
    baseline: bool = Field(description="Any of these: what they counted before is not in.")
    unscraped_ms: int = Field(description="Container-time from a run's last good scrape to its end: not known.")
    unscraped_events: int = Field(description="Events that it may hide, at the pace around it.")
    sli: float | None = Field(description="Good over all; null without traffic and for allowances and composites.")
    sli_exact: str | None = Field(description="The same as a fraction.")
    budget_remaining: float | None = Field(description="1 - bad / (total x budget); below 0 where overspent.")
    budget_remaining_exact: str | None = Field(description="The same as a fraction.")
    coverage: float | None = Field(description="Observed over expected time; null where nothing was expected.")
    in_part: bool = Field(description="Too little of the window was observed: SLI and budget are of what was measured.")
    burns: dict[str, float | None] = Field(description="Burn rate by window in milliseconds.")
    rows: list[RowJudged] = Field(description="Burn rows, then conditions; empty where nothing can measure it.")
    projected_gone: bool = Field(description="The page for a budget that is soon gone holds.")
    exhausted_at: str | None = Field(description="When the budget is gone at the present burn, for people, in UTC.")
    exhausted_at_ms: int | None = Field(description="The same; null where it is not falling or already gone.")
    ending: Ending | None = Field(
        description="How: `tail` with what leaves the window meanwhile, `clean-tail` as if nothing bad did, "
        "`calendar` within the present period."
    )
    since: str | None = Field(description="The first sample of this objective, for people, in UTC.")
    since_ms: int | None = Field(description="The same; null before any came.")
    taken_out: list[TakenOutModel] = Field(description="What adjustments took out; none of it is in the numbers above.")


class Judgements(Model):
    """Objectives as they were last judged."""

    evaluated_ms: int | None = Field(description="When; null before the first time.")
    judgements: list[Judged] = Field(description="One each.")


class RowModel(Model):
    """One burn row."""

    name: str = Field(description="Its name.")
    road: Road = Field(description="What it does where it fires.")
    long_ms: int = Field(description="The long window.")
    short_ms: int = Field(description="The short window.")
    budget_share: float = Field(description="The budget's share that is gone when the long window trips.")
    factor: float = Field(description="share x period / long window: it fires above.")
    factor_exact: str = Field(description="The same as a fraction.")
    source: str = Field(description="Who says so.")


class BurnTable(Model):
    """Burn rows as someone published them."""

    name: str = Field(description="What `service.burn.table` calls them.")
    source: str = Field(description="Where they were published.")
    made_for_ms: int = Field(description="The period that the windows were made for; shorter ones scale them.")
    rows: list[RowModel] = Field(description="As they are for the period that was asked for.")


class Burn(Model):
    """How objectives are judged."""

    table: str = Field(description="The table in force.")
    period_ms: int = Field(description="The period for which rows are told.")
    min_bad: int = Field(description="Bad events in the long window that a page needs.")
    min_total: int = Field(description="Events in the long window that a page needs.")
    coverage_floor: float = Field(description="A window of which less was observed is unmeasured.")
    projection_ms: int = Field(description="The projection page fires where the budget is gone within this.")
    tables: list[BurnTable] = Field(description="All tables; `table` names the one in force.")


class FindingModel(Model):
    """One fault, warning or remark on a file."""

    file: str = Field(description="The file.")
    line: int = Field(description="Its line, from 1 on.")
    path: str = Field(description="The field, such as `spec.objectives[0].target`; empty for the document.")
    what: str = Field(description="What is wrong.")
    remedy: str = Field(description="What to do.")
    level: Literal["error", "warning", "note"] = Field(description="An error keeps the file from being taken up.")
    text: str = Field(description="All of this in one line, as the log has it.")


class FileModel(Model):
    """One OpenSLO file."""

    file: str = Field(description="Its path.")
    faulty: bool = Field(description="It has faults as it is.")
    in_force: bool = Field(description="Its objectives are in force; of a faulty one as it was when it was good last.")
    objectives: list[str] = Field(description="Names of its objectives that are in force.")


class Files(Model):
    """The OpenSLO files that `service.slos` names."""

    strict: bool = Field(description="They are read to the letter of the specification.")
    looked_ms: int | None = Field(description="When they were last looked at; null where none is named.")
    files: list[FileModel] = Field(description="By name.")
    faults: list[FindingModel] = Field(description="What keeps a file from being taken up.")
    warnings: list[FindingModel] = Field(description="What is likely not meant, and what is good to know.")


class CheckAsked(Asked):
    """Texts to check; they may name one another."""

    files: dict[str, str] = Field(min_length=1, max_length=1000, description="Texts of OpenSLO files by name.")
    strict: bool = Field(False, description="To the letter of the specification.")


class Checked(Model):
    """What there is to say of texts; nothing was loaded."""

    good: bool = Field(description="No fault.")
    objectives: list[str] = Field(description="Names of the objectives that they ask for; empty where any is faulty.")
    faults: list[FindingModel] = Field(description="What would keep them from being taken up.")
    warnings: list[FindingModel] = Field(description="What is likely not meant, and what is good to know.")


class Rules(Model):
    """Objectives as rules of Prometheus."""

    groups: list[dict[str, Any]] = Field(description="Groups as a rule file has them: name, interval, rules.")
    left_out: list[str] = Field(description="What no rule can tell, each objective with the reason.")
