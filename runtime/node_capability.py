"""What can be measured on this node, and what would make measurable what can't be."""

from __future__ import annotations

from pathlib import Path

from runtime.cgroup import Layout

REMEDIES: dict[str, str] = {
    "cpu": "mount the cgroup controllers cpu and cpuacct",
    "memory": "boot with cgroup_enable=memory, on a Raspberry Pi in /boot/cmdline.txt",
    "pids": "mount the cgroup controller pids",
    "blkio": "use cgroup v2; on v1 with a kernel from 6.10, devices are counted once a throttle limit was set on them",
    "psi": "boot with psi=1; on cgroup v1 mount a cgroup2 hierarchy beside it",
    "oom_counter": "use a kernel from 4.13, and run the agent with the host's cgroups visible",
    "oom_notify": "run the agent as root, the host's cgroups writable on v1, and raise fs.inotify.max_user_instances",
    "oom_host_total": "use a kernel from 4.13",
    "kmsg": "run the agent as root, or set kernel.dmesg_restrict=0 and allow it /dev/kmsg",
}
"""For each capability's name, what to do where its value is 0."""


def capabilities(root: Path, layout: Layout) -> dict[str, bool]:
    """Which statistics of containers this node has, by name; those of OOM kills are known to their watcher."""
    unified = _words(layout.unified.mountpoint / "cgroup.controllers") if layout.unified else set()
    return {
        "cpu": {"cpu", "cpuacct"} <= set(layout.v1) or "cpu" in unified,
        "memory": "memory" in layout.v1 or "memory" in unified,
        "pids": "pids" in layout.v1 or "pids" in unified,
        "blkio": _counts_devices(layout) or "io" in unified,
        "psi": layout.unified is not None and bool(_words(root / "proc/pressure/cpu")),
    }


def _words(path: Path) -> set[str]:
    """The words of a file, none where it can't be read: pressure files can be there and refuse to be read."""
    try:
        return set(path.read_text().split())
    except OSError:
        return set()


def _counts_devices(layout: Layout) -> bool:
    blkio = layout.v1.get("blkio")
    return blkio is not None and "Read" in _words(blkio.mountpoint / "blkio.throttle.io_service_bytes")
