"""Objectives, counts and judgements: what other rooms see of SLOs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from slo.periods import CalendarPeriods
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices

Labels = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs."""


class Matcher(NamedTuple):
    """One label matcher with PromQL's operators; regular expressions are anchored."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str


@dataclass(frozen=True)
class Selector:
    """Series of one metric name that satisfy every matcher."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True)
class EventRatio:
    """Bad over total events, from counters; exactly one of `good` and `bad`.

    Increments are taken per series, then summed. `scale` turns the sum into an integer count
    (1000: seconds to milliseconds); the product is rounded half-even once.
    """

    total: tuple[Selector, ...]
    good: tuple[Selector, ...] = ()
    bad: tuple[Selector, ...] = ()
    scale: int = 1


@dataclass(frozen=True)
class MinuteSlices:
    """Minutes whose value reaches `bound` (bad) over minutes measured.

    `gauge`: the value of a minute is the worst over series of the last sample of numerator / denominator
    (paired by all labels), or 1 minus it with `complement`.
    `counter`: the sum of the minute's increments of numerator over that of denominator.
    """

    kind: Literal["gauge", "counter"]
    numerator: Selector
    denominator: Selector
    bound: Fraction
    complement: bool = False


@dataclass(frozen=True)
class Allowance:
    """Bad events against an allowed rate: total is exposure in milliseconds, the budget is `bad / exposure` allowed."""

    bad: tuple[Selector, ...]
    exposure: tuple[Selector, ...]
    """Counters in seconds; scaled to milliseconds."""
    per_ms: int = 3_600_000
    """The time of one instance for which a slice's target allows 1 - target events."""


@dataclass(frozen=True)
class QueryIndicator:
    """What queries of PromQL answer at the end of each slice; `[{{.window}}]` is filled when they are asked.

    `good` and `bad`: the share of `part` in `total`. `raw-good` and `raw-bad`: `part` is the share itself. `threshold`:
    each series' value of `part` is good where it satisfies `op` and `value`.
    """

    kind: Literal["good", "bad", "raw-good", "raw-bad", "threshold"]
    part: str
    total: str = ""
    op: Literal["lt", "lte", "gt", "gte"] = "lt"
    value: Fraction = Fraction(0)


Indicator = EventRatio | MinuteSlices | Allowance


@dataclass(frozen=True)
class Telling:
    """Whom the policy of a condition tells, and of what."""

    receivers: tuple[str, ...] = ()
    """Names of receivers; empty: all of the road."""
    breaching: bool = True
    """Told while the condition holds."""
    no_data: bool = False
    """Told while there is no burn rate to compare."""
    resolved: bool = True
    """Told that it is over; who was paged is told in any case."""


@dataclass(frozen=True)
class BurnRow:
    """One pair of windows: fires where both burn faster than `factor`."""

    name: str
    """`fast`, `slow`, `ticket-1d`, `ticket-3d`."""
    long_ms: int
    short_ms: int
    budget_share: Fraction
    """The share of the budget that is gone when the long window trips."""
    factor: Fraction
    road: Literal["page", "ticket"]
    op: Literal["lt", "lte", "gt", "gte"] | None = None
    """The comparison of an alert policy's condition, which has one window; None for a row of a table."""
    after_ms: int = 0
    """How long the condition must hold before it fires."""
    telling: Telling = Telling()


@dataclass(frozen=True)
class Objective:
    """One objective of one subject: what is counted, how much may be bad, over which window."""

    slo: str
    """The indicator's name, such as `container-up`."""
    service: str
    """`platform` for what concerns a node or a registry."""
    scope: Labels
    """What else identifies it: (("node", "n1"),), (("registry", "…"),), or ()."""
    indicator: Indicator
    budget: Fraction
    """The share of total that may be bad, exact: 1/1000 for 99.9 %; for an allowance, events per millisecond."""
    target_text: str
    """The objective as people write it: `99.9 %`, `0.1 restarts per instance-hour`."""
    window_ms: int
    title: str
    note: str | None = None
    """A remark to show: a threshold that lies between bucket bounds, and which bound is used."""
    unmeasurable: str | None = None
    """Why nothing can measure this here (no probe, no scanner); the judgement is then `unmeasured`."""
    calendar: CalendarPeriods | None = None
    """The periods of a budget that does not roll; `placed` puts the objective into the one of a moment."""
    whole_ms: int | None = None
    """Length of a calendar's present period, of which `window_ms` have passed; None for a window that rolls."""
    slices: Timeslices | RatioTimeslices | None = None
    """How slices of time are judged, where the budget is one of slices and not of events."""
    query: QueryIndicator | None = None
    """What is asked in place of counting `indicator`."""
    conditions: tuple[BurnRow, ...] = ()
    """Conditions of alert policies, beside the burn rows."""
    members: tuple[tuple[str, Fraction], ...] = ()
    """Of a composite: its members' names, of the same service, and their weights."""
    part_of: str | None = None
    """The composite that alerts in its place."""

    @property
    def allowance(self) -> bool:
        """True where events are held against time: there is no good share, and so no SLI; slices of time have one."""
        return isinstance(self.indicator, Allowance) and self.slices is None and not self.members

    @property
    def period_ms(self) -> int:
        """The time that the budget is for: the whole period of a calendar, or the window."""
        return self.window_ms if self.whole_ms is None else self.whole_ms


