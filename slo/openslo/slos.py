"""SLO documents: window, method, objectives, and the indicator of all or of each."""

from __future__ import annotations

from fractions import Fraction

from slo.openslo.alerting import inline_or_ref, policy
from slo.openslo.common import body, description, inline, kind_is, meta, name, service_name, sli
from slo.openslo.fields import Fields
from slo.openslo.model import METHODS, OPS, Calendar, Method, ObjectiveSpec, Ref, Sli, Slo, TimeWindow
from slo.openslo.tree import Scalar
from slo.openslo.values import Duration, Refused, decimal, duration, local_time, zone
from slo.text import number

SPEC = (
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
)
OBJECTIVE = (
    "displayName",
    "op",
    "value",
    "target",
    "targetPercent",
    "timeSliceTarget",
    "timeSliceWindow",
    "indicator",
    "indicatorRef",
    "compositeWeight",
)
_TARGET = "write a share from 0 to below 1, such as target: 0.999; what allows no failure leaves no budget to judge by"


def slo(document: Fields) -> Slo:
    """An SLO document."""
    spec = body(document, SPEC)
    method = budgeting(spec, METHODS)
    indicator, ref = _indicator(spec), _ref(spec)
    objectives = tuple(_objective(it, method) for it in spec.children("objectives", OBJECTIVE))
    if not objectives and not spec.get("objectives"):
        spec.missing("objectives", "a list of at least one with a target")
    elif not objectives:
        spec.report.error(spec.place("objectives"), "is empty", "write at least one with a target")
    found = Slo(
        meta(document),
        description(spec),
        service_name(spec, "service"),
        method,
        _window(spec),
        indicator,
        ref,
        objectives,
        inline_or_ref(spec, "alertPolicies", "AlertPolicy", "alertPolicyRef", policy),
        document.at,
    )
    _one_indicator(spec, found)
    _thresholds(spec, found)
    return found


def budgeting(spec: Fields, methods: tuple[Method, ...]) -> Method:
    """The budgeting method; examples leave it out, and then it is Occurrences."""
    if not spec.has("budgetingMethod"):
        remedy = "add it, one of " + ", ".join(methods) + "; without it Occurrences is taken"
        spec.report.frowned(spec.place("budgetingMethod"), "is missing", remedy)
    return spec.choice("budgetingMethod", methods) or "Occurrences"


def _indicator(fields: Fields) -> Sli | None:
    document = inline(fields, "indicator")
    if document is None:
        return None
    kind_is(document, "SLI")
    return sli(document)


def _ref(fields: Fields) -> Ref | None:
    return Ref(name(fields, "indicatorRef"), fields.place("indicatorRef")) if fields.has("indicatorRef") else None


def _one_indicator(spec: Fields, found: Slo) -> None:
    """One indicator for all objectives, or one for each: never both, never neither."""
    remedy = "write indicator or indicatorRef, once: in spec, or in each objective for a composite"
    mine = spec.has("indicator") + spec.has("indicatorRef")
    if mine == 2:
        spec.report.error(spec.place("indicatorRef"), "stands beside indicator", remedy)
    theirs = [_claims(it) for it in found.objectives]
    for objective, claims in zip(found.objectives, theirs, strict=True):
        if claims == 2 or (claims and mine):
            spec.report.error(objective.at, "has an indicator beside another one", remedy)
        if not claims and not mine and any(theirs):
            spec.report.error(objective.at, "has no indicator while others have their own", remedy)
    if not mine and not any(theirs):
        spec.report.error(spec.place("indicator"), "is missing, and so is indicatorRef", remedy)


def _claims(objective: ObjectiveSpec) -> int:
    return (objective.indicator is not None) + (objective.indicator_ref is not None)


def _thresholds(spec: Fields, found: Slo) -> None:
    """What `op` and `value` need, as far as the indicator stands inline."""
    for objective in found.objectives:
        indicator = objective.indicator or found.indicator
        if indicator is not None:
            check_comparison(spec, objective, indicator)
    if len(found.objectives) > 1 and found.indicator is not None and found.indicator.spec.threshold is not None:
        where = spec.place("objectives")
        what = "several objectives on one threshold metric"
        spec.report.frowned(where, what, "write one SLO for each")


def check_comparison(fields: Fields, objective: ObjectiveSpec, indicator: Sli) -> None:
    """A threshold metric needs `op` and `value`; a ratio has no use for them."""
    report, at = fields.report, objective.at
    if indicator.spec.threshold is not None:
        for field, value in (("op", objective.op), ("value", objective.value)):
            where = at._replace(path=f"{at.path}.{field}")
            if value is None and not report.told(where):
                report.error(where, "is missing, but the metric is a threshold", "write op and value")
    elif indicator.spec.ratio is not None:
        for field, value in (("op", objective.op), ("value", objective.value)):
            if value is not None:
                where = at._replace(path=f"{at.path}.{field}")
                report.frowned(where, "says nothing where the metric is a ratio", "remove it; it is not obeyed")


