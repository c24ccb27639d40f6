"""What is known of the runs of scraped containers: the last good scrape of each, and the time that no scrape tells of.

A counter is read up to the last good scrape of its run. What it counted between that and the run's end nobody knows:
that time is counted, by service, beside the time that scrapes tell of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from agent.model import Labels, Resource, Scraped, Value
from agent.scrape import ScrapedSample
from agent.scrape_http import asks
from runtime.model import Container, ServiceName

DAY_MS = 86_400_000
HELD_MS = 15 * 60_000
"""A clock that was set back by less is waited for: a sample between earlier ones would look like a counter's fall."""
LATE_MS = 300_000
"""A first scrape so long after its run's start tells of that start with a sample of its own."""
UNPATHED_MS = 30_000
"""So long the first scrape of a container waits for its cgroup's path, which is a label of its samples."""
MOST_RECALLED = 50_000
"""Counters of all containers whose last values are in the checkpoint, some 60 bytes each; the rest begin anew."""
ALIVE = ("running", "paused")

Key = tuple[str, Labels]
Spend = Callable[[ServiceName, int, int], None]
"""Takes a service, the milliseconds that a scrape told of, and those that none ever will."""


@dataclass
class Run:
    """One run of a container."""

    resource: Resource
    """Whose samples those of the last good scrape were."""
    pid: int | None
    started_ms: int | None
    since_ms: int
    """When the day began in which its new series are counted."""
    from_ms: int
    """Since when it is watched: its start, where that was not before anybody watched."""
    at_ms: int = 0
    """Its last good scrape; 0 where there was none."""
    ended: bool = False
    counters: dict[Key, float] = field(default_factory=dict)
    """The counters of the last good scrape."""
    recalled: Mapping[str, float] | None = field(default_factory=dict)
    """The same from the checkpoint, by digest, until the first scrape after it; None where that had no room for it."""
    bases: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By digest what counters were when the run's labels changed, and when that was: their series count from there."""
    seen: set[int] = field(default_factory=set)
    """All series of the day, by hash."""

    def is_of(self, container: Container) -> bool:
        """True where the container is still in this run; a clock that was set back has its start seem earlier."""
        now, known = container.started_ms, self.started_ms
        if now is None or known is None or now == known:
            return now == known
        return now < known and self.pid is not None and self.pid == container.pid

    def last(self, key: Key) -> float | None:
        """What a counter was at the last good scrape; None where it was not there."""
        return self.recalled.get(digest(key)) if self.recalled else self.counters.get(key)

    def lasts(self) -> dict[str, float]:
        """The counters of the last good scrape by digest."""
        return dict(self.recalled) if self.recalled else {digest(key): value for key, value in self.counters.items()}

    def rebase(self, resource: Resource) -> None:
        """Other labels are other series: they count from the last good scrape on, which the earlier ones reached."""
        if self.at_ms and resource != self.resource:
            self.bases = {key: (value, self.at_ms) for key, value in self.lasts().items()}
        self.resource = resource

    def shown(self, key: Key, value: float) -> tuple[float, int | None]:
        """A counter as it is shipped: less what its series began at, and its start."""
        if not self.bases:
            return value, self.started_ms
        last, base = self.last(key), self.bases.get(digest(key))
        if base is None:
            return value, self.started_ms
        if last is not None and value < last:
            # it began anew by itself: from then on all of it counts
            base = self.bases[digest(key)] = 0.0, self.at_ms
        return value - base[0], base[1]


class Taken(NamedTuple):
    """What goes on of a good scrape."""

    resource: Resource
    points: list[Scraped]
    left_out: int
    """Samples that were too many new series of a day."""


