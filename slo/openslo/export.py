"""Documents back to OpenSLO v1 text, normalised: one order of fields, one way to write each value.

Old documents come out as v1, percents as shares, minutes of a slice as durations. Numbers are the decimals of their
text, so that reading what was written gives the same documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import yaml

from slo.openslo.model import (
    AlertCondition,
    AlertNotificationTarget,
    AlertPolicy,
    DataSource,
    Document,
    Meta,
    MetricSource,
    ObjectiveSpec,
    Ref,
    Service,
    Sli,
    SliSpec,
    Slo,
    TimeWindow,
)
from slo.openslo.read import VERSION
from slo.openslo.resolve import kind_of
from slo.openslo.tree import NUMBER, Items, Mapping, Node, Scalar, is_text

Fields = dict[str, Any]


_RESOLVER: Any = yaml.resolver.Resolver()


class _Plain(str):
    """A text to be written without quotes: a number, a flag, null."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes lists indented and texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """What stands twice is written twice."""
        return True


def _plain(dumper: yaml.SafeDumper, text: _Plain) -> yaml.Node:
    tag = _RESOLVER.resolve(yaml.ScalarNode, str(text), (True, False))
    return dumper.represent_scalar(tag, str(text))


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else "'" if NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(_Plain, _plain)
_Dumper.add_representer(str, _block)


def export(documents: Sequence[Document]) -> str:
    """The documents as one text, each after `---` but the first."""
    return "---\n".join(dumped(_whole(it)) for it in documents)


def dumped(fields: Fields) -> str:
    """One document's fields as text."""
    found: str = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return found


def _whole(document: Document) -> Fields:
    return {"apiVersion": VERSION, "kind": kind_of(document), **_inner(document)}


def _inner(document: Document) -> Fields:
    """Metadata and spec, as they stand inline."""
    return {"metadata": _meta(document.meta), "spec": _spec(document)}


def _inline(document: Document) -> Fields:
    return {"kind": kind_of(document), **_inner(document)}


def _meta(meta: Meta) -> Fields:
    labels = {key: values[0] if len(values) == 1 else list(values) for key, values in meta.labels}
    return _without_none(
        name=meta.name,
        displayName=meta.display_name,
        labels=labels or None,
        annotations=dict(meta.annotations) or None,
    )


def _spec(document: Document) -> Fields:
    match document:
        case Slo():
            return _slo(document)
        case Sli():
            return _sli(document.spec)
        case Service(description=text):
            return _without_none(description=text)
        case DataSource():
            connection = _any(document.connection)
            return _without_none(description=document.description, type=document.type, connectionDetails=connection)
        case AlertPolicy():
            return _policy(document)
        case AlertCondition():
            return _condition(document)
        case AlertNotificationTarget():
            return _without_none(description=document.description, target=document.target)


def _slo(slo: Slo) -> Fields:
    return _without_none(
        description=slo.description,
        service=slo.service,
        indicator=None if slo.indicator is None else _inner(slo.indicator),
        indicatorRef=_name(slo.indicator_ref),
        timeWindow=None if slo.window is None else [_window(slo.window)],
        budgetingMethod=slo.method,
        objectives=[_objective(it, slo) for it in slo.objectives],
        alertPolicies=[_entry(it, "alertPolicyRef") for it in slo.policies] or None,
    )


def _name(ref: Ref | None) -> str | None:
    return None if ref is None else ref.name


def _window(window: TimeWindow) -> Fields:
    found: Fields = {"duration": str(window.duration), "isRolling": window.calendar is None}
    if window.calendar is not None:
        start = _Plain(f"{window.calendar.start:%Y-%m-%d %H:%M:%S}".rjust(19, "0"))
        found["calendar"] = {"startTime": start, "timeZone": window.calendar.zone}
    return found


def _objective(it: ObjectiveSpec, slo: Slo) -> Fields:
    return _without_none(
        displayName=it.display_name,
        indicator=None if it.indicator is None else _inner(it.indicator),
        indicatorRef=_name(it.indicator_ref),
        compositeWeight=_number(it.weight),
        op=it.op if _compares(it, slo) else None,
        value=_number(it.value) if _compares(it, slo) else None,
        target=_number(it.target),
        timeSliceTarget=_number(it.slice_target),
        timeSliceWindow=None if it.slice_window is None else str(it.slice_window),
    )


def _compares(it: ObjectiveSpec, slo: Slo) -> bool:
    """False where the metric is known to be a ratio, beside which `op` and `value` must not stand."""
    indicator = it.indicator or slo.indicator
    return indicator is None or indicator.spec.ratio is None


def _sli(spec: SliSpec) -> Fields:
    ratio = spec.ratio
    return _without_none(
        description=spec.description,
        thresholdMetric=_source(spec.threshold),
        ratioMetric=None
        if ratio is None
        else _without_none(
            counter=ratio.counter,
            rawType=ratio.raw_type,
            raw=_source(ratio.raw),
            good=_source(ratio.good),
            bad=_source(ratio.bad),
            total=_source(ratio.total),
        ),
    )


def _source(source: MetricSource | None) -> Fields | None:
    if source is None:
        return None
    return {"metricSource": _without_none(metricSourceRef=source.ref, type=source.type, spec=_any(source.spec))}


def _policy(policy: AlertPolicy) -> Fields:
    return _without_none(
        description=policy.description,
        alertWhenNoData=policy.when_no_data,
        alertWhenResolved=policy.when_resolved,
        alertWhenBreaching=policy.when_breaching,
        conditions=[_entry(it, "conditionRef") for it in policy.conditions],
        notificationTargets=[_entry(it, "targetRef") for it in policy.targets],
    )


def _entry(entry: Document | Ref, field: str) -> Fields:
    return {field: entry.name} if isinstance(entry, Ref) else _inline(entry)


def _condition(condition: AlertCondition) -> Fields:
    spec = condition.spec
    burns = {
        "kind": spec.kind,
        "op": spec.op,
        "threshold": _number(spec.threshold),
        "lookbackWindow": str(spec.lookback),
        "alertAfter": str(spec.after),
    }
    return _without_none(description=spec.description, severity=spec.severity, condition=burns)


def _number(value: Fraction | None) -> _Plain | None:
    """The decimal that a value came from; its denominator has the prime factors 2 and 5 alone."""
    if value is None:
        return None
    places, denominator = 0, value.denominator
    while 10**places % denominator:
        places += 1
    digits = str(abs(value.numerator) * 10**places // denominator).rjust(places + 1, "0")
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    return _Plain(("-" if value < 0 else "") + whole + (f".{rest}" if rest else ""))


def _any(node: Node) -> Any:
    match node:
        case Scalar():
            return node.text if node.quoted or is_text(node.text) else _Plain(node.text)
        case Items():
            return [_any(it) for it in node.items]
        case Mapping():
            return {key: _any(it) for key, it in node.entries.items()}


def _without_none(**fields: Any) -> Fields:
    return {key: value for key, value in fields.items() if value is not None}
