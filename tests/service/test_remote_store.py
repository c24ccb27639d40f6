"""The same judgements from DuckDB, a real Prometheus and a real VictoriaMetrics, on the same data."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np
import pytest

from agent.model import NodeIdentity, Points, Resource, Value
from agent.otlp import metrics_request
from runtime.model import PLATFORM
from service.app import create_app
from service.main import running, system_clock
from service.model import MetricBatch, Series
from service.parts import Parts
from service.remote_encode import Encoder, compressed
from service.remote_send import poster
from service.remote_store import Remote, RemoteStore
from service.settings import Settings
from service.store import Store
from slo.judge import judge, windows
from slo.model import Allowance, EventRatio, Judgement, Matcher, MinuteSlices, Objective, Selector
from tests.service.asgi import ask
from tests.service.stores import Clock, Point, batch, select, series
from tests.support.remote import ENGINES, Engine
from tests.support.waiting import until

HOUR = 3_600_000
STEP = 15_000
HOURS = 6

OBJECTIVES = [
    Objective("availability", "api", (), EventRatio(
        (select("requests_total", service="api"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),),
    ), Fraction(1, 1000), "99.9 %", 30 * 24 * HOUR, "Availability"),
    Objective("up", "api", (), EventRatio(
        (select("seconds_total"),), good=(select("good_seconds_total"),), scale=1000,
    ), Fraction(1, 100), "99 %", 24 * HOUR, "Up"),
    Objective("restarts", "api", (), Allowance(
        (select("requests_total", code="503"),), (select("seconds_total"),)
    ), Fraction(1, 36_000_000), "0.1", 7 * 24 * HOUR, "Restarts"),
    Objective("disk", "platform", (), MinuteSlices(
        "gauge", select("free_bytes"), select("size_bytes"), Fraction(7, 10), complement=True
    ), Fraction(1, 100), "99 %", 7 * 24 * HOUR, "Disk"),
]  # fmt: skip


def told(now_ms: int) -> Iterator[MetricBatch]:
    """Batches of some hours up to now, start times withheld: counters with resets, gaps and a late beginning."""
    rand, begin = random.Random(7), now_ms - HOURS * HOUR  # noqa: S311 - a fixed sequence
    counters = {
        **{series("requests_total", service="api", code=code, replica=str(n)): 5.0 for code in ("200", "500", "503")
           for n in range(4)},
        **{series(name, service="api", node=node): 0.0 for name in ("seconds_total", "good_seconds_total")
           for node in ("n1", "n2")},
    }  # fmt: skip
    for at in range(begin, now_ms + 1, 40 * STEP):
        points = []
        for ts in range(at, min(at + 40 * STEP, now_ms + 1), STEP):
            for one in counters:
                if rand.random() < 0.02:
                    continue
                if rand.random() < 0.003:
                    counters[one] = 0.0
                counters[one] += rand.choice([0, 1, 2, 0.125]) * (15 if "seconds" in one.metric else 1)
                points.append(Point(one, ts, counters[one]))
            points.append(Point(series("free_bytes", disk="a"), ts, float(rand.randrange(20, 40)), kind="gauge"))
            points.append(Point(series("size_bytes", disk="a"), ts, 100.0, kind="gauge"))
        yield batch(points)


def judgements(store: Store, now_ms: int) -> list[Judgement]:
    wanted = [windows(it) for it in OBJECTIVES]
    found = store.counts_of([it.indicator for it in OBJECTIVES], wanted, now_ms)
    return [
        judge(it, dict(zip(spans, row, strict=True)), now_ms)
        for it, spans, row in zip(OBJECTIVES, wanted, found, strict=True)
    ]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    found = [Engine(name, tmp_path_factory.mktemp(name)) for name in ENGINES]
    yield found
    for it in found:
        it.stop()


def forward(store: RemoteStore) -> None:
    """Send all that waits."""
    while store.forwarder.step() is not None:
        assert store.forwarder.fault is None


def remote(engine: Engine, path: Path, clock: Clock, client: httpx.Client) -> RemoteStore:
    post = poster(client, f"{engine.url}/api/v1/write")
    return RemoteStore(path, clock, Remote(engine.api(client), post))


def test_judgements_are_the_same_wherever_samples_live(engines: Sequence[Engine], tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000 // STEP * STEP
    clock = Clock(now_ms)
    here = Store(tmp_path / "here.duckdb", clock)
    with httpx.Client(trust_env=False) as client:
        stores = [remote(it, tmp_path / f"{it.name}.duckdb", clock, client) for it in engines]
        for one in told(now_ms):
            for store in (here, *stores):
                assert store.append(one)
        expected = judgements(here, now_ms)
        for engine, store in zip(engines, stores, strict=True):
            forward(store)
            engine.flush()
            assert judgements(store, now_ms) == expected, engine.name
            edges = list(range(now_ms - 2 * HOUR, now_ms + 1, 60_000))
            wanted = [it.indicator for it in OBJECTIVES]
            assert store.slices(wanted, edges) == here.slices(wanted, edges)
            readings_agree(here, store, now_ms)
            store.close()
    assert all(it.baseline for it in expected[:3])
    assert not expected[3].baseline
    assert {it.state for it in expected} == {"exhausted"}
    here.close()


def readings_agree(here: Store, there: RemoteStore, now_ms: int) -> None:
    for asked in (select("requests_total", code="500"), Selector("free_bytes")):
        one, other = here.instant(asked, now_ms), there.instant(asked, now_ms)
        assert sorted(one) == sorted(other)
        for step in (60_000, 300_000):
            lines = [it.range(asked, now_ms - 3 * HOUR, now_ms, step) for it in (here, there)]
            assert sorted(lines[0]) == sorted(lines[1])
    recent = [it.range(select("requests_total"), now_ms - HOUR, now_ms, 60_000, "increase") for it in (here, there)]
    assert sorted(recent[0]) == sorted(recent[1])
    labels = [sorted(map(str, it.recent_labels("requests_total", now_ms - HOUR))) for it in (here, there)]
    assert len(labels[1]) == 12
    assert [sorted(it) for it in labels[0]] == [sorted(it) for it in labels[1]]


def test_new_samples_are_counted_when_they_were_forwarded(engines: Sequence[Engine], tmp_path: Path) -> None:
    engine = engines[0]
    now_ms = time.time_ns() // 1_000_000 // STEP * STEP
    clock, name = Clock(now_ms), series("fresh_total", run=str(now_ms))
    indicator = EventRatio((Selector("fresh_total"),), bad=(Selector("fresh_total"),))
    with httpx.Client(trust_env=False) as client:
        store = remote(engine, tmp_path / "x.duckdb", clock, client)
        store.append(batch([Point(name, now_ms - STEP, 3.0), Point(name, now_ms, 5.0)]))
        forward(store)
        assert store.counts(indicator, [HOUR], now_ms)[0].total == 2
        clock.now_ms += STEP
        store.append(batch([Point(name, now_ms + STEP, 9.0)]))
        forward(store)
        assert store.counts(indicator, [HOUR], clock.now_ms)[0].total == 6
        store.close()
        store = remote(engine, tmp_path / "x.duckdb", clock, client)
        assert store.counts(indicator, [HOUR], clock.now_ms)[0].total == 6
        store.close()


def test_a_repeat_of_a_batch_is_queued_once(engines: Sequence[Engine], tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    with httpx.Client(trust_env=False) as client:
        store = remote(engines[0], tmp_path / "x.duckdb", Clock(now_ms), client)
        one = batch([Point(series("a_total"), now_ms, 1.0)], sequence=1)
        assert store.append(one)
        assert not store.append(one)
        assert store.append(replace(one, identity=None))
        assert len(store.queue) == 2
        store.close()


def test_a_batch_from_the_future_is_left_out_and_told(engines: Sequence[Engine], tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    with httpx.Client(trust_env=False) as client:
        store = remote(engines[0], tmp_path / "x.duckdb", Clock(now_ms), client)
        stored = store.append_counted(batch([Point(series("a_total"), now_ms + HOUR, 1.0)]))
        assert (stored.new, dict(stored.refused), len(store.queue)) == (True, {"in_future": 1}, 0)
        store.close()


def test_forwarding_goes_on_by_itself_after_the_engine_is_back(tmp_path: Path) -> None:
    engine = Engine("prometheus", tmp_path / "engine")
    now_ms = time.time_ns() // 1_000_000
    with httpx.Client(trust_env=False) as client:
        store = remote(engine, tmp_path / "x.duckdb", Clock(now_ms), client)
        engine.stop()
        store.start()
        store.append(batch([Point(series("a_total"), now_ms, 1.0)]))
        until(lambda: store.forwarder.fault)
        engine.start()
        until(lambda: len(store.queue) == 0)
        assert [it.value for it in store.instant(Selector("a_total"), now_ms)] == [1.0]
        store.close()
    engine.stop()


@pytest.mark.parametrize("number", range(len(ENGINES)))
def test_the_service_works_whole_on_a_remote_store(engines: Sequence[Engine], tmp_path: Path, number: int) -> None:
    engine = engines[number]
    settings = Settings(store=f"prometheus+{engine.url}", evaluate_seconds=1.0)
    with running(settings, tmp_path, system_clock) as parts:
        now_ms, names = (
            system_clock(),
            [series("http_requests_total", service="shop/api", code=it) for it in ("200", "500")],
        )
        points = [
            Point(name, now_ms - ago, 1000.0 - ago // 1000) for name in names for ago in range(60_000, -1, -5_000)
        ]
        parts.store.append(batch(points, sequence=1))
        parts.pace.ask()
        found = until(lambda: counted(parts, "shop/api", 120), what="the judgement of what was forwarded")
        assert (found.counts.bad, found.counts.total, found.baseline) == (60, 120, True)
        answer = ask(create_app(parts), "GET", f"/api/v1/query?query=sum(http_requests_total)&time={now_ms / 1000}")
        assert answer.json()["data"]["result"][0]["value"][1] == "2000"
        values = ask(create_app(parts), "GET", "/api/v1/label/code/values?match[]=http_requests_total").json()["data"]
        assert values == ["200", "500"]
        names = ask(create_app(parts), "GET", "/api/v1/labels").json()["data"]
        assert {"__name__", "code", "service"} <= set(names)
        metrics = ask(create_app(parts), "GET", "/api/v1/label/__name__/values").json()["data"]
        assert "http_requests_total" in metrics
        told = ask(create_app(parts), "GET", "/metrics").text
        assert 'midwatch_server_forwarded_samples_total{outcome="sent"} 26.0' in told
        assert "midwatch_server_forward_queue_bytes 0.0" in told
        assert parts.faults() == []


def counted(parts: Parts, service: str, total: int) -> Judgement | None:
    """The judgement of a service's requests, once so many are counted."""
    last = parts.evaluator.last
    mine = [
        it
        for it in (last.judgements if last else ())
        if (it.objective.service, it.objective.slo) == (service, "request-availability") and it.counts.total == total
    ]
    return mine[0] if mine else None


