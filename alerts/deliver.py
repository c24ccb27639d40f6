"""Delivery of one message by webhook: when it is tried again, how it is signed, and one attempt.

Signed as Standard Webhooks asks (https://www.standardwebhooks.com): the message's id survives retries, so that a
receiver can drop what it has seen; HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import httpx

from alerts.signing import signature

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
MAX_DETAIL = 200


@dataclass(frozen=True)
class RetryPolicy:
    """When a failed delivery is tried again."""

    delays_ms: tuple[int, ...] = (2_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000)
    """The wait after the first failure, the second, and so on; the last one repeats."""
    jitter: float = 0.2
    """Each wait is longer or shorter by up to this share, so that many don't come at once."""
    max_attempts: int = 300
    """About a day; then the message is given up."""
    longest_retry_after_ms: int = 3_600_000
    """A receiver that asks for more patience than this is asked again after it."""


DEFAULT = RetryPolicy()


@dataclass(frozen=True)
class Delivery:
    """One message on its way: `id` is the outbox's and survives retries; `secret` signs it, where one is set."""

    id: str
    url: str
    body: bytes
    secret: str | None = None


class Outcome(NamedTuple):
    """How one attempt ended; `detail` is safe to show: neither address nor secret is in it."""

    kind: Literal["delivered", "retry", "failed"]
    status: int | None
    detail: str
    retry_after_ms: int | None = None


def next_attempt_ms(
    attempt: int, now_ms: int, rand: float, retry_after_ms: int | None = None, policy: RetryPolicy = DEFAULT
) -> int | None:
    """When to try again after `attempt` failures (from 1), `rand` in [0, 1); None where the message is given up.

    What the receiver asked for by Retry-After is a lower bound.
    """
    if attempt >= policy.max_attempts:
        return None
    base = policy.delays_ms[min(max(attempt, 1), len(policy.delays_ms)) - 1]
    wait = int(base * (1 + policy.jitter * (2 * rand - 1)))
    asked = min(retry_after_ms or 0, policy.longest_retry_after_ms)
    return now_ms + max(wait, asked)


def decide(status: int, retry_after: str | None, now_ms: int, detail: str = "") -> Outcome:
    """What an answer means: 2xx is delivered; 408, 425, 429, 5xx and redirects are tried again; other 4xx are final."""
    text = f"answered {status}" + (f": {detail}" if detail else "")
    if 200 <= status < 300:
        return Outcome("delivered", status, text)
    if 300 <= status < 400:
        return Outcome("retry", status, f"answered {status}: redirects are not followed, configure the final address")
    if status in (408, 425, 429) or status >= 500:
        return Outcome("retry", status, text, retry_after_in_ms(retry_after, now_ms))
    return Outcome("failed", status, text)


def retry_after_in_ms(header: str | None, now_ms: int) -> int | None:
    """Retry-After in its two forms, seconds or a date, as milliseconds from now; None where absent or unreadable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text) * 1000
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp() * 1000) - now_ms)


def headers(delivery: Delivery, now_ms: int) -> dict[str, str]:
    """The headers of one attempt: the id stays, the timestamp is this attempt's."""
    sent = {
        "content-type": "application/json",
        "user-agent": "midwatch",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(now_ms // 1000),
    }
    if delivery.secret is not None:
        sent["webhook-signature"] = signature(delivery.secret, delivery.id, now_ms // 1000, delivery.body)
    return sent


def send(delivery: Delivery, client: httpx.Client, now_ms: int | None = None) -> Outcome:
    """One attempt: no redirects, bounded time, the answer's body not read beyond its beginning."""
    at_ms = int(datetime.now(UTC).timestamp() * 1000) if now_ms is None else now_ms
    try:
        with client.stream(
            "POST",
            delivery.url,
            content=delivery.body,
            headers=headers(delivery, at_ms),
            timeout=TIMEOUT,
            follow_redirects=False,
        ) as answer:
            detail = "" if answer.is_success else _beginning(answer)
            return decide(answer.status_code, answer.headers.get("retry-after"), at_ms, detail)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        return Outcome("failed", None, "the receiver's address is not an http or https URL")
    except httpx.TransportError as error:
        return Outcome("retry", None, f"{type(error).__name__}: {str(error)[:MAX_DETAIL]}")


def _beginning(answer: httpx.Response) -> str:
    first = next(answer.iter_bytes(MAX_DETAIL), b"")
    return "".join(char for char in first[:MAX_DETAIL].decode("utf-8", "replace") if char.isprintable())
