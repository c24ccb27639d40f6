"""Which cgroup hierarchies a host has, where a container's folders are, and what is read from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from runtime.errors import ParseFault
from runtime.procfs import Interface, Mount, number

T = TypeVar("T")

V1_CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio", "pids")
_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class Hierarchy(NamedTuple):
    """One mounted hierarchy: the folder it is mounted at and the cgroup that this folder shows."""

    mountpoint: Path
    root: str


class Layout(NamedTuple):
    """The hierarchies of a host; a controller is in `v1` or, if it is not, in `unified`."""

    v1: Mapping[str, Hierarchy]
    unified: Hierarchy | None

    @property
    def kind(self) -> str:
        """`v1`, `v2`, `hybrid` (controllers in v1, a unified hierarchy beside them) or `none`."""
        if self.v1:
            return "hybrid" if self.unified else "v1"
        return "v2" if self.unified else "none"


class CgroupPaths(NamedTuple):
    """Absolute folders of one container: v1 by controller, and the unified one; `id` is the path inside."""

    id: str
    v1: Mapping[str, Path]
    unified: Path | None


class Cpu(NamedTuple):
    """CPU of one cgroup: seconds and periods since it began; the quota is in µs per period, None without one."""

    usage_seconds: float | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_seconds: float | None = None
    quota_us: int | None = None
    period_us: int | None = None
    shares: int | None = None
    burst_periods: int | None = None
    burst_seconds: float | None = None


class Memory(NamedTuple):
    """Memory of one cgroup in bytes; `limit_bytes` is None where there is none and `limit_known` tells which.

    The limits for swap and the reservation are 0 where there is none, as cAdvisor has them, and None where unknown.
    """

    usage_bytes: int | None = None
    working_set_bytes: int | None = None
    rss_bytes: int | None = None
    cache_bytes: int | None = None
    mapped_file_bytes: int | None = None
    swap_bytes: int | None = None
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    limit_known: bool = False
    failcnt: int | None = None
    oom_kills: int | None = None
    page_faults: int | None = None
    major_faults: int | None = None
    own_page_faults: int | None = None
    own_major_faults: int | None = None
    active_file_bytes: int | None = None
    inactive_file_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None
    kernel_bytes: int | None = None
    reclaimable_slab_bytes: int | None = None
    swap_limit_bytes: int | None = None
    reservation_bytes: int | None = None
    high_events: int | None = None
    max_events: int | None = None
    pages_scanned: int | None = None
    pages_stolen: int | None = None
    file_refaults: int | None = None
    anon_refaults: int | None = None


class Pids(NamedTuple):
    """Tasks of one cgroup: threads, their ceiling (None where unlimited) and processes."""

    threads: int | None = None
    threads_max: int | None = None
    processes: int | None = None


class DeviceIo(NamedTuple):
    """Bytes and operations of one block device, `major:minor`, since the cgroup began."""

    device: str
    read_bytes: int | None
    written_bytes: int | None
    reads: int | None
    writes: int | None


class Pressure(NamedTuple):
    """Seconds in which some, and all, tasks waited for one resource; full is None where the kernel has none."""

    some_seconds: float
    full_seconds: float | None


class Limits(NamedTuple):
    """The least memory and CPU that a cgroup and all above it allow; None where none of them has a limit."""

    memory_bytes: int | None = None
    cpu_cores: float | None = None


class OpenFiles(NamedTuple):
    """Open file descriptors of all processes, and how many the main process may have; None where not known."""

    descriptors: int | None = None
    soft_limit: int | None = None


class Reading(NamedTuple):
    """All that one round reads of one container; a part is None where its controller can't be read.

    A part whose files did not change is the very object of the reading before.
    """

    cpu: Cpu | None
    memory: Memory | None
    pids: Pids | None
    io: tuple[DeviceIo, ...] | None
    pressure: Mapping[str, Pressure]
    network: tuple[Interface, ...] | None
    faults: tuple[ParseFault, ...] = ()
    limits: Limits | None = None
    files: OpenFiles | None = None


class Texts:
    """File name → text of one folder or several; parses what is there and collects what is garbled."""

    def __init__(self, texts: Mapping[str, bytes | None], where: str) -> None:
        self._texts = texts
        self._where = where
        self.faults: list[ParseFault] = []

    def parse(self, name: str, parser: Callable[[bytes, str], T]) -> T | None:
        """The parsed file; None where it is missing or, with the fault kept, garbled."""
        text = self._texts.get(name)
        if text is None:
            return None
        try:
            return parser(text, f"{self._where}/{name}")
        except ParseFault as error:
            self.faults.append(error)
            return None


def detect(mounts: tuple[Mount, ...], root: Path = Path("/")) -> Layout:
    """The hierarchies among the mounts; where one is mounted twice, the first that shows all of it."""
    v1: dict[str, Hierarchy] = {}
    unified: Hierarchy | None = None
    for mount in sorted(mounts, key=lambda m: m.root != "/"):
        hierarchy = Hierarchy(root / mount.mountpoint.lstrip("/"), mount.root)
        if mount.fstype == "cgroup2":
            unified = unified or hierarchy
        elif mount.fstype == "cgroup":
            for name in mount.super_options.intersection(V1_CONTROLLERS):
                v1.setdefault(name, hierarchy)
    return Layout(v1, unified)


def paths_of(layout: Layout, cgroups: Mapping[str, str]) -> CgroupPaths:
    """Folders of a process by its `/proc/<pid>/cgroup`; hierarchies that don't show it are left out."""
    v1: dict[str, Path] = {}
    for name, hierarchy in layout.v1.items():
        folder = _folder(hierarchy, cgroups.get(name))
        if folder is not None:
            v1[name] = folder
    unified = _folder(layout.unified, cgroups.get("")) if layout.unified else None
    name = next((cgroups[key] for key in ("memory", "cpu", "") if key in cgroups), "/")
    return CgroupPaths(name, v1, unified)