@dataclass(frozen=True)
class Counts:
    """What the store counted in one window `(since, until]`; integers."""

    since_ms: int
    until_ms: int
    bad: int
    total: int
    observed_ms: int
    expected_ms: int
    unknown_starts: int = 0
    first_ms: int | None = None
    """First sight of any series of this indicator, ever; None where there was none."""
    events: tuple[int, int] | None = None
    """Bad and all events, where `bad` and `total` are of slices of time."""
    missed: Fraction | None = None
    """The bad share of a composite's slices, whose `bad` and `total` are those of its budget."""
    taken_ms: int = 0
    """Time of the window that adjustments took out; nothing else here is of it."""
    unscraped_ms: int = 0
    """Container-time between the last good scrape of a run and its end: what was counted in it nobody knows."""
    unscraped_events: int = 0
    """How many events that may have been, at the pace around it."""

    @property
    def all_events(self) -> int:
        """All events, also where slices are judged."""
        return self.total if self.events is None else self.events[1]

    @property
    def bad_events(self) -> int:
        """Bad events, also where slices are judged."""
        return self.bad if self.events is None else self.events[0]

    @property
    def coverage(self) -> Fraction | None:
        """Observed over expected time, None where nothing was expected."""
        return Fraction(self.observed_ms, self.expected_ms) if self.expected_ms else None


QUERY_UNIT = 10**9
"""What queries answer is counted in parts of this."""


def unit(objective: Objective) -> int | None:
    """The parts in which an objective's slices or queries are counted; None where its counts are whole events."""
    if objective.members:
        return None
    if objective.slices is not None:
        return 1 if isinstance(objective.slices, Timeslices) else RATIO_UNIT
    return None if objective.query is None else QUERY_UNIT


Ending = Literal["clean-tail", "tail", "calendar"]
"""How the end of a budget is told: of a window that rolls, as if nothing bad left it meanwhile, or with what leaves."""
State = Literal["ok", "burning", "exhausted", "no-traffic", "unmeasured", "learning"]


@dataclass(frozen=True)
class RowResult:
    """One burn row as judged; burns are None where the window has no traffic."""

    row: BurnRow
    long_burn: Fraction | None
    short_burn: Fraction | None
    long_counts: Counts
    short_counts: Counts
    fired: bool
    measured: bool
    """False where too little was observed to tell: then `fired` means nothing and alerts freeze."""
    guarded: bool
    """True where it fires but has fewer bad events than a page needs: a page becomes a ticket."""
    in_part: bool = False
    """True where it fires by what was seen of a long window with a gap, all that was not seen taken for good."""


@dataclass(frozen=True)
class TakenOut:
    """What one adjustment took out of the objective's own window."""

    id: str
    kind: Literal["maintenance", "incident"]
    reason: str
    by: str
    ms: int
    """Time that would have counted."""
    bad: int
    total: int
    now: bool
    """Whether the present is taken out."""


@dataclass(frozen=True)
class Judgement:
    """One objective, judged at one moment; ratios are exact Fractions, None where undefined."""

    objective: Objective
    at_ms: int
    state: State
    reason: str
    """One sentence: why this state."""
    counts: Counts
    """The objective's own window."""
    sli: Fraction | None
    budget_remaining: Fraction | None
    """1 - bad / (total x budget): signed, never clamped."""
    burns: tuple[tuple[int, Fraction | None], ...]
    """(window in ms, burn rate), ascending."""
    coverage: Fraction | None
    exhausted_at_ms: int | None
    """When the budget is gone at the present burn; None where it is not falling or already gone."""
    rows: tuple[RowResult, ...]
    since_ms: int | None
    """First sample of this objective: history begins here."""
    projected_gone: bool
    """The projection page's condition holds."""
    paused: bool = False
    """The present is taken out of the budget: its alerts stay as they are."""
    no_data: tuple[tuple[str, str], ...] = ()
    """(condition, why) of those whose policy asks to be told that there is no burn rate, for as long as they must."""
    in_part: bool = False
    """Too little of the objective's own window was observed: SLI and budget are of what was measured."""
    taken_out: tuple[TakenOut, ...] = ()
    """What adjustments took out of the window; none of it is in `counts`."""
    ending: Ending | None = None
    """How `exhausted_at_ms` is told; None where it is none."""

    @property
    def baseline(self) -> bool:
        """True where a counter was first seen in the window without a known start: what it counted before is not in."""
        return self.counts.unknown_starts > 0
