"""Reads /dev/kmsg and says of each kill whose container it was in and whether it was the main process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from runtime.cgroup import container_ids
from runtime.errors import ParseFault
from runtime.oom_book import Cause, Detail, Victim
from runtime.oom_kmsg import KernelKill, KernelLog
from runtime.procfs import inner_pid, pid_cgroup

_RECORD = 8192
MAX_NOTED_PIDS = 8192
MAX_SEARCHED_PIDS = 64


class Attribution(NamedTuple):
    """A kill and the container it was in; `container_id` is None for a process in no container."""

    container_id: str | None
    detail: Detail


class KernelLogReader:
    """Follows the kernel log from its end; `fd` is None where it can't be read."""

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        self.overruns = 0
        self._log = KernelLog()
        self.fd: int | None = None
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        self.skip()

    def skip(self) -> None:
        """Leaves out all that was logged until now."""
        if self.fd is not None:
            os.lseek(self.fd, 0, os.SEEK_END)

    def kills(self) -> list[KernelKill]:
        """The kills logged since the last call; records that were overwritten before we came are counted."""
        found: list[KernelKill] = []
        while self.fd is not None:
            try:
                record = os.read(self.fd, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:
                self.overruns += 1
                continue
            except OSError:
                self.close()
                break
            if not record:
                break
            kill = self._log.feed(record)
            if kill is not None:
                found.append(kill)
        return found

    def close(self) -> None:
        """Closes the log."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Attributor:
    """Finds a kill's container: by the log's own words, else by the victim's cgroup while it still has one.

    `main_pids` has the main process by container, as the engine or its own namespace told.
    """

    def __init__(self, proc: Path, knows: Callable[[str], bool]) -> None:
        self._proc = proc
        self._knows = knows
        self._noted: dict[int, str] = {}
        self.main_pids: dict[str, int] = {}

    def note(self, container_id: str, pids: set[int]) -> None:
        """Who is in a container now; its main process is number 1 in its own namespace."""
        if len(self._noted) < MAX_NOTED_PIDS:
            self._noted.update(dict.fromkeys(pids, container_id))
        if container_id not in self.main_pids:
            for pid in sorted(pids)[:MAX_SEARCHED_PIDS]:
                if self._inner_pid(pid) == 1:
                    self.main_pids[container_id] = pid
                    return

    def forget_others(self, ids: set[str]) -> None:
        """Forgets who was in containers that are not among these."""
        self._noted = {pid: owner for pid, owner in self._noted.items() if owner in ids}

    def attribute(self, kill: KernelKill) -> Attribution | None:
        """Whose kill it was, None where nothing tells."""
        paths = (kill.task_cgroup,) if kill.task_cgroup else self._paths(kill.pid)
        container = self._container(paths) or self._noted.get(kill.pid) or _container_of(kill.pid, self.main_pids)
        if container is None:
            return Attribution(None, self.bare(kill)) if _is_elsewhere(paths, kill) else None
        victim = self._victim(kill.pid, self.main_pids.get(container))
        return Attribution(container, Detail(cause_of(kill, container), victim, kill.process))

    def bare(self, kill: KernelKill) -> Detail:
        """What a kill's own line says, whoever's it was."""
        return Detail("host" if kill.of_host else "container", "unknown", kill.process)

    def _container(self, paths: tuple[str, ...]) -> str | None:
        """The outermost container that is known: inside it others may run that are its own affair."""
        ids = [found for path in paths for found in container_ids(path)]
        return next((found for found in ids if self._knows(found)), ids[-1] if ids else None)

    def _paths(self, pid: int) -> tuple[str, ...]:
        try:
            return tuple(pid_cgroup((self._proc / str(pid) / "cgroup").read_bytes()).values())
        except (OSError, ParseFault):
            return ()

    def _victim(self, pid: int, main_pid: int | None) -> Victim:
        """The main process has the pid that is known, or is number 1 in a namespace of its own."""
        inner = self._inner_pid(pid)
        if pid == main_pid or inner == 1:
            return "main"
        return "unknown" if inner is None and main_pid is None else "child"

    def _inner_pid(self, pid: int) -> int | None:
        try:
            return inner_pid((self._proc / str(pid) / "status").read_bytes())
        except (OSError, ParseFault):
            return None


def _container_of(pid: int, main_pids: Mapping[str, int]) -> str | None:
    return next((container for container, main in main_pids.items() if main == pid), None)


def _is_elsewhere(paths: tuple[str, ...], kill: KernelKill) -> bool:
    """True for a process of the host: the log says where, or its cgroup is a named one.

    The root alone says nothing of a dying process: on v1 that is where the kernel puts it at its end.
    """
    return kill.task_cgroup is not None or any(path != "/" for path in paths)


def cause_of(kill: KernelKill, container_id: str) -> Cause:
    """What ran out of memory: the host, a cgroup above the container, or the container (or one inside it)."""
    if kill.of_host:
        return "host"
    if kill.scope_cgroup is None or container_id in kill.scope_cgroup:
        return "container"
    return "ancestor"
