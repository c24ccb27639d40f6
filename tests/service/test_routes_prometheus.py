"""Prometheus's API over HTTP, on a store of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.app import create_app
from service.main import running
from service.parts import Parts
from service.settings import Settings
from tests.service.asgi import ask
from tests.service.stores import T0, Clock, Point, batch, series
from tests.support.waiting import until

START = T0 / 1000 - 600
RULES = """
groups:
  - name: g
    interval: 1m
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: Down
        expr: up == 0
        for: 5m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.instance }} is down"}
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "rules.yml").write_text(RULES)
    with running(Settings(rules=(str(folder / "*.yml"),)), folder, Clock()) as found:
        until(lambda: found.rules.counts["ok"] == 2, what="the rules of this moment are done")
        points = []
        for ts in range(T0 - 600_000, T0 + 1, 15_000):
            at = (ts - T0 + 600_000) / 1000
            points += [
                Point(series("up", job="a", instance="x:1"), ts, 1.0, kind="gauge"),
                Point(series("up", job="a", instance="y:1"), ts, 0.0, kind="gauge"),
                Point(series("requests_total", job="a", code="200"), ts, at * 2),
                Point(series("requests_total", job="a", code="500"), ts, at / 10),
            ]
        found.store.append(batch(points))
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def get(app: FastAPI, path: str, **asked: Any) -> httpx.Response:
    return ask(app, "GET", f"/api/v1/{path}?{urlencode(asked, doseq=True)}")


def data(app: FastAPI, path: str, **asked: Any) -> Any:
    found = get(app, path, **asked)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json"), found.text
    body = found.json()
    assert body["status"] == "success"
    return body["data"]


def fault(app: FastAPI, path: str, **asked: Any) -> tuple[int, str, str]:
    found = get(app, path, **asked)
    body = found.json()
    assert body["status"] == "error"
    return found.status_code, body["errorType"], body["error"]


def test_an_instant_query_gives_a_vector(app: FastAPI) -> None:
    found = data(app, "query", query="up == 1", time=T0 / 1000)
    metric = {"__name__": "up", "instance": "x:1", "job": "a"}
    assert found == {"resultType": "vector", "result": [{"metric": metric, "value": [T0 / 1000, "1"]}]}


