"""One container's files, read in each round; what changes seldom is looked at every half minute only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

from runtime import cgroup_v1, cgroup_v2, limits
from runtime.cgroup import CgroupPaths, Layout, Limits, OpenFiles, Pressure, Reading, Texts, paths_of, pids, scope_of
from runtime.errors import ParseFault
from runtime.kept import Allowance, KeptFile, is_gone, read_once
from runtime.namespaces import Networks, network_of
from runtime.openfiles import open_files
from runtime.procfs import Interface, net_dev, pid_cgroup

SELDOM_SECONDS = 30.0
"""Time between two looks at limits and open files; a changed limit shows this much later at most."""
IDLE_SECONDS = 15.0
"""A container that used no CPU since its last reading is read whole again after this time at most: what others do to
it (packets that arrive, pages that are reclaimed, time that a blocked task waits) shows this much later."""
SETTINGS = cgroup_v1.SETTINGS | cgroup_v2.SETTINGS


class _Part:
    """The files of one controller of one container; parsed again only where a text has changed."""

    def __init__(self, files: Mapping[str, Path], allowance: Allowance, parse: Callable[[Texts], Any]) -> None:
        self._parse = parse
        self._where = next(str(path.parent) for path in files.values())
        self._settings = {name: str(path) for name, path in files.items() if name in SETTINGS}
        self._kept = {name: KeptFile(path, allowance) for name, path in files.items() if name not in SETTINGS}
        self._files = tuple(self._kept.values())
        self._settings_texts: dict[str, bytes | None] = {}
        self._texts: list[bytes | None] | None = None
        self._first: bytes | None = None
        self._value: Any = None
        self._faults: tuple[ParseFault, ...] = ()

    @property
    def gone(self) -> bool:
        """True once every file that is read in each round is gone."""
        return all(file.gone for file in self._files)

    def look_at_settings(self) -> None:
        """Reads what changes seldom."""
        texts = {name: _text(path) for name, path in self._settings.items()}
        if texts != self._settings_texts:
            self._settings_texts, self._texts = texts, None

    def rests(self) -> bool:
        """True where the first file says what it said at the last reading, and the settings are the same."""
        self._first = self._files[0].read()
        return self._first is not None and self._texts is not None and self._first == self._texts[0]

    def read(self, faults: list[ParseFault]) -> Any:
        """The parsed files, None where none of them can be read; faults are added to `faults`."""
        first, self._first = self._first, None
        texts = [first or self._files[0].read(), *[file.read() for file in self._files[1:]]]
        if texts != self._texts:
            self._texts = texts
            self._take({**dict(zip(self._kept, texts, strict=True)), **self._settings_texts})
        if self._faults:
            faults += self._faults
        return self._value

    def _take(self, texts: Mapping[str, bytes | None]) -> None:
        named = Texts(texts, self._where)
        # Limits that were read earlier don't make a container alive whose own files are gone.
        readable = any(text is not None for text in self._texts or ())
        self._value = self._parse(named) if readable else None
        self._faults = tuple(named.faults)

    def close(self) -> None:
        """Closes every file."""
        for file in self._files:
            file.close()


def _text(path: str) -> bytes | None:
    try:
        return read_once(path)
    except OSError as error:
        is_gone(error)
        return None


class Process(NamedTuple):
    """A container's main process, by its folder in /proc, and where the host's /proc is."""

    proc: Path
    pid: int


class ContainerReader:
    """All kept files of one run of one container; one thread at a time may read it."""

    def __init__(
        self,
        layout: Layout,
        paths: CgroupPaths,
        process: Process,
        network: KeptFile | None,
        allowance: Allowance,
        above: limits.Above,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = paths
        self._above = above
        self._layout, self._process, self._clock = layout, process, clock
        self._network = network
        self._interfaces: tuple[Interface, ...] | None = None
        self._network_text: bytes | None = None
        self._network_faults: tuple[ParseFault, ...] = ()
        self._parts = {name: _Part(files, allowance, parse) for name, files, parse in _plan(paths) if files}
        # Containers take turns: not all of them in one round, though the agent found all at once.
        self._turn = crc32(paths.id.encode()) / 2**32
        self._pulse = self._parts.get("cpu")
        self._last: Reading | None = None
        self._whole_at = 0.0
        self._seldom_at: float | None = None
        self._limits: Limits | None = None
        self._open_files: OpenFiles | None = None

    @property
    def gone(self) -> bool:
        """True once every file of its cgroups is gone: the container ended."""
        return all(part.gone for part in self._parts.values())

    def read(self) -> Reading | None:
        """One reading, None where the container is gone; a garbled file costs its own values only.

        The very reading of before, for `IDLE_SECONDS` at most, while the container uses no CPU: nothing in it ran
        that could have changed the rest.
        """
        now = self._clock()
        if self._last is not None and now < self._whole_at and self._rests(self._last):
            return self._last
        share = 1.0 if self._last is not None else self._turn
        self._last, self._whole_at = self._whole(now), now + IDLE_SECONDS * share
        return self._last

    def _rests(self, last: Reading) -> bool:
        return self._pulse is not None and not last.faults and self._pulse.rests()

    def _whole(self, now: float) -> Reading | None:
        if self._seldom_at is None or now >= self._seldom_at:
            share = 1.0 if self._seldom_at is not None else self._turn
            self._seldom_at = now + SELDOM_SECONDS * share
            self._look_seldom(now)
        faults: list[ParseFault] = []
        parts = {name: part.read(faults) for name, part in self._parts.items()}
        if parts.get("pids") is None and self.gone:
            return None
        return Reading(
            cpu=parts.get("cpu"),
            memory=parts.get("memory"),
            pids=parts.get("pids"),
            io=parts.get("io"),
            pressure=parts.get("pressure") or {},
            network=self._read_network(faults),
            faults=tuple(faults),
            limits=self._limits,
            files=self._open_files,
        )

    def _look_seldom(self, now: float) -> None:
        for part in self._parts.values():
            part.look_at_settings()
        seen = limits.effective(self._layout, self.paths, self._above, now)
        self._limits = seen if seen != self._limits else self._limits
        files = open_files(self.paths, self._process.proc, self._process.pid)
        self._open_files = files if files != self._open_files else self._open_files

    def _read_network(self, faults: list[ParseFault]) -> tuple[Interface, ...] | None:
        if self._network is None:
            return None
        text = self._network.read()
        if text != self._network_text:
            texts = Texts({"dev": text}, self._network.path)
            self._interfaces = texts.parse("dev", net_dev)
            self._network_text, self._network_faults = text, tuple(texts.faults)
        faults += self._network_faults
        return self._interfaces

    def close(self) -> None:
        """Closes every file, so that neither cgroup nor network namespace is held."""
        if self._network is not None:
            self._network.close()
        for part in self._parts.values():
            part.close()

    def __enter__(self) -> ContainerReader:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes it."""
        self.close()


