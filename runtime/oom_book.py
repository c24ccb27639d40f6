"""The book of OOM kills: what each source says of each run of a container becomes one count; pure.

Every source gives a lower bound of the kills of one run: the cgroup's own counter, the kernel log's lines that name
it, and the engine's word, which stands for one kill at most. The count is the largest of them, never their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Cause = Literal["container", "ancestor", "host"]
Victim = Literal["main", "child", "unknown"]

DETAIL_HOLD_MS = 150
FLOOR_HOLD_MS = 1000
UNATTRIBUTED_HOLD_MS = 5000
KEEP_CLOSED_MS = 60_000


class Detail(NamedTuple):
    """What the kernel log says of one kill."""

    cause: Cause
    victim: Victim
    process: str


@dataclass(frozen=True)
class OomKill:
    """Kills in one container, counted once and never taken back; `process` is None where the log told nothing."""

    container_id: str
    at_ms: int
    count: int
    cause: Cause
    victim: Victim
    process: str | None


class OomTotals(NamedTuple):
    """Kills since the watch began: in containers, in no container, and those that nobody could be named for."""

    attributed: int
    host: int
    unattributed: int


@dataclass
class Run:
    """One run of a container; `counter` is the cgroup's, `baseline` what of it was counted before the watch began.

    `opened_at` is what it said at first sight; `logged` kills are the kernel log's by its own words; `details` may
    have more, which name kills and count none.
    """

    container_id: str
    opened_ms: int
    baseline: int
    counter: int
    opened_at: int = 0
    closed_ms: int | None = None
    logged: int = 0
    details: list[Detail] = field(default_factory=list)
    floor_at_ms: int | None = None
    floored: bool = False
    emitted: int = 0
    waiting_since_ms: int | None = None

    @property
    def total(self) -> int:
        """The largest lower bound."""
        return max(self.counter - self.baseline, self.logged, int(self.floored))

    @property
    def since_opened(self) -> int:
        """Kills since the watch of it began, without those of before that a checkpoint had not counted."""
        return max(0, self.total - (self.opened_at - self.baseline))

    @property
    def nameless(self) -> int:
        """Kills that the counter has, that were not told of yet, and that the log gave no name to."""
        return self.counter - self.baseline - max(len(self.details), self.emitted)


class OomBook:
    """Runs of containers and what is known of their kills; every time is in ms, given by the caller."""

    def __init__(self, *, has_log: bool = True) -> None:
        self.has_log = has_log
        self._runs: dict[str, list[Run]] = {}
        self._attributed = 0
        self._host = 0
        self._published = 0
        self._unplaced: list[tuple[int, Detail]] = []
        self._gap_since_ms: int | None = None
        self._gap = 0

    def open(self, container_id: str, now_ms: int, *, counter: int = 0, baseline: int = 0) -> Run:
        """A run began, or one that ran before the watch is seen first, with what its counter said then."""
        self.close(container_id, now_ms)
        run = Run(container_id, now_ms, baseline, counter, opened_at=baseline)
        self._runs.setdefault(container_id, []).append(run)
        return run

    def close(self, container_id: str, now_ms: int) -> None:
        """The run's cgroup is gone; what the log and the engine say of it later still counts."""
        run = self._last(container_id)
        if run is not None and run.closed_ms is None:
            run.closed_ms = now_ms

    def is_open(self, container_id: str) -> bool:
        """True while a run of the container is known and its cgroup there."""
        run = self._last(container_id)
        return run is not None and run.closed_ms is None

    def knows(self, container_id: str) -> bool:
        """True for a container of which a run is known, or was within the last minute."""
        return container_id in self._runs

    def rebase(self, container_id: str, baseline: int) -> None:
        """How many kills of the present run were counted before the watch began."""
        run = self._last(container_id)
        if run is not None and not run.emitted:
            run.baseline = baseline

    def counter(self, container_id: str, value: int) -> None:
        """The cgroup's own count of the present run."""
        run = self._last(container_id)
        if run is not None and run.closed_ms is None:
            run.counter = max(run.counter, value)

    def counted(self, container_id: str) -> int:
        """What the cgroup of the last run said at last, for a checkpoint."""
        run = self._last(container_id)
        return run.counter if run else 0

    def detail(self, container_id: str, detail: Detail, now_ms: int) -> None:
        """One kill by the kernel log."""
        if container_id not in self._runs:
            self.open(container_id, now_ms)
            self.close(container_id, now_ms)
        run = self._runs[container_id][-1]
        run.logged += 1
        run.details.append(detail)

    def unplaced(self, detail: Detail, now_ms: int) -> None:
        """One kill by the kernel log that nothing could place: names a kill that a counter has, and counts none."""
        self._unplaced.append((now_ms, detail))

    def host_kill(self) -> None:
        """One kill of a process in no container, by the kernel log."""
        self._host += 1

    def floor(self, container_id: str, run_started_ms: int, now_ms: int) -> None:
        """The engine says that a kill happened in the run that it started then: the cgroup was made before that."""
        runs = [run for run in self._runs.get(container_id, ()) if run.opened_ms <= run_started_ms]
        if not runs:
            self._runs.setdefault(container_id, []).insert(0, Run(container_id, run_started_ms, 0, 0, closed_ms=now_ms))
            runs = self._runs[container_id][:1]
        runs[-1].floor_at_ms = runs[-1].floor_at_ms or now_ms

    def vanished(self, run: Run, kills: int, host_rise: int | None) -> None:
        """Kills of a run that ended before its counter was read; they hold where the host's total leaves as many."""
        if host_rise is None or host_rise - self._host - self._explained() >= kills:
            run.counter += kills

    def due(self, now_ms: int, host_rise: int | None) -> list[OomKill]:
        """The kills to tell of now; `host_rise` is the exact number of kills on the host, None where unknown."""
        self._place(now_ms)
        self._grant_floors(now_ms, host_rise)
        kills = [kill for runs in self._runs.values() for run in runs for kill in self._due(run, now_ms)]
        self._attributed += sum(kill.count for kill in kills)
        self._expire(now_ms)
        if host_rise is not None:
            self._publish(host_rise - self._attributed - self._host, now_ms)
        return kills

    @property
    def pending(self) -> bool:
        """True while a kill waits for its detail or a floor for its verdict."""
        return any(_waits(run) for runs in self._runs.values() for run in runs)

    @property
    def totals(self) -> OomTotals:
        """All counts since the watch began; none of them ever falls."""
        return OomTotals(self._attributed, self._host, self._published)

    def _place(self, now_ms: int) -> None:
        """Where one run alone has kills without a name, names without a run can only be its own."""
        self._unplaced = [(at, detail) for at, detail in self._unplaced if now_ms - at < DETAIL_HOLD_MS]
        nameless = [run for runs in self._runs.values() for run in runs if run.nameless > 0]
        if len(nameless) == 1 and self._unplaced:
            count = nameless[0].nameless
            nameless[0].details += [detail for _, detail in self._unplaced[:count]]
            del self._unplaced[:count]

    def _last(self, container_id: str) -> Run | None:
        runs = self._runs.get(container_id)
        return runs[-1] if runs else None

    def _due(self, run: Run, now_ms: int) -> Iterator[OomKill]:
        while run.emitted < min(run.total, len(run.details)):
            detail = run.details[run.emitted]
            run.emitted += 1
            yield OomKill(run.container_id, now_ms, 1, detail.cause, detail.victim, detail.process)
        untold = run.total - run.emitted
        if untold <= 0:
            run.waiting_since_ms = None
            return
        run.waiting_since_ms = run.waiting_since_ms if run.waiting_since_ms is not None else now_ms
        if not self.has_log or now_ms - run.waiting_since_ms >= DETAIL_HOLD_MS:
            run.emitted += untold
            run.waiting_since_ms = None
            yield OomKill(run.container_id, now_ms, untold, "container", "unknown", None)

    def _grant_floors(self, now_ms: int, host_rise: int | None) -> None:
        """A floor holds where no source counted a kill and the host's exact total leaves one over."""
        for run in [run for runs in self._runs.values() for run in runs if run.floor_at_ms is not None]:
            if run.total:
                run.floor_at_ms = None
            elif now_ms - (run.floor_at_ms or 0) >= FLOOR_HOLD_MS:
                run.floor_at_ms = None
                run.floored = host_rise is None or host_rise - self._host - self._explained() > 0

    def _explained(self) -> int:
        pending = sum(run.total - run.emitted for runs in self._runs.values() for run in runs)
        return self._attributed + pending

    def _expire(self, now_ms: int) -> None:
        for container_id, runs in list(self._runs.items()):
            kept = [run for run in runs if run.closed_ms is None or now_ms - run.closed_ms < KEEP_CLOSED_MS]
            if kept:
                self._runs[container_id] = kept
            else:
                del self._runs[container_id]

    def _publish(self, gap: int, now_ms: int) -> None:
        """A gap is published once it has lasted: the smallest that it was meanwhile."""
        if gap <= self._published:
            self._gap_since_ms = None
            return
        if self._gap_since_ms is None:
            self._gap_since_ms, self._gap = now_ms, gap
        self._gap = min(self._gap, gap)
        if now_ms - self._gap_since_ms >= UNATTRIBUTED_HOLD_MS:
            self._published = self._gap
            self._gap_since_ms = None


def _waits(run: Run) -> bool:
    return run.waiting_since_ms is not None or run.floor_at_ms is not None or run.total > run.emitted
