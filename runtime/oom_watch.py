"""What the OOM watch reads in one turn, and when the next is due; of one thread, which `runtime.oom` gives it."""

from __future__ import annotations

import os
import re
import select
from contextlib import suppress
from pathlib import Path

from runtime.cgroup import CgroupPaths, Layout
from runtime.kept import Allowance, KeptFile
from runtime.oom_book import OomBook, OomKill
from runtime.oom_counters import OomCounters
from runtime.oom_folders import Came, ContainerFolders, Went
from runtime.oom_inotify import Q_OVERFLOW, Inotify
from runtime.oom_log import Attributor, KernelLogReader
from runtime.oom_parents import OomParents

_SWEEP_MS = 1000
_QUIET_SWEEP_MS = 10_000
"""Time between two readings of every counter while the host's total, which counts each kill, stands still."""
_PENDING_WAIT_MS = 25
_BALANCE_MS = 100


_OOM_KILL = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class OomWatch:
    """All sources of one node and the book that joins them."""

    def __init__(self, layout: Layout, root: Path, log: Path, inotify: Inotify) -> None:
        self._v1 = "memory" in layout.v1
        self._top = layout.v1["memory"] if self._v1 else layout.unified
        self._inotify = inotify
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._log = KernelLogReader(log)
        self._vmstat = KeptFile(root / "proc/vmstat", Allowance(1))
        self._host_base: int | None = None
        self._host_rise: int | None = None
        self._began_ms = 0
        self._swept_ms = 0
        self._all_swept: tuple[int, int | None] = (-_QUIET_SWEEP_MS, None)
        """When every counter was read last, and the host's rise then."""
        self.book = OomBook(has_log=self._log.fd is not None)
        self.counters = OomCounters(self._poll, self._inotify, v1=self._v1)
        self._attributor = Attributor(root / "proc", self.book.knows)
        self._parents = None if self._v1 else OomParents()
        self._unread: dict[str, Came] = {}
        self._uneven = False
        self._balanced_ms = 0
        self._folders = ContainerFolders(self._inotify, self._top.mountpoint if self._top else None)

    def begin(self, now: int) -> None:
        """Takes the baselines of all sources."""
        self._began_ms = now
        self._log.skip()
        self._host_base = self._host_total()
        for fd in (self._inotify.fd, self._wake, self._log.fd):
            if fd is not None:
                self._poll.register(fd, select.EPOLLIN)
        for came in self._folders.scan():
            self._came(came, now)
        if self._parents is not None:
            self._parents.begin(self._folders.watched)

    def close(self) -> None:
        """Closes all it holds."""
        for container_id in self.counters:
            self.counters.close(container_id)
        if self._parents is not None:
            self._parents.close()
        self._log.close()
        self._inotify.close()
        self._vmstat.close()
        self._poll.close()
        os.close(self._wake)

    def wake(self) -> None:
        """Ends a wait; for any thread."""
        os.eventfd_write(self._wake, 1)

    @property
    def lost(self) -> dict[str, int]:
        """What was lost at a bound, by what it is."""
        return {"cgroup folders to watch": self._folders.refused, "kernel log records": self._log.overruns}

    def capabilities(self) -> dict[str, bool]:
        """Which sources there are; for any thread."""
        return {
            "oom_counter": self._top is not None,
            "oom_notify": self._top is not None and self.counters.announced and self._inotify.fd is not None,
            "oom_host_total": self._host_total() is not None,
            "kmsg": self._log.fd is not None,
        }

    def wait(self) -> list[int]:
        """Waits until a source has something or a look is due; the file descriptors that are ready."""
        soon = self.counters.wait_ms() or (_PENDING_WAIT_MS if self.book.pending else _SWEEP_MS)
        return [fd for fd, _ in self._poll.poll(soon / 1000)]

    def read(self, ready: list[int], now: int) -> None:
        """One look. The log is read before what tells of new cgroups, so that a kill goes to the run it happened in."""
        self._read_log(now)
        for fd in ready:
            owner = self.counters.owner_of_fd(fd)
            if owner is not None or fd == self._wake:
                _drain(fd)
            if owner is not None:
                self._announced(owner, now)
            elif fd == self._inotify.fd:
                self._read_inotify(now)
        for came in self.counters.late(now):
            self._came(came, now)
        for container_id in self.counters.hot(now):
            self._read_counter(container_id)
        if not 0 <= now - self._swept_ms < _SWEEP_MS:
            self._sweep(now)
        if self._uneven and not 0 <= now - self._balanced_ms < _BALANCE_MS:
            self._balance(now)

    def due(self, now: int) -> list[OomKill]:
        """The kills to tell of."""
        if self.book.pending:
            self._host_rise = self._rise()
        return self.book.due(now, self._host_rise)

    def add(self, container_id: str, paths: CgroupPaths, pid: int | None, now: int) -> None:
        """A container that runs, whose cgroup may lie where no other does."""
        folder = paths.v1.get("memory") if self._v1 else paths.unified
        if folder is not None and container_id not in self.counters:
            self._came(Came(container_id, folder, new=False), now)
            for came in self._folders.enter(folder.parent, new=False):
                self._came(came, now)
        if pid is not None and container_id in self.counters:
            self._attributor.main_pids[container_id] = pid

    def rebase(self, container_id: str, started_ms: int | None, counted: int | None) -> None:
        """How many kills of the present run were counted before; none of a run that began under our eyes."""
        if counted is not None:
            self.book.rebase(container_id, counted)
        elif started_ms is not None and started_ms >= self._began_ms:
            self.book.rebase(container_id, 0)

    def end(self, container_id: str, now: int) -> None:
        """A run is over: its main process is not the next one's."""
        self.counters.close(container_id)
        self.book.close(container_id, now)
        self._attributor.main_pids.pop(container_id, None)

    def _read_log(self, now: int) -> None:
        for kill in self._log.kills():
            found = self._attributor.attribute(kill)
            if found is None:
                self.book.unplaced(self._attributor.bare(kill), now)
            elif found.container_id is None:
                self.book.host_kill()
            else:
                self.book.detail(found.container_id, found.detail, now)
                self.counters.heat(found.container_id, now)

    def _read_inotify(self, now: int) -> None:
        for notice in self._inotify.read():
            owner = self.counters.owner_of_watch(notice.watch)
            if notice.mask & Q_OVERFLOW:
                self._unread.clear()
                for came in self._folders.rescan():
                    self._came(came, now)
            elif owner is not None:
                self._announced(owner, now)
            else:
                for change in self._folders.changes(notice):
                    self._came(change, now) if isinstance(change, Came) else self._went(change, now)

    def _announced(self, container_id: str, now: int) -> None:
        """Memory ran out in a container: its victim may be gone before the log is read, so who is in it is noted."""
        self._read_counter(container_id)
        self.counters.announce(container_id, now)
        self._attributor.note(container_id, self.counters.pids(container_id))

    def _came(self, came: Came, now: int) -> None:
        if self.counters.is_live(came.container_id):
            return
        if came.container_id in self.counters:
            self.end(came.container_id, now)
        counter = self.counters.open(came, now)
        if counter is None:
            self._unread[came.container_id] = came
            return
        self._unread.pop(came.container_id, None)
        self._opened(came, counter, now)

    def _opened(self, came: Came, counter: int, now: int) -> None:
        run = self.book.open(came.container_id, now, counter=counter, baseline=0 if came.new else counter)
        if self._parents is not None:
            self._parents.join(came.folder.parent, run, new=came.new)

    def _went(self, went: Went, now: int) -> None:
        """A notice may be old: the folder may be there again, with a counter of its own."""
        self._uneven = True
        self._end_unread(now)
        self._read_counter(went.container_id)
        if not self.counters.is_live(went.container_id) or not went.folder.exists():
            self.end(went.container_id, now)

    def _end_unread(self, now: int) -> None:
        """Containers that were gone before anything of theirs could be read ran all the same."""
        for came in [came for came in self._unread.values() if not came.folder.exists()]:
            del self._unread[came.container_id]
            self._opened(came._replace(new=True), 0, now)
            self.book.close(came.container_id, now)

    def _read_counter(self, container_id: str) -> None:
        value = self.counters.read(container_id)
        if value is not None:
            self.book.counter(container_id, value)

    def _sweep(self, now: int) -> None:
        """Reads every counter: a notice may have been lost, and where there are none this is all there is."""
        self._swept_ms = now
        if self._inotify.fd is None:
            for came in self._folders.rescan():
                self._came(came, now)
        self._host_rise = self._rise()
        self._uneven = True
        if self._is_quiet(now):
            return
        self._all_swept = (now, self._host_rise)
        for container_id in self.counters:
            self._read_counter(container_id)
            if not self.counters.is_live(container_id):
                self.end(container_id, now)
        self._attributor.forget_others(set(self.counters))

    def _is_quiet(self, now: int) -> bool:
        """True where the node had no kill since all were read, not long ago; folders that go tell of themselves."""
        swept_ms, rise = self._all_swept
        told = self._inotify.fd is not None and self._host_rise is not None
        return told and 0 <= now - swept_ms < _QUIET_SWEEP_MS and self._host_rise == rise and not self.book.pending

    def _balance(self, now: int) -> None:
        """Parents are read before what is in them: what is counted in between is no excess.

        And before what tells of new cgroups: whoever may have a kill that they count is known by then.
        """
        self._balanced_ms = now
        if self._parents is None:
            return
        within = self._parents.read()
        self._read_log(now)
        self._read_inotify(now)
        if self.counters.waits_for_late:
            return
        self._uneven = False
        for container_id in within:
            self._read_counter(container_id)
            if not self.counters.is_live(container_id):
                self.end(container_id, now)
        self._end_unread(now)
        self._host_rise = self._rise()
        for run, kills in self._parents.balance(now):
            self.book.vanished(run, kills, self._host_rise)

    def _rise(self) -> int | None:
        total = self._host_total()
        return None if total is None or self._host_base is None else total - self._host_base

    def _host_total(self) -> int | None:
        line = _OOM_KILL.search(self._vmstat.read() or b"")
        return None if line is None else int(line[1])


def _drain(fd: int) -> None:
    """Empties an eventfd, which may be a new one: an fd that was ready can be closed and taken again in one look."""
    with suppress(BlockingIOError):
        os.eventfd_read(fd)
