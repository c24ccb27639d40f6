"""Who is asked for metrics of its own, when, and what of the answers goes on: several at once, in bounded time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from agent.model import Points, Resource, Scraped, Value
from agent.scrape import DEFAULT, ScrapeLimits, ScrapeResult, parse
from agent.scrape_book import ScrapeBook, Spend
from agent.scrape_http import ScrapeFault, asks, fetch, target_of
from runtime.model import Container

_SHARED_NETWORK = "container:"

Pair = tuple[Container, Resource]


class _Scrape(NamedTuple):
    """When a container was asked, how long its answer took, and what came of it."""

    at_ms: int
    seconds: float
    result: ScrapeResult


def life_of(pid: int, proc: Path = Path("/proc")) -> object:
    """When a process began, in ticks since the machine did; None where there is none of that number."""
    try:
        return (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[19]
    except (OSError, IndexError):
        return None


class Scraper:
    """Asks containers for their own metrics, several at once; each in bounded time, all of them in `round_seconds`."""

    def __init__(
        self,
        clock_ms: Callable[[], int],
        limits: ScrapeLimits = DEFAULT,
        workers: int = 8,
        round_seconds: float = 10.0,
        spend: Spend = lambda service, seen_ms, unseen_ms: None,
        life: Callable[[int], object] = life_of,
    ) -> None:
        """`spend` is told of the time that scrapes tell of; `life` of which process a number is now, None of none."""
        self.outcomes: Counter[str] = Counter()
        """Scrapes, by outcome."""
        self.refused: Counter[str] = Counter()
        """Samples left out, by reason."""
        self.faults: dict[str, str] = {}
        """Why the last scrape of a container failed, by the container's name."""
        self._clock_ms, self._limits, self._round_seconds = clock_ms, limits, round_seconds
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="scrape")
        self.book = ScrapeBook(clock_ms(), spend)
        self._life = life
        self._slow: set[str] = set()
        self._turn = 0
        self._left = 0

    def close(self) -> None:
        """Let the threads end; scrapes under way end within their time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def round(self, containers: Iterable[Pair]) -> list[Points]:
        """Scrape every running container whose labels ask for it; its samples and `up` (1, or 0 where it failed)."""
        present = list(containers)
        now_ms = self._clock_ms()
        self.book.look(present, now_ms)
        asked = [
            (container, resource)
            for container, resource in present
            if container.state == "running" and asks(container.labels) and self.book.ready(container, resource, now_ms)
        ]
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
        self._slow &= present
        self.faults.clear()

    def _scrape(self, container: Container, address: str | None) -> _Scrape:
        """In a thread of the pool; whatever one container makes of it is its own fault, and no other's."""
        try:
            target = target_of(container.labels, address)
            life, at_ms = self._life_of(container), self._clock_ms()
            text = fetch(target, self._limits.body_bytes, self._limits.timeout_seconds)
            seconds = max(0, self._clock_ms() - at_ms) / 1000
            if life is None or self._life_of(container) != life:
                raise ScrapeFault("ended", "the container ended while it was asked: whose answer it was is not known")
            return _Scrape(at_ms, seconds, parse(text, self._limits))
        except ScrapeFault:
            raise
        except Exception as fault:
            raise ScrapeFault("error", f"{type(fault).__name__}: {str(fault)[:200]}") from fault

    def _life_of(self, container: Container) -> object:
        """What tells its main process from any other; the same for each where the engine does not tell of one."""
        return True if container.pid is None else self._life(container.pid)

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
        self.refused.update(scrape.result.refused)
        found = self.book.points(container, resource, scrape.at_ms, scrape.result.samples, self._limits.series)
        if found is None:
            self.outcomes["held"] += 1
            return Points(resource, ())
        self.outcomes["ok"] += 1
        if found.left_out:
            self.refused["series"] += found.left_out
        return Points(found.resource, (*_about(scrape), *found.points))

    def _within(self, scrape: _Scrape) -> _Scrape:
        """The scrape, where the node's samples of this round have room for it."""
        if len(scrape.result.samples) > self._left:
            raise ScrapeFault("node_full", f"the node's {self._limits.round_samples} scraped samples are used up")
        self._left -= len(scrape.result.samples)
        return scrape


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