def test_without_a_time_now_is_meant(app: FastAPI) -> None:
    assert data(app, "query", query="time()") == {"resultType": "scalar", "result": [T0 / 1000, str(T0 // 1000)]}


def test_a_range_query_gives_a_matrix(app: FastAPI) -> None:
    asked = {"query": "sum(rate(requests_total[2m]))", "start": START + 300, "end": T0 / 1000, "step": "60"}
    found = data(app, "query_range", **asked)
    (one,) = found["result"]
    assert found["resultType"] == "matrix"
    assert len(one["values"]) == 6
    assert all(float(text) == pytest.approx(2.1) for _, text in one["values"])


def test_a_form_is_read_as_the_address_is(app: FastAPI) -> None:
    asked = {"query": "count(up)", "time": str(T0 / 1000)}
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    found = ask(app, "POST", "/api/v1/query", form, urlencode(asked).encode())
    assert found.json()["data"] == data(app, "query", **asked)


@pytest.mark.parametrize(
    ("path", "asked", "status", "kind", "words"),
    [
        ("query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query"'),
        ("query", {"query": ""}, 400, "bad_data", 'invalid parameter "query"'),
        ("query", {"query": "up", "time": "x"}, 400, "bad_data", 'invalid parameter "time"'),
        ("query", {"query": "up", "timeout": "x"}, 400, "bad_data", 'invalid parameter "timeout"'),
        ("query", {"query": "up", "limit": "-1"}, 400, "bad_data", 'invalid parameter "limit"'),
        ("query", {"query": "up", "lookback_delta": "0"}, 400, "bad_data", "lookback_delta"),
        ("query", {"query": 'up{job=~"a)("}'}, 400, "bad_data", ""),
        ("query", {"query": "up * on (job) requests_total"}, 422, "execution", "many-to-many"),
        ("query_range", {"query": "up"}, 400, "bad_data", 'invalid parameter "start"'),
        ("query_range", {"query": "up", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "must not be before"),
        ("query_range", {"query": "up", "start": 1, "end": 2, "step": 0}, 400, "bad_data", "zero or negative"),
        ("query_range", {"query": "up", "start": 0, "end": 11_000, "step": 1}, 400, "bad_data", "11,000 points"),
        ("query_range", {"query": "up[5m]", "start": 0, "end": 10, "step": 1}, 400, "bad_data", ""),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("series", {"match[]": "sum(up)"}, 400, "bad_data", 'invalid parameter "match[]"'),
        ("series", {"match[]": "{}"}, 400, "bad_data", 'invalid parameter "match[]"'),
        ("labels", {"start": 2, "end": 1}, 400, "bad_data", "must not be before"),
        ("format_query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query"'),
        ("rules", {"type": "x"}, 400, "bad_data", 'invalid parameter "type"'),
        ("nothing", {}, 404, "not_found", "/api/v1/nothing"),
        ("label/U__a_zz_b/values", {}, 400, "bad_data", "invalid label name"),
    ],
)
def test_what_has_no_answer_is_told_as_prometheus_tells_it(
    app: FastAPI, path: str, asked: dict[str, Any], status: int, kind: str, words: str
) -> None:
    found = fault(app, path, **asked)
    assert found[:2] == (status, kind)
    assert words in found[2]


def test_a_timeout_is_told_as_one(app: FastAPI) -> None:
    assert fault(app, "query", query="up", timeout="0")[:2] == (503, "timeout")


def test_results_are_cut_with_a_warning(app: FastAPI) -> None:
    body = get(app, "query", query="up", limit=1).json()
    assert len(body["data"]["result"]) == 1
    assert body["warnings"] == ["results truncated due to limit"]
    asked = {"query": "up", "start": START, "end": T0 / 1000, "step": 15, "limit": 1}
    body = get(app, "query_range", **asked).json()
    assert [len(one["values"]) for one in body["data"]["result"]] == [41]
    assert get(app, "labels", limit=1).json()["warnings"] == ["results truncated due to limit"]
    assert "warnings" not in get(app, "query", query="up", limit=2).json()


def test_lookback_can_be_asked_for(app: FastAPI) -> None:
    asked = {"query": "up", "time": T0 / 1000 + 100}
    assert len(data(app, "query", **asked)["result"]) == 2
    assert data(app, "query", **asked, lookback_delta="30s")["result"] == []


def test_series_labels_and_values_are_listed(app: FastAPI) -> None:
    assert [it["instance"] for it in data(app, "series", **{"match[]": 'up{instance!=""}'})] == ["x:1", "y:1"]
    both = data(app, "series", **{"match[]": ["up", "requests_total", "up"]})
    assert sorted(it["__name__"] for it in both) == ["requests_total", "requests_total", "up", "up"]
    assert data(app, "labels", **{"match[]": "up"}) == ["__name__", "instance", "job"]
    assert data(app, "label/code/values") == ["200", "500"]
    assert data(app, "label/__name__/values", **{"match[]": '{job="a"}', "end": T0 / 1000}) == ["requests_total", "up"]
    assert data(app, "label/U__code/values") == ["200", "500"]
    assert data(app, "label/none/values") == []


def test_series_outside_the_times_asked_for_are_not_listed(app: FastAPI) -> None:
    assert data(app, "label/code/values", end=START - 3600) == []
    assert data(app, "label/code/values", start=T0 / 1000 + 3600) == []


def test_a_query_can_be_formatted(app: FastAPI) -> None:
    assert data(app, "format_query", query="sum(up)by(job)") == "sum by (job) (up)"


def test_rules_and_alerts_are_told(app: FastAPI, parts: Parts) -> None:
    clock = parts.clock
    assert isinstance(clock, Clock)
    clock.now_ms += 60_000
    until(lambda: data(app, "alerts")["alerts"])
    clock.now_ms -= 60_000
    (group,) = data(app, "rules")["groups"]
    assert (group["name"], group["interval"], [it["health"] for it in group["rules"]]) == ("g", 60, ["ok", "ok"])
    recording, alerting = group["rules"]
    assert (recording["type"], recording["query"]) == ("recording", "sum by (job) (up)")
    assert (alerting["type"], alerting["state"], alerting["duration"]) == ("alerting", "pending", 300)
    (alert,) = data(app, "alerts")["alerts"]
    assert alert["labels"] == {"alertname": "Down", "instance": "y:1", "job": "a", "severity": "page"}
    assert alert["annotations"] == {"summary": "y:1 is down"}
    assert (alert["state"], alert["value"]) == ("pending", "0e+00")
    assert [it["type"] for it in data(app, "rules", type="alert")["groups"][0]["rules"]] == ["alerting"]
    assert data(app, "rules", **{"rule_group[]": "other"}) == {"groups": []}
    (stored,) = data(app, "query", query='ALERTS{alertstate="pending"}', time=T0 / 1000 + 60)["result"]
    assert stored["metric"]["alertname"] == "Down"


def test_status_addresses_answer_as_grafana_asks_them(app: FastAPI) -> None:
    assert data(app, "status/buildinfo")["version"] == "3.5.0"
    assert data(app, "status/flags")["query.lookback-delta"] == "300s"
    assert data(app, "status/config") == {"yaml": ""}
    assert data(app, "status/runtimeinfo")["reloadConfigSuccess"] is True
    assert data(app, "query_exemplars", query="up", start=0, end=1) == []
    assert data(app, "alertmanagers") == {"activeAlertmanagers": [], "droppedAlertmanagers": []}
    tsdb = data(app, "status/tsdb", limit=1)
    assert tsdb["seriesCountByLabelValuePair"] == [{"name": "job=a", "value": 4}]
    assert data(app, "metadata") == {}
    assert data(app, "targets") == {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}


def test_the_api_asks_for_the_token_as_all_else_does(parts: Parts) -> None:
    from dataclasses import replace

    guarded = create_app(replace(parts, settings=Settings(token="t" * 20)))
    assert get(guarded, "query", query="up").status_code == 401
    shown = ask(guarded, "GET", "/api/v1/query?query=up", {"authorization": "Bearer " + "t" * 20})
    assert shown.status_code == 200


def test_a_query_that_ends_at_a_bound_is_counted_by_it(app: FastAPI, parts: Parts) -> None:
    counted = parts.own.found["midwatch_server_query_limits_total"]
    before = counted.get(("max_depth",), 0.0)
    assert get(app, "query", query="(" * 300 + "up" + ")" * 300).status_code == 422
    assert counted["max_depth",] == before + 1
    exposed = ask(app, "GET", "/metrics").text
    assert 'midwatch_server_query_limits_total{limit="max_depth"}' in exposed


def test_requests_are_counted_by_what_became_of_them(app: FastAPI, parts: Parts) -> None:
    before = dict(parts.own.found["midwatch_server_queries_total"])
    get(app, "query", query="up")
    get(app, "query", query="up(")
    after = parts.own.found["midwatch_server_queries_total"]
    assert after["ok",] == before.get(("ok",), 0.0) + 1
    assert after["bad_data",] == before.get(("bad_data",), 0.0) + 1


names = st.sampled_from(
    [
        "query",
        "time",
        "start",
        "end",
        "step",
        "timeout",
        "limit",
        "match[]",
        "lookback_delta",
        "stats",
        "type",
        "metric",
        "group_limit",
        "group_next_token",
        "rule_name[]",
        "state",
        "x",
    ]
)
texts = st.one_of(
    st.sampled_from(
        [
            "up",
            "rate(requests_total[5m])",
            '{__name__=~".+"}',
            "0",
            "1",
            "-1",
            "1e9",
            "15s",
            "NaN",
            "+Inf",
            "1e308",
            "up[5m]",
            "up[1h:1s]",
            'up{job=~"("}',
            "up offset 5m",
            "up @ -5",
            "topk(1e300, up)",
            "1/0",
            "sum by (job) (up) / on () group_left () up",
            "label_replace(up, '', '', '', '(')",
            "9" * 30,
            '"text"',
            "vector(1)",
            "count_values('x', up)",
            "quantile_over_time(2, up[1h])",
            "alert",
        ]
    ),
    st.text(max_size=40),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
)
paths = st.sampled_from(
    [
        "query",
        "query_range",
        "series",
        "labels",
        "label/job/values",
        "label/U__x_zz_/values",
        "metadata",
        "targets",
        "rules",
        "alerts",
        "status/tsdb",
        "query_exemplars",
        "format_query",
        "nothing",
        "status/buildinfo",
        "label/%00/values",
        "label/é/values",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths, st.lists(st.tuples(names, texts), max_size=7), st.sampled_from(["GET", "POST"]), st.booleans())
def test_whatever_is_asked_is_answered_in_the_apis_form(
    app: FastAPI, path: str, pairs: list[tuple[str, str]], method: str, form: bool
) -> None:
    told = urlencode([(name, value.encode("utf-8", "replace")) for name, value in pairs])
    kind = {"content-type": "application/x-www-form-urlencoded"}
    if form:
        found = ask(app, "POST", f"/api/v1/{path}", kind, told.encode())
    else:
        found = ask(app, method, f"/api/v1/{path}?{told}")
    assert found.status_code < 500 or found.status_code == 503, found.text
    if found.status_code == 405:
        return
    body = json.loads(found.content)
    assert body["status"] == ("success" if found.status_code == 200 else "error")
    assert found.status_code == 200 or (body["errorType"] and body["error"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_body_makes_an_error_of_the_servers(app: FastAPI, body: bytes) -> None:
    found = ask(app, "POST", "/api/v1/query", {"content-type": "application/x-www-form-urlencoded"}, body)
    assert found.status_code in (200, 400, 422)
