"""The whole service over HTTP, without an agent: batches in, pages, API and metrics out."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Send

from agent.model import Event, NodeIdentity, Points, Resource, Value
from agent.otlp import logs_request, metrics_request
from dashboards.pages import parse
from dashboards.source import Scope
from runtime.model import PLATFORM, ServiceName
from service import bodies, live
from service.api import ApiFault
from service.app import create_app
from service.main import running, system_clock
from service.model import LogBatch, LogRow
from service.parts import Parts
from service.settings import Settings
from slo.model import Selector
from tests.service.asgi import ADDRESS, ask
from tests.support.waiting import until

NODE = NodeIdentity("n1", "6b1f0d0e-0000-4000-8000-000000000001")
HOSTILE = ServiceName("shop", "<img src=x onerror=alert(1)>")
OTLP = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder: Path = tmp_path_factory.mktemp("service")
    with running(Settings(), folder, system_clock) as found:
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def _metrics(now_ms: int, kills: float) -> bytes:
    own = (
        Value("midwatch_oom_kills_total", (("cause", "container"), ("victim", "main")), kills, now_ms, now_ms - 4000),
        Value("midwatch_container_desired_seconds_total", (), 4.0, now_ms, now_ms - 4000),
        Value("midwatch_container_healthy_seconds_total", (), 4.0, now_ms, now_ms - 4000),
    )
    agent = (Value("midwatch_agent_interval_seconds", (), 5.0, now_ms),)
    return metrics_request(NODE, [Points(Resource(HOSTILE), own), Points(Resource(PLATFORM), agent)])


def _declared(now_ms: int) -> bytes:
    told = {"replicas": 1, "source": "/srv/compose.yaml", "probe": False, "first_seen_ms": now_ms - 4000}
    return logs_request(NODE, [Event("service.declared", now_ms, Resource(HOSTILE), "declared", told)])


def _post(app: FastAPI, signal: str, body: bytes, sequence: int, spool: str = "s1") -> int:
    headers = {**OTLP, "midwatch-batch": f"{NODE.node_id}/{spool}/{signal}/{sequence}"}
    return ask(app, "POST", f"/v1/{signal}", headers, gzip.compress(body)).status_code


def _kills(parts: Parts, now_ms: int) -> float:
    found = parts.store.range(Selector("midwatch_oom_kills_total"), now_ms - 60_000, now_ms, 60_000, "increase")
    return sum(value for it in found for value in it.values if value is not None)


def test_a_batch_is_stored_once_however_often_it_comes(app: FastAPI, parts: Parts) -> None:
    now_ms = system_clock()
    body = _metrics(now_ms, 2.0)
    assert [_post(app, "metrics", body, 1) for _ in range(3)] == [200, 200, 200]
    assert _kills(parts, now_ms) == 2.0


def test_a_batch_behind_its_streams_last_one_is_counted_apart(app: FastAPI) -> None:
    body = _metrics(system_clock(), 0.0)
    assert [_post(app, "metrics", body, at, "jumping") for at in (3, 2, 3)] == [200, 200, 200]
    outcomes = {'midwatch_server_batches_total{outcome="behind",signal="metrics"} 1.0'}
    assert outcomes <= set(ask(app, "GET", "/metrics").text.splitlines())


class _Left(StreamingResponse):
    """A long answer whose reader leaves while it waits for its turn."""

    async def stream_response(self, send: Send) -> None:
        """Nothing was begun."""


def test_a_reader_that_leaves_before_a_long_answer_begins_is_no_error(parts: Parts) -> None:
    app, sent = create_app(parts), list[Any]()

    @app.get("/left")
    def left() -> Response:
        return _Left(iter(()))

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def note(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": "/left", "raw_path": b"/left", "query_string": b"", "headers": [(b"host", ADDRESS.encode())],
        "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8640),
    }  # fmt: skip
    anyio.run(app, scope, gone, note)
    assert not sent


def test_an_answer_says_how_long_it_holds(app: FastAPI) -> None:
    found = [
        ask(app, "GET", path).headers["cache-control"] for path in ("/healthz", "/static/dist/none.js", "/api/nothing")
    ]
    assert found == ["no-store"] * 3


def test_an_unmeasured_objective_has_a_state_and_no_ratio(app: FastAPI, parts: Parts) -> None:
    assert _post(app, "logs", _declared(system_clock()), 1) == 200
    until(lambda: "cold-start" in _states(app), 20.0)
    assert _states(app)["cold-start"] == "unmeasured"
    ratios = [line for line in _exposed(app) if line.startswith("midwatch_slo_sli_ratio{") and "cold-start" in line]
    assert ratios == []


def test_hostile_names_are_text_on_every_page(app: FastAPI) -> None:
    until(lambda: _states(app), 20.0)
    for path in ("/", "/oncall", "/debug", "/reports", "/runbooks/oom-storm"):
        answer = ask(app, "GET", path)
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]


def _states(app: FastAPI) -> dict[str, str]:
    found = ask(app, "GET", "/api/judgements").json()["judgements"]
    return {it["slo"]: it["state"] for it in found if it["service"] == str(HOSTILE)}


def _exposed(app: FastAPI) -> list[str]:
    return ask(app, "GET", "/metrics").text.splitlines()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (OTLP, b"not gzip", 400),
        (OTLP, gzip.compress(b"\xff\xff\xff"), 400),
        ({"content-type": "text/html"}, b"{}", 415),
        ({**OTLP, "midwatch-batch": "no identity"}, gzip.compress(b""), 400),
        ({**OTLP, "content-length": str(1 << 40)}, b"x", 413),
    ],
)
def test_what_cannot_be_stored_is_refused_and_counted(
    app: FastAPI, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert ask(app, "POST", "/v1/metrics", headers, body).status_code == status


def test_lines_of_one_millisecond_keep_their_order(parts: Parts) -> None:
    now_ms = parts.clock()
    rows = tuple(LogRow(now_ms, "n1", "u1", "shop/order", "c", "/docker/a", "stderr", f"line {n}") for n in range(300))
    parts.records.append_logs(LogBatch(None, (), rows[:200]))
    parts.records.append_logs(LogBatch(None, (), rows[200:]))
    found = parts.source.logs(Scope(service="shop/order"), now_ms - 1000, now_ms + 1000, 250)
    assert [it.text for it in found] == [f"line {n}" for n in range(299, 49, -1)]


def test_a_stream_beyond_the_most_gets_nothing(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_READERS", 1)
    request = parse("oncall", {}, parts.clock())

    async def firsts() -> tuple[list[str], int]:
        one, two = parts.live.stream(request), parts.live.stream(request)
        told = [await anext(one), await anext(two), await anext(two, "the end")]
        readers = parts.live.readers
        await one.aclose()
        return told, readers

    told, readers = anyio.run(firsts)
    assert told == ["retry: 3000\n\n", "retry: 30000\n\n", "the end"]
    assert (readers, parts.live.readers) == (1, 0)


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    async def read() -> bytes:
        return await bodies.body_of(Request({"type": "http", "headers": []}, receive), 100)

    with pytest.raises(ApiFault, match="did not come within") as caught:
        anyio.run(read)
    assert caught.value.status == 408


def test_a_silence_is_made_listed_and_ended(app: FastAPI) -> None:
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    asked = {
        "matchers": [{"name": "service", "value": "shop/api", "isRegex": False}],
        "endsAt": ends,
        "createdBy": "me",
        "comment": "new disks",
    }
    json_type = {"content-type": "application/json"}
    made = ask(app, "POST", "/api/silences", json_type, json.dumps(asked).encode()).json()["silenceID"]
    assert [it["id"] for it in ask(app, "GET", "/api/silences").json()] == [made]
    assert ask(app, "DELETE", f"/api/silences/{made}").status_code == 204
    assert ask(app, "GET", "/api/silences").json() == []
    assert ask(app, "DELETE", f"/api/silences/{made}").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b'{"matchers": [], "endsAt": "2999-01-01T00:00:00Z", "createdBy": "a", "comment": "b"}', "no matcher"),
        (
            b'{"matchers": [{"name": "service", "value": ".*", "isRegex": true}], "endsAt": "2999-01-01T00:00:00Z"}',
            "empty",
        ),
        (
            b'{"matchers": [{"name": "service", "value": "a"}], "endsAt": "9999-01-01T00:00:00Z", "comment": "b"}',
            "later than 365 days from now: end it by then",
        ),
        (
            b'{"matchers": [{"value": 1}], "endsAt": "soon"}',
            "matchers.0.name is missing; write it; matchers.0.value is",
        ),
        (b'{"matchers": 1}', "endsAt is missing; write it"),
    ],
)
def test_a_silence_that_makes_no_sense_says_why(app: FastAPI, body: bytes, said: str) -> None:
    answer = ask(app, "POST", "/api/silences", {"content-type": "application/json"}, body)
    assert (answer.status_code, said in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("return_to", ["//evil.example", "/\\evil.example", "https://evil.example", ""])
def test_what_does_not_exist_is_said_and_no_form_leads_elsewhere(app: FastAPI, return_to: str) -> None:
    answer = ask(app, "POST", "/api/incidents/none/ack", content=f"return_to={return_to}".encode())
    assert (answer.status_code, answer.headers.get("location")) == (404, None)
    assert ask(app, "GET", "/incidents/none").status_code == 404
    assert ask(app, "GET", "/runbooks/none").status_code == 404
    assert ask(app, "GET", "/oncall?range=9y").status_code == 400


def test_it_is_ready_once_it_has_evaluated(app: FastAPI) -> None:
    until(lambda: ask(app, "GET", "/readyz").status_code == 200, 20.0)
    assert ask(app, "GET", "/healthz").text == "ok\n"


def test_a_receiver_that_is_away_is_told_and_leaves_the_service_ready(app: FastAPI, parts: Parts) -> None:
    """Who starts it, or sends to it, is not to be held up by a pager's outage."""
    now_ms = system_clock()
    row = ["m", 1, "i", "gone", "{}", now_ms - 3_600_000, 0, now_ms + 3_600_000, None, None, "refused"]
    parts.store.database.write(
        lambda it: it.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    )
    until(lambda: "1 messages wait" in ask(app, "GET", "/readyz").text)
    answer = ask(app, "GET", "/readyz")
    assert (answer.status_code, answer.text.splitlines()[0]) == (200, "ready")
    assert "1 messages wait for delivery" in str(ask(app, "GET", "/api/status").json()["faults"])
    parts.store.database.write(lambda it: it.execute("DELETE FROM outbox WHERE id = 'm'"))
