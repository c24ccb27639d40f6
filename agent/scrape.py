"""The containers' own Prometheus metrics: hostile text to bounded samples, and who is asked when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agent.exposition_text import MalformedText, Sample, samples
from agent.model import Labels, Points, Resource, Scraped, Value
from agent.names import RESERVED_NAMES, RESERVED_PREFIXES
from agent.scrape_http import ScrapeFault, asks, fetch, target_of
from runtime.model import Container

IDENTITY_LABELS = frozenset({"node", "node_id", "service", "container", "id", "image", "job", "instance"})
"""Labels that only the agent gives; a container's own of that name becomes `exported_…`, as Prometheus has it."""

_RISING = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "counter": ("", "_total"),
}
_UNTYPED = ("untyped", "unknown")
_BOUND_LABELS = {"histogram": "le", "summary": "quantile"}


@dataclass(frozen=True)
class ScrapeLimits:
    """Bounds of one scrape; beyond the first three nothing of it is taken, beyond a label's the sample is left out."""

    body_bytes: int = 4 * 1024 * 1024
    samples: int = 2_000
    timeout_seconds: float = 3.0
    labels: int = 24
    label_name_chars: int = 128
    label_value_chars: int = 512


DEFAULT = ScrapeLimits()


class ScrapedSample(NamedTuple):
    """One sample that may be shipped, without its time."""

    kind: Literal["counter", "gauge"]
    name: str
    labels: Labels
    value: float


class ScrapeResult(NamedTuple):
    """What one scrape gave, and how many samples were left out, by reason."""

    samples: tuple[ScrapedSample, ...]
    refused: Counter[str]


def parse(text: str, limits: ScrapeLimits = DEFAULT) -> ScrapeResult:
    """Read an exposition; raises ScrapeFault where it is malformed or has more samples than the limit."""
    taken: dict[tuple[str, Labels], ScrapedSample] = {}
    refused = Counter[str]()
    try:
        for number, sample in enumerate(samples(text)):
            if number >= limits.samples:
                raise ScrapeFault("too_many_samples", f"more than the {limits.samples} samples taken of one container")
            found = _taken(sample, limits)
            if isinstance(found, str):
                refused[found] += 1
            elif taken.setdefault((found.name, found.labels), found) is not found:
                refused["duplicate"] += 1
    except MalformedText as fault:
        raise ScrapeFault("malformed", str(fault)) from fault
    return ScrapeResult(tuple(taken.values()), refused)


def _taken(sample: Sample, limits: ScrapeLimits) -> ScrapedSample | str:
    """The sample under our rules, or the reason why it is left out."""
    name = sample.name
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
        return "reserved_name"
    if not math.isfinite(sample.value):
        return "not_finite"
    if len(name) > limits.label_value_chars:
        return "name"
    if name.endswith("_created") and sample.family != name:
        return "created"
    labels = _labels(sample, limits)
    return "labels" if labels is None else ScrapedSample(_kind(sample), name, labels, sample.value)


def _kind(sample: Sample) -> Literal["counter", "gauge"]:
    """A counter where its family's type says that this sample only rises; untyped by the suffix `_total`."""
    if sample.kind in _UNTYPED:
        return "counter" if sample.name.endswith("_total") else "gauge"
    rising = _RISING.get(sample.kind, ())
    return "counter" if sample.name.removeprefix(sample.family) in rising else "gauge"


def _labels(sample: Sample, limits: ScrapeLimits) -> Labels | None:
    """Sorted labels, empty ones left out, ours renamed, bounds in canonical text; None beyond the limits."""
    if len(sample.labels) > limits.labels:
        return None
    named = dict[str, str]()
    for name, value in sample.labels.items():
        if len(name) > limits.label_name_chars or len(value) > limits.label_value_chars:
            return None
        if value:
            named[f"exported_{name}" if name in IDENTITY_LABELS else name] = value
    bound = _BOUND_LABELS.get(sample.kind)
    if bound in named:
        named[bound] = bound_text(named[bound])
    return tuple(sorted(named.items()))


def bound_text(text: str) -> str:
    """The canonical text of a bucket's bound or a quantile: `0.30` is `0.3`, `1.0` is `1`, infinity is `+Inf`."""
    try:
        bound = float(text)
    except ValueError:
        return text
    return "+Inf" if bound == math.inf else repr(bound).removesuffix(".0")


