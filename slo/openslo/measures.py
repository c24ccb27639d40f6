"""Indicators as they are to be measured: counters, queries, or one that Midwatch has built in."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from slo.model import EventRatio, Selector
from slo.openslo.faults import At, Report
from slo.openslo.fields import Fields, remedy_for
from slo.openslo.model import MetricSource, ObjectiveSpec, Op, Ratio, Sli, SliSpec, Slo
from slo.openslo.queries import Query
from slo.openslo.values import MINUTE_MS, Refused, duration
from slo.overrides import DEFAULTS, checked_threshold

PROMETHEUS, MIDWATCH = "prometheus", "midwatch"
"""Types of sources that are understood, in small letters."""
OWN_FIELDS = ("indicator", "service", "node", "registry", "threshold", "per")
PER_MS = {"restart-rate": 60 * MINUTE_MS, "oom-kills": 1440 * MINUTE_MS}
"""Allowances: a target of 0.9 allows 0.1 events in so much time of one instance."""
OWN = (*DEFAULTS, "oom-kills")
"""Indicators by name."""
_BY_NODE, _BY_REGISTRY = ("node-disk", "cpu-steal"), ("registry-latency",)


@dataclass(frozen=True)
class Own:
    """A built-in indicator by its name, of one service, node or registry, or of all that a `*` covers."""

    indicator: str
    of: str
    """A pattern for the service's, the node's or the registry's name; `*` stands for any text."""
    threshold: str | None
    per_ms: int | None
    """The time of one instance that an allowance speaks of; None for what is a ratio."""
    at: At


@dataclass(frozen=True)
class RatioOf:
    """A ratio of two queries' answers; exactly one of good and bad."""

    total: Query
    good: Query | None
    bad: Query | None


@dataclass(frozen=True)
class RawOf:
    """A query that answers with a ratio already."""

    query: Query
    good: bool
    """True where it is the good share."""


@dataclass(frozen=True)
class ThresholdOf:
    """A query each of whose samples is good where it satisfies the comparison."""

    query: Query
    op: Op
    value: Fraction


@dataclass(frozen=True)
class Foreign:
    """A source of a type that Midwatch does not read."""

    type: str


Measure = EventRatio | Own | RatioOf | RawOf | ThresholdOf | Foreign


def measure(sli: Sli, objective: ObjectiveSpec, slo: Slo, report: Report) -> Measure | None:
    """How an objective is measured; None once it is told why it can't be."""
    if sli.spec.threshold is not None:
        return _threshold(sli.spec.threshold, objective, report)
    ratio = sli.spec.ratio
    if ratio is None:
        return None
    if ratio.raw is not None:
        return _raw(ratio.raw, ratio.raw_type == "success", slo, report)
    return _ratio(ratio, report)


def look_into(spec: SliSpec, report: Report) -> None:
    """Tell what is wrong with the queries of an indicator, whoever asks for it."""
    ratio = spec.ratio
    parts = [spec.threshold] if ratio is None else [ratio.total, ratio.good, ratio.bad, ratio.raw]
    for it in parts:
        if it is not None and _kind(it) == PROMETHEUS:
            _query(it, report)


def _threshold(source: MetricSource, objective: ObjectiveSpec, report: Report) -> Measure | None:
    found = _query(source, report)
    if not isinstance(found, Query) or objective.op is None or objective.value is None:
        return found if isinstance(found, Foreign) else None
    return ThresholdOf(found, objective.op, objective.value)


def _raw(source: MetricSource, good: bool, slo: Slo, report: Report) -> Measure | None:
    if _kind(source) == MIDWATCH:
        if good:
            return _own(source, slo, report)
        where = source.at._replace(path=f"{source.at.path}.type")
        report.error(where, "is midwatch, whose indicators give the good share", "write rawType: success")
        return None
    found = _query(source, report)
    return RawOf(found, good) if isinstance(found, Query) else found


