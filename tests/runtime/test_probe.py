"""Readiness probes: what the label asks for, and looks at real sockets."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine import Engine
from runtime.errors import EngineRefused
from runtime.model import Container, ExecProbe, HttpProbe, Probe, TcpProbe
from runtime.probe import probe_of, ready
from tests.runtime.engine_answers import ANY
from tests.runtime.servers import http, serving

HERE = replace(ANY, address="127.0.0.1")


class Refusing:
    """An engine whose container has just ended."""

    def exec(self, id: str, command: Sequence[str], timeout_seconds: float) -> int | None:
        raise EngineRefused("container is not running", 409)


def look(probe: Probe, container: Container = HERE, timeout_seconds: float = 5.0) -> bool:
    return ready(probe, container, Refusing(), timeout_seconds)


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("http://:8080/ready", HttpProbe(8080, "/ready")),
        ("http://:8080", HttpProbe(8080, "/")),
        ("http://:80/a?b=c/d", HttpProbe(80, "/a?b=c/d")),
        ("tcp://:5432", TcpProbe(5432)),
        ("exec:pg_isready -U 'a b'", ExecProbe(("pg_isready", "-U", "a b"))),
        ("exec: true", ExecProbe(("true",))),
        ("", None),
    ],
)
def test_a_label_is_a_probe(text: str, probe: Probe | None) -> None:
    assert probe_of({"midwatch.readiness": text}) == probe


def test_without_the_label_there_is_no_probe() -> None:
    assert probe_of({}) is None


@pytest.mark.parametrize(
    "text",
    [
        "8080", "https://:1/x", "http://other.host:80/", "http://169.254.169.254/", "http://:0/", "http://:65536/",
        "http://:x/", "tcp://:", "tcp://:1/x", "tcp://host:1", "exec:", "exec:a 'b", "http://:1/a b",
        "http://:1/\r\nX: y", "http://:٣/", "x" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_probe_is_refused_with_the_labels_name_and_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"midwatch\.readiness.*; "):
        probe_of({"midwatch.readiness": text})


@given(st.text(max_size=100))
def test_no_label_is_too_strange(text: str) -> None:
    try:
        probe_of({"midwatch.readiness": text})
    except ValueError as error:
        assert "midwatch.readiness" in str(error)


@pytest.mark.parametrize(
    ("status", "passes"), [("200 OK", True), ("204 No Content", True), ("302 Found", True), ("404 Not Found", False),
                           ("503 Busy", False), ("100 Continue", False)],
)  # fmt: skip
def test_http_is_ready_from_200_to_399(status: str, passes: bool) -> None:
    with serving(lambda _head: http(status)) as server:
        assert look(HttpProbe(server.port, "/ready")) is passes
    assert server.requests[0].startswith(f"GET /ready HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with serving(lambda _head: http("200 OK")) as elsewhere:
        target = f"Location: http://127.0.0.1:{elsewhere.port}/"
        with serving(lambda _head: http("302 Found", b"", target)) as server:
            assert look(HttpProbe(server.port))
        assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 2000 OK\r\n", b"x" * 9000])
def test_what_does_not_speak_http_is_not_ready(answer: bytes) -> None:
    with serving(lambda _head: answer) as server:
        assert not look(HttpProbe(server.port))


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    with serving(lambda _head: b"", drip=True) as server:
        assert not look(HttpProbe(server.port), timeout_seconds=0.2)


def test_tcp_is_ready_where_the_port_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert look(TcpProbe(port))
    assert not look(TcpProbe(port)) and not look(HttpProbe(port))


def test_a_container_that_does_not_run_or_has_no_address_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = TcpProbe(server.getsockname()[1])
        assert not look(probe, replace(HERE, state="restarting"))
        assert not look(probe, replace(HERE, address=None))
        assert look(probe, replace(HERE, address=None, network_mode="host"))


def test_a_command_in_a_container_that_has_just_ended_is_not_ready() -> None:
    assert not look(ExecProbe(("true",)))


@pytest.mark.engine
def test_a_command_is_ready_where_it_ends_with_nought_within_the_time(sleeper: tuple[Engine, Container]) -> None:
    engine, container = sleeper
    assert ready(ExecProbe(("true",)), container, engine, 5)
    assert not ready(ExecProbe(("false",)), container, engine, 5)
    assert not ready(ExecProbe(("sleep", "60")), container, engine, 0.2)
