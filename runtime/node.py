"""The node itself: CPU with steal, memory, load, disks, file systems and what the kernel counts for all of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from runtime.cgroup import Pressure
from runtime.cgroup_v2 import pressure
from runtime.devices import Devices, devices
from runtime.errors import ParseFault
from runtime.kept import Allowance, KeptFile
from runtime.mounts import MountTable
from runtime.node_more import Fact, NodeMore
from runtime.procfs import (
    CPU_MODES,
    Disk,
    Interface,
    Mount,
    Stat,
    diskstats,
    flat_keyed,
    loadavg,
    meminfo,
    mountinfo,
    net_dev,
    netstat,
    stat,
)

T = TypeVar("T")

_ORDINARY = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "nilfs2")
_FOREIGN = ("vfat", "exfat", "ntfs", "ntfs3", "hfsplus", "udf", "9p", "virtiofs")
REAL_FSTYPES = frozenset(_ORDINARY + _FOREIGN)
"""File systems that hold this machine's data. Those of the network are left out: a server that hangs holds statvfs."""

_HIDDEN_MOUNTPOINTS = re.compile(r"/(dev|proc|sys|run/credentials|var/lib/docker/.+|var/lib/containers/storage)($|/)")
_HIDDEN_DISKS = re.compile(r"(z?ram|loop|fd|sr)\d+|(h|s|v|xv)d[a-z]+\d+|nvme\d+n\d+p\d+|mmcblk\d+p\d+")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_IDLE_RESET_SECONDS = 3.0
_ENDS_OF_CONTAINERS = b"veth"
"""The node's ends of its containers' links: each packet is counted at the container and at the bridge already, and
their names are drawn anew at each start, which would make new series for ever."""


class Filesystem(NamedTuple):
    """Space of one mounted file system in bytes and inodes; `avail` is what an ordinary user may still take."""

    device: str
    fstype: str
    mountpoint: str
    size_bytes: int
    free_bytes: int
    avail_bytes: int
    files: int
    files_free: int
    readonly: bool
    error: bool = False


class Uname(NamedTuple):
    """What the kernel says it is."""

    sysname: str
    release: str
    version: str
    machine: str
    nodename: str
    domainname: str


class NodeReading(NamedTuple):
    """One reading of the node; a part is None where it can't be read."""

    cpu_seconds: Mapping[str, Mapping[str, float]]
    stat: Stat | None
    memory: Mapping[str, int] | None
    load: tuple[float, float, float] | None
    disks: tuple[Disk, ...]
    filesystems: tuple[Filesystem, ...]
    interfaces: tuple[Interface, ...]
    vmstat: Mapping[str, int]
    files: tuple[int, int] | None
    uname: Uname
    faults: tuple[ParseFault, ...]
    devices: Devices
    netstat: Mapping[str, int]
    pressure: Mapping[str, Pressure]
    more: tuple[Fact, ...]