def _window(spec: Fields) -> TimeWindow | None:
    windows = spec.children("timeWindow", ("duration", "isRolling", "calendar"))
    if spec.has("timeWindow") and len(windows) != 1:
        what = f"{len(windows)} windows stand"
        spec.report.error(spec.place("timeWindow"), what, "write exactly one, such as `- duration: 30d`")
    return time_window(windows[0], _duration(windows[0])) if windows else None


def _duration(fields: Fields) -> Duration | None:
    if not fields.has("duration"):
        fields.missing("duration", "such as 30d")
    found = fields.duration("duration")
    if found is not None and found.number == 0:
        fields.report.error(fields.place("duration"), "is 0", "write a duration above 0, such as 30d")
        return None
    if found is not None and found.unit == "m":
        what = f"{found} is a window of {found.number} minute(s)"
        fields.report.warn(fields.place("duration"), what, f"write {found.number}M if months are meant")
    return found


def time_window(fields: Fields, length: Duration | None) -> TimeWindow:
    """A window with its calendar: rolling forbids one, not rolling demands one."""
    calendar = fields.child("calendar", ("startTime", "timeZone"))
    rolling = fields.flag("isRolling")
    remedy = "write isRolling: true without calendar, or isRolling: false with it"
    if rolling and calendar is not None:
        fields.report.error(fields.place("calendar"), "stands beside isRolling: true", remedy)
    if rolling is False and not fields.has("calendar"):
        fields.report.error(fields.place("isRolling"), "is false, and there is no calendar", remedy)
    return TimeWindow(length or Duration(30, "d"), _calendar(calendar) if calendar is not None else None, fields.at)


def _calendar(fields: Fields) -> Calendar | None:
    for field, why in (("startTime", "such as 2026-01-01 00:00:00"), ("timeZone", "such as Europe/Berlin")):
        if not fields.has(field):
            fields.missing(field, why)
    start, place = fields.parsed("startTime", local_time), fields.parsed("timeZone", zone)
    return Calendar(start, place.key) if start is not None and place is not None else None


def _objective(fields: Fields, method: Method) -> ObjectiveSpec:
    target, target_text = target_of(fields)
    slice_target, slice_window = slices_of(fields, method)
    return ObjectiveSpec(
        fields.text("displayName"),
        fields.choice("op", OPS),
        fields.number("value"),
        target,
        target_text,
        slice_target,
        slice_window,
        _indicator(fields),
        _ref(fields),
        _weight(fields),
        fields.at,
    )


def target_of(fields: Fields) -> tuple[Fraction, str]:
    """The target as a share, exactly as its text says."""
    if fields.has("target") == fields.has("targetPercent"):
        what = "target and targetPercent both stand" if fields.has("target") else "there is no target"
        fields.report.error(fields.place("target"), what, "write one of them, such as target: 0.999")
        return Fraction(0), ""
    field, whole = ("target", 1) if fields.has("target") else ("targetPercent", 100)
    value = fields.number(field)
    if value is None:
        return Fraction(0), ""
    if not 0 <= value < whole:
        remedy = _TARGET if whole == 1 else "write percents from 0 to below 100, such as targetPercent: 99.9"
        fields.report.error(fields.place(field), f"is not from 0 to below {whole}", remedy)
    return value / whole, f"{number(value * 100 / whole, 12)} %"


def slices_of(fields: Fields, method: Method) -> tuple[Fraction | None, Duration | None]:
    """Target and length of the slices that the method needs."""
    target, window = fields.number("timeSliceTarget"), slice_window(fields)
    if target is not None and not 0 < target <= 1:
        fields.report.error(
            fields.place("timeSliceTarget"), "is not above 0 and at most 1", "write a share such as 0.95"
        )
    if method == "Occurrences":
        for field in ("timeSliceTarget", "timeSliceWindow"):
            if fields.has(field):
                fields.report.warn(fields.place(field), "says nothing with Occurrences", "remove it")
        return None, None
    if method == "Timeslices" and not fields.has("timeSliceTarget"):
        fields.missing("timeSliceTarget", "the good share that makes a slice good, such as 0.95")
    if not fields.has("timeSliceWindow"):
        fields.missing("timeSliceWindow", "the length of a slice, such as 1m")
    return target, window


def slice_window(fields: Fields) -> Duration | None:
    """A slice's length: a duration, or a bare whole number of minutes."""
    node = fields.get("timeSliceWindow")
    found = fields.parsed("timeSliceWindow", _minutes) if isinstance(node, Scalar) else None
    if node is not None and not isinstance(node, Scalar):
        fields.duration("timeSliceWindow")
    if found is not None and found.number == 0:
        fields.report.error(fields.place("timeSliceWindow"), "is 0", "write a duration above 0, such as 1m")
        return None
    return found


def _minutes(text: str) -> Duration:
    try:
        value = decimal(text)
    except Refused:
        return duration(text)
    if value.denominator != 1:
        raise Refused(f"{text[:40]!r} is no whole number of minutes", "write a duration such as 1m")
    return duration(f"{value}m")


def _weight(fields: Fields) -> Fraction | None:
    weight = fields.number("compositeWeight")
    if weight is not None and weight <= 0:
        fields.report.error(fields.place("compositeWeight"), "is not above 0", "write a weight such as 1 or 0.5")
    return weight
