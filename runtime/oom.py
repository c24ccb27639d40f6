"""Watches for OOM kills on a thread of its own and tells of each kill once, also in containers that live for 20 ms.

The cgroup's own counter is the number, read when the kernel announces a rise; the kernel log names the victim and
counts for cgroups that vanished first; `/proc/vmstat` is the exact total of the host, and what is left of it is
published as unattributed; the engine's word is a floor of one. `runtime.oom_book` joins them.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.cgroup import CgroupPaths, Layout
from runtime.errors import ParseFault
from runtime.kept import Allowance, KeptFile
from runtime.oom_book import OomBook, OomKill, OomTotals
from runtime.oom_folders import Came, ContainerFolders, Went
from runtime.oom_inotify import Q_OVERFLOW, Inotify
from runtime.oom_log import Attributor, KernelLogReader
from runtime.oom_source import OomSource
from runtime.procfs import flat_keyed

LOG = logging.getLogger(__name__)

__all__ = ["OomKill", "OomTotals", "OomWatcher"]

REREAD_MS = 20
_HOT_WAIT_MS = 1
_PENDING_WAIT_MS = 25
_LATE_WAIT_MS = 5
_LATE_MS = 2000
_SWEEP_MS = 1000
_NOTED_PIDS = 8192


class OomWatcher:
    """Counts OOM kills; `emit` is called on the watcher's thread, once for each kill or batch of untold kills.

    A kill may be told of before the engine says that its container started: whoever receives it has to keep it.
    """

    def __init__(
        self,
        layout: Layout,
        emit: Callable[[OomKill], None],
        *,
        root: Path = Path("/"),
        log: Path = Path("/dev/kmsg"),
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._emit = emit
        self._clock_ms = clock_ms
        self._v1 = "memory" in layout.v1
        self._top = layout.v1["memory"] if self._v1 else layout.unified
        self._inotify = Inotify()
        self._log = KernelLogReader(log)
        self._book = OomBook(has_log=self._log.fd is not None)
        self._attributor = Attributor(root / "proc", self._book.knows)
        self._vmstat = KeptFile(root / "proc/vmstat", Allowance(1))
        self._host_base: int | None = None
        self._host_rise: int | None = None
        self._sources: dict[str, OomSource] = {}
        self._by_fd: dict[int, str] = {}
        self._by_watch: dict[int, str] = {}
        self._hot: dict[str, int] = {}
        self._late: dict[str, tuple[Came, int]] = {}
        self._main_pids: dict[str, int] = {}
        self._noted_pids: dict[int, str] = {}
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._stopping = False
        self._began_ms = 0
        self._swept_ms = 0
        self._totals = self._book.totals
        self._announced = True
        self.errors = 0
        self._folders = ContainerFolders(self._inotify, self._top.mountpoint) if self._top else None
        self._thread = threading.Thread(target=self._run, name="oom", daemon=True)

    def start(self) -> None:
        """Takes the baselines and begins to watch: kills from here on are told of."""
        self._began_ms = self._clock_ms()
        self._log.skip()
        self._host_base = self._host_total()
        for fd in (self._inotify.fd, self._wake, self._log.fd):
            if fd is not None:
                self._poll.register(fd, select.EPOLLIN)
        for came in self._folders.scan() if self._folders else ():
            self._came(came)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes what it held."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        for container_id in list(self._sources):
            self._close_source(container_id)
        self._log.close()
        self._inotify.close()
        self._vmstat.close()
        self._poll.close()
        os.close(self._wake)

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
        self._do(lambda: self._watch(container_id, paths, pid, started_ms, counted))

    def forget(self, container_id: str) -> None:
        """The container was removed."""
        self._do(lambda: self._forget(container_id))

    def floor(self, container_id: str, run_started_ms: int) -> None:
        """The engine reported an OOM for the run that started then: counts one if no source has any."""
        self._do(lambda: self._book.floor(container_id, run_started_ms, self._clock_ms()))

    def counted(self, container_id: str) -> int:
        """Kills of the container's present run by its cgroup, for a checkpoint."""
        return self._book.counted(container_id)

    @property
    def containers(self) -> frozenset[str]:
        """The containers whose counters are open now."""
        return frozenset(list(self._sources))

    @property
    def totals(self) -> OomTotals:
        """Kills since the watch began, in containers, of host processes, and unattributed; none ever falls."""
        return self._totals

    @property
    def lost(self) -> Mapping[str, int]:
        """What was lost at a bound, by what it is."""
        refused = self._folders.refused if self._folders else 0
        return {"cgroup folders to watch": refused, "kernel log records": self._log.overruns}

    def capabilities(self) -> dict[str, bool]:
        """Which of its sources this node has."""
        return {
            "oom_counter": self._top is not None,
            "oom_notify": self._top is not None and self._announced,
            "oom_host_total": self._host_total() is not None,
            "kmsg": self._log.fd is not None,
        }

    def _do(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        if not self._stopping:
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn(self._poll.poll(self._wait_ms() / 1000))
            except Exception:  # kills must be counted whatever one of them brings; the errors are counted too
                self.errors += 1
                LOG.exception("a turn of the OOM watch failed")

    def _wait_ms(self) -> int:
        if self._hot:
            return _HOT_WAIT_MS
        if self._late:
            return _LATE_WAIT_MS
        return _PENDING_WAIT_MS if self._book.pending else _SWEEP_MS

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        """The log is read before what tells of new cgroups, so that a kill goes to the run it happened in."""
        now = self._clock_ms()
        self._read_log(now)
        for fd, _ in ready:
            if fd == self._inotify.fd:
                self._read_inotify(now)
            elif fd in self._by_fd:
                self._announce(self._by_fd[fd], fd, now)
        self._obey()
        self._try_late(now)
        for container_id, until in list(self._hot.items()):
            self._read(container_id)
            if now >= until:
                self._hot.pop(container_id, None)
        if now - self._swept_ms >= _SWEEP_MS or now < self._swept_ms:
            self._sweep(now)
        self._tell(now)

    def _obey(self) -> None:
        while self._commands:
            self._commands.popleft()()
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _tell(self, now: int) -> None:
        if self._book.pending:
            self._host_rise = self._rise()
        for kill in self._book.due(now, self._host_rise):
            self._emit(kill)
        self._totals = self._book.totals

    def _read_log(self, now: int) -> None:
        for kill in self._log.kills():
            found = self._attributor.attribute(kill, self._main_pids, self._noted_pids)
            if found is None:
                continue
            if found.container_id is None:
                self._book.host_kill()
            else:
                self._book.detail(found.container_id, found.detail, now)
                self._hot[found.container_id] = now + REREAD_MS

    def _read_inotify(self, now: int) -> None:
        for notice in self._inotify.read():
            if notice.mask & Q_OVERFLOW:
                for came in self._folders.rescan() if self._folders else ():
                    self._came(came)
                self._sweep(now)
            elif notice.watch in self._by_watch:
                self._announce(self._by_watch[notice.watch], None, now)
            else:
                for change in self._folders.changes(notice) if self._folders else ():
                    self._came(change) if isinstance(change, Came) else self._went(change, now)

    def _announce(self, container_id: str, fd: int | None, now: int) -> None:
        """A rise is announced: reads now, and again for 20 ms, since v1 announces it before it counts it."""
        if fd is not None:
            os.eventfd_read(fd)
        source = self._sources.get(container_id)
        if source is None:
            return
        self._read(container_id)
        if source.oom_began():
            self._hot[container_id] = now + REREAD_MS
        if len(self._noted_pids) < _NOTED_PIDS:
            self._noted_pids.update(dict.fromkeys(source.pids(), container_id))

    def _came(self, came: Came) -> None:
        known = self._sources.get(came.container_id)
        if known is not None:
            known.read()
            if not known.gone:
                return
            self._end(came.container_id, self._clock_ms())
        source = OomSource(came.folder, v1=self._v1, inotify=self._inotify)
        if source.gone:
            self._late.setdefault(came.container_id, (came, self._clock_ms() + _LATE_MS))
            return
        self._late.pop(came.container_id, None)
        self._sources[came.container_id] = source
        self._announced = self._announced and source.announced
        if source.wake_fd is not None:
            self._by_fd[source.wake_fd] = came.container_id
            self._poll.register(source.wake_fd, select.EPOLLIN)
        if source.watch is not None:
            self._by_watch[source.watch] = came.container_id
        counter = source.read() or 0
        self._book.open(came.container_id, self._clock_ms(), counter=counter, baseline=0 if came.new else counter)

    def _try_late(self, now: int) -> None:
        """Looks again for counters that were missing: systemd enables a controller after it made the folder."""
        for container_id, (came, until) in list(self._late.items()):
            if now >= until or not came.folder.exists():
                del self._late[container_id]
            else:
                self._came(came)

    def _went(self, went: Went, now: int) -> None:
        self._read(went.container_id)
        source = self._sources.get(went.container_id)
        if source is None or source.gone or not went.folder.exists():
            self._end(went.container_id, now)

    def _watch(
        self, container_id: str, paths: CgroupPaths, pid: int | None, started_ms: int | None, counted: int | None
    ) -> None:
        folder = paths.v1.get("memory") if self._v1 else paths.unified
        if folder is not None and container_id not in self._sources:
            self._came(Came(container_id, folder, new=False))
            for came in self._folders.enter(folder.parent, new=False) if self._folders else ():
                self._came(came)
        if pid is not None and container_id in self._sources:
            self._main_pids[container_id] = pid
        if counted is not None:
            self._book.rebase(container_id, counted)
        elif started_ms is not None and started_ms >= self._began_ms:
            self._book.rebase(container_id, 0)

    def _forget(self, container_id: str) -> None:
        self._end(container_id, self._clock_ms())

    def _end(self, container_id: str, now: int) -> None:
        """A run is over: its main process is not the next one's."""
        self._close_source(container_id)
        self._book.close(container_id, now)
        self._main_pids.pop(container_id, None)

    def _read(self, container_id: str) -> None:
        source = self._sources.get(container_id)
        value = source.read() if source else None
        if value is not None:
            self._book.counter(container_id, value)

    def _sweep(self, now: int) -> None:
        """Reads every counter: a notice may have been lost, and where there are none this is all there is."""
        self._swept_ms = now
        self._host_rise = self._rise()
        for container_id, source in list(self._sources.items()):
            self._read(container_id)
            if source.gone:
                self._end(container_id, now)
        self._noted_pids = {pid: owner for pid, owner in self._noted_pids.items() if owner in self._sources}

    def _close_source(self, container_id: str) -> None:
        source = self._sources.pop(container_id, None)
        if source is None:
            return
        if source.wake_fd is not None:
            self._poll.unregister(source.wake_fd)
            self._by_fd.pop(source.wake_fd, None)
        if source.watch is not None:
            self._by_watch.pop(source.watch, None)
        source.close()

    def _rise(self) -> int | None:
        total = self._host_total()
        return None if total is None or self._host_base is None else total - self._host_base

    def _host_total(self) -> int | None:
        text = self._vmstat.read()
        try:
            return None if text is None else flat_keyed(text, self._vmstat.path).get(b"oom_kill")
        except ParseFault:
            return None
