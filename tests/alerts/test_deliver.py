"""Delivery: the signature's test vector, what answers mean, and attempts over real sockets."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deliver import DEFAULT, Delivery, decide, next_attempt_ms, retry_after_in_ms, send
from alerts.signing import secret_key, signature
from tests.alerts.support import NOW
from tests.support.webhook import Webhook

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as made:
        yield made


def _to(url: str, secret: str | None = None) -> Delivery:
    return Delivery("page-1", url, b'{"status":"firing"}', secret)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    signed = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert secret_key("whsec_" + SECRET) == secret_key(SECRET)


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "not base64 !!!", base64.b64encode(b"x" * 65).decode()])
def test_a_secret_that_can_not_be_one_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as told:
        secret_key(secret)
    assert not secret or secret not in str(told.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "delivered"), (202, "delivered"), (204, "delivered"),
        (301, "retry"), (302, "retry"),
        (400, "failed"), (401, "failed"), (404, "failed"), (410, "failed"), (413, "failed"),
        (408, "retry"), (429, "retry"), (500, "retry"), (503, "retry"),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int, kind: str) -> None:
    assert decide(status, None, NOW).kind == kind


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("7", 7000),
        (" 0 ", 0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Fri, 15 Jan 2021 08:00:30 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 40, None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, wait: int | None) -> None:
    assert retry_after_in_ms(header, NOW) == wait


def test_waits_grow_to_five_minutes_and_end_after_a_day() -> None:
    waits = [(next_attempt_ms(attempt, 0, 0.5) or 0) // 1000 for attempt in range(1, 10)]
    assert waits == [2, 5, 15, 30, 60, 120, 300, 300, 300]
    assert next_attempt_ms(DEFAULT.max_attempts, 0, 0.5) is None


def test_a_receivers_wish_is_the_least_wait_up_to_an_hour() -> None:
    assert next_attempt_ms(1, 0, 0.5, 60_000) == 60_000
    assert next_attempt_ms(7, 0, 0.5, 1) == 300_000
    assert next_attempt_ms(1, 0, 0.5, 10**12) == 3_600_000


@given(st.integers(1, 299), st.floats(0, 1, exclude_max=True))
def test_the_next_attempt_is_later_and_within_the_jitter(attempt: int, rand: float) -> None:
    at = next_attempt_ms(attempt, NOW, rand)
    assert at is not None
    assert 1_600 <= at - NOW <= 360_000


def test_a_message_arrives_once_with_its_id_and_signature(webhook: Webhook, client: httpx.Client) -> None:
    outcome = send(_to(webhook.url, SECRET), client, NOW)
    assert (outcome.kind, outcome.status) == ("delivered", 200)
    (got,) = webhook.received
    sent = {name.lower(): value for name, value in got.headers.items()}
    assert (got.body, sent["webhook-id"], sent["webhook-timestamp"]) == (
        b'{"status":"firing"}', "page-1", str(NOW // 1000)
    )  # fmt: skip
    assert sent["webhook-signature"] == signature(SECRET, "page-1", NOW // 1000, got.body)
    assert sent["content-type"] == "application/json"


def test_without_a_secret_nothing_is_signed(webhook: Webhook, client: httpx.Client) -> None:
    send(_to(webhook.url), client, NOW)
    assert "webhook-signature" not in {name.lower() for name in webhook.received[0].headers}


def test_a_retry_keeps_the_id_and_renews_the_timestamp(webhook: Webhook, client: httpx.Client) -> None:
    webhook.answers.extend([503])
    assert send(_to(webhook.url), client, NOW).kind == "retry"
    assert send(_to(webhook.url), client, NOW + 5000).kind == "delivered"
    first, second = ({name.lower(): value for name, value in it.headers.items()} for it in webhook.received)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]


def test_nobody_listening_is_tried_again_and_the_address_is_not_told(client: httpx.Client) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = send(_to(f"http://127.0.0.1:{port}/hook/token"), client, NOW)
    assert (outcome.kind, outcome.status) == ("retry", None)
    assert "token" not in outcome.detail


@pytest.mark.parametrize("url", ["", "127.0.0.1/hook", "ftp://127.0.0.1/", "http://[::1", "http://"])
def test_an_address_that_is_none_is_final(url: str, client: httpx.Client) -> None:
    assert send(_to(url), client, NOW).kind == "failed"


def _raw_server(answer: bytes) -> tuple[str, threading.Thread]:
    """A server of one answer, then the end of the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/", thread


def test_a_redirect_is_not_followed(webhook: Webhook, client: httpx.Client) -> None:
    url, thread = _raw_server(
        f"HTTP/1.1 307 Go\r\nLocation: {webhook.url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    outcome = send(_to(url), client, NOW)
    thread.join(10)
    assert (outcome.kind, outcome.status) == ("retry", 307)
    assert webhook.received == []


def test_of_a_refusal_the_beginning_is_told_without_control_characters(client: httpx.Client) -> None:
    text = b"no such\x1b[31m hook" + b"x" * 10_000
    url, thread = _raw_server(
        b"HTTP/1.1 404 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text)
    )
    outcome = send(_to(url), client, NOW)
    thread.join(10)
    assert outcome.kind == "failed"
    assert outcome.detail.startswith("answered 404: no such[31m hookxxx")
    assert len(outcome.detail) < 250


def test_an_answer_that_is_no_http_is_tried_again(client: httpx.Client) -> None:
    url, thread = _raw_server(b"220 smtp ready\r\n")
    assert send(_to(url), client, NOW).kind == "retry"
    thread.join(10)
