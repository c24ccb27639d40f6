"""The shim for OpenSLO v1alpha: its SLO and Service as documents of v1, each fault with the path of the old field."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from slo.openslo.common import body, description, meta, service_name
from slo.openslo.faults import At
from slo.openslo.fields import Fields
from slo.openslo.model import (
    OPS,
    Document,
    Meta,
    Method,
    MetricSource,
    ObjectiveSpec,
    Ratio,
    Service,
    Sli,
    SliSpec,
    Slo,
    TimeWindow,
)
from slo.openslo.slos import budgeting, check_comparison, slices_of, target_of, time_window
from slo.openslo.tree import Mapping, Scalar
from slo.openslo.values import Duration

VERSION = "openslo/v1alpha"
_METHODS: tuple[Method, ...] = ("Occurrences", "Timeslices")
_SPEC = ("description", "service", "indicator", "timeWindows", "budgetingMethod", "objectives")
_OBJECTIVE = (
    "displayName",
    "op",
    "value",
    "target",
    "timeSliceTarget",
    "timeSliceWindow",
    "ratioMetrics",
)
_METRIC = ("source", "queryType", "query", "metadata")
_UNITS = {"Day": "d", "Week": "w", "Month": "M", "Quarter": "Q", "Year": "Y"}


def service(document: Fields) -> Service:
    """A Service of v1alpha."""
    spec = body(document, ("description",))
    return Service(meta(document, service=True), description(spec), document.at)


def slos(document: Fields) -> list[Document]:
    """The SLOs that an SLO of v1alpha is: one, or one for each objective where each has its own ratio."""
    spec = body(document, _SPEC)
    method = budgeting(spec, _METHODS)
    shared = _indicator(spec)
    parts = spec.children("objectives", _OBJECTIVE)
    if not parts:
        spec.missing("objectives", "a list of at least one with a target")
    objectives = [_objective(it, method, shared) for it in parts]
    base = Slo(
        meta(document),
        description(spec),
        service_name(spec, "service"),
        method,
        _window(spec),
        shared,
        None,
        tuple(replace(it, indicator=None) for it in objectives),
        (),
        document.at,
    )
    for fields, objective in zip(parts, objectives, strict=True):
        _measured(fields, objective, shared)
    return _split(base, objectives)


def _measured(fields: Fields, objective: ObjectiveSpec, shared: Sli | None) -> None:
    if (objective.indicator is None) == (shared is None):
        what = "ratioMetrics beside spec.indicator" if shared else "neither ratioMetrics nor spec.indicator stands"
        fields.report.error(fields.at, what, "write spec.indicator, or ratioMetrics in each objective")
    elif shared is not None:
        check_comparison(fields, objective, shared)


def _split(base: Slo, objectives: list[ObjectiveSpec]) -> list[Document]:
    own = [it for it in objectives if it.indicator is not None]
    if not own:
        return [base]
    if all(it.indicator == own[0].indicator for it in objectives):
        return [replace(base, indicator=own[0].indicator)]
    return [
        replace(
            base,
            meta=replace(base.meta, name=f"{base.meta.name}-{index}"),
            indicator=it.indicator,
            objectives=(replace(it, indicator=None),),
            at=it.at,
        )
        for index, it in enumerate(objectives)
    ]


def _indicator(spec: Fields) -> Sli | None:
    fields = spec.child("indicator", ("thresholdMetric",))
    if fields is None:
        return None
    source = _source(fields, "thresholdMetric")
    return Sli(Meta("threshold"), SliSpec(None, source, None), fields.at)


def _objective(fields: Fields, method: Method, shared: Sli | None) -> ObjectiveSpec:
    target, text = target_of(fields)
    slice_target, slice_window = slices_of(fields, method)
    return ObjectiveSpec(
        fields.text("displayName"),
        fields.choice("op", OPS),
        _value(fields, shared),
        target,
        text,
        slice_target,
        slice_window,
        _ratio(fields),
        None,
        None,
        fields.at,
    )


def _value(fields: Fields, shared: Sli | None) -> Fraction | None:
    """Examples of v1alpha carry `value: 1` beside a ratio."""
    value = fields.number("value")
    return value if shared is not None else None


def _ratio(fields: Fields) -> Sli | None:
    ratio = fields.child("ratioMetrics", ("good", "bad", "total", "counter", "incremental"))
    if ratio is None:
        return None
    good, bad, total = _source(ratio, "good"), _source(ratio, "bad"), _source(ratio, "total")
    if ratio.has("good") == ratio.has("bad") or not ratio.has("total"):
        ratio.report.error(ratio.at, "is not total with one of good and bad", "write total and good")
    counter = ratio.flag("counter") if ratio.has("counter") else ratio.flag("incremental")
    return Sli(Meta("ratio"), SliSpec(None, None, Ratio(counter, good, bad, total, None, None)), ratio.at)


def _source(parent: Fields, field: str) -> MetricSource | None:
    fields = parent.child(field, _METRIC)
    if fields is None:
        parent.missing(field, "with source, queryType and query") if not parent.has(field) and field != "bad" else None
        return None
    source, query = fields.needed("source", "such as prometheus"), fields.needed("query")
    fields.text("queryType")
    kind = "Prometheus" if source.lower() == "prometheus" else source
    node = fields.get("query") or Scalar(query, fields.at.line)
    spec = Mapping({"query": node}, fields.at.line, {"query": node.line})
    return MetricSource(kind or None, None, spec, fields.at)


def _window(spec: Fields) -> TimeWindow | None:
    windows = spec.children("timeWindows", ("unit", "count", "isRolling", "calendar"))
    if spec.has("timeWindows") and len(windows) != 1:
        spec.report.error(spec.place("timeWindows"), f"{len(windows)} windows stand", "write exactly one")
    return time_window(windows[0], _length(windows[0])) if windows else None


def _length(fields: Fields) -> Duration | None:
    for field, why in (("unit", f"one of {', '.join(_UNITS)}"), ("count", "a whole number such as 30")):
        if not fields.has(field):
            fields.missing(field, why)
    unit, count = fields.choice("unit", tuple(_UNITS)), fields.number("count")
    if unit is None or count is None:
        return None
    found = Duration(int(count), _UNITS[unit])
    if count.denominator != 1 or not 0 < count <= 3660 or found.ms > 3660 * 86_400_000:
        _wrong_count(fields.place("count"), fields)
        return None
    return found


def _wrong_count(at: At, fields: Fields) -> None:
    fields.report.error(at, "is no whole number from 1 to ten years of its unit", "write a whole number such as 30")
