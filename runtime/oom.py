"""Watches for OOM kills on a thread of its own and tells of each kill once, also in containers that live for 20 ms.

The cgroup's own counter is the number, read when the kernel announces a rise; the kernel log names the victim and
counts for cgroups that vanished first; `/proc/vmstat` is the exact total of the host, and what is left of it is
published as unattributed; the engine's word is a floor of one. `runtime.oom_book` joins them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from runtime.cgroup import CgroupPaths, Layout
from runtime.oom_book import OomKill, OomTotals
from runtime.oom_inotify import Inotify
from runtime.oom_watch import OomWatch

LOG = logging.getLogger(__name__)

__all__ = ["OomKill", "OomTotals", "OomWatcher"]

_NICENESS = -10


class OomWatcher:
    """Counts OOM kills; `emit` is called on the watcher's thread, once for each kill or batch of untold kills.

    A kill may be told of before the engine says that its container started: whoever receives it has to keep it.
    Containers of other engines on the node are told of too.
    """

    def __init__(
        self,
        layout: Layout,
        emit: Callable[[OomKill], None],
        *,
        root: Path = Path("/"),
        log: Path = Path("/dev/kmsg"),
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        inotify: Inotify | None = None,
    ) -> None:
        self._emit = emit
        self._clock_ms = clock_ms
        self._watch = OomWatch(layout, root, log, inotify or Inotify())
        self._commands: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._totals = self._watch.book.totals
        self._thread = threading.Thread(target=self._run, name="oom", daemon=True)
        self.errors = 0

    def start(self) -> None:
        """Takes the baselines and begins to watch: kills from here on are told of."""
        self._watch.begin(self._clock_ms())
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes what it held."""
        self._stopping = True
        self._watch.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._watch.close()

    def watch(
        self,
        container_id: str,
        paths: CgroupPaths,
        *,
        pid: int | None,
        started_ms: int | None,
        counted: int | None = None,
    ) -> None:
        """A container that runs: its cgroup may lie where no other does, its main process is `pid`.

        `counted` is how many kills of this run are counted already, by a checkpoint; without it, those of a run that
        began before the watch are taken as counted.
        """
        self._do(lambda: self._watch.add(container_id, paths, pid, self._clock_ms()))
        self._do(lambda: self._watch.rebase(container_id, started_ms, counted))

    def forget(self, container_id: str) -> None:
        """The container was removed."""
        self._do(lambda: self._watch.end(container_id, self._clock_ms()))

    def floor(self, container_id: str, run_started_ms: int) -> None:
        """The engine reported an OOM for the run that started then: counts one if no source has any."""
        self._do(lambda: self._watch.book.floor(container_id, run_started_ms, self._clock_ms()))

    def counted(self, container_id: str) -> int:
        """Kills of the container's present run by its cgroup, for a checkpoint."""
        return self._watch.book.counted(container_id)

    @property
    def containers(self) -> frozenset[str]:
        """The containers whose counters are open now."""
        return frozenset(self._watch.counters)

    @property
    def totals(self) -> OomTotals:
        """Kills since the watch began, in containers, of host processes, and unattributed; none ever falls."""
        return self._totals

    @property
    def lost(self) -> Mapping[str, int]:
        """What was lost at a bound, by what it is."""
        return self._watch.lost

    def capabilities(self) -> dict[str, bool]:
        """Which of its sources this node has."""
        return self._watch.capabilities()

    def _do(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        if not self._stopping:
            self._watch.wake()

    def _run(self) -> None:
        with suppress(OSError):  # a cgroup is gone 9 ms after its kill: on a busy node who comes late can't count
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # kills must be counted whatever one of them brings; the errors are counted too
                self.errors += 1
                LOG.exception("a turn of the OOM watch failed")

    def _turn(self) -> None:
        ready = self._watch.wait()
        now = self._clock_ms()
        self._watch.read(ready, now)
        while self._commands:
            self._commands.popleft()()
        for kill in self._watch.due(now):
            self._emit(kill)
        self._totals = self._watch.book.totals
