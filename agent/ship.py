"""Sends what is spooled to the service: in order per signal, again until it is taken, each signal on its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

from agent.post import Answer, Poster, PostFailed, PostTimeout
from agent.spool import Batch, Spool
from agent.spool_files import SIGNALS, Signal

_LOG = logging.getLogger(__name__)
_IDLE_SECONDS = 5.0
"""Longest wait for a batch: what is put, and the end, wake those that wait."""
_DETAIL_CHARS = 300

Verdict = Literal["taken", "refused", "unauthorized", "busy", "server_error", "unexpected", "unreachable", "timeout"]


class Outcome(NamedTuple):
    """What one attempt came to; `retry_after_seconds` where the service asked for it."""

    verdict: Verdict
    detail: str = ""
    retry_after_seconds: float | None = None


class Backoff(NamedTuple):
    """Waits between attempts that fail: doubling from `first_seconds` up to `most_seconds`, each by half at random."""

    first_seconds: float = 0.5
    most_seconds: float = 15.0
    most_retry_after_seconds: float = 300.0

    def wait_seconds(self, failures: int, rand: float, retry_after_seconds: float | None) -> float:
        """The wait after the n-th failure in a row (from 1); `rand` is in [0, 1)."""
        doubled = min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 32))
        asked = min(retry_after_seconds or 0.0, self.most_retry_after_seconds)
        return max(asked, doubled * (0.5 + 0.5 * rand))


class Lane:
    """One signal on its way: its own failures and its own waits."""

    def __init__(self, shipper: Shipper, signal: Signal) -> None:
        self.signal = signal
        self._shipper = shipper
        self._failures = 0
        self._next_at = 0.0

    def step(self, now: float) -> float | None:
        """Send the oldest batch if it is time; seconds until the next step, None where nothing waits."""
        if now < self._next_at:
            return self._next_at - now
        batch = self._shipper.spool.peek(self.signal)
        if batch is None:
            return None
        outcome = self._shipper.send(batch)
        self._shipper.settle(batch, outcome)
        if outcome.verdict in ("taken", "refused"):
            self._failures, self._next_at = 0, now
            return 0.0
        self._failures += 1
        wait = self._shipper.backoff.wait_seconds(self._failures, self._shipper.rand(), outcome.retry_after_seconds)
        self._next_at = now + wait
        return wait


class Shipper:
    """Posts batches under their identity; the service stores a repeat once."""

    def __init__(
        self,
        spool: Spool,
        node_id: str,
        url: str,
        token: str | None,
        client: Poster,
        backoff: Backoff = Backoff(),  # noqa: B008 - a frozen value
        rand: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spool = spool
        self.backoff = backoff
        self.rand = rand
        self.shipped: Counter[Signal] = Counter()
        """Batches acknowledged, by signal."""
        self.failures: Counter[tuple[Signal, str]] = Counter()
        """Attempts that failed, by (signal, verdict)."""
        self.fault: str | None = None
        """Why nothing is taken at present, in one sentence; None while the service takes what is sent."""
        self._node_id, self._url, self._client, self._clock = node_id, url.rstrip("/"), client, clock
        self._shown = _without_password(self._url)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._said = set[str]()
        self._lanes = tuple(Lane(self, signal) for signal in SIGNALS)

    def step(self, now: float) -> float | None:
        """One attempt per signal that is due; seconds until the next one, None where nothing waits."""
        waits = [wait for lane in self._lanes if (wait := lane.step(now)) is not None]
        return min(waits, default=None)

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop, a thread per signal, so that none waits for another; returns within an attempt."""
        threads = [
            threading.Thread(target=self._run, args=(lane, stop), name=f"ship-{lane.signal}", daemon=True)
            for lane in self._lanes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def send(self, batch: Batch) -> Outcome:
        """One attempt to post a batch."""
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "Midwatch-Batch": f"{self._node_id}/{batch.spool_id}/{batch.signal}/{batch.sequence}",
            **self._authorization,
        }
        try:
            response = self._client.post(f"{self._url}/v1/{batch.signal}", content=batch.payload, headers=headers)
        except PostTimeout as fault:
            return Outcome("timeout", f"no answer in time from {self._shown}: {fault}")
        except PostFailed as fault:
            return Outcome("unreachable", f"{self._shown} can't be reached: {fault}")
        return outcome_of(response, datetime.now(UTC))

    def settle(self, batch: Batch, outcome: Outcome) -> None:
        """Let the spool forget what was taken or will never be; say each kind of trouble once."""
        verdict = outcome.verdict
        if verdict == "taken":
            self.spool.ack(batch.signal, batch.sequence)
            self.shipped[batch.signal] += 1
            self.fault = None
            self._said.clear()
            return
        self.failures[batch.signal, verdict] += 1
        if verdict == "refused":
            self.spool.refuse(batch.signal, batch.sequence, "refused")
        else:
            self.fault = outcome.detail
        if verdict not in self._said:
            self._said.add(verdict)
            _LOG.warning("%s: %s", batch.signal, outcome.detail)

    def _run(self, lane: Lane, stop: threading.Event) -> None:
        while not stop.is_set():
            puts = self.spool.puts
            try:
                wait = lane.step(self._clock())
            except Exception:  # noqa: BLE001 - counted, logged
                # The loop must outlive what a broken disk or library throws: the next round may be well again.
                self.failures[lane.signal, "error"] += 1
                _LOG.exception("shipping %s failed", lane.signal)
                wait = self.backoff.most_seconds
            if wait is None:
                self.spool.wait(_IDLE_SECONDS, puts)
            elif wait > 0:
                stop.wait(wait)


def outcome_of(response: Answer, now: datetime) -> Outcome:
    """What an answer means for the batch: only 2xx took it, only 400, 413 and 415 will never take it."""
    status, where = response.status, response.url
    # an OTLP error is a protobuf message around its sentence
    said = "".join(filter(str.isprintable, response.text[:_DETAIL_CHARS])).strip() if status >= 300 else ""
    after = retry_after_seconds(response.headers.get("retry-after"), now)
    match status:
        case status if 200 <= status < 300:
            return Outcome("taken")
        case 400 | 413 | 415 | 422:
            return Outcome("refused", f"{where} refused a batch, which is dropped: {status} {said}")
        case 401 | 403:
            remedy = "set the agent's token to one that the service knows"
            return Outcome("unauthorized", f"{where} does not take this agent's token ({status}): {remedy}", after)
        case 429:
            return Outcome("busy", f"{where} asks to wait: {status} {said}", after)
        case status if status >= 500:
            return Outcome("server_error", f"{where} failed: {status} {said}", after)
        case _:
            return Outcome("unexpected", f"{where} answered {status}: is it the service's address? {said}", after)


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, given in seconds or as an HTTP date; None where absent or malformed."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def _without_password(url: str) -> str:
    """The address as it may be shown: what stands before an @ is a secret."""
    scheme, _, rest = url.rpartition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    return f"{scheme}://{host}{rest[len(rest.partition('/')[0]) :]}"