class _Known(NamedTuple):
    """The series of a container's last good scrape, of the run it was in."""

    started_ms: int | None
    at_ms: int
    keys: frozenset[tuple[str, Labels]]


class Scraper:
    """Asks containers for their own metrics, several at once; each in bounded time, all of them in `round_seconds`."""

    def __init__(
        self,
        clock_ms: Callable[[], int],
        limits: ScrapeLimits = DEFAULT,
        workers: int = 8,
        round_seconds: float = 10.0,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        """Scrapes, by outcome."""
        self.refused: Counter[str] = Counter()
        """Samples left out, by reason."""
        self.faults: dict[str, str] = {}
        """Why the last scrape of a container failed, by the container's name."""
        self._clock_ms, self._limits, self._round_seconds = clock_ms, limits, round_seconds
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="scrape")
        self._known: dict[str, _Known] = {}
        self._turn = 0

    def close(self) -> None:
        """Let the threads end; scrapes under way end within their time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def round(self, containers: Iterable[tuple[Container, Resource]]) -> list[Points]:
        """Scrape every running container whose labels ask for it; its samples and `up` (1, or 0 where it failed)."""
        asked = [pair for pair in containers if pair[0].state == "running" and asks(pair[0].labels)]
        self._forget({container.id for container, _ in asked})
        # Each round begins one further on, so that those who are slow do not always leave out the same others.
        self._turn = (self._turn + 1) % (len(asked) or 1)
        turned = asked[self._turn :] + asked[: self._turn]
        pending = [(pair, self._pool.submit(self._scrape, pair[0])) for pair in turned]
        wait((future for _, future in pending), timeout=self._round_seconds)
        return [self._points(container, resource, future) for (container, resource), future in pending]

    def _forget(self, present: set[str]) -> None:
        self._known = {id_: known for id_, known in self._known.items() if id_ in present}
        self.faults.clear()

    def _scrape(self, container: Container) -> tuple[int, ScrapeResult]:
        """In a thread of the pool: the time of asking and what came of it."""
        target = target_of(container.labels, container.address)
        at_ms = self._clock_ms()
        return at_ms, parse(fetch(target, self._limits.body_bytes, self._limits.timeout_seconds), self._limits)

    def _points(self, container: Container, resource: Resource, future: Future[tuple[int, ScrapeResult]]) -> Points:
        try:
            at_ms, result = _result(future)
        except ScrapeFault as fault:
            self.outcomes[fault.outcome] += 1
            self.faults[container.name] = str(fault)
            return Points(resource, (_up(self._clock_ms(), 0.0),))
        self.outcomes["ok"] += 1
        self.refused.update(result.refused)
        return Points(resource, (_up(at_ms, 1.0), *self._scraped(container, at_ms, result)))

    def _scraped(self, container: Container, at_ms: int, result: ScrapeResult) -> list[Scraped]:
        """The samples with their times; a counter that is new since the last scrape was 0 at that scrape."""
        known = self._known.get(container.id)
        if known and (known.started_ms != container.started_ms or known.at_ms >= at_ms):
            known = None
        points = list[Scraped]()
        for kind, name, labels, value in result.samples:
            start_ms = container.started_ms if kind == "counter" else None
            if known and kind == "counter" and (name, labels) not in known.keys:
                points.append(Scraped(kind, Value(name, labels, 0.0, known.at_ms, start_ms)))
            points.append(Scraped(kind, Value(name, labels, value, at_ms, start_ms)))
        keys = frozenset((sample.name, sample.labels) for sample in result.samples)
        self._known[container.id] = _Known(container.started_ms, at_ms, keys)
        return points


def _result(future: Future[tuple[int, ScrapeResult]]) -> tuple[int, ScrapeResult]:
    """What the future holds; a scrape that the round did not wait for is a fault of its own."""
    if not future.done():
        future.cancel()
        raise ScrapeFault("skipped", "the round's time was over before this container's turn")
    return future.result()


def _up(at_ms: int, value: float) -> Scraped:
    return Scraped("gauge", Value("up", (), value, at_ms))
