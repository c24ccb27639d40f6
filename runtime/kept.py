"""Files that stay open between rounds: ten times cheaper to read than to open, and bounded in number.

A kept file of a cgroup answers ENODEV once the cgroup is gone. A kept `/proc/<pid>/net/dev` answers for ever and
keeps the network namespace alive: whoever holds a reader closes it when the container dies.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from runtime import cgroup_v1, cgroup_v2
from runtime.cgroup import CgroupPaths, Layout, Pressure, Reading, Texts, container_ids, paths_of, pids
from runtime.errors import ParseFault
from runtime.procfs import Interface, net_dev, pid_cgroup

T = TypeVar("T")

_CHUNK = 16384
_GONE = {errno.ENODEV, errno.ENOENT, errno.ESRCH}
_UNREADABLE = {errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.EINVAL, errno.EIO, errno.EMFILE, errno.ENFILE}
_SURELY_WHOLE = 2048
"""The kernel ends a read at most one record short of a page: below this there is nothing more to read."""


class Allowance:
    """How many files may stay open at once; beyond it files are opened for each read, which is counted."""

    def __init__(self, files: int | None = None) -> None:
        self.files = _three_quarters_of_the_limit() if files is None else files
        self.used = 0
        self.refused = 0

    def take(self) -> bool:
        """True where one more file may stay open."""
        if self.used >= self.files:
            self.refused += 1
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """One file was closed."""
        self.used -= 1


def _three_quarters_of_the_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4


def raise_file_limit(wanted: int = 65536) -> int:
    """Raises the soft limit of open files as far as `wanted` and the hard limit allow; the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < top:
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        return top
    return soft


class KeptFile:
    """One file read from its start again and again; `gone` once its cgroup or process is no more.

    With `folder`, an open folder that `path` is below, the file is either kept or, beyond the allowance, gone:
    to open it again by name could find another process.
    """

    def __init__(self, path: Path, allowance: Allowance, folder: int | None = None) -> None:
        self.path = str(path)
        self.gone = False
        self._allowance = allowance
        self._fd: int | None = None
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            self.gone = _is_gone(error)
            return
        if allowance.take():
            self._fd = fd
        else:
            self.gone = folder is not None
            os.close(fd)

    def read(self) -> bytes | None:
        """The whole file, None where it can't be read."""
        if self.gone:
            return None
        try:
            return _whole(self._fd) if self._fd is not None else Path(self.path).read_bytes()
        except OSError as error:
            self.gone = _is_gone(error)
            return None

    def close(self) -> None:
        """Closes the file; reading it afterwards gives None."""
        self.gone = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._allowance.give_back()


def _is_gone(error: OSError) -> bool:
    if error.errno in _GONE:
        return True
    if error.errno in _UNREADABLE:
        return False
    raise error


def _whole(fd: int) -> bytes:
    text = os.pread(fd, _CHUNK, 0)
    if len(text) < _SURELY_WHOLE:
        return text
    parts = [text]
    while text:
        text = os.pread(fd, _CHUNK, sum(map(len, parts)))
        parts.append(text)
    return b"".join(parts)


class _Part:
    """The kept files of one controller of one container."""

    def __init__(self, files: Mapping[str, Path], allowance: Allowance) -> None:
        self.files = {name: KeptFile(path, allowance) for name, path in files.items()}
        self._where = next(str(path.parent) for path in files.values())

    def read(self, parse: Callable[[Texts], T | None], faults: list[ParseFault]) -> T | None:
        """The parsed files, None where none of them can be read; faults are added to `faults`."""
        texts = {name: file.read() for name, file in self.files.items()}
        if not any(text is not None for text in texts.values()):
            return None
        named = Texts(texts, self._where)
        value = parse(named)
        faults += named.faults
        return value


class ContainerReader:
    """All kept files of one run of one container; one thread at a time may read it."""

    def __init__(self, paths: CgroupPaths, network: KeptFile | None, allowance: Allowance) -> None:
        self.paths = paths
        self._network = network
        self._parts = {name: (_Part(files, allowance), parse) for name, files, parse in _plan(paths) if files}

    @property
    def gone(self) -> bool:
        """True once every file of its cgroups is gone: the container ended."""
        return all(file.gone for part, _ in self._parts.values() for file in part.files.values())

    def read(self) -> Reading | None:
        """One reading, None where the container is gone; a garbled file costs its own values only."""
        faults: list[ParseFault] = []
        parts = {name: part.read(parse, faults) for name, (part, parse) in self._parts.items()}
        if self.gone:
            return None
        return Reading(
            cpu=parts.get("cpu"),
            memory=parts.get("memory"),
            pids=parts.get("pids"),
            io=parts.get("io"),
            pressure=parts.get("pressure") or {},
            network=self._interfaces(faults),
            faults=tuple(faults),
        )

    def _interfaces(self, faults: list[ParseFault]) -> tuple[Interface, ...] | None:
        if self._network is None:
            return None
        texts = Texts({"dev": self._network.read()}, self._network.path)
        found = texts.parse("dev", net_dev)
        faults += texts.faults
        return found

    def close(self) -> None:
        """Closes every file, so that neither cgroup nor network namespace is held."""
        if self._network is not None:
            self._network.close()
        for part, _ in self._parts.values():
            for file in part.files.values():
                file.close()

    def __enter__(self) -> ContainerReader:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes it."""
        self.close()


def _plan(paths: CgroupPaths) -> tuple[tuple[str, Mapping[str, Path], Callable[[Texts], Any]], ...]:
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
) -> tuple[str, Mapping[str, Path], Callable[[Texts], Any]]:
    in_v1 = {name: paths.v1[controller] / name for controller, name in v1_files if controller in paths.v1}
    if in_v1 or paths.unified is None:
        return part, in_v1, v1_parse
    return part, {name: paths.unified / name for name in v2_files}, v2_parse


def pressures(texts: Texts) -> Mapping[str, Pressure]:
    """Pressure by resource (`cpu`, `memory`, `io`), without those that the kernel doesn't give."""
    found = {file.split(".")[0]: texts.parse(file, cgroup_v2.pressure) for file in cgroup_v2.PRESSURE_FILES}
    return {name: value for name, value in found.items() if value is not None}


def open_container(
    root: Path, layout: Layout, allowance: Allowance, *, container_id: str, pid: int, network_mode: str
) -> ContainerReader | None:
    """Opens what there is of a running container; None where its process is gone or the pid is another's by now.

    The folder of the process stays open meanwhile: opening below it fails once the process is gone, whoever has
    its pid then. A container in the host's or another container's network has no network of its own to count.
    """
    try:
        process = os.open(root / "proc" / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _is_gone(error)
        return None
    try:
        paths = _paths(layout, process, container_id)
        if paths is None:
            return None
        shared = network_mode == "host" or network_mode.startswith("container:")
        network = None if shared else KeptFile(Path("net/dev"), allowance, process)
        return ContainerReader(paths, network, allowance)
    finally:
        os.close(process)


def _paths(layout: Layout, process: int, container_id: str) -> CgroupPaths | None:
    file = KeptFile(Path("cgroup"), Allowance(1), process)
    text = file.read()
    file.close()
    if text is None:
        return None
    paths = paths_of(layout, pid_cgroup(text))
    return paths if container_id in container_ids(paths.id) else None
