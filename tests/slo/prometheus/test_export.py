"""Objectives as rules: what Prometheus takes, what our own engine takes, and what is left out and says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.rules_files import parse_text
from slo.burn import Policy
from slo.prometheus.alerting import Alerting
from slo.prometheus.export import exported
from slo.rows import TABLES
from tests.slo.prometheus.support import every_kind, objective, rules
from tests.support.prometheus import needs_prometheus
from tests.test_wire import every_objective

HOSTILE = 'a{{ query "up" }}"\n  - x: [#'


def _rules(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def _alerts(text: str, name: str = "slo-burn") -> list[dict[str, Any]]:
    return [it for it in _rules(text) if it.get("alert") == name]


@needs_prometheus
@pytest.mark.parametrize("table", TABLES, ids=lambda it: it.name)
def test_promtool_takes_the_rules_of_every_kind_and_table(table: Any, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    policy = Policy(table.rows, table.period_ms, min_total=10)
    file.write_text(rules(every_kind(), policy, Alerting("http://midwatch/runbooks"))[0])
    promtool = shutil.which("promtool")
    assert promtool is not None
    ran = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "rules found" in ran.stdout
    assert "duplicate" not in ran.stdout + ran.stderr


@needs_prometheus
def test_promtool_takes_the_rules_of_every_built_in_objective(tmp_path: Path) -> None:
    text, left_out = rules(every_objective())
    assert [it.partition(" left out")[0] for it in left_out] == ["platform vulnerabilities: everything"]
    (tmp_path / "rules.yml").write_text(text)
    promtool = shutil.which("promtool")
    assert promtool is not None
    subprocess.run([promtool, "check", "rules", str(tmp_path / "rules.yml")], check=True, capture_output=True)
    assert 'midwatch_registry_request_duration_seconds_bucket{service="platform"' in text
    assert 'le=~"300([.]0+)?"' in text.replace("\\", "")


def test_our_own_rule_engine_takes_them_too() -> None:
    assert parse_text(rules(every_kind())[0], "rules.yml", 60_000).faults == ()


@needs_prometheus
def test_names_and_titles_are_no_yaml_and_no_template(tmp_path: Path) -> None:
    text, _ = rules([objective(HOSTILE, service=HOSTILE, title=HOSTILE, scope=(("node", HOSTILE),))])
    (tmp_path / "rules.yml").write_text(text)
    promtool = shutil.which("promtool")
    assert promtool is not None
    subprocess.run([promtool, "check", "rules", str(tmp_path / "rules.yml")], check=True, capture_output=True)
    first, *_ = _rules(text)
    assert first["labels"] == {"slo": HOSTILE, "service": HOSTILE, "node": HOSTILE}
    for note in (it for rule in _alerts(text) for it in (*rule["labels"].values(), *rule["annotations"].values())):
        assert "{{ query" not in note


def test_what_is_left_out_is_told_in_the_file_too() -> None:
    text, left_out = rules(every_kind())
    assert [it.partition(" left out")[0] for it in left_out] == [
        "shop/api month: budget, its end and the page for a budget that is projected to be gone",
        "shop/api foreign: everything",
    ]
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert len(head) == 3
    assert "Datadog" in head[2]
    every = {(it.slo, it.service) for it in every_kind()}
    ruled = {(it["labels"]["slo"], it["labels"]["service"]) for it in _rules(text) if "slo" in it["labels"]}
    assert every - ruled == {("foreign", "shop/api")}


def test_a_composite_without_one_of_its_members_is_left_out() -> None:
    both = next(it for it in every_kind() if it.members)
    _, left_out = rules([both])
    assert left_out == ["shop/api both: everything left out: its member bad has no rules"]


def test_an_objective_whose_rules_are_no_query_is_left_out() -> None:
    found = exported([objective("api"), objective("other")], promql=lambda it: "odd" if "other" in it else None)
    assert [str(it) for it in found.left_out] == ["shop/api other: everything left out: its rules are no PromQL: odd"]
    assert all("other" not in it.name for it in found.groups)


def test_a_row_fires_strictly_above_its_limit_by_whole_numbers_and_at_once() -> None:
    found = _alerts(rules([objective()])[0])
    page = found[0]
    at = '{service="shop/api",slo="api"}'
    assert f"midwatch_slo:bad:increase5m{at} * 10000 > midwatch_slo:total:increase5m{at} * 144" in page["expr"]
    assert [(it["labels"]["row"], it["labels"]["road"]) for it in found] == [
        ("fast", "page"), ("fast", "ticket"), ("slow", "page"), ("slow", "ticket"),
        ("ticket-1d", "ticket"), ("ticket-3d", "ticket"),
    ]  # fmt: skip
    assert page["labels"] == {
        "slo": "api", "service": "shop/api",
        "road": "page", "severity": "critical", "row": "fast", "long_window": "1h", "short_window": "5m",
    }  # fmt: skip
    assert not [it for it in found if "for" in it]


def test_a_page_with_few_events_is_a_ticket() -> None:
    text, _ = rules([objective()], Policy(min_bad=5, min_total=100))
    page, ticket = _alerts(text)[:2]
    enough = "(midwatch_slo:bad:increase1h{%s} >= 5 and on () midwatch_slo:total:increase1h{%s} >= 100)" % (
        ('service="shop/api",slo="api"',) * 2
    )
    assert page["expr"].endswith(f"\nand on () {enough}")
    assert ticket["expr"].endswith(f"\nunless on () {enough}")


def test_events_in_milliseconds_are_too_few_by_milliseconds() -> None:
    good = next(it for it in every_kind() if it.slo == "good")
    assert "* 1000 >= 3" in _alerts(rules([good])[0])[0]["expr"]


def test_a_condition_of_a_policy_is_held_as_long_as_it_says() -> None:
    policy = next(it for it in every_kind() if it.slo == "policy")
    held = [it for it in _alerts(rules([policy])[0]) if it["labels"]["row"] == "hot"]
    assert {it["for"] for it in held} == {"5m"}
    assert "* 1000 >= midwatch_slo:total:increase1h" in held[0]["expr"]


def test_a_member_of_a_composite_has_no_alerts_of_its_own() -> None:
    text, _ = rules(every_kind())
    assert not [it for it in _alerts(text) if it["labels"]["slo"] == "member"]
    (burn,) = [
        it["expr"]
        for it in _rules(text)
        if it.get("record") == "midwatch_slo:burn:rate1h" and it["labels"]["slo"] == "both"
    ]
    assert burn == (
        'sum(midwatch_slo:burn:rate1h{service="shop/api",slo="bad"}'
        ' or midwatch_slo:burn:rate1h{service="shop/api",slo="member"} / 2)'
    )


def test_objectives_that_never_page_do_not() -> None:
    text, _ = rules([objective("disk")], how=Alerting(never_page=frozenset({"disk"})))
    assert {it["labels"]["road"] for it in _rules(text) if "alert" in it} == {"ticket"}


def test_groups_have_names_of_their_own() -> None:
    twins = [objective("b c", service="a"), objective("c", service="a b")]
    names = [it["name"] for it in yaml.safe_load(rules(twins)[0])["groups"]]
    assert len(set(names)) == len(names) == 6
