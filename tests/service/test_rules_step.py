from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from service.promql.model import Result, Scalar, Text, Vector
from service.rules_model import Alert, AlertingRule, RecordingRule
from service.rules_step import RESOLVED_MS, RuleFailed, alerted, recorded

MINUTE = 60_000
RULE = AlertingRule("Down", "up == 0", (("severity", "page"),), (("summary", "{{ $value }}"),), 5 * MINUTE, 0, 1)


def vector(*rows: tuple[dict[str, str], float]) -> Vector:
    return Vector(0, [labels for labels, _ in rows], np.array([value for _, value in rows], np.float64))


DOWN = vector(({"__name__": "up", "instance": "a"}, 0.0))
NOTHING = vector()


def step(rule: AlertingRule, before: Iterable[Alert], result: Result, at_ms: int) -> list[Alert]:
    return alerted(rule, before, result, 0, at_ms)[0]


def test_a_recording_rule_names_its_series_and_its_labels_win() -> None:
    rule = RecordingRule("job:up", "up", (("instance", ""), ("team", "x")), 1)
    found = recorded(rule, vector(({"__name__": "up", "job": "a", "team": "y"}, 2.0)), 0)
    assert [(it.metric, it.labels, it.value) for it in found] == [("job:up", (("job", "a"), ("team", "x")), 2.0)]
    assert recorded(rule, Scalar(0, 3.0), 0)[0].value == 3.0


def test_series_that_become_alike_are_a_fault() -> None:
    rule = RecordingRule("x", "up", (("instance", "one"),), 1)
    with pytest.raises(RuleFailed, match="same labelset"):
        recorded(rule, vector(({"instance": "a"}, 1.0), ({"instance": "b"}, 1.0)), 0)
    with pytest.raises(RuleFailed, match="exceeded limit"):
        recorded(RecordingRule("x", "up", (), 1), vector(({"a": "1"}, 1.0), ({"a": "2"}, 1.0)), 1)
    with pytest.raises(RuleFailed, match="not a vector or scalar"):
        recorded(rule, Text(0, "x"), 0)


def test_an_alert_waits_before_it_fires() -> None:
    (first,) = step(RULE, [], DOWN, 0)
    assert (first.state, first.active_ms) == ("pending", 0)
    assert first.labels == (("alertname", "Down"), ("instance", "a"), ("severity", "page"))
    assert first.annotations == (("summary", "0"),)
    (later,) = step(RULE, [first], DOWN, 5 * MINUTE - 1)
    assert later.state == "pending"
    (fired,) = step(RULE, [later], DOWN, 5 * MINUTE)
    assert (fired.state, fired.active_ms) == ("firing", 0)


def test_a_pending_alert_that_ends_leaves_nothing() -> None:
    assert step(RULE, step(RULE, [], DOWN, 0), NOTHING, MINUTE) == []


def test_an_alert_that_ended_is_told_of_for_a_while_and_starts_anew() -> None:
    fired = step(RULE, step(RULE, [], DOWN, 0), DOWN, 5 * MINUTE)
    (ended,) = step(RULE, fired, NOTHING, 6 * MINUTE)
    assert (ended.state, ended.resolved_ms) == ("inactive", 6 * MINUTE)
    assert step(RULE, [ended], NOTHING, 6 * MINUTE + RESOLVED_MS) == [ended]
    assert step(RULE, [ended], NOTHING, 6 * MINUTE + RESOLVED_MS + 1) == []
    (anew,) = step(RULE, [ended], DOWN, 7 * MINUTE)
    assert (anew.state, anew.active_ms, anew.resolved_ms) == ("pending", 7 * MINUTE, None)


def test_firing_is_kept_up_for_a_while() -> None:
    rule = AlertingRule("Down", "up == 0", (), (), 0, 2 * MINUTE, 1)
    fired = step(rule, [], DOWN, 0)
    assert fired[0].state == "firing"
    kept = step(rule, fired, NOTHING, MINUTE)
    assert (kept[0].state, kept[0].keep_since_ms) == ("firing", MINUTE)
    assert step(rule, kept, NOTHING, 3 * MINUTE - 1)[0].state == "firing"
    assert step(rule, kept, NOTHING, 3 * MINUTE)[0].state == "inactive"
    assert step(rule, kept, DOWN, 2 * MINUTE)[0].keep_since_ms is None


def test_two_series_tell_of_an_active_alert() -> None:
    _, told = alerted(RULE, [], DOWN, 0, 90_000)
    labels = (("alertname", "Down"), ("instance", "a"), ("severity", "page"))
    assert [tuple(it) for it in told] == [
        ("ALERTS", (labels[0], ("alertstate", "pending"), *labels[1:]), 1.0),
        ("ALERTS_FOR_STATE", labels, 90.0),
    ]
    with pytest.raises(RuleFailed, match="exceeded limit"):
        alerted(RULE, [], vector(({"a": "1"}, 0.0), ({"a": "2"}, 0.0)), 1, 0)
