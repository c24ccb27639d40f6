"""Who is asked for metrics of its own, when, and what of the answers goes on: several at once, in bounded time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.model import Labels, Points, Resource, Scraped, Value
from agent.scrape import DEFAULT, ScrapedSample, ScrapeLimits, ScrapeResult, parse
from agent.scrape_http import ScrapeFault, asks, fetch, target_of
from runtime.model import Container

DAY_MS = 86_400_000
_SHARED_NETWORK = "container:"

Key = tuple[str, Labels]
Pair = tuple[Container, Resource]


class _Scrape(NamedTuple):
    """When a container was asked, how long its answer took, and what came of it."""

    at_ms: int
    seconds: float
    result: ScrapeResult


@dataclass
class _Known:
    """The series of a container's last good scrape, of the run it was in, and all that it had in a day."""

    started_ms: int | None
    since_ms: int
    at_ms: int = 0
    keys: frozenset[Key] = frozenset()
    seen: set[int] = field(default_factory=set)


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
        self._slow: set[str] = set()
        self._turn = 0
        self._left = 0

    def close(self) -> None:
        """Let the threads end; scrapes under way end within their time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def round(self, containers: Iterable[Pair]) -> list[Points]:
        """Scrape every running container whose labels ask for it; its samples and `up` (1, or 0 where it failed)."""
        present = list(containers)
        asked = [pair for pair in present if pair[0].state == "running" and asks(pair[0].labels)]
        self._forget({container.id for container, _ in asked})
        addresses = {container.id: container.address for container, _ in present}
        pending = [(pair, self._submit(pair[0], addresses)) for pair in self._order(asked)]
        wait((future for _, future in pending), timeout=self._round_seconds)
        self._left = self._limits.round_samples
        return [self._points(container, resource, future) for (container, resource), future in pending]

    def _submit(self, container: Container, addresses: Mapping[str, str | None]) -> Future[_Scrape]:
        return self._pool.submit(self._scrape, container, _address(container, addresses))

    def _order(self, asked: Sequence[Pair]) -> list[Pair]:
        """Those that did not answer in time come last; the others begin one further on each round, for fairness."""
        self._turn = (self._turn + 1) % (len(asked) or 1)
        turned = [*asked[self._turn :], *asked[: self._turn]]
        return sorted(turned, key=lambda pair: pair[0].id in self._slow)

    def _forget(self, present: set[str]) -> None:
        self._known = {id_: known for id_, known in self._known.items() if id_ in present}
        self._slow &= present
        self.faults.clear()

    def _scrape(self, container: Container, address: str | None) -> _Scrape:
        """In a thread of the pool; whatever one container makes of it is its own fault, and no other's."""
        try:
            target = target_of(container.labels, address)
            at_ms = self._clock_ms()
            text = fetch(target, self._limits.body_bytes, self._limits.timeout_seconds)
            seconds = max(0, self._clock_ms() - at_ms) / 1000
            return _Scrape(at_ms, seconds, parse(text, self._limits))
        except ScrapeFault:
            raise
        except Exception as fault:
            raise ScrapeFault("error", f"{type(fault).__name__}: {str(fault)[:200]}") from fault

    def _points(self, container: Container, resource: Resource, future: Future[_Scrape]) -> Points:
        try:
            scrape = self._within(_result(future))
        except ScrapeFault as fault:
            if fault.outcome == "timeout":
                self._slow.add(container.id)
            self.outcomes[fault.outcome] += 1
            self.faults[container.name] = str(fault)
            return Points(resource, (_gauge("up", self._clock_ms(), 0.0),))
        self._slow.discard(container.id)
        self.outcomes["ok"] += 1
        self.refused.update(scrape.result.refused)
        return Points(resource, (*_about(scrape), *self._scraped(container, scrape)))

    def _within(self, scrape: _Scrape) -> _Scrape:
        """The scrape, where the node's samples of this round have room for it."""
        if len(scrape.result.samples) > self._left:
            raise ScrapeFault("node_full", f"the node's {self._limits.round_samples} scraped samples are used up")
        self._left -= len(scrape.result.samples)
        return scrape

    def _scraped(self, container: Container, scrape: _Scrape) -> list[Scraped]:
        """The samples with their times; a counter that is new since the last scrape was 0 at that scrape."""
        known, at_ms = self._of(container, scrape.at_ms), scrape.at_ms
        samples = self._admitted(known, scrape.result.samples)
        points = list[Scraped]()
        for kind, name, labels, value in samples:
            start_ms = container.started_ms if kind == "counter" else None
            if 0 < known.at_ms < at_ms and kind == "counter" and (name, labels) not in known.keys:
                points.append(Scraped(kind, Value(name, labels, 0.0, known.at_ms, start_ms)))
            points.append(Scraped(kind, Value(name, labels, value, at_ms, start_ms)))
        known.at_ms, known.keys = at_ms, frozenset((sample.name, sample.labels) for sample in samples)
        return points

    def _of(self, container: Container, at_ms: int) -> _Known:
        """What is known of this run; of another run nothing is but the series, which are bounded by the day."""
        known = self._known.get(container.id)
        if known is None or not 0 <= at_ms - known.since_ms < DAY_MS:
            earlier = known
            known = self._known[container.id] = _Known(container.started_ms, at_ms)
            if earlier is not None and earlier.started_ms == container.started_ms:
                known.at_ms, known.keys = earlier.at_ms, earlier.keys
        if known.started_ms != container.started_ms:
            known.started_ms, known.at_ms, known.keys = container.started_ms, 0, frozenset()
        return known

    def _admitted(self, known: _Known, samples: Sequence[ScrapedSample]) -> list[ScrapedSample]:
        """The samples whose series may be shipped: those seen before, and new ones up to the day's bound."""
        admitted = list[ScrapedSample]()
        for sample in samples:
            # A hash is 8 times smaller than the labels; two that are equal let one series more through.
            key = hash((sample.name, sample.labels))
            if key not in known.seen:
                if len(known.seen) >= self._limits.series:
                    self.refused["series"] += 1
                    continue
                known.seen.add(key)
            admitted.append(sample)
        return admitted


def _address(container: Container, addresses: Mapping[str, str | None]) -> str | None:
    """The container's own address, or that of the one whose network it shares."""
    if container.network_mode.startswith(_SHARED_NETWORK):
        return addresses.get(container.network_mode.removeprefix(_SHARED_NETWORK))
    return container.address


def _result(future: Future[_Scrape]) -> _Scrape:
    """What the future holds; a scrape that the round did not wait for is a fault of its own."""
    if not future.done():
        future.cancel()
        raise ScrapeFault("skipped", "the round's time was over before this container's turn")
    return future.result()


def _about(scrape: _Scrape) -> tuple[Scraped, ...]:
    """What Prometheus tells of each of its scrapes."""
    taken = len(scrape.result.samples) + sum(scrape.result.refused.values())
    return (
        _gauge("up", scrape.at_ms, 1.0),
        _gauge("scrape_duration_seconds", scrape.at_ms, scrape.seconds),
        _gauge("scrape_samples_scraped", scrape.at_ms, float(taken)),
    )


def _gauge(name: str, at_ms: int, value: float) -> Scraped:
    return Scraped("gauge", Value(name, (), value, at_ms))
