"""The service as a process of its own: real sockets, killed at any moment, started again."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from agent.model import Event, NodeIdentity, Points, Resource, Value
from agent.otlp import logs_request, metrics_request
from runtime.model import PLATFORM, ServiceName
from service.main import system_clock
from service.serve import listening
from service.store import Store
from slo.model import Selector
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.support.webhook import Webhook

NODE = NodeIdentity("n1", "6b1f0d0e-0000-4000-8000-000000000001")
API = ServiceName("shop", "api")
KILLS = "midwatch_oom_kills_total"
RUN = """
import json, pathlib, sys
from service.errors import ServiceFault
from service.serve import run
from service.settings import Settings
try:
    run(Settings.model_validate_json(sys.argv[1]), pathlib.Path(sys.argv[2]))
except ServiceFault as fault:
    print(fault, file=sys.stderr)
    sys.exit(2)
"""


@dataclass
class Process:
    """One running service."""

    url: str
    process: subprocess.Popen[bytes]

    def post(self, sent: str, body: bytes, sequence: int) -> int:
        """The status of the answer, 0 where none came."""
        headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "midwatch-batch": f"{NODE.node_id}/s1/{sent}/{sequence}",
        }
        try:
            answer = httpx.post(f"{self.url}/v1/{sent}", content=gzip.compress(body), headers=headers, trust_env=False)
            return answer.status_code
        except httpx.TransportError:
            return 0

    def get(self, path: str) -> httpx.Response | None:
        """The answer, None where none came."""
        try:
            return httpx.get(f"{self.url}{path}", trust_env=False)
        except httpx.TransportError:
            return None

    def ready(self) -> bool:
        """True where it says that it is ready."""
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200


@contextmanager
def service(data: Path, **settings: object) -> Iterator[Process]:
    """A service on a free port while the context lasts."""
    address = f"127.0.0.1:{free_port()}"
    told = json.dumps({"listen": address, **settings})
    with subprocess.Popen([sys.executable, "-c", RUN, told, str(data)]) as process:
        try:
            found = Process(f"http://{address}", process)
            until(lambda: (answer := found.get("/healthz")) is not None and answer.status_code == 200, 60.0)
            yield found
        finally:
            if process.poll() is None:
                process.terminate()


def kills(count: int, at_ms: int, start_ms: int) -> bytes:
    """A round in which the service has had that many kills."""
    value = Value(KILLS, (("cause", "container"), ("victim", "main")), float(count), at_ms, start_ms)
    interval = Value("midwatch_agent_interval_seconds", (), 5.0, at_ms)
    return metrics_request(NODE, [Points(Resource(API), (value,)), Points(Resource(PLATFORM), (interval,))])


def declared(at_ms: int) -> bytes:
    told: dict[str, str | int | float | bool] = {"replicas": 1, "source": "engine", "first_seen_ms": at_ms - 1000}
    return logs_request(NODE, [Event("service.declared", at_ms, Resource(API), "declared", told)])


def test_killed_at_any_moment_it_loses_no_batch_and_doubles_none(tmp_path: Path) -> None:
    """An agent that sends each batch until it is taken, against a service that is killed again and again."""
    start_ms, taken, last = system_clock() - 60_000, 0, 400
    for round_ in range(3):
        with service(tmp_path) as running:
            killer = threading.Timer(0.3 + 0.4 * round_, running.process.kill)
            killer.start()
            while taken < last:
                status = running.post("metrics", kills(taken + 1, start_ms + taken + 1, start_ms), taken + 1)
                if status == 0:
                    break
                assert status == 200
                taken += 1
            killer.join()
            assert running.process.wait(30) in (-signal.SIGKILL, 0)
    with service(tmp_path) as running:
        repeated = running.post("metrics", kills(taken, start_ms + taken, start_ms), taken)
        for number in range(taken + 1, taken + 21):
            assert running.post("metrics", kills(number, start_ms + number, start_ms), number) == 200
    assert repeated == 200
    assert stored(tmp_path) == taken + 20


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_database_before_the_end(tmp_path: Path, sent: signal.Signals) -> None:
    """Else each stop by systemd or an engine is a crash, with a log to replay."""
    with service(tmp_path) as running:
        assert running.post("metrics", kills(1, system_clock(), system_clock() - 5), 1) == 200
        running.process.send_signal(sent)
        assert running.process.wait(60) == 0
    assert [path.name for path in (tmp_path / "server").glob("*.wal")] == []


def stored(data: Path) -> float:
    """All kills that the store counts, one for each sample."""
    now = system_clock()
    store = Store(data / "server" / "midwatch.duckdb", system_clock)
    found = store.range(Selector(KILLS), now - 3_600_000, now, 3_600_000, "increase")
    each = store.range(Selector(KILLS), now - 3_600_000, now, 1)
    store.close()
    total = sum(value for line in found for value in line.values if value is not None)
    assert sum(value is not None for line in each for value in line.values) == total
    return total


def test_an_oom_storm_is_one_page_and_one_resolve_across_a_kill(tmp_path: Path, webhook: Webhook) -> None:
    told = {
        "receivers": [{"name": "hook", "url": webhook.url}],
        "alerts": {"oom_storm_window_seconds": 20, "hold_seconds": 1},
    }
    start_ms = system_clock() - 1_000
    with service(tmp_path, **told) as running:
        assert running.post("logs", declared(system_clock()), 1) == 200
        assert running.post("metrics", kills(3, system_clock(), start_ms), 1) == 200
        until(lambda: webhook.with_status("firing"), 30.0)
        running.process.kill()
        running.process.wait(30)
    page = webhook.with_status("firing")[0].json
    assert page["groupLabels"] == {"service": "shop/api"}
    assert page["alerts"][0]["labels"]["alertname"] == "oom-storm"
    with service(tmp_path, **told) as running:
        for sequence in range(2, 60):
            assert running.post("metrics", kills(3, system_clock(), start_ms), sequence) == 200
            if webhook.with_status("resolved"):
                break
            time.sleep(1.0)
        until(lambda: webhook.with_status("resolved"), 10.0)
        assert running.post("metrics", kills(3, system_clock(), start_ms), 60) == 200
        until(running.ready)
    sent = {it.headers["webhook-id"]: it.json["status"] for it in webhook.received}
    assert list(sent.values()) == ["firing", "resolved"], "what was sent again has the id of the first time"


def test_it_ends_in_order_when_told_to(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        until(running.ready)
        with httpx.stream("GET", f"{running.url}/events?page=oncall", trust_env=False) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            running.process.terminate()
            assert running.process.wait(30) in (0, -signal.SIGTERM)
    Store(tmp_path / "server" / "midwatch.duckdb", system_clock).close()


def test_a_port_in_use_is_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    with service(tmp_path / "one") as running:
        address = running.url.removeprefix("http://")
        told = json.dumps({"listen": address})
        second = subprocess.run(
            [sys.executable, "-c", RUN, told, str(tmp_path / "two")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert second.returncode == 2
    assert f"{address} is in use by another process" in second.stderr
    assert second.stderr.count("\n") == 1
    assert not (tmp_path / "two").exists()


def test_two_services_on_one_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        told = json.dumps({"listen": f"127.0.0.1:{free_port()}"})
        second = subprocess.run(
            [sys.executable, "-c", RUN, told, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )
        assert running.get("/healthz") is not None
    assert second.returncode == 2
    assert f"process {running.process.pid} has it open" in second.stderr
    assert second.stderr.count("\n") == 1


@pytest.mark.parametrize("path", ["/", "/oncall", "/debug", "/reports", "/metrics", "/api/status", "/api/services"])
def test_every_page_is_answered_before_anything_arrived(tmp_path: Path, path: str) -> None:
    with service(tmp_path) as running:
        until(running.ready)
        answer = running.get(path)
        assert answer is not None
        assert answer.status_code == 200


def test_small_parts_of_an_answer_are_sent_at_once() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert taken.proto == socket.IPPROTO_TCP
