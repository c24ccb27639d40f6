"""What one evaluation of a rule makes of an expression's worth; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from service.errors import ServiceFault
from service.promql.model import Matrix, Result, Scalar, Text, Vector
from service.rules_model import Alert, AlertingRule, Pairs, RecordingRule, pairs
from service.rules_template import expanded
from service.samples import NAME

RESOLVED_MS: Final = 900_000
"""How long an alert that has ended is told of."""


class RuleFailed(ServiceFault):
    """An evaluation that has no result."""


class Point(NamedTuple):
    """One series of a rule's result, without a moment."""

    metric: str
    labels: Pairs
    value: float


def points(result: Result) -> list[tuple[Mapping[str, str], float]]:
    """The series of an expression's worth; raises RuleFailed where it has none."""
    match result:
        case Scalar():
            return [({}, result.value)]
        case Vector():
            return list(zip(result.labels, (float(it) for it in result.values), strict=True))
        case Matrix() | Text():
            raise RuleFailed("rule result is not a vector or scalar; let the expression give one")


def recorded(rule: RecordingRule, result: Result, limit: int) -> list[Point]:
    """What a recording rule stores."""
    found = []
    for labels, value in points(result):
        found.append(Point(rule.name, pairs({**_nameless(labels), **dict(rule.labels)}), value))
    if len({it.labels for it in found}) < len(found):
        raise RuleFailed("vector contains metrics with the same labelset after applying rule labels; aggregate it")
    if 0 < limit < len(found):
        raise RuleFailed(f"exceeded limit of {limit} with {len(found)} series; raise the group's limit")
    return found


def alerted(
    rule: AlertingRule, before: Iterable[Alert], result: Result, limit: int, now_ms: int
) -> tuple[list[Alert], list[Point]]:
    """The alerts after an evaluation, and the series that tell of them."""
    present = _present(rule, result, now_ms)
    known = {it.labels: it for it in before}
    after = [_updated(rule, known.get(it.labels), it, now_ms) for it in present.values()]
    gone = (it for labels, it in known.items() if labels not in present)
    after += [kept for it in gone if (kept := _ended(rule, it, now_ms)) is not None]
    active = [it for it in after if it.state != "inactive"]
    if 0 < limit < len(active):
        raise RuleFailed(f"exceeded limit of {limit} with {len(active)} alerts; raise the group's limit")
    return sorted(after, key=lambda it: it.labels), [one for it in active for one in told_by(it)]


def told_by(alert: Alert) -> Sequence[Point]:
    """The two series of an active alert."""
    state = pairs({**dict(alert.labels), "alertstate": alert.state})
    return (Point("ALERTS", state, 1.0), Point("ALERTS_FOR_STATE", alert.labels, float(alert.active_ms // 1000)))


def _present(rule: AlertingRule, result: Result, now_ms: int) -> dict[Pairs, Alert]:
    found: dict[Pairs, Alert] = {}
    for labels, value in points(result):
        own = {name: expanded(text, labels, value) for name, text in rule.labels}
        named = pairs({**_nameless(labels), **own, "alertname": rule.name})
        annotations = tuple((name, expanded(text, labels, value)) for name, text in rule.annotations)
        if named in found:
            raise RuleFailed("vector contains metrics with the same labelset after applying alert labels; aggregate it")
        found[named] = Alert(named, annotations, "pending", value, now_ms)
    return found


def _updated(rule: AlertingRule, before: Alert | None, fresh: Alert, now_ms: int) -> Alert:
    """An alert whose series is there."""
    if before is not None and before.state != "inactive":
        fresh = replace(before, annotations=fresh.annotations, value=fresh.value, keep_since_ms=None)
    return _risen(rule, fresh, now_ms)


def _ended(rule: AlertingRule, it: Alert, now_ms: int) -> Alert | None:
    """An alert whose series is gone; None where nothing is told of it any more."""
    if it.state == "firing" and rule.keep_ms > 0:
        since = now_ms if it.keep_since_ms is None else it.keep_since_ms
        if now_ms - since < rule.keep_ms:
            return replace(it, keep_since_ms=since)
    if it.state == "pending" or (it.resolved_ms is not None and now_ms - it.resolved_ms > RESOLVED_MS):
        return None
    return it if it.state == "inactive" else replace(it, state="inactive", resolved_ms=now_ms)


def _risen(rule: AlertingRule, it: Alert, now_ms: int) -> Alert:
    if it.state == "pending" and now_ms - it.active_ms >= rule.for_ms:
        return replace(it, state="firing")
    return it


def _nameless(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != NAME}
