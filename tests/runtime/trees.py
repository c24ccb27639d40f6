"""The captured trees of hosts, each as a root folder with the layout and the container that are in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from runtime.cgroup import Layout, detect
from runtime.procfs import mountinfo

FIXTURES = Path(__file__).parents[1] / "fixtures"
HYBRID_ID = next((FIXTURES / "cgroup_hybrid/sys/fs/cgroup/memory/docker").glob("?" * 64)).name
V2_ID = next((FIXTURES / "cgroup_v2/sys/fs/cgroup/docker").glob("?" * 64)).name


class Tree(NamedTuple):
    """A captured host."""

    root: Path
    layout: Layout
    container_id: str
    pid: int

    def copy(self, to: Path) -> Tree:
        """The same host in a folder that may be changed."""
        shutil.copytree(self.root, to)
        return tree(to, self.container_id)

    def folder(self, controller: str) -> Path:
        """The container's folder of a v1 controller, or of `unified`."""
        if self.layout.kind == "v2":
            return self.root / "sys/fs/cgroup/docker" / self.container_id
        return self.root / "sys/fs/cgroup" / controller / "docker" / self.container_id


def tree(root: Path, container_id: str) -> Tree:
    """The host whose `/` is at root."""
    pid = next(int(folder.name) for folder in (root / "proc").iterdir() if folder.name.isdigit() and folder.name != "1")
    return Tree(root, detect(mountinfo((root / "proc/1/mountinfo").read_bytes()), root), container_id, pid)


def hybrid() -> Tree:
    """cgroup v1 with a unified hierarchy beside it."""
    return tree(FIXTURES / "cgroup_hybrid", HYBRID_ID)


def v2() -> Tree:
    """cgroup v2 alone."""
    return tree(FIXTURES / "cgroup_v2", V2_ID)


def v1(at: Path) -> Tree:
    """cgroup v1 alone: the hybrid host without its unified hierarchy."""
    root = at / "v1"
    shutil.copytree(FIXTURES / "cgroup_hybrid", root)
    shutil.rmtree(root / "sys/fs/cgroup/unified")
    for file in ((root / "proc/1/mountinfo"), *(root / "proc").glob("*/cgroup")):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if "cgroup2" not in line and not line.startswith("0::")))
    return tree(root, HYBRID_ID)
