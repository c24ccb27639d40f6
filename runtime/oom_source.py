"""The kill counter of one cgroup and what wakes us when it rises: an eventfd on v1, inotify on v2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runtime import cgroup_v1, cgroup_v2
from runtime.errors import ParseFault
from runtime.kept import Allowance, KeptFile
from runtime.oom_inotify import MODIFY, Inotify
from runtime.procfs import flat_keyed


class OomSource:
    """The open counter of one cgroup; `wake_fd` (v1) or `watch` (v2) is what announces a rise."""

    def __init__(self, folder: Path, *, v1: bool, inotify: Inotify) -> None:
        self.folder = folder
        self.wake_fd: int | None = None
        self.watch: int | None = None
        self._inotify = inotify
        self._ooms = 0
        self._touched = False
        self._parse: Callable[[bytes, str], int | None] = cgroup_v1.oom_kills if v1 else cgroup_v2.oom_kills
        self._file = KeptFile(folder / ("memory.oom_control" if v1 else "memory.events"), Allowance(1))
        if not self._file.gone:
            self.announced = self._announce_v1() if v1 else self._announce_v2()
        else:
            self.announced = False

    def _announce_v1(self) -> bool:
        """Asks for a notice at each OOM. It comes a little before the counter rises, and at the cgroup's end."""
        wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            counter = os.open(self.folder / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                (self.folder / "cgroup.event_control").write_text(f"{wake} {counter}")
            finally:
                os.close(counter)
        except OSError:
            os.close(wake)
            return False
        self.wake_fd = wake
        return True

    def _announce_v2(self) -> bool:
        try:
            self.watch = self._inotify.add(self.folder / "memory.events", MODIFY)
        except OSError:
            return False
        return True

    @property
    def gone(self) -> bool:
        """True once the cgroup was found to be no more."""
        return self._file.gone

    def is_live(self) -> bool:
        """False where the cgroup is no more, which only reading tells."""
        self._file.read()
        return not self._file.gone

    def read(self) -> int | None:
        """Kills by now; None where the cgroup is gone or its kernel doesn't count them."""
        text = self._file.read()
        try:
            return None if text is None else self._parse(text, self._file.path)
        except ParseFault:
            return None

    def oom_began(self) -> bool:
        """True where a notice means an OOM: always on v1; on v2 a limit that is only touched is announced too.

        The first touch counts as one: a kernel holds further notices back for 10 ms, and what is killed as it
        starts is gone by then.
        """
        if self.wake_fd is not None:
            return True
        first, self._touched = not self._touched, True
        try:
            ooms = flat_keyed(self._file.read() or b"", self._file.path).get(b"oom", 0)
        except ParseFault:
            return True
        risen, self._ooms = ooms > self._ooms, ooms
        return risen or first

    def pids(self) -> set[int]:
        """The processes in it, as many as one read gives: a kill by the log alone can be told by its pid."""
        try:
            return {int(word) for word in (self.folder / "cgroup.procs").read_bytes().split() if word.isdigit()}
        except OSError:
            return set()

    def close(self) -> None:
        """Closes what it holds."""
        self._file.close()
        if self.wake_fd is not None:
            os.close(self.wake_fd)
        if self.watch is not None:
            self._inotify.remove(self.watch)
