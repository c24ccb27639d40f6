"""The node's block devices: what they are called, and which of them stand for others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from runtime.procfs import Disk


class Devices(NamedTuple):
    """Names by `major:minor`, and the devices that are made of others: device mapper, RAID."""

    names: Mapping[str, str]
    stacked: frozenset[str]


def devices(disks: Iterable[Disk], root: Path) -> Devices:
    """All devices of /proc/diskstats; one is stacked where `/sys/block/<name>/slaves` holds others.

    What goes through a stacked device is counted again by those below it.
    """
    found = tuple(disks)
    names = {disk.device: f"/dev/{disk.name}" for disk in found}
    return Devices(names, frozenset(disk.device for disk in found if _has_slaves(root, disk.name)))


def _has_slaves(root: Path, name: str) -> bool:
    try:
        return any((root / "sys/block" / name.replace("/", "!") / "slaves").iterdir())
    except OSError:
        return False
