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
    "network": "run the agent as root, in the host's pid namespace",
    "layers": "run the agent as root, with the engine's data folder visible at its own path",
    "oom_counter": "use a kernel from 4.13, and run the agent with the host's cgroups visible",
    "oom_notify": "run the agent as root, the host's cgroups writable on v1, and raise fs.inotify.max_user_instances",
    "oom_host_total": "use a kernel from 4.13",
    "kmsg": "run the agent as root, or set kernel.dmesg_restrict=0 and allow it /dev/kmsg",
}
"""For each capability's name, what to do where its value is 0."""

REASONS: dict[str, str] = {
    "cpu": "no hierarchy here has the CPU controllers",
    "memory": "no hierarchy here has the memory controller",
    "pids": "no hierarchy here has the pids controller",
    "blkio": "no controller here counts the IO of containers by device",
    "psi": "the kernel gives no pressure files, or no cgroup2 hierarchy is mounted",
    "network": "the network counters of other processes can't be read",
    "layers": "other processes' mounts or the engine's folders can't be read",
    "oom_counter": "no cgroup has the kernel's count of kills",
    "oom_notify": "the kernel can't tell us of a kill as it happens",
    "oom_host_total": "/proc/vmstat has no oom_kill",
    "kmsg": "the kernel's log can't be read",
}
"""For each capability's name, why its value is 0."""


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
