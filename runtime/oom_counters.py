"""The open kill counters of all containers, and which of them are to be read again soon."""

from __future__ import annotations

import select
from collections.abc import Iterator

from runtime.oom_folders import Came
from runtime.oom_inotify import Inotify
from runtime.oom_source import OomSource

REREAD_MS = 20
LATE_MS = 2000
HOT_WAIT_MS = 1
LATE_WAIT_MS = 5


class OomCounters:
    """Counters by container; registers what announces a rise with the poll that is given."""

    def __init__(self, poll: select.epoll, inotify: Inotify, *, v1: bool) -> None:
        self.announced = True
        self._poll = poll
        self._inotify = inotify
        self._v1 = v1
        self._sources: dict[str, OomSource] = {}
        self._by_fd: dict[int, str] = {}
        self._by_watch: dict[int, str] = {}
        self._hot: dict[str, int] = {}
        self._late: dict[str, tuple[Came, int]] = {}

    def __contains__(self, container_id: str) -> bool:
        """True where the container's counter is open."""
        return container_id in self._sources

    def __iter__(self) -> Iterator[str]:
        """The containers whose counters are open."""
        return iter(list(self._sources))

    def owner_of_fd(self, fd: int) -> str | None:
        """Whose rise an eventfd announces."""
        return self._by_fd.get(fd)

    def owner_of_watch(self, watch: int) -> str | None:
        """Whose rise a watch of inotify announces."""
        return self._by_watch.get(watch)

    def is_live(self, container_id: str) -> bool:
        """True where the container's counter is open and its cgroup is still there."""
        source = self._sources.get(container_id)
        return source is not None and source.is_live()

    def open(self, came: Came, now_ms: int) -> int | None:
        """Opens a counter, which must not be open; what it says, None where it is not there (yet)."""
        source = OomSource(came.folder, v1=self._v1, inotify=self._inotify)
        if source.gone:
            self._late.setdefault(came.container_id, (came, now_ms + LATE_MS))
            return None
        self._late.pop(came.container_id, None)
        self._sources[came.container_id] = source
        self.announced = self.announced and source.announced
        if source.wake_fd is not None:
            self._by_fd[source.wake_fd] = came.container_id
            self._poll.register(source.wake_fd, select.EPOLLIN)
        if source.watch is not None:
            self._by_watch[source.watch] = came.container_id
        return source.read() or 0

    def close(self, container_id: str) -> None:
        """Closes a counter, if it is open."""
        source = self._sources.pop(container_id, None)
        if source is None:
            return
        if source.wake_fd is not None:
            self._poll.unregister(source.wake_fd)
            self._by_fd.pop(source.wake_fd, None)
        if source.watch is not None:
            self._by_watch.pop(source.watch, None)
        source.close()

    def read(self, container_id: str) -> int | None:
        """What a counter says, None where it is not open or its cgroup is gone."""
        source = self._sources.get(container_id)
        return source.read() if source else None

    def pids(self, container_id: str) -> set[int]:
        """The processes in the container."""
        source = self._sources.get(container_id)
        return source.pids() if source else set()

    def announce(self, container_id: str, now_ms: int) -> None:
        """A rise is announced: to be read again for 20 ms, since v1 announces it before it counts it."""
        source = self._sources.get(container_id)
        if source is not None and source.oom_began():
            self.heat(container_id, now_ms)

    def heat(self, container_id: str, now_ms: int) -> None:
        """To be read again for 20 ms."""
        self._hot[container_id] = now_ms + REREAD_MS

    def hot(self, now_ms: int) -> list[str]:
        """Those to be read now; the ones whose time is over are among them for the last time."""
        found = list(self._hot)
        self._hot = {container_id: until for container_id, until in self._hot.items() if now_ms < until}
        return found

    def late(self, now_ms: int) -> list[Came]:
        """Those that were not there and may be by now: systemd enables a controller after it made the folder."""
        self._late = {
            container_id: (came, until)
            for container_id, (came, until) in self._late.items()
            if now_ms < until and came.folder.exists()
        }
        return [came for came, _ in self._late.values()]

    @property
    def waits_for_late(self) -> bool:
        """True while there is a folder whose counter may still come."""
        return any(came.folder.exists() for came, _ in self._late.values())

    def wait_ms(self) -> int | None:
        """How soon something is to be read again, None where nothing is."""
        return HOT_WAIT_MS if self._hot else LATE_WAIT_MS if self._late else None
