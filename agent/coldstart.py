"""Probes that find out when a container is ready, and later whether it still is.

Few threads serve all containers: each look is an entry with the time it is due, and is put back for the next one.
The pause between looks grows with the time that has passed, so that the error of a long start stays below 2 %.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from agent.clock import Clock
from agent.lifecycle import Lifecycle
from runtime.errors import RuntimeFault
from runtime.model import Container, ExecProbe, HttpProbe, Probe

LOG = logging.getLogger(__name__)

ERROR_RATIO = 0.02
LONGEST_PAUSE_SECONDS = 1.0
EXEC_PAUSE_SECONDS = 0.25
"""A command in a container costs the engine far more than a connection."""

Look = Callable[[Probe, Container], bool]
"""One look whether a container is ready; may raise RuntimeFault."""


@dataclass(frozen=True)
class _Watched:
    """One run of a container under its probe."""

    container: Container
    started_ms: int
    probe: Probe
    ready: bool = False
    overdue: bool = False
    began: float = 0.0
    """When it began by monotonic seconds: the wall clock may be set while it starts."""
    failed: float | None = None
    """When the last look began that failed, by monotonic seconds."""


@dataclass(order=True)
class _Due:
    at: float
    number: int
    watched: _Watched = field(compare=False)


def pause_seconds(elapsed_seconds: float, poll_seconds: float, probe: Probe) -> float:
    """The pause before the next look at a container that is not ready yet."""
    least = max(poll_seconds, EXEC_PAUSE_SECONDS) if isinstance(probe, ExecProbe) else poll_seconds
    return max(least, min(LONGEST_PAUSE_SECONDS, elapsed_seconds * ERROR_RATIO))


def probe_text(probe: Probe) -> str:
    """The probe's kind, for people and for the event."""
    if isinstance(probe, ExecProbe):
        return "exec"
    return "http" if isinstance(probe, HttpProbe) else "tcp"


class Probes:
    """Looks at containers until they are ready, then every `recheck_seconds`; tells the lifecycle."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        look: Look,
        clock: Clock,
        *,
        poll_seconds: float = 0.025,
        deadline_seconds: float = 120.0,
        recheck_seconds: float = 5.0,
        workers: int = 8,
    ) -> None:
        self._lifecycle, self._look, self._clock = lifecycle, look, clock
        self._poll_seconds, self._deadline_seconds = poll_seconds, deadline_seconds
        self._recheck_seconds = recheck_seconds
        self._due: list[_Due] = []
        self._numbers = count()
        self._runs: dict[str, int] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self.errors = 0
        names = (f"probe-{number}" for number in range(workers))
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]

    def start(self) -> None:
        """Begins to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends; a look under way ends within its own time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def begin(self, container: Container, started_ms: int, probe: Probe) -> None:
        """A run began: looks at it from now on, and no more at the container's earlier run."""
        with self._changed:
            self._runs[container.id] = started_ms
            now = self._clock.monotonic()
            began = now - max(0, self._clock.now_ms() - started_ms) / 1000
            self._put(_Watched(replace(container, state="running"), started_ms, probe, began=began), now)

    def end(self, container_id: str) -> None:
        """The run is over."""
        with self._changed:
            self._runs.pop(container_id, None)

    def watched(self) -> int:
        """Runs that are looked at."""
        with self._changed:
            return len(self._runs)

    def _put(self, watched: _Watched, at: float) -> None:
        heapq.heappush(self._due, _Due(at, next(self._numbers), watched))
        self._changed.notify()

    def _take(self) -> _Watched | None:
        """The next run that is due, waiting for it; None at the end."""
        with self._changed:
            while not self._stopping:
                now = self._clock.monotonic()
                if self._due and self._due[0].at <= now:
                    watched = heapq.heappop(self._due).watched
                    if self._runs.get(watched.container.id) == watched.started_ms:
                        return watched
                    continue
                self._changed.wait(self._due[0].at - now if self._due else None)
            return None

    def _run(self) -> None:
        while (watched := self._take()) is not None:
            try:
                after = self._step(watched)
            except RuntimeFault as fault:
                LOG.debug("a look at %s failed: %s", watched.container.name, fault)
                after = watched
            except Exception:  # the loop must outlive one bad look: counted and logged
                self.errors += 1
                LOG.exception("a look at %s failed", watched.container.name)
                after = watched
            self._again(after)

    def _again(self, watched: _Watched) -> None:
        if watched.ready or watched.overdue:
            pause = self._recheck_seconds
        else:
            elapsed = self._clock.monotonic() - watched.began
            pause = pause_seconds(elapsed, self._poll_seconds, watched.probe)
        with self._changed:
            if self._runs.get(watched.container.id) == watched.started_ms:
                self._put(watched, self._clock.monotonic() + pause)

    def _step(self, watched: _Watched) -> _Watched:
        container_id, started_ms = watched.container.id, watched.started_ms
        looked = self._clock.monotonic()
        passed = self._look(watched.probe, watched.container)
        now = self._clock.monotonic()
        elapsed = now - watched.began
        if watched.ready:
            self._lifecycle.check(container_id, started_ms, passed=passed)
            return watched
        if passed:
            by, first_try = probe_text(watched.probe), watched.failed is None
            error = elapsed if watched.failed is None else now - watched.failed
            self._lifecycle.ready(container_id, started_ms, elapsed, by, first_try=first_try, error_seconds=error)
            return replace(watched, ready=True)
        overdue = elapsed >= self._deadline_seconds
        if overdue and not watched.overdue:
            self._lifecycle.never_ready(container_id, started_ms)
        return replace(watched, failed=looked, overdue=watched.overdue or overdue)
