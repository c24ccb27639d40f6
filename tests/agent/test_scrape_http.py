"""One request to a container that may be hostile: where it goes, what it takes, when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.scrape_http import ScrapeFault, Target, asks, fetch, target_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@contextmanager
def peer(behaviour: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A server that reads one request, then does what it likes with the connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                behaviour(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Target("127.0.0.1", listening.getsockname()[1], "/metrics")
    finally:
        listening.close()
        thread.join()


def answering(*parts: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: [connection.sendall(part) for part in parts] and None


def outcome(target: Target, max_bytes: int = 1_000, timeout_seconds: float = 5.0) -> str:
    with pytest.raises(ScrapeFault) as fault:
        fetch(target, max_bytes, timeout_seconds)
    return fault.value.outcome


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"midwatch.metrics": "http://:8080/metrics"}, Target("172.17.0.2", 8080, "/metrics")),
        ({"midwatch.metrics": "http://:8080"}, Target("172.17.0.2", 8080, "/metrics")),
        ({"midwatch.metrics": "http://:8080/m?a=b"}, Target("172.17.0.2", 8080, "/m?a=b")),
        ({"midwatch.scrape": "http://:8080/m"}, Target("172.17.0.2", 8080, "/m")),
        ({"midwatch.scrape": ":8080/m"}, Target("172.17.0.2", 8080, "/m")),
        ({"midwatch.scrape": "8080"}, Target("172.17.0.2", 8080, "/metrics")),
        ({"midwatch.scrape": "true", "prometheus.io/port": "90"}, Target("172.17.0.2", 90, "/metrics")),
        ({"midwatch.scrape": "True", "midwatch.metrics": "http://:8080"}, Target("172.17.0.2", 8080, "/metrics")),
        ({"midwatch.scrape": "8080", "midwatch.metrics": "http://:9"}, Target("172.17.0.2", 8080, "/metrics")),
        ({"prometheus.io/port": "9090", "prometheus.io/scheme": "http"}, Target("172.17.0.2", 9090, "/metrics")),
        ({"prometheus.io/port": "9090"}, Target("172.17.0.2", 9090, "/metrics")),
        ({"prometheus.io/port": "9090", "prometheus.io/path": "/x"}, Target("172.17.0.2", 9090, "/x")),
        (
            {"midwatch.metrics": "http://:1/a", "prometheus.io/port": "2"},
            Target("172.17.0.2", 1, "/a"),
        ),
    ],
)
def test_the_labels_say_port_and_path_and_the_engine_says_the_address(labels: dict[str, str], target: Target) -> None:
    assert target_of(labels, "172.17.0.2") == target


@pytest.mark.parametrize(
    "labels",
    [
        {"midwatch.metrics": "http://169.254.169.254:80/latest/meta-data"},
        {"midwatch.metrics": "http://localhost:8640/metrics"},
        {"midwatch.metrics": "https://:443/metrics"},
        {"midwatch.metrics": "http://:0/metrics"},
        {"midwatch.metrics": "http://:65536/metrics"},
        {"midwatch.metrics": "http://:99999999999/metrics"},
        {"midwatch.metrics": "http://:80/a\r\nHost: x"},
        {"midwatch.metrics": "http://:80/a b"},
        {"midwatch.metrics": "http://:80@evil/"},
        {"midwatch.metrics": "http://:٨٠/metrics"},
        {"midwatch.metrics": ""},
        {"midwatch.scrape": "true"},
        {"midwatch.scrape": "evil:80/metrics"},
        {"midwatch.scrape": "http://evil:80/metrics"},
        {"midwatch.scrape": "8080 "},
        {"prometheus.io/scheme": "https", "prometheus.io/port": "443"},
        {"prometheus.io/scrape": "true"},
        {"prometheus.io/port": "000808080"},
        {"prometheus.io/port": "1" * 5_000},
        {"prometheus.io/port": "80", "prometheus.io/path": "metrics"},
        {"prometheus.io/port": "80", "prometheus.io/path": "//evil/ HTTP/1.1"},
    ],
)
def test_a_label_that_leads_elsewhere_is_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ScrapeFault) as fault:
        target_of(labels, "172.17.0.2")
    assert fault.value.outcome == "bad_target"


@pytest.mark.parametrize("address", [None, ""])
def test_a_container_in_the_hosts_network_is_not_scraped(address: str | None) -> None:
    with pytest.raises(ScrapeFault, match="no address of its own"):
        target_of({"midwatch.metrics": "http://:80/metrics"}, address)


def test_only_labels_that_ask_are_asked() -> None:
    assert asks({"midwatch.metrics": "http://:80"})
    assert asks({"prometheus.io/scrape": "true", "prometheus.io/port": "80"})
    assert not asks({"prometheus.io/scrape": "false", "prometheus.io/port": "80"})
    assert not asks({"prometheus.io/port": "80"})
    assert asks({"midwatch.scrape": "true"})
    assert asks({"midwatch.scrape": "8080"})


@pytest.mark.parametrize("off", ["false", "False", "no", "0", "off", ""])
def test_a_label_of_ours_that_says_no_has_the_last_word(off: str) -> None:
    assert not asks({"midwatch.scrape": off, "prometheus.io/scrape": "true", "midwatch.metrics": "http://:80"})


def test_a_body_with_a_length_is_read_whole() -> None:
    with peer(answering(HEAD, b"Content-Length: 4\r\n\r\n", b"a 1\n")) as target:
        assert fetch(target, 1_000, 5.0) == "a 1\n"


def test_a_body_in_chunks_is_read_whole() -> None:
    with peer(answering(HEAD, b"Transfer-Encoding: chunked\r\n\r\n2\r\na \r\n2\r\n1\n\r\n0\r\n\r\n")) as target:
        assert fetch(target, 1_000, 5.0) == "a 1\n"


def test_text_that_is_not_unicode_is_replaced_not_refused() -> None:
    with peer(answering(HEAD, b'\r\na{b="\xff"} 1\n')) as target:
        assert fetch(target, 1_000, 5.0) == 'a{b="\ufffd"} 1\n'


def test_a_body_of_the_bound_is_taken_and_one_byte_more_is_not() -> None:
    with peer(answering(HEAD, b"\r\n", b"x" * 1_000)) as target:
        assert len(fetch(target, 1_000, 5.0)) == 1_000
    with peer(answering(HEAD, b"\r\n", b"x" * 1_001)) as target:
        assert outcome(target) == "too_large"


def test_an_endless_body_is_left_at_the_bound() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"\r\n")
        while True:
            connection.sendall(b"a 1\n" * 1_000)

    with peer(endless) as target:
        assert outcome(target) == "too_large"


def dripping(start: bytes, drip: bytes) -> Callable[[socket.socket], None]:
    def behaviour(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(drip)
            time.sleep(0.05)

    return behaviour


@pytest.mark.timeout(60)
@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"\r\n"], ids=["status line", "headers", "body"])
def test_a_peer_that_drips_bytes_for_ever_is_left_when_the_time_is_over(start: bytes) -> None:
    with peer(dripping(start, b"H")) as target:
        assert outcome(target, timeout_seconds=0.5) == "timeout"


@pytest.mark.timeout(60)
def test_a_peer_that_says_nothing_is_left_when_the_time_is_over() -> None:
    with peer(lambda connection: connection.recv(1) and None) as target:
        assert outcome(target, timeout_seconds=0.3) == "timeout"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b", "encoding"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unreachable"),
        (b"", "unreachable"),
        (HEAD + b"Content-Length: 10\r\n\r\na 1\n", "unreachable"),
        (HEAD + b"x: y\r\n" * 200 + b"\r\n", "unreachable"),
    ],
    ids=["redirect", "error", "compressed", "another protocol", "nothing", "cut off", "too many headers"],
)
def test_an_answer_that_is_no_exposition_is_a_fault_of_its_kind(answer: bytes, expected: str) -> None:
    with peer(answering(answer)) as target:
        assert outcome(target) == expected


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert outcome(Target("127.0.0.1", port, "/metrics")) == "unreachable"


class Flood:
    """Sends a chunk of a size that is none, then as much as is taken."""

    MOST = 64 << 20

    def __init__(self, size: bytes) -> None:
        self.head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self.head)
        piece = b"a" * (1 << 20)
        while self.sent < self.MOST:
            self.sent += connection.send(piece)


@pytest.mark.parametrize("size", [b"-1", b"-2", b"-ffffffff"])
def test_no_more_is_read_than_is_taken_whatever_size_a_chunk_claims(size: bytes) -> None:
    flood = Flood(size)
    with peer(flood) as target:
        assert outcome(target) in ("too_large", "unreachable")
    assert flood.sent < 16 << 20
