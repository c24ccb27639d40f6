"""The way in over HTTP: answers, errors and what they ask the sender to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.samples import Matcher
from service.settings import Settings
from service.settings_ingest import IngestSettings
from slo.model import Selector
from tests.service.asgi import ask
from tests.service.writes import V1, V2, first, packed, second

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
MS = 1_000_000


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    with running(Settings(), folder, system_clock) as found:
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def delta(name: str, value: float, now_ms: int) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.sum.aggregation_temporality = 1
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(time_unix_nano=now_ms * MS, start_time_unix_nano=(now_ms - 1000) * MS, as_double=value)
    return request.SerializeToString()


def test_deltas_are_stored_as_a_running_sum_once_however_often_they_come(app: FastAPI, parts: Parts) -> None:
    now_ms = system_clock()
    for sequence, (value, at) in enumerate([(2.0, now_ms - 2000), (3.0, now_ms - 1000)], 1):
        headers = {**PROTOBUF, "midwatch-batch": f"n/s/metrics/{sequence}"}
        answers = [ask(app, "POST", "/v1/metrics", headers, delta("d", value, at)).status_code for _ in range(2)]
        assert answers == [200, 200]
    (found,) = parts.store.instant(Selector("d_total"), now_ms)
    assert found.value == 5.0
    assert parts.wire.metadata.get("d_total") is not None


def test_a_batch_without_an_identity_that_comes_again_is_no_refusal(app: FastAPI) -> None:
    now_ms = system_clock()
    gauge = ExportMetricsServiceRequest()
    gauge.resource_metrics.add().scope_metrics.add().metrics.add(name="again").gauge.data_points.add(
        time_unix_nano=now_ms * MS, as_double=1.0
    )
    for body in (gauge.SerializeToString(), delta("again_delta", 2.0, now_ms)):
        assert [ask(app, "POST", "/v1/metrics", PROTOBUF, body).content for _ in range(2)] == [b"", b""]
    earlier = ask(app, "POST", "/v1/metrics", PROTOBUF, delta("again_delta", 2.0, now_ms - 500)).content
    told = ExportMetricsServiceResponse.FromString(earlier).partial_success
    assert told.error_message == "left out: 1 delta_out_of_order"


def test_requests_of_one_resource_and_moment_reject_nothing(app: FastAPI) -> None:
    now_ms = system_clock()
    for name in ("piece_a", "piece_b"):
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.add(key="cloud.region").value.string_value = "x"
        group.scope_metrics.add().metrics.add(name=name).gauge.data_points.add(
            time_unix_nano=now_ms * MS, as_double=1.0
        )
        answer = ask(app, "POST", "/v1/metrics", PROTOBUF, request.SerializeToString())
        assert (answer.status_code, answer.content) == (200, b"")


def test_what_is_left_out_is_told_in_the_form_of_the_request(app: FastAPI) -> None:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="empty")
    answer = ask(app, "POST", "/v1/metrics", PROTOBUF, request.SerializeToString())
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert ExportMetricsServiceResponse.FromString(answer.content).partial_success.rejected_data_points == 1
    body = b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "empty"}]}]}]}'
    told = ask(app, "POST", "/v1/metrics", JSON, body)
    assert (told.headers["content-type"], told.json()["partialSuccess"]["rejectedDataPoints"]) == (
        "application/json",
        "1",
    )


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/metrics", PROTOBUF, b"\xff", 400),
        ("/v1/logs", {"content-type": "text/html"}, b"", 415),
        ("/v1/profiles", PROTOBUF, b"", 404),
        ("/v1/traces", {**PROTOBUF, "content-encoding": "br"}, b"", 415),
        ("/v1/metrics", {**PROTOBUF, "content-length": str(1 << 40)}, b"", 413),
    ],
)  # fmt: skip
def test_a_refusal_is_a_status_message(
    app: FastAPI, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = ask(app, "POST", path, headers, body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/x-protobuf")
    assert answer.content[:1] == b"\x08"


def test_who_sent_json_is_refused_in_json(app: FastAPI) -> None:
    answer = ask(app, "POST", "/v1/metrics", JSON, b"[]")
    assert (answer.status_code, json.loads(answer.content)["code"]) == (400, 3)


def test_a_store_that_takes_nothing_asks_to_come_again(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.store.database, "_closed", True)
    answer = ask(app, "POST", "/v1/metrics", PROTOBUF, delta("e", 1.0, system_clock()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    monkeypatch.undo()
    assert ask(app, "POST", "/v1/metrics", PROTOBUF, delta("e", 1.0, system_clock())).status_code == 200


def up(now_ms: int, *ats: int, name: str = "rw") -> bytes:
    return packed(first(({"__name__": name, "job": "a"}, [(now_ms + at, float(at)) for at in ats])).SerializeToString())


def written(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["x-prometheus-remote-write-samples-written"]


def test_remote_write_keeps_a_sample_that_comes_again_once_and_takes_late_ones(app: FastAPI, parts: Parts) -> None:
    now_ms = system_clock()
    assert written(ask(app, "POST", "/api/v1/write", V1, up(now_ms, -2000, -1000))) == (204, "2")
    assert written(ask(app, "POST", "/api/v1/write", V1, up(now_ms, -2000, -1000))) == (204, "2")
    assert written(ask(app, "POST", "/api/v1/write", V1, up(now_ms, -5000))) == (204, "1")
    found = parts.store.range(Selector("rw"), now_ms - 6000, now_ms, 1000)
    assert [it for row in found for it in row.values] == [-5000.0, None, None, -2000.0, -1000.0, None]


def test_remote_write_keeps_what_a_name_that_looks_like_a_counters_brings(app: FastAPI, parts: Parts) -> None:
    now_ms = system_clock()
    values = [-1.0, float("inf"), 3.0, -0.5]
    rows = [(now_ms - 4_000 + 1_000 * at, value) for at, value in enumerate(values)]
    body = packed(first(({"__name__": "queue_delta_count"}, rows)).SerializeToString())
    assert written(ask(app, "POST", "/api/v1/write", V1, body)) == (204, "4")
    found = parts.store.select((Matcher("__name__", "=", "queue_delta_count"),), now_ms - 10_000, now_ms, 10)
    assert found.values.tolist() == values


@pytest.mark.parametrize(("headers", "other"), [(V2, first), (V1, second)])
def test_a_body_of_the_other_version_is_refused(
    app: FastAPI, headers: dict[str, str], other: Callable[..., Any]
) -> None:
    body = packed(other(({"__name__": "mistaken"}, [(system_clock(), 1.0)])).SerializeToString())
    answer = ask(app, "POST", "/api/v1/write", headers, body)
    assert (written(answer), "content type" in answer.text) == ((400, "0"), True)
    assert written(ask(app, "POST", "/api/v1/write", headers, packed(b""))) == (204, "0")


def test_remote_write_tells_of_another_value_at_a_known_moment_and_does_not_count_it_as_written(
    app: FastAPI, parts: Parts
) -> None:
    now_ms = system_clock()
    told = [({"__name__": "rw"}, [(now_ms, value), (now_ms + 1, value)]) for value in (1.0, 2.0)]
    one, other = (packed(first(it).SerializeToString()) for it in told)
    assert written(ask(app, "POST", "/api/v1/write", V1, one)) == (204, "2")
    answer = ask(app, "POST", "/api/v1/write", V1, other)
    assert (*written(answer), answer.text) == (400, "0", "left out: 2 conflict\n")
    assert parts.own.found["midwatch_server_refused_total"]["remote_write", "conflict"] == 2


def test_remote_write_2_0_says_how_much_was_written(app: FastAPI) -> None:
    now_ms = system_clock()
    request = second(({"__name__": "ok"}, [(now_ms, 1.0)]), ({"job": "nameless"}, [(now_ms, 1.0), (now_ms + 1, 1.0)]))
    answer = ask(app, "POST", "/api/v1/write", V2, packed(request.SerializeToString()))
    assert written(answer) == (400, "1")
    assert (answer.text, answer.headers["content-type"]) == ("left out: 2 name\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json"}, b"", 415),
        ({**V2, "content-encoding": "gzip"}, b"", 415),
        (V2, b"\xff", 400),
        (V1, packed(bytes(17 << 20)), 413),
        ({**V1, "content-length": str(1 << 40)}, b"", 413),
    ],
    ids=["type", "encoding", "noise", "bomb", "long"],
)
def test_remote_write_is_refused_in_plain_text(app: FastAPI, headers: dict[str, str], body: bytes, status: int) -> None:
    answer = ask(app, "POST", "/api/v1/write", headers, body)
    assert written(answer) == (status, "0")
    assert answer.headers["content-type"].startswith("text/plain")


def test_remote_write_asks_to_come_again_where_the_store_takes_nothing(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.store.database, "_closed", True)
    answer = ask(app, "POST", "/api/v1/write", V1, up(system_clock(), 0))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[tuple[FastAPI, Parts]]:
    """A service that takes little of each sender."""
    ingest = IngestSettings(max_agent_series=100, agent_samples_per_second=100)
    with running(Settings(ingest=ingest), tmp_path, system_clock) as found:
        yield create_app(found), found


def test_who_brings_too_much_is_asked_to_wait_and_loses_nothing(narrow: tuple[FastAPI, Parts]) -> None:
    app, parts = narrow
    now_ms = system_clock()
    many = packed(first(({"__name__": "m"}, [(now_ms - at, 1.0) for at in range(1_500)])).SerializeToString())
    assert ask(app, "POST", "/api/v1/write", V1, many).status_code == 204
    answer = ask(app, "POST", "/api/v1/write", V1, up(now_ms, 0))
    assert (answer.status_code, 1 <= int(answer.headers["retry-after"]) <= 5) == (429, True)
    over_otlp = ask(app, "POST", "/v1/metrics", {**PROTOBUF, "midwatch-batch": "other/s/metrics/1"}, b"")
    assert over_otlp.status_code == 200
    assert parts.own.found["midwatch_server_limited_total"] == {("remote_write", "agent_rate"): 1}


def test_who_brings_too_many_series_is_asked_to_wait_and_nothing_is_stored(narrow: tuple[FastAPI, Parts]) -> None:
    app, parts = narrow
    now_ms = system_clock()
    rows = [({"__name__": "m", "n": str(n)}, [(now_ms, 1.0)]) for n in range(101)]
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for n in range(101):
        metric.gauge.data_points.add(time_unix_nano=now_ms * MS, as_int=1).attributes.add(key="n").value.int_value = n
    written = ask(app, "POST", "/api/v1/write", V1, packed(first(*rows).SerializeToString()))
    exported = ask(app, "POST", "/v1/metrics", PROTOBUF, request.SerializeToString())
    assert [it.status_code for it in (written, exported)] == [429, 429]
    assert [it.headers["retry-after"] for it in (written, exported)] == ["60", "60"]
    assert exported.content[:2] == b"\x08\x08"
    assert parts.store.instant(Selector("m"), now_ms) == []


@pytest.mark.parametrize(("path", "headers"), [("/v1/metrics", PROTOBUF), ("/api/v1/write", V1)])
def test_more_bodies_than_may_be_in_memory_are_to_come_again(
    app: FastAPI, parts: Parts, monkeypatch: pytest.MonkeyPatch, path: str, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(parts.wire.held, "_most", 2_000)
    answer = ask(app, "POST", path, headers, b"\x0a" * 2_001)
    assert (answer.status_code, answer.headers["retry-after"], parts.wire.held.bytes) == (503, "5", 0)
    assert ask(app, "POST", path, headers, b"\x0a" * 1_999).status_code == 400
    assert parts.wire.held.bytes == 0