def _ratio(ratio: Ratio, report: Report) -> Measure | None:
    parts = [None if it is None else _query(it, report) for it in (ratio.total, ratio.good, ratio.bad)]
    foreign = next((it for it in parts if isinstance(it, Foreign)), None)
    if foreign is not None:
        return foreign
    total, good, bad = (it if isinstance(it, Query) else None for it in parts)
    if total is None or (good is None) == (bad is None):
        return None
    counters = [None if it is None else it.counter(bool(ratio.counter)) for it in (total, good, bad)]
    if counters[0] is not None and (counters[1] is not None or counters[2] is not None):
        return EventRatio((counters[0],), good=_one(counters[1]), bad=_one(counters[2]))
    return RatioOf(total, good, bad)


def _one(selector: Selector | None) -> tuple[Selector, ...]:
    return () if selector is None else (selector,)


def _kind(source: MetricSource) -> str:
    return (source.type or "").lower()


def _query(source: MetricSource, report: Report) -> Query | Foreign | None:
    if _kind(source) == MIDWATCH:
        where = source.at._replace(path=f"{source.at.path}.type")
        remedy = "write ratioMetric with rawType: success and raw: its metricSource"
        report.error(where, "is midwatch, whose indicators are ratios already", remedy)
        return None
    if _kind(source) != PROMETHEUS:
        what = f"{(source.type or '')[:40]!r} is no source that Midwatch reads"
        near = remedy_for(source.type or "", ("Prometheus", MIDWATCH))
        hint = near if near.startswith("did") else "write Prometheus or midwatch;"
        remedy = f"{hint} until then the objective is not measured"
        report.warn(source.at._replace(path=f"{source.at.path}.type"), what, remedy)
        return Foreign(source.type or "")
    fields = Fields(source.spec, _spec_of(source), report, tuple(source.spec.entries))
    text = fields.needed("query", "a query of PromQL").strip()
    if strange := Query(text).strange:
        report.error(fields.place("query"), f"nothing fills {strange}", "write [{{.window}}] where the window belongs")
    elif text and report.promql is not None and (why := report.promql(Query(text).over("5m"))):
        report.error(fields.place("query"), f"can't be asked: {why}", "correct it")
    return Query(text) if text else None


def _own(source: MetricSource, slo: Slo, report: Report) -> Own | None:
    fields = Fields(source.spec, _spec_of(source), report, OWN_FIELDS)
    if not fields.has("indicator"):
        fields.missing("indicator", "one of " + ", ".join(OWN))
    name = fields.choice("indicator", OWN)
    if name is None:
        return None
    field = "node" if name in _BY_NODE else "registry" if name in _BY_REGISTRY else "service"
    for other in {"service", "node", "registry"} - {field}:
        if fields.has(other):
            report.error(fields.place(other), f"{name} is not of a {other}", f"remove it or write {field}")
    default = slo.service if field == "service" else "*"
    return Own(name, fields.text(field) or default, _limit(fields, name), _per(fields, name), fields.at)


def _limit(fields: Fields, name: str) -> str | None:
    text = fields.text("threshold")
    if text is None:
        return None
    problem = checked_threshold(name, text)
    if problem is not None:
        fields.report.error(fields.place("threshold"), *problem)
    return text


def _per(fields: Fields, name: str) -> int | None:
    if name not in PER_MS:
        if fields.has("per"):
            fields.report.error(fields.place("per"), f"{name} is no allowance", "remove it")
        return None
    found = fields.parsed("per", _positive)
    return PER_MS[name] if found is None else found


def _positive(text: str) -> int:
    found = duration(text)
    if found.number == 0:
        raise Refused("is 0", "write a duration above 0, such as 1h")
    return found.ms


def _spec_of(source: MetricSource) -> At:
    line = min(source.spec.lines.values(), default=source.spec.line)
    return At(source.at.file, line, f"{source.at.path}.spec")