class MonotoneCpu:
    """CPU seconds by cpu and mode that don't run backwards.

    The kernel's idle and iowait do, by a little; a cpu that was taken away and came back begins anew, which shows
    as idle falling by three seconds and more. node_exporter does the same in collector/cpu_linux.go.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, ...]] = {}

    def advance(self, cpus: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, float]]:
        """Seconds by cpu and mode for ticks by cpu in the order of `CPU_MODES`."""
        self._seen = {cpu: self._one(cpu, ticks) for cpu, ticks in cpus.items()}
        return {cpu: dict(zip(CPU_MODES, seconds, strict=False)) for cpu, seconds in self._seen.items()}

    def _one(self, cpu: str, ticks: tuple[int, ...]) -> tuple[float, ...]:
        now = tuple(tick * _TICK_SECONDS for tick in ticks)
        before = self._seen.get(cpu)
        idle = CPU_MODES.index("idle")
        if before is None or len(before) != len(now) or before[idle] - now[idle] >= _IDLE_RESET_SECONDS:
            return now
        return tuple(map(max, before, now))


class NodeReader:
    """Keeps the node's files open; `root` is where its `/` is seen from here."""

    def __init__(self, root: Path, allowance: Allowance) -> None:
        self._root = root
        self._more = NodeMore(root)
        self._mounts_text: bytes | None = None
        self._mounts: tuple[Mount, ...] = ()
        self._cpu = MonotoneCpu()
        self._present: tuple[tuple[str, str], ...] = ()
        self._devices = Devices({}, frozenset())
        proc = root / "proc"
        paths = {
            "stat": proc / "stat",
            "meminfo": proc / "meminfo",
            "loadavg": proc / "loadavg",
            "diskstats": proc / "diskstats",
            "vmstat": proc / "vmstat",
            "file-nr": proc / "sys/fs/file-nr",
            "net/dev": _of_init(proc, "net/dev"),
            "snmp": _of_init(proc, "net/snmp"),
            "netstat": _of_init(proc, "net/netstat"),
            **{f"pressure/{name}": proc / "pressure" / name for name in ("cpu", "memory", "io")},
        }
        self._files = {name: KeptFile(path, allowance) for name, path in paths.items()}
        self._mount_table = MountTable(KeptFile(_of_init(proc, "mountinfo"), allowance))

    def mounts(self) -> tuple[Mount, ...]:
        """The mounts of the node; raises ParseFault where their text is garbled."""
        return mountinfo(self._mount_table.read() or b"", self._mount_table.path)

    def read(self) -> NodeReading:
        """One reading; garbled files are told in `faults` and cost their own values only."""
        faults: list[ParseFault] = []
        counters = self._parse("stat", stat, faults)
        vmstat = self._parse("vmstat", flat_keyed, faults) or {}
        disks = self._parse("diskstats", diskstats, faults) or ()
        return NodeReading(
            cpu_seconds=self._cpu.advance(counters.cpus) if counters else {},
            stat=counters,
            memory=self._parse("meminfo", meminfo, faults),
            load=self._parse("loadavg", loadavg, faults),
            disks=tuple(filter(_is_shown, disks)),
            filesystems=self._filesystems(faults),
            interfaces=self._parse("net/dev", _interfaces, faults) or (),
            vmstat={key.decode(errors="replace"): value for key, value in vmstat.items()},
            files=self._parse("file-nr", _file_nr, faults),
            uname=self._uname(),
            faults=tuple(faults),
            devices=self._known_devices(disks),
            netstat={**(self._parse("snmp", netstat, faults) or {}), **(self._parse("netstat", netstat, faults) or {})},
            pressure=self._pressure(faults),
            more=self._more.facts(),
        )

    def _pressure(self, faults: list[ParseFault]) -> dict[str, Pressure]:
        found = {name: self._parse(f"pressure/{name}", pressure, faults) for name in ("cpu", "memory", "io")}
        return {name: one for name, one in found.items() if one is not None}

    def _known_devices(self, disks: tuple[Disk, ...]) -> Devices:
        """Looks at /sys again where a device came, went or was renamed."""
        present = tuple((disk.device, disk.name) for disk in disks)
        if present != self._present:
            self._present, self._devices = present, devices(disks, self._root)
        return self._devices

    def _parse(self, name: str, parser: Callable[[bytes, str], T], faults: list[ParseFault]) -> T | None:
        text = self._files[name].read()
        if text is None:
            return None
        try:
            return parser(text, self._files[name].path)
        except ParseFault as error:
            faults.append(error)
            return None

    def _filesystems(self, faults: list[ParseFault]) -> tuple[Filesystem, ...]:
        text = self._mount_table.read()
        if text is not self._mounts_text:
            self._mounts_text, self._mounts = text, real_mounts(self._all_mounts(faults))
        found = (measure(mount, self._root) for mount in self._mounts)
        return tuple(one for one in found if one is not None)

    def _all_mounts(self, faults: list[ParseFault]) -> tuple[Mount, ...]:
        try:
            return self.mounts()
        except ParseFault as error:
            faults.append(error)
            return ()

    def _uname(self) -> Uname:
        told = os.uname()
        try:
            domain = (self._root / "proc/sys/kernel/domainname").read_text().strip()
        except OSError:
            domain = "(none)"
        return Uname(told.sysname, told.release, told.version, told.machine, told.nodename, domain)

    def close(self) -> None:
        """Closes its files."""
        self._mount_table.close()
        for file in self._files.values():
            file.close()


def _interfaces(text: bytes, where: str) -> tuple[Interface, ...]:
    return net_dev(text, where, _ENDS_OF_CONTAINERS)


def _of_init(proc: Path, name: str) -> Path:
    """A file of the first process, which sees the host's mounts and network; of ourselves where it is shut to us."""
    path = proc / "1" / name
    return path if os.access(path, os.R_OK) else proc / "self" / name


def _is_shown(disk: Disk) -> bool:
    return not _HIDDEN_DISKS.fullmatch(disk.name)


def _file_nr(text: bytes, where: str) -> tuple[int, int]:
    words = text.split()
    if len(words) != 3 or not b"".join(words).isdigit():
        raise ParseFault(f"{where}:1: expected three numbers, found {text[:80]!r}")
    return int(words[0]), int(words[2])


def real_mounts(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """One mount per file system that holds data: the one that shows all of it at the shortest path.

    Bind mounts, and subvolumes of one device, show the same space again.
    """
    shown = [m for m in mounts if m.fstype in REAL_FSTYPES and not _HIDDEN_MOUNTPOINTS.match(m.mountpoint)]
    chosen: dict[str, Mount] = {}
    for mount in sorted(shown, key=lambda m: (m.root != "/", len(m.mountpoint), m.mountpoint)):
        chosen.setdefault(mount.source if mount.source.startswith("/dev/") else mount.device, mount)
    return tuple(mount for mount in mounts if mount in chosen.values())


def measure(mount: Mount, root: Path) -> Filesystem | None:
    """The space of one mount; None where it is not there from here, `error` where the disk itself refuses."""
    try:
        space = os.statvfs(root / mount.mountpoint.lstrip("/"))
    except OSError as error:
        broken = error.errno in (errno.EIO, errno.ESTALE, errno.ENOTCONN)
        named = (_shown(mount.source), mount.fstype, _shown(mount.mountpoint))
        return Filesystem(*named, 0, 0, 0, 0, 0, readonly=False, error=True) if broken else None
    unit = space.f_frsize
    return Filesystem(
        _shown(mount.source),
        mount.fstype,
        _shown(mount.mountpoint),
        size_bytes=space.f_blocks * unit,
        free_bytes=space.f_bfree * unit,
        avail_bytes=space.f_bavail * unit,
        files=space.f_files,
        files_free=space.f_ffree,
        readonly="ro" in mount.options or "ro" in mount.super_options,
    )


def _shown(path: str) -> str:
    """A path as valid Unicode: file names are bytes, labels are not."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