CHILD = """
import sys, time
import httpx
from pathlib import Path
from service.remote_api import RemoteApi
from service.remote_send import poster
from service.remote_store import Remote, RemoteStore
from tests.service.stores import Point, batch, series

path, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = httpx.Client(trust_env=False)
clock = lambda: time.time_ns() // 1_000_000
store = RemoteStore(path, clock, Remote(RemoteApi(client, url), poster(client, url + "/api/v1/write")))
store.start()
for number in range(first, first + 100_000):
    at = clock()
    store.append(batch([Point(series("killed_total", n=str(number)), at, float(number))]))
    print(number, at, flush=True)
"""


def test_what_was_acknowledged_is_forwarded_after_kill_9(tmp_path: Path) -> None:
    engine, path, acknowledged = Engine("prometheus", tmp_path / "engine"), tmp_path / "x.duckdb", {}
    for turn in range(4):
        command = [sys.executable, "-c", CHILD, str(path), engine.url, str(turn * 100_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                number, at = line.split()
                acknowledged[int(number)] = int(at)
                if len(acknowledged) >= (turn + 1) * 60:
                    break
            child.kill()
            acknowledged |= {int(n): int(at) for n, at in (line.split() for line in child.stdout if line.count(" "))}
    with httpx.Client(trust_env=False) as client:
        store = remote(engine, path, Clock(time.time_ns() // 1_000_000), client)
        forward(store)
        lines = engine.api(client).raw(Selector("killed_total"), min(acknowledged.values()) - 1, store._now())
        there = {int(it.value[0]): it.ts_ms.tolist() for it in lines}
        assert {number: there.get(number) for number in acknowledged} == {n: [at] for n, at in acknowledged.items()}
        store.close()
    engine.stop()


def test_what_senders_send_over_http_is_forwarded(engines: Sequence[Engine], tmp_path: Path) -> None:
    engine = engines[0]
    settings = Settings(store=f"prometheus+{engine.url}")
    with running(settings, tmp_path, system_clock) as parts, httpx.Client(trust_env=False) as client:
        now_ms = system_clock()
        node = NodeIdentity("n1", "6b1f0d0e-0000-4000-8000-000000000001")
        value = Value(
            "midwatch_oom_kills_total", (("cause", "container"), ("victim", "main")), 3.0, now_ms, now_ms - 4000
        )
        body = metrics_request(node, [Points(Resource(PLATFORM), (value,))])
        headers = {"content-type": "application/x-protobuf", "midwatch-batch": f"{node.node_id}/s1/metrics/1"}
        app = create_app(parts)
        assert [ask(app, "POST", "/v1/metrics", headers, body).status_code for _ in range(2)] == [200, 200]
        one = Encoder().encode([Series("wrote_total", ())], np.zeros(1, np.int64), np.array([now_ms]), np.array([7.0]))
        told = {
            "content-type": "application/x-protobuf", "content-encoding": "snappy",
            "x-prometheus-remote-write-version": "0.1.0",
        }  # fmt: skip
        assert ask(app, "POST", "/api/v1/write", told, compressed(one.body)).status_code == 204
        until(lambda: len(parts.store.instant(Selector("wrote_total"), now_ms)) == 1)
        found = engine.api(client).raw(Selector("midwatch_oom_kills_total"), now_ms - 1, now_ms)
        assert [it.value.tolist() for it in found] == [[3.0]]
        assert dict(found[0].series.labels)["node"] == "n1"