class ScrapeBook:
    """The runs of all containers that ask to be scraped; safe to call from two threads."""

    def __init__(self, now_ms: int, spend: Spend) -> None:
        self._runs: dict[str, Run] = {}
        self._spend = spend
        self._lock = threading.RLock()
        self._watched_ms = now_ms
        """What ended before was nobody's to see."""

    def look(self, present: Iterable[tuple[Container, Resource]], now_ms: int) -> None:
        """Takes in which runs began and ended since the last look."""
        with self._lock:
            there = set()
            for container, resource in present:
                if asks(container.labels):
                    there.add(container.id)
                    self._look(container, resource, now_ms)
            for container_id in self._runs.keys() - there:
                self._end(self._runs.pop(container_id), now_ms)
            self._watched_ms = max(self._watched_ms, now_ms)

    def ready(self, container: Container, resource: Resource, now_ms: int) -> bool:
        """False for a run never scraped of which the cgroup's path is not read yet: its first samples would lack it."""
        with self._lock:
            run = self._runs.get(container.id)
            return run is None or bool(resource.id or run.at_ms) or now_ms - run.since_ms >= UNPATHED_MS

    def points(
        self, container: Container, resource: Resource, at_ms: int, samples: Sequence[ScrapedSample], room: int
    ) -> Taken | None:
        """What goes on of a good scrape.

        A counter that is new since the last scrape was 0 at that scrape. One whose labels changed within its run
        begins anew at that scrape. None where the clock was set back since the last scrape, or did not go on: what a
        counter gains then is in the next scrape.
        """
        with self._lock:
            run = self._run(container, resource, at_ms)
            if 0 <= run.at_ms - at_ms < HELD_MS:
                return None
            admitted = _admitted(run, samples, room)
            before = run.resource
            run.rebase(resource if resource.id or not before.id else resource._replace(id=before.id))
            found = _told(run, run.resource != before, at_ms, admitted)
            self._spend(resource.service, max(0, at_ms - (run.at_ms or run.from_ms)), 0)
            run.counters = {(it.name, it.labels): it.value for it in admitted if it.kind == "counter"}
            run.at_ms, run.recalled = at_ms, {}
            return Taken(run.resource, found, len(samples) - len(admitted))

    def to_json(self) -> dict[str, Any]:
        """All runs for the checkpoint."""
        with self._lock:
            left, runs = MOST_RECALLED, []
            for container_id, run in self._runs.items():
                known = run.lasts()
                size = len(known) + len(run.bases)
                whole = size <= left and run.recalled is not None
                left -= size if whole else 0
                runs.append([
                    container_id, [list(run.resource.service), *run.resource[1:]], run.pid, run.started_ms,
                    run.from_ms, run.at_ms, run.ended, [known, run.bases] if whole else None,
                ])  # fmt: skip
            return {"watched_ms": self._watched_ms, "runs": runs}

    def restore(self, data: Mapping[str, Any], now_ms: int) -> None:
        """Goes on from a checkpoint; raises KeyError, TypeError or ValueError where it is none."""
        runs = dict(_restored(row, now_ms) for row in data["runs"])
        with self._lock:
            self._runs, self._watched_ms = runs, min(now_ms, int(data["watched_ms"]))

    def _look(self, container: Container, resource: Resource, now_ms: int) -> None:
        alive, run = container.state in ALIVE, self._runs.get(container.id)
        if run is None:
            if alive or (container.finished_ms or 0) > self._watched_ms:
                run = self._begin(container, resource, now_ms, None)
        elif not run.is_of(container):
            began = now_ms if container.started_ms is None else container.started_ms
            before = container.finished_ms if alive else None
            self._end(run, began if before is None else min(began, before))
            run = self._begin(container, resource, now_ms, run)
        if run is not None and not alive:
            self._end(run, now_ms if container.finished_ms is None else container.finished_ms)

    def _begin(self, container: Container, resource: Resource, now_ms: int, before: Run | None) -> Run:
        """A run of which nothing is known but the day's series, which are bounded whatever it does."""
        began_ms = now_ms if container.started_ms is None else container.started_ms
        from_ms = max(began_ms, self._watched_ms) if before is None else began_ms
        run = self._runs[container.id] = Run(resource, container.pid, container.started_ms, now_ms, from_ms)
        if before is not None:
            run.since_ms, run.seen = before.since_ms, before.seen
        return run

    def _run(self, container: Container, resource: Resource, at_ms: int) -> Run:
        run = self._runs.get(container.id)
        if run is None or not run.is_of(container):
            run = self._begin(container, resource, at_ms, run)
        if not 0 <= at_ms - run.since_ms < DAY_MS:
            run.since_ms, run.seen = at_ms, set()
        return run

    def _end(self, run: Run, end_ms: int) -> None:
        if not run.ended:
            run.ended = True
            unseen_ms = end_ms - (run.at_ms or run.from_ms)
            if unseen_ms > 0:
                self._spend(run.resource.service, 0, unseen_ms)


def digest(key: Key) -> str:
    """What stands for a series in the checkpoint; the same in every process."""
    return blake2b(repr(key).encode(), digest_size=8).hexdigest()


def _told(run: Run, relabelled: bool, at_ms: int, samples: Iterable[ScrapedSample]) -> list[Scraped]:
    points = list[Scraped]()
    known = 0 < run.at_ms < at_ms and run.recalled is not None
    began_ms = _unseen_since(run, at_ms)
    for kind, name, labels, value in samples:
        start_ms = None
        if kind == "counter":
            new = known and run.last((name, labels)) is None
            value, start_ms = run.shown((name, labels), value)
            if new or (known and relabelled):
                points.append(Scraped(kind, Value(name, labels, 0.0, run.at_ms, start_ms)))
            elif began_ms is not None:
                points.append(Scraped(kind, Value(name, labels, 0.0, began_ms, start_ms)))
        points.append(Scraped(kind, Value(name, labels, value, at_ms, start_ms)))
    return points


def _unseen_since(run: Run, at_ms: int) -> int | None:
    """The start of a run that began after anybody watched last, where its first scrape comes late.

    It was 0 then, and nobody counted any of it: without that a reader takes so old a counter as one to begin at.
    """
    if run.at_ms or run.started_ms is None or run.from_ms != run.started_ms:
        return None
    return run.started_ms if LATE_MS < at_ms - run.started_ms < DAY_MS else None


def _admitted(run: Run, samples: Sequence[ScrapedSample], room: int) -> list[ScrapedSample]:
    """The samples whose series may be shipped: those seen before, and new ones up to the day's bound."""
    admitted = list[ScrapedSample]()
    for sample in samples:
        # A hash is 8 times smaller than the labels; two that are equal let one series more through.
        key = hash((sample.name, sample.labels))
        if key in run.seen or len(run.seen) < room:
            run.seen.add(key)
            admitted.append(sample)
    return admitted


def _restored(row: Sequence[Any], now_ms: int) -> tuple[str, Run]:
    container_id, (service, container, path, image), pid, started_ms, from_ms, at_ms, ended, known = row
    resource = Resource(ServiceName(*map(str, service)), container, path, image)
    run = Run(resource, pid, started_ms, now_ms, int(from_ms), int(at_ms), bool(ended))
    if known is None:
        run.recalled = None
    else:
        run.recalled = {str(key): float(value) for key, value in known[0].items()}
        run.bases = {str(key): (float(value), int(since_ms)) for key, (value, since_ms) in known[1].items()}
    return str(container_id), run
