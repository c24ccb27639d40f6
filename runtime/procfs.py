"""Parsers of /proc: text in, values out; what is not there is None, what is not as documented raises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

from runtime.errors import ParseFault

T = TypeVar("T")

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
"""Modes of a line of /proc/stat in its order; `user` includes `guest`, as in the kernel's text."""

NETSTAT_PROTOCOLS = frozenset(("Tcp", "TcpExt", "Udp"))
"""What is taken of /proc/net/snmp and netstat."""

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of mountinfo; `root` is the folder of the file system that is mounted."""

    device: str
    root: str
    mountpoint: str
    options: frozenset[str]
    fstype: str
    source: str
    super_options: frozenset[str]


class Interface(NamedTuple):
    """Counters of one network interface since its namespace began, as seen from inside it."""

    name: str
    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_dropped: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_dropped: int


class Disk(NamedTuple):
    """Counters of one block device, `major:minor`, since boot; seconds, and bytes of its 512-byte sectors."""

    device: str
    name: str
    reads_completed: int
    reads_merged: int
    read_bytes: int
    read_seconds: float
    writes_completed: int
    writes_merged: int
    written_bytes: int
    write_seconds: float
    io_now: int
    io_seconds: float
    weighted_seconds: float


class Stat(NamedTuple):
    """/proc/stat: ticks per cpu in the order of `CPU_MODES` (shorter on old kernels), and the rest by key."""

    cpus: Mapping[str, tuple[int, ...]]
    boot_time_seconds: int | None
    context_switches: int | None
    interrupts: int | None
    procs_running: int | None
    procs_blocked: int | None


def fault(where: str, line: int, wanted: str, got: object) -> ParseFault:
    """The one form of a fault: file, line, what was expected and, bounded, what stood there."""
    shown = got.decode(errors="replace") if isinstance(got, bytes) else str(got)
    return ParseFault(f"{where}:{line}: expected {wanted}, found {shown[:80]!r}")


def number(text: bytes, where: str) -> int:
    """A file that holds one whole number, not negative."""
    value = text.strip()
    if not value.isdigit():
        raise fault(where, 1, "a whole number", value)
    return int(value)


def flat_keyed(text: bytes, where: str) -> dict[bytes, int]:
    """Lines of `key value` with whole numbers, as memory.stat and vmstat have them."""
    parts = text.split()
    values = parts[1::2]
    if parts and (len(parts) != 2 * len(text.strip().splitlines()) or not b"".join(values).isdigit()):
        raise _first_bad_line(text, where)
    return dict(zip(parts[::2], map(int, values), strict=True))


def _first_bad_line(text: bytes, where: str) -> ParseFault:
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if len(words) != 2 or not words[1].isdigit():
            return fault(where, row, "`key number`", line)
    return fault(where, 1, "lines of `key number`", text)


def _rows(text: bytes, where: str, parse: Callable[[list[bytes]], T], wanted: str) -> Iterator[T]:
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            yield parse(words)
        except (ValueError, IndexError) as error:
            raise fault(where, row, wanted, line) from error


@lru_cache(maxsize=4)
def mountinfo(text: bytes, where: str = "mountinfo") -> tuple[Mount, ...]:
    """All mounts in the order of the file, octal escapes undone; kept, for it is read each round and hardly changes."""
    return tuple(_rows(text, where, _mount, "a mount with ` - ` and three fields after it"))


def _mount(words: list[bytes]) -> Mount:
    fields = [_OCTAL.sub(lambda m: chr(int(m[1], 8)), word.decode(errors="surrogateescape")) for word in words]
    dash = fields.index("-", 6)
    fstype, source, options = fields[dash + 1], fields[dash + 2], fields[dash + 3]
    return Mount(
        fields[2],
        fields[3],
        fields[4],
        frozenset(fields[5].split(",")),
        fstype,
        source,
        frozenset(options.split(",")),
    )


def pid_cgroup(text: bytes, where: str = "cgroup") -> dict[str, str]:
    """`/proc/<pid>/cgroup` as controller → path; the unified hierarchy has the key `""`."""
    paths: dict[str, str] = {}
    for row, line in enumerate(text.decode(errors="surrogateescape").splitlines(), 1):
        fields = line.split(":", 2)
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].startswith("/"):
            raise fault(where, row, "`id:controllers:/path`", line)
        path = fields[2].removesuffix(" (deleted)")
        paths.update(dict.fromkeys(fields[1].split(","), path))
    return paths


def net_dev(text: bytes, where: str = "net/dev", without: bytes | None = None) -> tuple[Interface, ...]:
    """Every interface but the loopback and those whose name begins with `without`, in the order of the file."""
    found = []
    for row, line in enumerate(text.splitlines()[2:], 3):
        if without and line.lstrip().startswith(without):
            continue
        name, colon, rest = line.rpartition(b":")
        values = rest.split()
        if not colon or len(values) < 12 or not b"".join(values).isdigit():
            raise fault(where, row, "`name:` and 16 numbers", line)
        if name.strip() != b"lo":
            numbers = [int(values[i]) for i in (0, 1, 2, 3, 8, 9, 10, 11)]
            found.append(Interface(name.strip().decode(errors="replace"), *numbers))
    return tuple(found)


def stat(text: bytes, where: str = "/proc/stat") -> Stat:
    """Ticks per cpu (`cpu` for their sum left out) and the counters beside them."""
    cpus: dict[str, tuple[int, ...]] = {}
    others: dict[str, int] = {}
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 11)
        if len(words) < 2 or not words[1].isdigit():
            raise fault(where, row, "`key number…`", line)
        key = words[0].decode(errors="replace")
        if not key.startswith("cpu"):
            others[key] = int(words[1])
        elif key != "cpu":
            cpus[key[3:]] = _ticks(words[1:], where, row)
    keys = ("btime", "ctxt", "intr", "procs_running", "procs_blocked")
    return Stat(cpus, *(others.get(key) for key in keys))


def _ticks(words: list[bytes], where: str, row: int) -> tuple[int, ...]:
    if len(words) < 4 or not b"".join(words).isdigit():
        raise fault(where, row, "at least 4 numbers of ticks", b" ".join(words))
    return tuple(map(int, words[: len(CPU_MODES)]))


def meminfo(text: bytes, where: str = "/proc/meminfo") -> dict[str, int]:
    """Bytes by key as node_exporter names them: `Active(anon)` is `Active_anon`; counts without kB stay counts."""
    return dict(_rows(text, where, _meminfo_row, "`key: number [kB]`"))


def _meminfo_row(words: list[bytes]) -> tuple[str, int]:
    key = words[0].decode()
    if not key.endswith(":") or not words[1].isdigit():
        raise ValueError(key)
    name = key[:-1].replace("(", "_").replace(")", "")
    kilobytes = words[2:] == [b"kB"]
    return (name + "_bytes" if kilobytes else name), int(words[1]) * (1024 if kilobytes else 1)


def loadavg(text: bytes, where: str = "/proc/loadavg") -> tuple[float, float, float]:
    """Load averages of 1, 5 and 15 minutes."""
    words = text.split()
    try:
        return float(words[0]), float(words[1]), float(words[2])
    except (ValueError, IndexError) as error:
        raise fault(where, 1, "three load averages", text) from error


def diskstats(text: bytes, where: str = "/proc/diskstats") -> tuple[Disk, ...]:
    """Every block device, partitions too, in the order of the file."""
    return tuple(_rows(text, where, _disk, "a device and at least 11 numbers"))


def _disk(words: list[bytes]) -> Disk:
    n = [int(word) for word in words[3:14]]
    return Disk(
        f"{int(words[0])}:{int(words[1])}",
        words[2].decode(errors="replace"),
        reads_completed=n[0],
        reads_merged=n[1],
        read_bytes=n[2] * 512,
        read_seconds=n[3] / 1000,
        writes_completed=n[4],
        writes_merged=n[5],
        written_bytes=n[6] * 512,
        write_seconds=n[7] / 1000,
        io_now=n[8],
        io_seconds=n[9] / 1000,
        weighted_seconds=n[10] / 1000,
    )


def inner_pid(text: bytes, where: str = "status") -> int | None:
    """The process's id in its own namespace, the last of `NSpid`; None where it is in ours, or the kernel is old."""
    for row, line in enumerate(text.splitlines(), 1):
        if line.startswith(b"NSpid:"):
            words = line.split()
            if not words[-1].isdigit():
                raise fault(where, row, "`NSpid:` and numbers", line)
            return int(words[-1]) if len(words) > 2 else None
    return None


def netstat(text: bytes, where: str = "net/snmp") -> dict[str, int]:
    """What /proc/net/snmp or netstat has of `NETSTAT_PROTOCOLS`, as `Tcp_OutSegs`: a line of names, one of numbers."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for row, (names, numbers) in enumerate(zip(lines[::2], lines[1::2], strict=False)):
        (head, *keys), (again, *values) = names.split() or [b""], numbers.split() or [b""]
        if head != again or len(keys) != len(values):
            raise fault(where, 2 * row + 1, "a line of names and one of as many numbers", names)
        prefix = head.removesuffix(b":").decode(errors="replace")
        if prefix in NETSTAT_PROTOCOLS:
            pairs = zip(keys, values, strict=True)
            found |= {f"{prefix}_{key.decode(errors='replace')}": int(value) for key, value in pairs if value.isdigit()}
    return found
