"""Timing of a manifest request, phase by phase."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.credentials import Credentials
from runtime.model import RegistryTiming
from runtime.registry import is_loopback, time_manifest
from tests.runtime.servers import http, serving
from tests.support.ports import free_port
from tests.support.registry import PASSWORD, USER, RegistryUnderTest

ME = Credentials("me", "secret")


def timed(port: int, **options: Any) -> RegistryTiming:
    return time_manifest(f"127.0.0.1:{port}", "shop/api", "1", now_ms=42, **options)


def test_a_manifest_that_is_there_has_its_phases_and_their_sum_is_within_the_total() -> None:
    with serving(lambda _head: http("200 OK")) as server:
        timing = timed(server.port)
    assert timing.ok and timing.message is None and timing.at_ms == 42
    assert list(timing.phases) == ["dns", "connect", "manifest"]
    assert 0 < sum(timing.phases.values()) <= timing.total_seconds
    head = server.requests[0]
    assert head.startswith("HEAD /v2/shop/api/manifests/1 HTTP/1.1\r\n") and "manifest.list.v2+json" in head


@pytest.mark.parametrize(
    ("status", "said"), [("404 Not Found", "HTTP 404 Not Found"), ("503 Service Unavailable", "HTTP 503"),
                         ("429 Too Many Requests", "HTTP 429"), ("307 Temporary Redirect", "HTTP 307")],
)  # fmt: skip
def test_any_other_answer_is_a_failure_with_its_status(status: str, said: str) -> None:
    with serving(lambda _head: http(status, b"", "Location: http://127.0.0.1:1/")) as server:
        timing = timed(server.port)
    assert not timing.ok and timing.message and timing.message.startswith(said) and "manifest" in timing.phases
    assert len(server.requests) == 1


def test_a_stopped_registry_fails_at_the_connection() -> None:
    timing = timed(free_port())
    assert not timing.ok and "refused" in (timing.message or "") and list(timing.phases) == ["dns", "connect"]


def test_a_name_that_does_not_exist_fails_at_the_name() -> None:
    timing = time_manifest("registry.invalid", "a", "1", now_ms=0)
    assert not timing.ok and list(timing.phases) == ["dns"]


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_registry_that_never_ends_its_answer_is_cut_off(begun: bytes) -> None:
    with serving(lambda _head: begun, drip=True) as server:
        timing = timed(server.port, timeout_seconds=0.3)
    assert not timing.ok and timing.message


def test_a_token_is_fetched_with_the_credentials_and_timed_as_a_phase() -> None:
    with serving(lambda _head: http("200 OK", json.dumps({"token": "tok"}).encode())) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="http://127.0.0.1:{tokens.port}/t",service="r",scope="s:p"'
        with serving(
            lambda head: http("200 OK") if "Authorization: Bearer tok" in head else http("401 No", b"", challenge)
        ) as server:
            timing = timed(server.port, credentials=ME)
    assert timing.ok and list(timing.phases) == ["dns", "connect", "manifest", "token"]
    assert tokens.requests[0].startswith("GET /t?service=r&scope=s%3Ap HTTP/1.1\r\n")
    assert f"Authorization: Basic {base64.b64encode(b'me:secret').decode()}" in tokens.requests[0]


def test_a_registry_with_a_password_gets_it_and_without_one_says_what_to_do() -> None:
    wanted = base64.b64encode(b"me:secret").decode()
    with serving(
        lambda head: http("200 OK") if wanted in head else http("401 No", b"", 'WWW-Authenticate: Basic realm="r"')
    ) as server:
        assert timed(server.port, credentials=ME).ok
        timing = timed(server.port)
    assert not timing.ok and "run docker login" in (timing.message or "")


@pytest.mark.parametrize("realm", ["http://192.0.2.1/token", "ftp://127.0.0.1/", "", "https://"])
def test_a_realm_that_would_show_the_password_to_the_network_is_refused(realm: str) -> None:
    challenge = f'WWW-Authenticate: Bearer realm="{realm}",service="r"'
    with serving(lambda _head: http("401 No", b"", challenge)) as server:
        timing = timed(server.port, credentials=ME)
    assert not timing.ok and (timing.message or "").startswith("token: ")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": "a\\r\\nX: y"}', b"x" * 3_000_000])
def test_a_token_that_is_none_is_refused(body: bytes) -> None:
    with serving(lambda _head: http("200 OK", body)) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="http://127.0.0.1:{tokens.port}/"'
        with serving(lambda _head: http("401 No", b"", challenge)) as server:
            timing = timed(server.port)
    assert not timing.ok and timing.message


@pytest.mark.parametrize("registry", ["", "a:b", "[", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_a_failure_and_no_exception(registry: str) -> None:
    assert not time_manifest(registry, "a", "1", now_ms=0).ok


def test_plain_http_is_for_loopback_alone() -> None:
    assert [host for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1") if not is_loopback(host)] == []
    assert not any(is_loopback(host) for host in ("10.0.0.1", "localhost.example", "127.0.0.1.example"))


@contextmanager
def over_tls(folder: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A registry with a certificate of its own for `registry.test`, and a context that trusts it."""
    key, certificate, name = folder / "key.pem", folder / "cert.pem", f"subjectAltName=DNS:{socket.gethostname()}"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-keyout", key, "-out", certificate, "-subj", "/CN=vm", "-addext", name],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    with socket.create_server(("", 0)) as listener:

        def serve() -> None:
            try:
                with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(http("200 OK"))
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], ssl.create_default_context(cafile=str(certificate))
        thread.join(5)


def resolvable() -> bool:
    try:
        return bool(socket.getaddrinfo(socket.gethostname(), 80, socket.AF_INET))
    except OSError:
        return False


@pytest.mark.skipif(not resolvable(), reason="this machine's own name leads nowhere")
def test_tls_is_a_phase_of_its_own_and_a_certificate_that_nobody_trusts_fails_there(tmp_path: Path) -> None:
    registry = f"{socket.gethostname()}:"
    with over_tls(tmp_path) as (port, trusting):
        timing = time_manifest(f"{registry}{port}", "a", "1", now_ms=0, tls=trusting)
    assert timing.ok and list(timing.phases) == ["dns", "connect", "tls", "manifest"]
    with over_tls(tmp_path) as (port, _):
        timing = time_manifest(f"{registry}{port}", "a", "1", now_ms=0)
    assert not timing.ok and "CERTIFICATE_VERIFY_FAILED" in (timing.message or "")
    assert list(timing.phases) == ["dns", "connect", "tls"]


@pytest.mark.engine
def test_real_registries_open_and_guarded(
    tiny_image: str, registry: RegistryUnderTest, auth_registry: RegistryUnderTest
) -> None:
    registry.push(tiny_image, "shop/api")
    auth_registry.push(tiny_image, "shop/api")
    assert timed(registry.port).ok
    assert not time_manifest(registry.address, "shop/api", "9", now_ms=0).ok
    assert timed(auth_registry.port, credentials=Credentials(USER, PASSWORD)).ok
    assert not timed(auth_registry.port, credentials=Credentials(USER, "wrong")).ok