def _folder(hierarchy: Hierarchy, path: str | None) -> Path | None:
    if path is None or "/.." in path:
        return None
    inside = path if hierarchy.root == "/" else _below(hierarchy.root, path)
    return None if inside is None else hierarchy.mountpoint / inside.lstrip("/")


def _below(root: str, path: str) -> str | None:
    if path != root and not path.startswith(root + "/"):
        return None
    return path[len(root) :]


def container_ids(path: str) -> tuple[str, ...]:
    """The container ids that a cgroup path names, outermost first: of Docker, systemd, Podman and Kubernetes paths.

    `*.mount` units and Podman's monitors carry ids that are no container's.
    """
    parts = (part for part in path.split("/") if not part.endswith(".mount") and not part.startswith("libpod-conmon-"))
    return tuple(found for part in parts for found in _CONTAINER_ID.findall(part)[-1:])


def scope_of(path: str, container_id: str) -> str | None:
    """The cgroup path up to the container's own folder, None where the path is not the container's.

    Processes may be further down: systemd and engines inside of a container, and Podman, put them into children
    that may lack controllers (https://github.com/containers/podman/issues/8588) and hold a part of it only.
    """
    parts = path.split("/")
    for depth, part in enumerate(parts, 1):
        if container_id in part and container_ids(part) == (container_id,):
            return "/".join(parts[:depth])
    return None


def container_id(path: str) -> str | None:
    """The innermost container id that a cgroup path names, None where it names none."""
    found = container_ids(path)
    return found[-1] if found else None


def ceiling(text: bytes, where: str) -> int | None:
    """A number or, for `max`, None."""
    return None if text.strip() == b"max" else number(text, where)


def lines(text: bytes, where: str) -> int:
    """The number of lines, which for cgroup.procs is the number of processes."""
    return text.count(b"\n")


def working_set(usage: int | None, inactive_file: int | None) -> int | None:
    """Usage less inactive file pages, at least 0, as cAdvisor has it; None where either is unknown."""
    if usage is None or inactive_file is None:
        return None
    return max(0, usage - inactive_file)


def pids(texts: Texts) -> Pids:
    """Threads, their ceiling and processes; the files are the same in both versions."""
    return Pids(
        threads=texts.parse("pids.current", number),
        threads_max=texts.parse("pids.max", ceiling),
        processes=texts.parse("cgroup.procs", lines),
    )
