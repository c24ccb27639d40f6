from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.prometheus_params import Form, PrometheusFault
from service.prometheus_rules import NEVER, alert, moment, rules
from service.rules import RuleBook, Running, Status
from service.rules_model import Alert, AlertingRule, Group, RecordingRule

RECORD = RecordingRule("a:b", "sum(up)", (("team", "x"),), 1)
DOWN = AlertingRule("Down", "up == 0", (), (("summary", "s"),), 90_000, 1_500, 2)


def group(name: str, file: str = "r.yml") -> Running:
    fired = Alert((("alertname", "Down"),), (), "firing", 0.25, 1_700_000_000_000)
    statuses = [Status("ok", "", 0.001, 1_700_000_000_500), Status("err", "broken", alerts=[fired])]
    return Running(Group(file, name, 60_000, 0, 3, (RECORD, DOWN)), statuses, 1_700_000_000_500, 0.002)


def told(*groups: Running, **asked: str) -> Any:
    book = cast(RuleBook, SimpleNamespace(groups=groups))
    return rules(book, Form([(name.replace("__", "[]"), value) for name, value in asked.items()]))


def test_a_group_is_told_with_all_that_is_known_of_its_rules() -> None:
    (found,) = told(group("g"))["groups"]
    assert {key: found[key] for key in ("name", "file", "interval", "limit", "lastEvaluation")} == {
        "name": "g", "file": "r.yml", "interval": 60, "limit": 3, "lastEvaluation": "2023-11-14T22:13:20.500Z",
    }  # fmt: skip
    recording, alerting = found["rules"]
    assert recording == {
        "name": "a:b", "query": "sum(up)", "labels": {"team": "x"}, "health": "ok", "evaluationTime": 0.001,
        "lastEvaluation": "2023-11-14T22:13:20.500Z", "type": "recording",
    }  # fmt: skip
    assert (alerting["state"], alerting["duration"], alerting["keepFiringFor"]) == ("firing", 90, 1.5)
    assert (alerting["health"], alerting["lastError"], alerting["lastEvaluation"]) == ("err", "broken", NEVER)
    assert [it["activeAt"] for it in alerting["alerts"]] == ["2023-11-14T22:13:20.000Z"]


def test_groups_come_page_by_page() -> None:
    groups = [group(name) for name in "abc"]
    first = told(*groups, group_limit="2")
    assert [it["name"] for it in first["groups"]] == ["a", "b"]
    second = told(*groups, group_limit="2", group_next_token=first["groupNextToken"])
    assert [it["name"] for it in second["groups"]] == ["c"]
    assert "groupNextToken" not in second
    with pytest.raises(PrometheusFault, match="group_next_token"):
        told(*groups, group_limit="2", group_next_token="none")


def test_what_is_not_asked_for_is_left_out() -> None:
    groups = [group("a"), group("b", "other.yml")]
    assert [it["name"] for it in told(*groups, file__="other.yml")["groups"]] == ["b"]
    assert [it["name"] for it in told(*groups, rule_group__="a")["groups"]] == ["a"]
    assert told(*groups, rule_name__="none")["groups"] == []
    assert [it["type"] for it in told(group("a"), type="record")["groups"][0]["rules"]] == ["recording"]
    assert told(group("a"), type="alert", exclude_alerts="true")["groups"][0]["rules"][0]["alerts"] == []
    with pytest.raises(PrometheusFault, match="exclude_alerts"):
        told(group("a"), exclude_alerts="perhaps")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0e+00"), (1.0, "1e+00"), (0.25, "2.5e-01"), (-1234.5, "-1.2345e+03"), (1e21, "1e+21"), (1.5e-7, "1.5e-07"),
     (100.0, "1e+02"), (float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (0.001, "1e-03")],
)  # fmt: skip
def test_values_of_alerts_are_written_as_prometheus_writes_them(value: float, text: str) -> None:
    assert alert(Alert((), (), "firing", value, 0))["value"] == text


def test_a_moment_that_never_was() -> None:
    assert moment(0) == NEVER
