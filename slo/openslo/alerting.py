"""Alert policies, conditions and notification targets, of their own or inline."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

from slo.openslo.common import DOCUMENT, body, description, kind_is, meta, name
from slo.openslo.fields import Fields
from slo.openslo.model import (
    OPS,
    AlertCondition,
    AlertNotificationTarget,
    AlertPolicy,
    ConditionSpec,
    Ref,
)
from slo.openslo.tree import Mapping
from slo.openslo.values import Duration

T = TypeVar("T")
POLICY_SPEC = (
    "description",
    "alertWhenNoData",
    "alertWhenResolved",
    "alertWhenBreaching",
    "conditions",
    "notificationTargets",
)
CONDITION = ("kind", "op", "threshold", "lookbackWindow", "alertAfter")
_AT_ONCE = Duration(0, "m")


def policy(document: Fields) -> AlertPolicy:
    """An AlertPolicy: one condition and whom to tell."""
    spec = body(document, POLICY_SPEC)
    conditions = inline_or_ref(spec, "conditions", "AlertCondition", "conditionRef", condition)
    targets = inline_or_ref(spec, "notificationTargets", "AlertNotificationTarget", "targetRef", target)
    if len(conditions) != 1:
        spec.report.error(spec.place("conditions"), f"{len(conditions)} conditions stand", "write exactly one")
    if not targets:
        spec.report.error(spec.place("notificationTargets"), "names nobody", "write at least one target")
    return AlertPolicy(
        meta(document),
        description(spec),
        spec.flag("alertWhenNoData"),
        spec.flag("alertWhenResolved"),
        spec.flag("alertWhenBreaching"),
        conditions,
        targets,
        document.at,
    )


def condition(document: Fields) -> AlertCondition:
    """An AlertCondition; `op` is obeyed as written, and one that fires while little burns is warned of."""
    spec = body(document, ("description", "severity", "condition"))
    severity = spec.needed("severity", "such as page or ticket")
    fields = spec.child("condition", CONDITION)
    if fields is None:
        if not spec.has("condition"):
            spec.missing("condition", "with op, threshold and lookbackWindow")
        return AlertCondition(meta(document), _no_condition(description(spec), severity), document.at)
    return AlertCondition(meta(document), _condition(description(spec), severity, fields), document.at)


def _condition(text: str | None, severity: str, fields: Fields) -> ConditionSpec:
    if not fields.has("kind"):
        fields.report.frowned(fields.place("kind"), "is missing", "add kind: burnrate")
    fields.choice("kind", ("burnrate",))
    op, threshold, lookback = fields.choice("op", OPS), fields.number("threshold"), fields.duration("lookbackWindow")
    for field, why in (("op", f"one of {', '.join(OPS)}"), ("threshold", "a burn rate"), ("lookbackWindow", "as 1h")):
        if not fields.has(field):
            fields.missing(field, why)
    if lookback is not None and lookback.number == 0:
        fields.report.error(fields.place("lookbackWindow"), "is 0", "write a duration above 0, such as 1h")
    if op in ("lt", "lte"):
        what = f"op {op} fires while the burn rate is {'below' if op == 'lt' else 'at or below'} the threshold"
        fields.report.warn(fields.place("op"), what, "write gt or gte if a high burn rate is meant")
    nothing = _no_condition(text, severity)
    return ConditionSpec(
        text,
        severity,
        op or nothing.op,
        nothing.threshold if threshold is None else threshold,
        lookback or nothing.lookback,
        fields.duration("alertAfter") or _AT_ONCE,
    )


def _no_condition(text: str | None, severity: str) -> ConditionSpec:
    return ConditionSpec(text, severity, "gt", Fraction(0), Duration(1, "h"), _AT_ONCE)


def target(document: Fields) -> AlertNotificationTarget:
    """An AlertNotificationTarget."""
    spec = body(document, ("description", "target"))
    named = spec.needed("target", "whom to tell, such as a receiver's name")
    return AlertNotificationTarget(meta(document), description(spec), named, document.at)


def inline_or_ref(
    fields: Fields, field: str, kind: str, ref_field: str, read: Callable[[Fields], T]
) -> tuple[T | Ref, ...]:
    """A list of documents, each inline or by `ref_field`."""
    known = (ref_field, *DOCUMENT)
    found: list[T | Ref] = []
    for item, at in fields.items(field):
        if not isinstance(item, Mapping):
            fields.report.error(at, "is no mapping", f"write `{ref_field}: name`, or {kind} with metadata and spec")
            continue
        entry = Fields(item, at, fields.report, known)
        if not entry.has(ref_field):
            kind_is(entry, kind)
            found.append(read(entry))
            continue
        if entry.has("spec"):
            what = "a document stands beside it"
            fields.report.error(entry.place(ref_field), what, f"keep one of {ref_field} and spec")
        found.append(Ref(name(entry, ref_field), entry.place(ref_field)))
    return tuple(found)
