"""The whole service with objectives of files: its metrics, its pages, its API, and what replaces what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from cli.backtest import lines
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from service.slo_book import SloBook
from tests.service.asgi import ask
from tests.service.stores import Point, batch, series
from tests.slo.openslo.support import GOOD, with_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "slos"
    found.mkdir()
    return found


@pytest.fixture
def parts(folder: Path, tmp_path: Path) -> Iterator[Parts]:
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text(with_line("name: api", "name: other").replace("0.999", "1"))
    with running(Settings(slos=(str(folder),)), tmp_path, system_clock) as found:
        found.evaluator.tick()
        yield found


def test_faults_are_in_the_metric_on_the_pages_and_in_the_api(parts: Parts) -> None:
    app = create_app(parts)
    metrics = ask(app, "GET", "/metrics").text
    assert "midwatch_server_slo_file_faults 1.0" in metrics
    identity = 'node="",node_id="",registry="",service="shop",slo="api"'
    assert f'midwatch_slo_state{{{identity},state="unmeasured"}} 1.0' in metrics
    page = ask(app, "GET", "/oncall").text
    assert "b.yaml:28: spec.objectives[0].target: is not from 0 to below 1" in page
    assert "What was good before goes on." in page
    for path in ("/", "/oncall", "/debug"):
        page = ask(app, "GET", path).text
        assert page.count("<b>A file of objectives is faulty</b>") == 1
        assert page.index("A file of objectives is faulty") < page.index("b.yaml:28: ")
    judgements = json.loads(ask(app, "GET", "/api/judgements").text)["judgements"]
    (told,) = [it for it in judgements if it["slo"] == "slo-files"]
    assert (told["service"], told["state"]) == ("platform", "unmeasured")
    assert {it["slo"] for it in judgements if it["service"] == "shop"} == {"api"}


def test_a_file_is_tried_over_what_is_stored(parts: Parts) -> None:
    app = create_app(parts)
    now = parts.clock()
    start = now - 7_200_000
    parts.store.append(
        batch(
            Point(series("http_requests_total", code=code), start + step * 15_000, float(step * rise), start)
            for step in range(1, 470)
            for code, rise in (("200", 9), ("500", 1))
        )
    )
    asked = {"files": {"a.yaml": GOOD}, "since_ms": now - 86_400_000, "target_percent": "80.5"}
    answer = ask(app, "POST", "/api/slo/backtest", content=json.dumps(asked).encode())
    (found,) = answer.json()["objectives"]
    assert (found["slo"], found["service"], found["target"], found["why_not"]) == ("api", "shop", "80.5 %", None)
    assert 9 * found["asked"]["bad"] < found["asked"]["total"] <= 10 * found["asked"]["bad"]
    assert found["asked"]["sli"] == 0.9
    assert found["asked"]["suggested_target_percent"] is None  # more than a tenth fails
    assert found["asked"]["alerts"] == []
    assert found["in_force"]["target"] == "99.9 %"
    assert {it["road"] for it in found["in_force"]["alerts"]} == {"page", "ticket"}
    assert "shop · api: 80.5 % over 30 d" in list(lines(answer.json()))
    assert any(line.startswith("      page") for line in lines(answer.json()))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"files": {"a.yaml": with_line("0.999", "7")}, "since_ms": 1}, "a.yaml:28: spec.objectives[0].target"),
        ({"files": {"a.yaml": GOOD}, "since_ms": 2**51}, "since_ms must be before until_ms"),
        (
            {"files": {}, "since_ms": 1, "target_percent": "100"},
            "files has too few items; write at least 1; target_percent is no target; write a percentage",
        ),
    ],
)
def test_what_can_not_be_tried_is_refused(parts: Parts, asked: object, said: str) -> None:
    answer = ask(create_app(parts), "POST", "/api/slo/backtest", content=json.dumps(asked).encode())
    assert answer.status_code == 400
    assert said in answer.text


COMPOSITE = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: both}
spec:
  service: shop
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
"""
MEMBER = """\
    - displayName: %s
      target: 0.9
      compositeWeight: %s
      indicator:
        metadata: {name: %s}
        spec:
          ratioMetric:
            counter: true
            bad: {metricSource: {type: Prometheus, spec: {query: 'both_total{of="%s",bad="1"}'}}}
            total: {metricSource: {type: Prometheus, spec: {query: 'both_total{of="%s"}'}}}
"""


def test_a_composite_is_judged_from_its_members(folder: Path, parts: Parts) -> None:
    text = COMPOSITE + "".join(MEMBER % (name, weight, name, name, name) for name, weight in (("x", 1), ("y", 0.5)))
    start = parts.clock() - 1_200_000
    parts.store.append(
        batch(
            Point(
                series("both_total", of=of, bad=bad),
                start + step * 15_000,
                float(step * rise),
                start,
            )
            for step in range(1, 81)
            for of, bad, rise in (("x", "0", 19), ("x", "1", 1), ("y", "0", 9), ("y", "1", 1))
        )
    )
    book = SloBook([str(folder / "c.yaml")])
    (folder / "c.yaml").write_text(text)
    parts.evaluator.slos = book
    judged = {it.objective.slo: it for it in parts.evaluator.tick().judgements if it.objective.service == "shop"}
    assert set(judged) == {"both", "both-x", "both-y"}
    assert judged["both-x"].budget_remaining == Fraction(1, 2)
    assert judged["both-y"].budget_remaining == 0
    assert judged["both"].budget_remaining == 0  # 0.5 and half of 1
    assert judged["both"].sli is None
    for path in ("/", "/oncall", "/reports?slo=both&service=shop", "/metrics", "/api/judgements"):
        assert ask(create_app(parts), "GET", path).status_code == 200


def test_what_is_judged_is_told_as_rules(parts: Parts) -> None:
    found = ask(create_app(parts), "GET", "/api/slo/rules").json()
    ruled = {rule["labels"]["slo"] for group in found["groups"] for rule in group["rules"]}
    assert ruled == {"api"}
    assert "platform vulnerabilities: everything left out: No scanner reports to Midwatch." in found["left_out"]
    assert any(it.startswith("platform slo-files: everything left out: ") for it in found["left_out"])


def test_a_query_that_is_none_does_not_replace_one_that_is_good(folder: Path, parts: Parts) -> None:
    (folder / "b.yaml").unlink()
    book = SloBook([str(folder)])
    good = book.look(0).objectives
    (folder / "a.yaml").write_text(with_line('http_requests_total{code!~"5.."}', "sum(rate(x[5m])"))
    assert book.look(1_000_000).objectives == good
    (fault,) = book.faults
    assert "a.yaml:17: spec.indicator.spec.ratioMetric.good.metricSource.spec.query: can't be asked" in str(fault)
