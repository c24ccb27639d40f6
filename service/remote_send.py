"""Forwards what waits by remote write: in order, again until it is taken; what never will be is counted."""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import httpx

from service.errors import StoreFault
from service.remote_encode import compressed, halves, inflated, samples_in
from service.remote_queue import Queue

_LOG = logging.getLogger(__name__)
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "midwatch",
}
IDLE_SECONDS = 1.0
MOST_PARTS = 128
"""A request that is refused is parted to find what is at fault, in at most so many requests."""

Verdict = Literal["taken", "refused", "later"]


class Answer(NamedTuple):
    """What one attempt came to."""

    verdict: Verdict
    detail: str = ""
    retry_after_seconds: float | None = None


class Waits(NamedTuple):
    """Seconds between attempts that fail: doubling, half of it at random; what the server asks for goes first."""

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    most_asked_seconds: float = 300.0

    def seconds(self, failures: int, rand: float, asked: float | None) -> float:
        """The wait after the n-th failure in a row (from 1); `rand` is in [0, 1)."""
        doubled = min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 16))
        return max(min(asked or 0.0, self.most_asked_seconds), doubled * (0.5 + rand / 2))


class Forwarder:
    """One request after another, so that the samples of a series stay in order."""

    def __init__(
        self,
        queue: Queue,
        post: Callable[[bytes], Answer],
        clock: Callable[[], int],
        samples_per_request: int = 10_000,
        sent: Callable[[], None] = lambda: None,
        waits: Waits = Waits(),  # noqa: B008 - a frozen value
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.samples: Counter[str] = Counter()
        """Samples by what became of them: `sent`, `refused`, `expired`."""
        self.failures = 0
        """Attempts that failed in a row."""
        self.fault: str | None = None
        """Why nothing is taken at present, in one sentence."""
        self._queue, self._post, self._clock = queue, post, clock
        self._samples, self._sent, self._waits, self._rand = samples_per_request, sent, waits, rand
        self._stop = threading.Event()

    def run(self) -> None:
        """Forward until told to stop."""
        while not self._stop.is_set():
            try:
                wait = self.step()
            except (StoreFault, ValueError) as fault:
                # the database takes nothing now: what waits stays where it is
                self.fault, wait = str(fault), self._waits.most_seconds
                _LOG.warning("not forwarded: %s", fault)
            if wait is None:
                self._queue.written.wait(IDLE_SECONDS)
                self._queue.written.clear()
            elif wait > 0:
                self._stop.wait(wait)

    def stop(self) -> None:
        """End `run` after the attempt that is under way."""
        self._stop.set()
        self._queue.written.set()

    def step(self) -> float | None:
        """One attempt; seconds until the next one, None where nothing waits."""
        self._expire()
        entries, bodies = self._queue.first(self._samples, 16 << 20)
        if not entries:
            return None
        answer = self._offer(b"".join(map(inflated, bodies)), sum(it.samples for it in entries))
        if answer.verdict == "later":
            return self._failed(answer)
        self._queue.forget(entries)
        self.failures, self.fault = 0, None
        self._sent()
        return 0.0

    def _offer(self, body: bytes, samples: int) -> Answer:
        """Post a request; one that is refused is parted until what is at fault stands alone."""
        waiting, tries, counted = [(body, samples)], 0, Counter[str]()
        while waiting:
            one, count = waiting.pop()
            answer, tries = self._post(compressed(one)), tries + 1
            if answer.verdict == "later":
                return answer
            if answer.verdict == "taken":
                counted["sent"] += count
                continue
            two = halves(one) if tries < MOST_PARTS else None
            if two is None:
                counted["refused"] += count
                _LOG.warning("%d sample(s) were refused: %s", count, answer.detail)
            else:
                waiting += [(part, samples_in(part)) for part in reversed(two)]
        self.samples.update(counted)
        return Answer("taken")

    def _failed(self, answer: Answer) -> float:
        self.failures += 1
        if self.failures == 1:
            _LOG.warning("nothing is forwarded now: %s", answer.detail)
        self.fault = answer.detail
        return self._waits.seconds(self.failures, self._rand(), answer.retry_after_seconds)

    def _expire(self) -> None:
        if gone := self._queue.expired(self._clock()):
            self._queue.forget(gone)
            self.samples["expired"] += sum(it.samples for it in gone)
            _LOG.warning("%d request(s) waited too long and were dropped", len(gone))


def poster(client: httpx.Client, url: str) -> Callable[[bytes], Answer]:
    """Posts to an address of remote write; the client has the credentials and the times."""

    def post(body: bytes) -> Answer:
        try:
            with client.stream("POST", url, content=body, headers=HEADERS) as response:
                said = next(response.iter_bytes(300), b"") if response.status_code >= 300 else b""
                return judged(response.status_code, response.headers.get("retry-after"), said, datetime.now(UTC))
        except httpx.HTTPError as fault:
            return Answer("later", f"the remote store can't be reached: {fault or type(fault).__name__}")

    return post


def judged(status: int, retry_after: str | None, said: bytes, now: datetime) -> Answer:
    """What a status means: 2xx took it, 400, 413, 415 and 422 are for ever, all else may change."""
    detail = f"the remote store answered {status} {said.decode('utf-8', 'replace').strip()[:200]}"
    if 200 <= status < 300:
        return Answer("taken")
    if status in (400, 413, 415, 422):
        return Answer("refused", detail)
    return Answer("later", detail, _asked(retry_after, now))


def _asked(header: str | None, now: datetime) -> float | None:
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header.strip()[:9])
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
