from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from agent import exposition_server
from agent.exposition_server import MAX_CONNECTIONS, CannotListen, MetricsServer
from agent.model import Points
from tests.agent.test_exposition import API, RESTARTS
from tests.support.waiting import until

EVERYWHERE = "0.0.0.0"  # noqa: S104  what is tested is that it is refused


def points() -> list[Points]:
    return [Points(API, (RESTARTS,))]


@contextmanager
def serving(
    source: Callable[[], Iterable[Points]] = points, token: str | None = None, max_requests: int = 8
) -> Iterator[httpx.Client]:
    server = MetricsServer("127.0.0.1", 0, source, token, max_requests=max_requests)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.start()}", timeout=10) as client:
            yield client
    finally:
        server.stop()


def test_a_scrape_gets_text_that_says_what_it_is() -> None:
    with serving() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["content-encoding"] == "gzip"
    assert "midwatch_container_restarts_total" in answer.text


def test_who_wants_it_uncompressed_gets_it_so() -> None:
    with serving() as client:
        answer = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert "midwatch_container_restarts_total" in answer.text


def test_openmetrics_is_given_on_request() -> None:
    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;q=0.5"
    with serving() as client:
        answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert any(family.name == "midwatch_container_restarts" for family in parse_openmetrics(answer.text))


def test_every_scrape_asks_the_source_anew() -> None:
    asked: list[int] = []

    def source() -> list[Points]:
        asked.append(1)
        return [Points(API, (RESTARTS._replace(value=len(asked)),))]

    with serving(source) as client:
        texts = [client.get("/metrics").text for _ in range(2)]
    assert ['service="shop/api"} 1.0' in texts[0], 'service="shop/api"} 2.0' in texts[1]] == [True, True]


def test_health_needs_no_token_and_metrics_do() -> None:
    with serving(token="s3cret") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_other_paths_are_not_there() -> None:
    with serving() as client:
        assert client.get("/etc/passwd").status_code == 404
        assert client.post("/metrics").status_code == 501


def test_a_source_that_fails_fails_one_scrape_and_says_nothing_of_its_inside() -> None:
    broken = threading.Event()
    broken.set()

    def source() -> list[Points]:
        if broken.is_set():
            raise RuntimeError("secret detail")
        return points()

    with serving(source) as client:
        answer = client.get("/metrics")
        assert (answer.status_code, "secret" in answer.text) == (500, False)
        broken.clear()
        assert client.get("/metrics").status_code == 200


def test_more_scrapes_at_once_than_the_bound_are_turned_away() -> None:
    inside, leave = threading.Event(), threading.Event()

    def source() -> list[Points]:
        inside.set()
        leave.wait(10)
        return points()

    with serving(source, max_requests=1) as client:
        first: list[int] = []
        slow = threading.Thread(target=lambda: first.append(client.get("/metrics").status_code))
        slow.start()
        assert inside.wait(10)
        assert client.get("/metrics").status_code == 503
        leave.set()
        slow.join()
    assert first == [200]


def test_a_port_in_use_is_told_with_the_remedy() -> None:
    with (
        serving() as client,
        pytest.raises(CannotListen, match=r"127\.0\.0\.1:\d+ for /metrics: Address already in use; .* another port"),
    ):
        MetricsServer("127.0.0.1", client.base_url.port or 0, points)


def test_beyond_the_loopback_a_token_is_demanded() -> None:
    with pytest.raises(CannotListen, match="set a token"):
        MetricsServer(EVERYWHERE, 0, points)
    MetricsServer(EVERYWHERE, 0, points, "s3cret").stop()


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(CannotListen, match=r"can't listen on 203\.0\.113\.1"):
        MetricsServer("203.0.113.1", 0, points, "s3cret")


def test_the_loopback_of_ipv6_is_served() -> None:
    server = MetricsServer("::1", 0, points)
    port = server.start()
    assert httpx.get(f"http://[::1]:{port}/healthz").status_code == 200
    server.stop()


def test_connections_are_bounded_before_anything_is_read_of_them() -> None:
    with serving() as client, ExitStack() as open_ones:
        address = ("127.0.0.1", client.base_url.port or 0)
        for _ in range(MAX_CONNECTIONS):
            open_ones.enter_context(socket.create_connection(address, 10)).sendall(b"GET /metrics HTTP/1.0\r\nX: ")
        with socket.create_connection(address, 10) as late:
            assert late.recv(1) == b""
        open_ones.close()
        until(lambda: _status(client) == 200)


def _status(client: httpx.Client) -> int | None:
    try:
        return client.get("/metrics").status_code
    except httpx.TransportError:
        return None


def test_a_connection_that_never_ends_its_request_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition_server, "CONNECTION_SECONDS", 0.2)
    with serving() as client, socket.create_connection(("127.0.0.1", client.base_url.port or 0), 10) as slow:
        slow.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
        assert slow.recv(1) == b""
