"""The API of the SLO engine: what it publishes about itself, what it answers, and that pages say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from cli.slo_show import lines, table
from dashboards.text import percent, percent_split
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from tests.service.asgi import ask
from tests.service.stores import Point, batch, series
from tests.slo.openslo.support import GOOD, with_line

POLICY = """\
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: quick}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: burns}
            spec:
              severity: page
              condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
        notificationTargets:
          - kind: AlertNotificationTarget
            metadata: {name: pager}
            spec: {target: pager}
"""
ENGINE = ("/api/judgements", "/api/services", "/api/incidents", "/api/silences", "/api/status", "/api/slo/")
READ = (
    "/api/judgements", "/api/services", "/api/incidents", "/api/silences", "/api/status", "/api/slo/objectives",
    "/api/slo/objective?slo=api&service=shop", "/api/slo/files", "/api/slo/burn", "/api/slo/burn?period_ms=604800000",
)  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """One good file, whose counters have two hours of history, and a faulty one."""
    folder: Path = tmp_path_factory.mktemp("api")
    slos = folder / "slos"
    slos.mkdir()
    (slos / "a.yaml").write_text(GOOD.replace("timeWindow", f"{POLICY.lstrip()}  timeWindow"))
    (slos / "b.yaml").write_text(with_line("name: api", "name: other").replace("0.999", "1"))
    with running(Settings(slos=(str(slos),)), folder / "data", system_clock) as found:
        start = found.clock() - 7_200_000
        found.store.append(
            batch(
                Point(series("http_requests_total", code=code), start + step * 15_000, float(step * rise), start)
                for step in range(1, 481)
                for code, rise in (("200", 2999), ("500", 1))
            )
        )
        found.evaluator.tick()
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = ask(app, "GET", "/api/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        if path.startswith(ENGINE):
            yield from ((path, method, operation) for method, operation in methods.items())


def test_every_route_of_the_engine_tells_what_it_answers(document: dict[str, Any]) -> None:
    seen = 0
    for path, method, operation in _operations(document):
        seen += 1
        assert operation["description"], path
        assert "422" not in operation["responses"]
        assert "401" in operation["responses"], path
        if method != "get":
            assert "403" in operation["responses"]
        good = next(it for status, it in operation["responses"].items() if status.startswith("2"))
        if "content" in good:
            schema = next(iter(good["content"].values())).get("schema", {"$ref": ""})
            assert "$ref" in schema or schema["type"] in ("array", "string"), (path, schema)
        if method == "post":
            assert operation["requestBody"]["content"], path
    assert seen >= 12


def test_every_field_of_every_model_is_described(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, about in schema["properties"].items():
            assert about.get("description"), f"{name}.{field}"


@pytest.mark.parametrize("path", READ)
def test_what_is_answered_is_what_is_published(app: FastAPI, document: dict[str, Any], path: str) -> None:
    answer = ask(app, "GET", path)
    assert answer.status_code == 200, answer.text
    plain = path.partition("?")[0]
    schema = document["paths"][plain]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(json.loads(answer.text, parse_constant=_no_constant))


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_numbers_are_exact_and_the_pages_are_the_same(app: FastAPI) -> None:
    found = ask(app, "GET", "/api/slo/objective?slo=api&service=shop").json()
    assert (found["bad"] * 3000, found["bad_unit"], found["parts"]) == (found["total"], "events", 1)
    assert found["sli_exact"] == "2999/3000"
    left = Fraction(found["budget_remaining_exact"])
    assert left == 1 - Fraction(found["bad"], found["total"]) / Fraction(found["budget_exact"]) == Fraction(2, 3)
    (row,) = [it for it in found["rows"] if it["row"] == "fast"]
    assert Fraction(row["long"]["bad"], row["long"]["total"]) / Fraction(1, 1000) == Fraction(1, 3)
    assert (row["fired"], row["measured"], row["factor_exact"]) == (False, True, "72/5")
    (condition,) = [it for it in found["rows"] if it["op"] is not None]
    assert (condition["op"], condition["after_ms"], condition["factor"]) == ("gte", 300_000, 2.0)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(ask(app, "GET", "/oncall").text)))
    assert " ".join(percent_split(Fraction(found["sli_exact"]))) in page
    assert percent(left, 0) in page
    assert found["reason"].startswith(f"{percent(left)} of the budget is left")


def test_objectives_are_asked_for_by_what_they_are(app: FastAPI) -> None:
    def names(**query: str) -> set[str]:
        found = ask(app, "GET", f"/api/slo/objectives?{urlencode(query)}").json()
        return {it["slo"] for it in found["judgements"]}

    assert names(service="shop") == {"api"}
    assert names(service="shop", state="exhausted") == set()
    assert names(slo="slo-files", state="unmeasured") == {"slo-files"}
    missing = ask(app, "GET", "/api/slo/objective?slo=nothing&service=shop")
    assert (missing.status_code, "/api/slo/objectives lists all" in missing.json()["error"]) == (404, True)
    wrong = ask(app, "GET", "/api/slo/objectives?state=fine")
    assert (wrong.status_code, list(wrong.json())) == (400, ["error"])


def test_files_tell_what_is_in_force_and_what_is_wrong(app: FastAPI) -> None:
    found = ask(app, "GET", "/api/slo/files").json()
    (good, faulty) = found["files"]
    assert (good["file"].endswith("a.yaml"), good["faulty"], good["objectives"]) == (True, False, ["api"])
    assert (faulty["faulty"], faulty["in_force"], faulty["objectives"]) == (True, False, [])
    (fault,) = found["faults"]
    assert (fault["line"], fault["path"], fault["level"]) == (28, "spec.objectives[0].target", "error")
    assert fault["remedy"]
    assert [it["what"] for it in found["warnings"]] == ["no receiver of midwatch.yaml is called pager"]
    text = ask(app, "GET", "/api/slo/export?format=openslo").text
    checked = ask(app, "POST", "/api/slo/check", content=json.dumps({"files": {"x.yaml": text}}).encode()).json()
    assert (checked["good"], checked["objectives"]) == (True, ["api"])


def test_a_text_is_checked_without_being_loaded(app: FastAPI, parts: Parts) -> None:
    texts = {"a.yaml": with_line("0.999", "7"), "b.yaml": with_line("name: api", "name: api2")}
    found = ask(app, "POST", "/api/slo/check", content=json.dumps({"files": texts}).encode()).json()
    assert (found["good"], found["objectives"]) == (False, [])
    assert [(it["file"], it["line"]) for it in found["faults"]] == [("a.yaml", 28)]
    assert {it.name for it in parts.evaluator.slos.shelf.plans} == {"api"}
    for body, said in ((b"{}", "files is missing"), (b"no", "is no JSON"), (b'{"files": {}}', "too few items")):
        answer = ask(app, "POST", "/api/slo/check", content=body)
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
    huge = ask(app, "POST", "/api/slo/check", content=b"x" * (4 << 20) + b"y")
    assert (huge.status_code, list(huge.json())) == (413, ["error"])


def test_commands_say_what_the_api_says(app: FastAPI) -> None:
    listed = list(table(ask(app, "GET", "/api/slo/objectives?service=shop").json()["judgements"]))
    assert len(listed) == 2
    assert listed[1].split()[:4] == ["shop", "api", "ok", "99.967"]
    told = list(lines(ask(app, "GET", "/api/slo/objective?slo=api&service=shop").json()))
    assert told[0] == "shop · api: api"
    assert "budget left 66.67 %; runs out not at the present burn" in told[5]
    assert any(it.startswith("  page   fast       quiet: 1 h 0.33x, 5 min 0.33x; fires above 14.4x") for it in told)
    assert any("burns" in it and "fires where gte 2x" in it for it in told)
    assert list(table([])) == ["No such objective."]
    found = ask(app, "GET", "/api/slo/objective?slo=api&service=shop").json()
    assert any("runs out already spent" in it for it in lines(found | {"budget_remaining": -2.0}))


def test_a_backtest_answers_what_it_publishes(app: FastAPI, document: dict[str, Any], parts: Parts) -> None:
    asked = {
        "files": {"a.yaml": GOOD}, "since_ms": parts.clock() - 86_400_000, "burn_table": "pyrra",
        "targets_percent": ["99.99", "90"],
    }  # fmt: skip
    answer = ask(app, "POST", "/api/slo/backtest", content=json.dumps(asked).encode())
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.text, parse_constant=_no_constant)
    schema = {"$ref": "#/components/schemas/BacktestTold", "components": document["components"]}
    Draft202012Validator(schema).validate(found)
    assert (found["burn_table"], found["burn_table_in_force"]) == ("pyrra", "workbook")
    (one,) = found["objectives"]
    assert one["asked"]["sli_exact"] == one["in_force"]["sli_exact"] == "2999/3000"
    assert [it["target"] for it in one["what_if"]] == ["99.99 %", "90 %"]
    assert one["asked"]["line"][-1]["left"] == one["asked"]["budget_left"]
    faulty = ask(
        app, "POST", "/api/slo/backtest", content=json.dumps(asked | {"files": {"a": with_line("0.999", "7")}}).encode()
    )
    assert (faulty.status_code, [it["line"] for it in faulty.json()["faults"]]) == (400, [28])
    wrong = ask(app, "POST", "/api/slo/backtest", content=json.dumps(asked | {"targets_percent": ["lots"]}).encode())
    assert (wrong.status_code, "targets_percent.0" in wrong.json()["error"]) == (400, True)


def test_burn_tables_are_those_that_judging_uses(app: FastAPI) -> None:
    found = ask(app, "GET", "/api/slo/burn").json()
    (workbook,) = [it for it in found["tables"] if it["name"] == found["table"] == "workbook"]
    assert [it["factor"] for it in workbook["rows"]] == [14.4, 6.0, 3.0, 1.0]
    assert ask(app, "GET", "/api/slo/burn?period_ms=1").status_code == 400


def test_what_is_taken_out_is_told_by_api_metrics_and_pages_and_comes_back(app: FastAPI, parts: Parts) -> None:
    def told() -> dict[str, Any]:
        parts.evaluator.tick()
        found: dict[str, Any] = ask(app, "GET", "/api/slo/objective?slo=api&service=shop").json()
        return found

    before, now = told(), parts.clock()
    asked = {
        "services": ["shop"], "reason": "new disks", "created_by": "ann", "since_ms": now - 5_400_000,
        "until_ms": now - 3_600_000,
    }  # fmt: skip
    made = ask(
        app, "POST", "/api/slo/adjustments", {"content-type": "application/json"}, json.dumps(asked).encode()
    ).json()
    after = told()
    (taken,) = after["taken_out"]
    assert (taken["id"], taken["kind"], taken["reason"], taken["by"], taken["ms"], taken["now"]) == (
        made["id"], "maintenance", "new disks", "ann", 1_800_000, False,
    )  # fmt: skip
    assert (after["bad"] + taken["bad"], after["total"] + taken["total"]) == (before["bad"], before["total"])
    assert 0 < taken["bad"] < taken["total"]
    series_told = 'midwatch_slo_taken_out_seconds{node="",node_id="",registry="",service="shop",slo="api"} 1800.0'
    assert series_told in ask(app, "GET", "/metrics").text
    for path in ("/oncall", "/slo?slo=api&service=shop", "/adjustments"):
        assert "new disks" in ask(app, "GET", path).text, path
    gone = {"by": "bob", "why": "it was ours"}
    ask(
        app,
        "POST",
        f"/api/slo/adjustments/{made['id']}/revoke",
        {"content-type": "application/json"},
        json.dumps(gone).encode(),
    )
    again = told()
    assert again["taken_out"] == []
    assert (again["bad"], again["total"], again["sli_exact"]) == (before["bad"], before["total"], before["sli_exact"])
