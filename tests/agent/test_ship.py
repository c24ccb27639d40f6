"""The shipper against a real HTTP server: order, again after failures, nothing twice in the store's eyes."""

from __future__ import annotations

import gzip
import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.post import Poster
from agent.ship import Backoff, Shipper, _without_password, retry_after_seconds
from agent.spool import Spool

NODE_ID = "node-1"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str] = {}  # noqa: RUF012
    body: bytes = b""


class Service:
    """A service that takes batches like ours: every request is kept, answers are scripted per signal."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.script: dict[str, list[Answer]] = {}
        self.always: dict[str, Answer] = {}
        self.url = ""

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests.append((path, headers, body))
        signal = path.rpartition("/")[2]
        if self.script.get(signal):
            return self.script[signal].pop(0)
        return self.always.get(signal, Answer(200))

    def taken(self, signal: str) -> list[str]:
        return [headers["Midwatch-Batch"] for path, headers, _ in self.requests if path == f"/v1/{signal}"]


@contextmanager
def served(service: Service, port: int = 0) -> Iterator[Service]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = service.answer(self.path, dict(self.headers), body)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    with served(Service()) as found:
        yield found


@pytest.fixture
def client() -> Iterator[Poster]:
    found = Poster(timeout_seconds=5)
    yield found
    found.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def shipper(spool: Spool, url: str, client: Poster, token: str | None = "s3cret") -> Shipper:  # noqa: S107
    return Shipper(spool, NODE_ID, url, token, client, rand=lambda: 0.999)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_batch_goes_out_compressed_under_its_identity_and_with_the_token(
    service: Service, spool: Spool, client: Poster
) -> None:
    spool.put("metrics", b"payload")
    shipping = shipper(spool, service.url, client)
    assert shipping.step(0.0) == 0.0
    path, headers, body = service.requests[0]
    assert path == "/v1/metrics"
    assert gzip.decompress(body) == b"payload"
    assert headers["Midwatch-Batch"] == f"{NODE_ID}/{spool.spool_id}/metrics/1"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Authorization"] == "Bearer s3cret"
    assert shipping.step(0.0) is None
    assert shipping.shipped == {"metrics": 1}
    assert spool.waiting("metrics") == 0


def test_without_a_token_none_is_sent(service: Service, spool: Spool, client: Poster) -> None:
    spool.put("metrics", b"x")
    shipper(spool, service.url, client, token=None).step(0.0)
    assert "Authorization" not in service.requests[0][1]


def test_batches_of_a_signal_go_out_in_order(service: Service, spool: Spool, client: Poster) -> None:
    for _ in range(4):
        spool.put("metrics", b"x")
    shipping = shipper(spool, service.url, client)
    while shipping.step(0.0) is not None:
        pass
    assert [identity.rpartition("/")[2] for identity in service.taken("metrics")] == ["1", "2", "3", "4"]


def test_what_failed_is_sent_again_before_what_follows(service: Service, spool: Spool, client: Poster) -> None:
    service.script["metrics"] = [Answer(503), Answer(500)]
    spool.put("metrics", b"1")
    spool.put("metrics", b"2")
    shipping = shipper(spool, service.url, client)
    now = 0.0
    while (wait := shipping.step(now)) is not None:
        now += wait
    assert [identity.rpartition("/")[2] for identity in service.taken("metrics")] == ["1", "1", "1", "2"]
    assert shipping.failures == {("metrics", "server_error"): 2}
    assert shipping.fault is None


def test_waits_double_with_each_failure_up_to_a_bound_and_start_anew_after_a_success(
    service: Service, spool: Spool, client: Poster
) -> None:
    service.script["metrics"] = [Answer(503)] * 8 + [Answer(200), Answer(503)]
    for _ in range(3):
        spool.put("metrics", b"x")
    shipping, now, waits = shipper(spool, service.url, client), 0.0, []
    for _ in range(10):
        wait = shipping.step(now)
        assert wait is not None
        waits.append(round(wait, 1))
        now += wait
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 0.0, 0.5]


def test_before_its_time_nothing_is_sent(service: Service, spool: Spool, client: Poster) -> None:
    service.script["metrics"] = [Answer(503)]
    spool.put("metrics", b"x")
    shipping = shipper(spool, service.url, client)
    wait = shipping.step(100.0)
    assert wait is not None
    assert shipping.step(100.0 + wait / 2) == pytest.approx(wait / 2)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_names_a_wait_gets_it(service: Service, spool: Spool, client: Poster, status: int) -> None:
    service.script["metrics"] = [Answer(status, {"Retry-After": "42"})]
    spool.put("metrics", b"x")
    assert shipper(spool, service.url, client).step(0.0) == 42.0


@pytest.mark.parametrize("status", [400, 413, 415])
def test_a_batch_that_will_never_be_taken_is_dropped_counted_and_said_once(
    service: Service, spool: Spool, client: Poster, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    service.script["metrics"] = [Answer(status, body=b"no such thing"), Answer(status), Answer(200)]
    for _ in range(3):
        spool.put("metrics", b"x")
    shipping = shipper(spool, service.url, client)
    with caplog.at_level(logging.WARNING, "agent.ship"):
        while shipping.step(0.0) is not None:
            pass
    assert spool.dropped == {("batch_metrics", "refused"): 2}
    assert shipping.failures == {("metrics", "refused"): 2}
    assert [record.message for record in caplog.records if "no such thing" in record.message] != []
    assert len(caplog.records) == 1
    assert [identity.rpartition("/")[2] for identity in service.taken("metrics")] == ["1", "2", "3"]


def test_a_wrong_token_keeps_the_batch_and_says_the_remedy_without_the_token(
    service: Service, spool: Spool, client: Poster, caplog: pytest.LogCaptureFixture
) -> None:
    service.script["metrics"] = [Answer(401), Answer(401)]
    spool.put("metrics", b"x")
    shipping, now = shipper(spool, service.url, client), 0.0
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            now += shipping.step(now) or 0.0
    assert spool.waiting("metrics") == 1
    assert shipping.fault is not None
    assert "token" in shipping.fault
    assert "s3cret" not in shipping.fault + caplog.text
    assert len([record for record in caplog.records if record.name == "agent.ship"]) == 1
    shipping.step(now)
    assert shipping.fault is None


def test_another_server_at_the_address_loses_nothing(service: Service, spool: Spool, client: Poster) -> None:
    service.script["metrics"] = [Answer(404, body=b"not here")]
    spool.put("metrics", b"x")
    shipping = shipper(spool, service.url, client)
    shipping.step(0.0)
    assert spool.waiting("metrics") == 1
    assert shipping.failures == {("metrics", "unexpected"): 1}


def test_logs_that_are_not_taken_do_not_hold_up_metrics(service: Service, spool: Spool, client: Poster) -> None:
    service.always["logs"] = Answer(503)
    for _ in range(3):
        spool.put("lines", b"line")
        spool.put("metrics", b"x")
    shipping = shipper(spool, service.url, client)
    for _ in range(4):
        shipping.step(0.0)
    assert spool.waiting("metrics") == 0
    assert spool.waiting("logs") == 3


def test_a_service_that_is_away_gets_everything_in_order_once_it_is_back(spool: Spool, client: Poster) -> None:
    with served(Service()) as first:
        url, port = first.url, int(first.url.rpartition(":")[2])
    for _ in range(3):
        spool.put("metrics", b"x")
    shipping = shipper(spool, url, client)
    wait = shipping.step(0.0)
    assert wait is not None
    assert shipping.failures == {("metrics", "unreachable"): 1}
    with served(Service(), port) as back:
        while shipping.step(wait) is not None:
            pass
        assert [identity.rpartition("/")[2] for identity in back.taken("metrics")] == ["1", "2", "3"]


def test_a_service_that_ends_before_it_answers_is_sent_the_same_batch_again(spool: Spool, client: Poster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        spool.put("metrics", b"x")
        shipping = shipper(spool, f"http://127.0.0.1:{port}", client)

        def take_and_die() -> None:
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.close()

        dying = threading.Thread(target=take_and_die)
        dying.start()
        wait = shipping.step(0.0)
        dying.join()
    assert wait is not None
    assert spool.waiting("metrics") == 1
    with served(Service(), port) as back:
        shipping.step(wait)
        assert back.taken("metrics") == [f"{NODE_ID}/{spool.spool_id}/metrics/1"]


def test_the_threads_ship_what_is_put_while_they_run_and_end_when_told(
    service: Service, spool: Spool, client: Poster
) -> None:
    service.always["logs"] = Answer(503)
    stop = threading.Event()
    running = threading.Thread(target=shipper(spool, service.url, client).run, args=(stop,))
    running.start()
    spool.put("lines", b"x")
    for _ in range(3):
        spool.put("metrics", b"x")
    until(lambda: spool.waiting("metrics") == 0)
    stop.set()
    running.join(10)
    assert not running.is_alive()
    assert spool.waiting("logs") == 1


def test_a_disk_that_throws_while_shipping_is_counted_and_the_thread_lives_on(
    service: Service, tmp_path: Path, client: Poster
) -> None:
    class Throwing(Spool):
        throws = 1

        def peek(self, signal):  # type: ignore[no-untyped-def]
            if signal == "metrics" and self.throws:
                self.throws -= 1
                raise OSError("broken")
            return super().peek(signal)

    spool, stop = Throwing(tmp_path), threading.Event()
    shipping = Shipper(spool, NODE_ID, service.url, None, client, backoff=Backoff(0.01, 0.01))
    running = threading.Thread(target=shipping.run, args=(stop,))
    spool.put("metrics", b"x")
    running.start()
    until(lambda: spool.waiting("metrics") == 0)
    stop.set()
    running.join(10)
    assert shipping.failures["metrics", "error"] == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


def test_a_wait_without_bound_is_bounded() -> None:
    assert Backoff().wait_seconds(1, 0.0, 1e9) == 300.0
    assert Backoff().wait_seconds(10_000, 0.0, None) == 7.5


def test_a_password_in_the_address_of_the_service_is_not_shown() -> None:
    shown = _without_password("http://user:pw@10.0.0.1:8640/prefix@x")
    assert shown == "http://10.0.0.1:8640/prefix@x"
    assert _without_password("https://host:1") == "https://host:1"
