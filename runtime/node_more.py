"""What the kernel tells of the node in many small files: links, hardware, clock; looked at every half minute."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SELDOM_SECONDS = 30.0
MOST_ENTRIES = 256
"""Entries of one folder of /sys that are looked at."""
_MEGABIT_BYTES = 125_000


class Fact(NamedTuple):
    """One gauge or counter by node_exporter's name, with its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class NodeMore:
    """Keeps the latest look; `root` is where the node's `/` is seen from here."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._looked_at = float("-inf")
        self._facts: tuple[Fact, ...] = ()

    def facts(self) -> tuple[Fact, ...]:
        """All there is; what this node has not is absent."""
        now = self._clock()
        if now - self._looked_at >= SELDOM_SECONDS:
            self._looked_at = now
            self._facts = tuple(look(self._root))
        return self._facts


def look(root: Path) -> Iterator[Fact]:
    """Reads all of it once."""
    sys = root / "sys"
    yield from _machine(root)
    yield from _links(sys / "class/net")
    yield from _bonds(sys / "class/net")
    yield from _conntrack(root / "proc/sys/net/netfilter")
    yield from _memory_errors(sys / "devices/system/edac/mc")
    yield from _raids(sys / "block")
    yield from _sensors(sys / "class/hwmon")
    yield from _clock_facts()


def _machine(root: Path) -> Iterator[Fact]:
    paths = ("proc/sys/kernel/random/boot_id", "etc/machine-id", "sys/class/dmi/id/product_uuid")
    names = ("boot_id", "machine_id", "system_uuid")
    yield Fact("machine", tuple((name, _text(root / path)) for name, path in zip(names, paths, strict=True)), 1.0)


def _links(folder: Path) -> Iterator[Fact]:
    for link in _entries(folder):
        speed = _number(link / "speed")
        if speed is not None and speed > 0:
            yield Fact("node_network_speed_bytes", (("device", link.name),), speed * _MEGABIT_BYTES)


def _bonds(folder: Path) -> Iterator[Fact]:
    for link in _entries(folder):
        slaves = _text(link / "bonding/slaves").split()
        if slaves:
            up = sum(_text(folder / slave / "operstate") == "up" for slave in slaves)
            yield Fact("node_bonding_slaves", (("master", link.name),), len(slaves))
            yield Fact("node_bonding_active", (("master", link.name),), up)


def _conntrack(folder: Path) -> Iterator[Fact]:
    for name, file in (("", "nf_conntrack_count"), ("_limit", "nf_conntrack_max")):
        value = _number(folder / file)
        if value is not None:
            yield Fact(f"node_nf_conntrack_entries{name}", (), value)


def _memory_errors(folder: Path) -> Iterator[Fact]:
    for controller in _entries(folder):
        label = (("controller", controller.name.removeprefix("mc")),)
        for kind, file in (("correctable", "ce_count"), ("uncorrectable", "ue_count")):
            value = _number(controller / file)
            if value is not None:
                yield Fact(f"node_edac_{kind}_errors_total", label, value)


def _raids(folder: Path) -> Iterator[Fact]:
    for block in _entries(folder):
        wanted = _number(block / "md/raid_disks")
        if wanted is None:
            continue
        device = ("device", block.name)
        states = [_text(disk / "state").split(",") for disk in _entries(block / "md") if disk.name.startswith("dev-")]
        yield Fact("node_md_disks_required", (device,), wanted)
        for state, word in (("active", "in_sync"), ("failed", "faulty"), ("spare", "spare")):
            yield Fact("node_md_disks", (device, ("state", state)), sum(word in words for words in states))


_SENSORS = (
    ("input", "node_hwmon_temp_celsius", 1000),
    ("max", "node_hwmon_temp_max_celsius", 1000),
    ("crit_alarm", "node_hwmon_temp_crit_alarm_celsius", 1000),
    ("alarm", "node_hwmon_temp_alarm", 1),
)


def _sensors(folder: Path) -> Iterator[Fact]:
    """Temperatures; node_exporter divides the critical alarm, a flag, by 1000 too, and rules compare it with 0."""
    for chip in _entries(folder):
        for file in _entries(chip):
            sensor, _, what = file.name.partition("_")
            match = next((one for one in _SENSORS if one[0] == what and sensor.startswith("temp")), None)
            value = _number(file) if match else None
            if match and value is not None:
                labels = (("chip", _text(chip / "name") or chip.name), ("sensor", sensor))
                yield Fact(match[1], labels, value / match[2])


class _Timex(ctypes.Structure):
    """struct timex of the kernel's uapi/linux/timex.h, as far as it is used, and room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    ]


_NANO, _ERROR_STATE = 0x2000, 5


def _clock_facts() -> Iterator[Fact]:
    """The kernel's clock discipline by adjtimex(2), which only reads where `modes` is 0."""
    told = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    except (OSError, AttributeError):
        return
    if state < 0:
        return
    yield Fact("node_timex_offset_seconds", (), told.offset / (1e9 if told.status & _NANO else 1e6))
    yield Fact("node_timex_maxerror_seconds", (), told.maxerror / 1e6)
    yield Fact("node_timex_estimated_error_seconds", (), told.esterror / 1e6)
    yield Fact("node_timex_sync_status", (), float(state != _ERROR_STATE))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:MOST_ENTRIES]
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None