_Plan = tuple[str, Mapping[str, Path], Callable[[Texts], Any]]


def _plan(paths: CgroupPaths) -> tuple[_Plan, ...]:
    """For each part its files and its parser: of v1 where the controller is mounted there, else of v2."""
    return (
        _choose(paths, "cpu", cgroup_v1.CPU_FILES, cgroup_v1.cpu, cgroup_v2.CPU_FILES, cgroup_v2.cpu),
        _choose(paths, "memory", cgroup_v1.MEMORY_FILES, cgroup_v1.memory, cgroup_v2.MEMORY_FILES, cgroup_v2.memory),
        _choose(paths, "pids", cgroup_v1.PIDS_FILES, pids, cgroup_v2.PIDS_FILES, pids),
        _choose(paths, "io", cgroup_v1.IO_FILES, cgroup_v1.io, cgroup_v2.IO_FILES, cgroup_v2.io),
        _choose(paths, "pressure", (), pressures, cgroup_v2.PRESSURE_FILES, pressures),
    )


def _choose(
    paths: CgroupPaths,
    part: str,
    v1_files: tuple[tuple[str, str], ...],
    v1_parse: Callable[[Texts], Any],
    v2_files: tuple[str, ...],
    v2_parse: Callable[[Texts], Any],
) -> _Plan:
    in_v1 = {name: paths.v1[controller] / name for controller, name in v1_files if controller in paths.v1}
    if in_v1 or paths.unified is None:
        return part, in_v1, v1_parse
    return part, {name: paths.unified / name for name in v2_files}, v2_parse


def pressures(texts: Texts) -> Mapping[str, Pressure]:
    """Pressure by resource (`cpu`, `memory`, `io`), without those that the kernel doesn't give."""
    found = {file.split(".")[0]: texts.parse(file, cgroup_v2.pressure) for file in cgroup_v2.PRESSURE_FILES}
    return {name: value for name, value in found.items() if value is not None}


def open_container(
    root: Path,
    layout: Layout,
    allowance: Allowance,
    *,
    container_id: str,
    pid: int,
    network_mode: str,
    networks: Networks | None = None,
    above: limits.Above | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ContainerReader | None:
    """Opens what there is of a running container; None where its process is gone or the pid is another's by now.

    The folder of the process stays open meanwhile: opening below it fails once the process is gone, whoever has
    its pid then. A container in the host's or another container's network has no network of its own to count, as
    `network_mode` or, among all that share `networks`, the namespace itself tells.
    """
    proc = root / "proc"
    try:
        process = os.open(proc / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        is_gone(error)
        return None
    try:
        paths = _paths(layout, process, container_id)
        if paths is None:
            return None
        shared = network_mode == "host" or network_mode.startswith("container:")
        owns = not shared and (networks is None or networks.claim(container_id, network_of(process)))
        network = KeptFile(Path("net/dev"), allowance, process) if owns else None
        return ContainerReader(layout, paths, Process(proc, pid), network, allowance, above or limits.Above(), clock)
    finally:
        os.close(process)


def _paths(layout: Layout, process: int, container_id: str) -> CgroupPaths | None:
    """The container's own folders; a hierarchy in which its processes are elsewhere tells nothing of it."""
    file = KeptFile(Path("cgroup"), Allowance(1), process)
    text = file.read()
    file.close()
    if text is None:
        return None
    scopes = {name: scope_of(path, container_id) for name, path in pid_cgroup(text).items()}
    own = {name: path for name, path in scopes.items() if path is not None}
    return paths_of(layout, own) if own else None
