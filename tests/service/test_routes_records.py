"""Searching log lines and spans over HTTP: bounded, paged, and nothing but text whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import routes_records, store_search
from service.app import create_app
from service.main import running
from service.model import LogBatch, LogRow, SpanRow, TraceBatch
from service.parts import Parts
from service.settings import Settings
from tests.service.asgi import ask
from tests.service.stores import T0

DAY_MS = 86_400_000
TRACE = "5b8efff798038103d269b633813fc60c"
LINE = LogRow(T0, "n1", "u1", "shop/api", "shop-api-1", "/docker/a", "stdout", "hello", "info")
ROOT = SpanRow(TRACE, "a" * 16, None, "GET /", "n1", "u1", "shop/api", T0 - 900, T0 - 100, True, {"code": 200})
CHILD = replace(
    ROOT, span_id="b" * 16, parent_id="a" * 16, name="query", service="shop/db", start_ms=T0 - 800, ok=False
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder: Path = tmp_path_factory.mktemp("records")
    with running(Settings(), folder, lambda: T0) as found:
        lines = [
            replace(LINE, at_ms=T0 - 10, text="Payment REFUSED", severity="error", service="shop/pay", trace_id=TRACE),
            replace(LINE, at_ms=T0 - 20, text="100% sure_ly", severity="warn", container="shop-api-2"),
            *(replace(LINE, at_ms=T0 - 2 * DAY_MS + n // 3, text=f"old {n}") for n in range(50)),
        ]
        found.records.append_logs(LogBatch(None, (), tuple(lines)))
        other = replace(ROOT, trace_id="0" * 31 + "1", start_ms=T0 - 5_000, end_ms=T0 - 50)
        found.records.append_spans(TraceBatch(None, (ROOT, CHILD, other)))
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def got(app: FastAPI, path: str) -> Any:
    answer = ask(app, "GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(app: FastAPI, query: str) -> list[str]:
    return [it["body"] for it in got(app, f"/api/logs?{query}")["lines"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Payment REFUSED", "100% sure_ly"]),
        ("text=refused", ["Payment REFUSED"]),
        ("text=100%25+sure_", ["100% sure_ly"]),
        ("text=1_0", []),
        ("regex=REF.SED$", ["Payment REFUSED"]),
        ("severity=warn", ["100% sure_ly"]),
        ("severity=warn&severity=error", ["Payment REFUSED", "100% sure_ly"]),
        ("service=shop/pay", ["Payment REFUSED"]),
        ("service=shop/pa", []),
        ("container=shop-api-2", ["100% sure_ly"]),
        ("node=u1&limit=1", ["Payment REFUSED"]),
        (f"trace_id={TRACE}", ["Payment REFUSED"]),
        (f"until={T0 - 10}", ["Payment REFUSED", "100% sure_ly"]),
        (f"until={T0 - 11}", ["100% sure_ly"]),
        (f"since={T0 - 20}", ["Payment REFUSED"]),
        ("since=2001-01-01T00:00:00Z&until=2001-01-02T00:00:00%2B01:00", []),
    ],
)
def test_lines_are_found_by_what_they_are(app: FastAPI, query: str, found: list[str]) -> None:
    assert texts(app, query) == found


def test_pages_follow_one_another_without_a_gap_or_a_repeat(app: FastAPI) -> None:
    query, seen, place = f"since={T0 - 3 * DAY_MS}&limit=7", list[str](), ""
    for _ in range(20):
        page = got(app, f"/api/logs?{query}{place}")
        seen += [it["body"] for it in page["lines"]]
        if page["next"] is None:
            break
        place = f"&before={page['next']}"
    assert seen == ["Payment REFUSED", "100% sure_ly", *(f"old {n}" for n in reversed(range(50)))]


def test_a_trace_is_found_by_its_id(app: FastAPI) -> None:
    spans = got(app, f"/api/traces/{TRACE}")["spans"]
    assert [(it["name"], it["parent_id"], it["attributes"]) for it in spans] == [
        ("GET /", None, {"code": 200}), ("query", "a" * 16, {"code": 200}),
    ]  # fmt: skip
    assert ask(app, "GET", f"/api/traces/{'f' * 32}").status_code == 404
    assert ask(app, "GET", "/api/traces/xyz").status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["0" * 31 + "1", TRACE]),
        ("limit=1", ["0" * 31 + "1"]),
        ("service=shop/db", [TRACE]),
        ("min_ms=1000", ["0" * 31 + "1"]),
        ("max_ms=1000", [TRACE]),
        ("failed=true", [TRACE]),
        ("name=query&failed=false", []),
        (f"until={T0 - 100}", [TRACE]),
    ],
)
def test_traces_are_found_by_service_and_duration(app: FastAPI, query: str, found: list[str]) -> None:
    assert [it["trace_id"] for it in got(app, f"/api/traces?{query}")["traces"]] == found


def test_a_trace_in_a_list_is_the_whole_trace(app: FastAPI) -> None:
    (found,) = got(app, "/api/traces?service=shop/db")["traces"]
    assert found == {
        "trace_id": TRACE, "root": "GET /", "service": "shop/api", "start_ms": T0 - 900, "end_ms": T0 - 100,
        "spans": 2, "failed": 1, "duration_ms": 800,
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "/api/logs?limit=0", "/api/logs?limit=1001", "/api/logs?severity=loud", "/api/logs?since=yesterday",
        "/api/logs?since=5&until=5", "/api/logs?before=1", "/api/logs?regex=(", "/api/logs?trace_id=x",
        f"/api/logs?text={'x' * 501}", "/api/traces?min_ms=-1", "/api/traces?failed=perhaps",
        "/api/logs?since=9999999999999999", "/api/logs?before=%D9%A1.1",
    ],
)  # fmt: skip
def test_a_search_that_makes_no_sense_says_why(app: FastAPI, path: str) -> None:
    answer = ask(app, "GET", path)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)


def test_a_search_that_takes_too_long_is_broken_off(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_records, "SEARCH_SECONDS", 0.0)
    real = store_search._conditions

    def slow(asked: store_search.LogSearch) -> tuple[str, list[object]]:
        where, parameters = real(asked)
        endless = "(SELECT sum(sin(a.range * b.range)) FROM range(100000) a, range(100000) b) > 0"
        return " AND ".join((where, endless)), parameters

    monkeypatch.setattr(store_search, "_conditions", slow)
    answer = ask(app, "GET", "/api/logs")
    assert (answer.status_code, "took longer" in answer.json()["error"]) == (400, True)
    monkeypatch.undo()
    assert len(texts(app, "")) == 2


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["text", "regex", "service", "container", "node", "since", "before"]), st.text(max_size=40))
def test_whatever_is_asked_it_is_an_answer_or_a_refusal(app: FastAPI, name: str, value: str) -> None:
    from urllib.parse import quote

    answer = ask(app, "GET", f"/api/logs?{name}={quote(value)}")
    assert answer.status_code in (200, 400)


def test_the_api_describes_itself(app: FastAPI) -> None:
    found = got(app, "/api/openapi.json")
    assert {"/api/logs", "/api/traces", "/api/traces/{trace_id}", "/api/v1/write", "/v1/{signal}"} <= set(
        found["paths"]
    )
    names = {it["name"] for it in found["paths"]["/api/logs"]["get"]["parameters"]}
    assert {"since", "until", "service", "severity", "text", "before", "limit"} <= names


def test_tables_of_an_older_version_are_widened_and_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "server" / "midwatch.duckdb"
    with running(Settings(), tmp_path, lambda: T0) as parts:
        parts.records.append_logs(LogBatch(None, (), (LINE,)))
    day = T0 // DAY_MS
    with duckdb.connect(str(file)) as old:
        old.execute(f"ALTER TABLE logs_{day} DROP COLUMN span_id; ALTER TABLE logs_{day} DROP COLUMN trace_id")
        old.execute("CREATE TABLE spans AS SELECT * FROM spans_0")
        old.execute(
            "INSERT INTO spans VALUES (?, 'a', NULL, 'x', 'n', 'u', 's', ?, ?, true, '{}'), "
            "(?, 'b', NULL, 'y', 'n', 'u', 's', ?, ?, true, '{}')",
            [TRACE, T0 - 9, T0 - 5, TRACE, T0 - DAY_MS, T0 - DAY_MS + 1],
        )
    for _ in range(2):
        with running(Settings(), tmp_path, lambda: T0) as parts:
            parts.records.append_logs(LogBatch(None, (), (replace(LINE, trace_id=TRACE),)))
            app = create_app(parts)
            assert [it["name"] for it in got(app, f"/api/traces/{TRACE}")["spans"]] == ["y", "x"]
    with running(Settings(), tmp_path, lambda: T0) as parts:
        lines = got(create_app(parts), "/api/logs")["lines"]
        assert [it["trace_id"] for it in lines] == [TRACE, TRACE, None]
