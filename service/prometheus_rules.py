"""Rules and alerts as Prometheus's HTTP API tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from service.prometheus_params import Form, PrometheusFault, invalid
from service.rules import RuleBook, Running, Status, alerting
from service.rules_model import Alert, AlertingRule, Rule

NEVER: Final = "0001-01-01T00:00:00Z"


def rules(book: RuleBook, form: Form) -> dict[str, Any]:
    """`/rules`: groups with their rules, as far as they are asked for."""
    kind = form.text("type").lower()
    if kind not in ("", "alert", "record"):
        raise invalid("type", f'not supported value "{kind[:80]}"')
    wanted = _Wanted(form)
    found = [group for it in book.groups if wanted.has(it) and (group := _group(it, wanted))["rules"]]
    limit = form.limit("group_limit")
    start = _after(form.text("group_next_token"), [_token(it) for it in found])
    page = found[start : start + limit] if limit else found[start:]
    more = limit and start + limit < len(found)
    return {"groups": page} | ({"groupNextToken": _token(page[-1])} if more and page else {})


def alerts(book: RuleBook) -> dict[str, Any]:
    """`/alerts`: every active alert."""
    found = (one for it in book.groups for _, status in alerting(it) for one in status.alerts)
    return {"alerts": [alert(one) for one in found if one.state != "inactive"]}


def alert(it: Alert) -> dict[str, Any]:
    """One alert."""
    keeping = {} if it.keep_since_ms is None else {"keepFiringSince": moment(it.keep_since_ms)}
    return {
        "labels": dict(it.labels),
        "annotations": dict(it.annotations),
        "state": it.state,
        "activeAt": moment(it.active_ms),
        **keeping,
        "value": _scientific(it.value),
    }


def moment(at_ms: int) -> str:
    """A moment in RFC 3339."""
    if not at_ms:
        return NEVER
    found = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")


class _Wanted:
    """What of the rules is asked for."""

    def __init__(self, form: Form) -> None:
        self.kind = form.text("type").lower()
        self.names, self.groups, self.files = (set(form.all(it)) for it in ("rule_name[]", "rule_group[]", "file[]"))
        excluded = form.text("exclude_alerts").lower()
        if excluded not in ("", "1", "t", "true", "0", "f", "false"):
            raise invalid("exclude_alerts", f'error converting "{excluded[:80]}" to bool')
        self.without_alerts = excluded in ("1", "t", "true")

    def has(self, it: Running) -> bool:
        """Whether a group is asked for."""
        return (not self.groups or it.group.name in self.groups) and (not self.files or it.group.file in self.files)

    def has_rule(self, rule: Rule) -> bool:
        """Whether a rule is asked for."""
        kind = "alert" if isinstance(rule, AlertingRule) else "record"
        return self.kind in ("", kind) and (not self.names or rule.name in self.names)


def _group(it: Running, wanted: _Wanted) -> dict[str, Any]:
    both = zip(it.group.rules, it.rules, strict=True)
    return {
        "name": it.group.name,
        "file": it.group.file,
        "rules": [_rule(rule, status, wanted.without_alerts) for rule, status in both if wanted.has_rule(rule)],
        "interval": _seconds(it.group.interval_ms),
        "limit": it.group.limit,
        "evaluationTime": round(it.seconds, 9),
        "lastEvaluation": moment(it.at_ms or 0),
    }


def _rule(rule: Rule, status: Status, without_alerts: bool) -> dict[str, Any]:
    common = {
        "name": rule.name,
        "query": rule.expr,
        "labels": dict(rule.labels),
        "health": status.health,
        **({"lastError": status.error} if status.error else {}),
        "evaluationTime": round(status.seconds, 9),
        "lastEvaluation": moment(status.at_ms),
    }
    if not isinstance(rule, AlertingRule):
        return {**common, "type": "recording"}
    active = [it for it in status.alerts if it.state != "inactive"]
    return {
        "state": _state(active),
        "duration": _seconds(rule.for_ms),
        "keepFiringFor": _seconds(rule.keep_ms),
        "annotations": dict(rule.annotations),
        "alerts": [] if without_alerts else [alert(it) for it in active],
        **common,
        "type": "alerting",
    }


def _state(active: Iterable[Alert]) -> str:
    states = {it.state for it in active}
    return "firing" if "firing" in states else "pending" if "pending" in states else "inactive"


def _seconds(ms: int) -> float | int:
    return ms / 1000 if ms % 1000 else ms // 1000


def _scientific(value: float) -> str:
    """A value as Go's `FormatFloat(v, 'e', -1, 64)` writes it."""
    if value != value or value in (float("inf"), float("-inf")):
        return {True: "NaN"}.get(value != value, "+Inf" if value > 0 else "-Inf")
    digits, _, exponent = f"{value!r}".partition("e")
    if exponent:
        return f"{digits.removesuffix('.0')}e{exponent}"
    places = max(0, len(digits.replace("-", "").replace(".", "").strip("0")) - 1)
    return f"{value:.{places}e}"


def _token(group: Mapping[str, Any]) -> str:
    return f"{group['file']};{group['name']}"


def _after(token: str, known: list[str]) -> int:
    if not token:
        return 0
    if token not in known:
        raise PrometheusFault("bad_data", "invalid group_next_token value")
    return known.index(token) + 1
