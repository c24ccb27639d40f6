"""Timing of a manifest request, phase by phase."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime.credentials import Credentials
from runtime.kept import raise_file_limit
from runtime.model import KnownBlob, RateLimit, RegistryTiming
from runtime.registry import is_loopback, time_manifest
from runtime.registry_http import MAX_ANSWER_BYTES, Line, Stopwatch, Target
from runtime.registry_limits import pause_seconds, rate_limit
from runtime.registry_trust import is_insecure
from tests.runtime.servers import http, serving
from tests.support.certificates import self_signed
from tests.support.faulty_registry import digest_of, faulty_registry, image_of
from tests.support.ports import free_port, own_address
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
    assert timing.total_seconds >= sum(timing.phases.values())
    assert tokens.requests[0].startswith("GET /t?service=r&scope=s%3Ap HTTP/1.1\r\n")
    assert f"Authorization: Basic {base64.b64encode(b'me:secret').decode()}" in tokens.requests[0]


def test_an_identity_token_is_changed_for_a_token_of_the_repository_and_never_sent_to_the_registry() -> None:
    with serving(lambda _head: http("200 OK", json.dumps({"access_token": "tok"}).encode())) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="http://127.0.0.1:{tokens.port}/t",service="r"'
        with serving(
            lambda head: http("200 OK") if "Authorization: Bearer tok" in head else http("401 No", b"", challenge)
        ) as server:
            timing = timed(server.port, credentials=Credentials("", identity_token="id&secret"))
    assert timing.ok and "token" in timing.phases
    assert tokens.requests[0].startswith("POST /t HTTP/1.1\r\n")
    assert not any("secret" in head for head in server.requests)
    with serving(lambda _head: http("401 No", b"", 'WWW-Authenticate: Basic realm="r"')) as server:
        timing = timed(server.port, credentials=Credentials("", identity_token="id"))
    assert "run docker login" in (timing.message or "") and timing.outcome == "unauthorized"


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


def test_tls_is_a_phase_of_its_own_and_a_certificate_that_nobody_trusts_fails_there(tmp_path: Path) -> None:
    host = own_address() or pytest.skip("this machine has no address but loopback")
    certificate, context = self_signed(tmp_path, f"IP:{host}")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with faulty_registry(host, tls=context) as registry:
        timing = time_manifest(registry.address, "plain/1", "1", now_ms=0, tls=trusting)
        distrusted = time_manifest(registry.address, "plain/1", "1", now_ms=0)
    assert timing.ok and list(timing.phases) == ["dns", "connect", "tls", "manifest", "blob"]
    assert not distrusted.ok and "CERTIFICATE_VERIFY_FAILED" in (distrusted.message or "")
    assert (list(distrusted.phases), distrusted.outcome) == (["dns", "connect", "tls"], "tls")


def test_a_small_blob_is_fetched_and_known_until_the_tag_means_another_manifest() -> None:
    with faulty_registry() as registry:
        ask = partial(time_manifest, registry.address, "plain/1", "1", now_ms=0)
        first = ask()
        again = ask(known=first.known)
        moved = ask(known=KnownBlob("sha256:another", first.known.blob if first.known else None))
    image = image_of("plain/1")
    assert first.known == again.known == moved.known == KnownBlob(digest_of(image.manifest), image.parts["config"])
    assert first.blob_message is None and first.phases["blob"] > 0 and "blob" in again.phases
    assert sum(line.startswith("GET") and "/manifests/" in line for line in registry.asked) == 2


@pytest.mark.parametrize(
    ("repository", "said", "outcome"),
    [
        ("broken-config/1", "blob: HTTP 503 Service Unavailable", "unreachable"),
        ("corrupt-config/1", "blob: what came has another digest", "corrupt"),
    ],
)
def test_a_blob_that_does_not_come_is_no_failure_of_the_manifest(repository: str, said: str, outcome: str) -> None:
    with faulty_registry() as registry:
        timing = time_manifest(registry.address, repository, "1", now_ms=0)
    assert timing.ok and timing.message is None and "blob" not in timing.phases
    assert (timing.blob_message, timing.outcome) == (said, outcome)


def test_the_manifest_of_another_platform_serves_where_there_is_none_of_ours() -> None:
    with faulty_registry() as registry:
        timing = time_manifest(registry.address, "no-platform/1", "1", now_ms=0)
    assert timing.known is not None and timing.known.blob == image_of("no-platform/1").parts["config"]


def one_line(text: bytes) -> bytes:
    return http("200 OK", text, "Docker-Content-Digest: sha256:x")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{}", b'{"config": 1}', b'{"config": {"digest": "sha256:../../x", "size": 3}}',
     b'{"config": {"digest": "sha256:' + b"a" * 64 + b'", "size": 99999999999}}', b'{"manifests": [1, {"digest": 2}]}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_manifest_of_any_shape_is_taken(manifest: bytes) -> None:
    with serving(lambda head: http("200 OK") if head.startswith("HEAD") else one_line(manifest)) as server:
        timing = timed(server.port)
    assert timing.ok and "blob" not in timing.phases
    assert not any("/blobs/" in head for head in server.requests)


@pytest.mark.parametrize(
    ("status", "body", "asked_again"),
    [("200 OK", b"no JSON", False), ("403 Forbidden", b"", False), ("429 Too Many Requests", b"", True),
     ("503 Service Unavailable", b"", True)],
)  # fmt: skip
def test_a_manifest_that_tells_of_no_blob_is_not_fetched_again_as_that_may_count_as_a_pull(
    status: str, body: bytes, asked_again: bool
) -> None:
    with serving(lambda head: http("200 OK") if head.startswith("HEAD") else http(status, body)) as server:
        first = timed(server.port)
        again = timed(server.port, known=first.known)
    assert first.ok and first.blob_message and (again.blob_message is not None) is asked_again
    assert sum(head.startswith("GET") for head in server.requests) == 1 + asked_again


def redirected(to: str, blob: bytes) -> Callable[[str], bytes]:
    """A registry whose blob lies elsewhere."""
    digest = digest_of(blob)
    manifest = json.dumps({"config": {"digest": digest, "size": len(blob)}}).encode()

    def answer(head: str) -> bytes:
        if "/blobs/" in head:
            return http("307 Temporary Redirect", b"", f"Location: {to}")
        return http("200 OK") if head.startswith("HEAD") else http("200 OK", manifest)

    return answer


def test_a_blob_that_lies_elsewhere_is_fetched_there_without_the_password() -> None:
    with (
        serving(lambda _head: http("200 OK", b"config")) as store,
        serving(redirected(f"http://127.0.0.1:{store.port}/x?sig=a%2Fb", b"config")) as server,
    ):
        timing = timed(server.port, credentials=ME)
    assert timing.blob_message is None and "blob" in timing.phases
    assert store.requests[0].startswith("GET /x?sig=a%2Fb HTTP/1.1") and "Authorization" not in store.requests[0]


@pytest.mark.parametrize("to", ["", "file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:1/"])
def test_a_redirect_to_nowhere_is_a_blob_that_does_not_come(to: str) -> None:
    with serving(redirected(to, b"config")) as server:
        timing = timed(server.port)
    assert timing.ok and timing.blob_message


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}, RateLimit(100, 76, 21600)),
        ({"ratelimit-limit": "10, 10;w=1, 50;w=60", "ratelimit-remaining": "9"}, RateLimit(10, 9, 1)),
        ({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0"}, RateLimit(5000, 0, None)),
        ({"ratelimit-remaining": "3"}, RateLimit(None, 3, None)),
        ({"ratelimit-limit": "-1", "ratelimit-remaining": "many"}, None),
        ({"ratelimit-limit": "9" * 400}, None),
        ({}, None),
    ],
)
def test_a_registrys_limit_is_read_as_it_writes_it(headers: dict[str, str], limit: RateLimit | None) -> None:
    assert rate_limit(headers) == limit


@pytest.mark.parametrize(
    ("status", "asked", "seconds"),
    [(429, "7", 7.0), (429, "", 60.0), (429, "soon", 60.0), (429, "999999", 3600.0), (503, "5", 5.0), (503, "", None),
     (200, "9", None)],
)  # fmt: skip
def test_a_registry_that_wants_to_be_left_alone_is(status: int, asked: str, seconds: float | None) -> None:
    assert pause_seconds(status, {"retry-after": asked} if asked else {}) == seconds


def test_limits_come_with_answers_of_any_kind() -> None:
    limits = ("RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 0;w=21600", "Retry-After: 9")
    with serving(lambda _head: http("429 Too Many Requests", b"", *limits)) as server:
        timing = timed(server.port)
    assert (timing.rate_limit, timing.retry_after_seconds) == (RateLimit(100, 0, 21600), 9.0)
    assert (timing.ok, timing.outcome) == (False, "rate_limited")


def test_a_registry_of_loopback_is_never_one_that_is_not_checked() -> None:
    names, networks = {"127.0.0.1:5000", "shop.test:5000"}, ("127.0.0.0/8", "10.0.0.0/8", "nonsense")
    insecure = [
        name
        for name in ("127.0.0.1:5000", "localhost:5000", "shop.test:5000", "10.1.2.3", "11.1.2.3", "[", "x.test")
        if is_insecure(name, names, networks[:2])
    ]
    assert insecure == ["shop.test:5000", "10.1.2.3"]
    assert not is_insecure("11.1.2.3", names, networks)


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


def test_a_registry_that_claims_a_chunk_without_end_is_not_read_without_end() -> None:
    flood = b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"a" * (4 * MAX_ANSWER_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line(Target("127.0.0.1", listener.getsockname()[1], None), Stopwatch(time.monotonic, 10.0))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(flood)

        thread = threading.Thread(target=serve)
        thread.start()
        assert len(line.ask("manifest", "GET", "/", {}).body) == MAX_ANSWER_BYTES
        line.close()
        thread.join()


def test_a_line_is_looked_at_also_where_many_files_are_open() -> None:
    with ExitStack() as held, serving(lambda _head: http("200 OK")) as server:
        raise_file_limit(4096)
        for _ in range(1_100):
            held.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        line = Line(Target("127.0.0.1", server.port, None), Stopwatch(time.monotonic, 10.0))
        assert [line.ask("manifest", "GET", "/", {}).status for _ in range(2)] == [200, 200]
        line.close()
