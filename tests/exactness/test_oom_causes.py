"""A kill's cause is what ran out of memory: a cgroup above the container, or the whole host."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cgroup import detect
from runtime.procfs import mountinfo
from tests.exactness.kills import KINDS, Kind, cause, counted
from tests.support.engine import EngineUnderTest
from tests.support.stack import Stack
from tests.support.waiting import until

pytestmark = pytest.mark.engine

HOLD = "dd if=/dev/zero bs=300M count=1 2>/dev/null; [ $? = 137 ] && : >/tmp/killed$n"
"""Holds its memory while nobody reads what it writes."""
GLUTTONS = Kind(
    "gluttons",
    ["sh", "-c", f"for n in 1 2 3 4 5 6; do ({HOLD}) | sleep 30 & done; wait; set -- /tmp/killed*; "
     "[ -e $1 ] && exit $((100 + $#)); exit 100"],
    victim="child",
)  # fmt: skip
"""1.8 GB in all: more than the guest has."""
LEFT = 16 << 20


@pytest.fixture
def small_parent() -> Iterator[str]:
    """A cgroup for containers that is given 16 MB in all; its path."""
    made = f"midwatch-test/{uuid.uuid4().hex[:12]}"
    layout = detect(mountinfo(Path("/proc/1/mountinfo").read_bytes()))
    hierarchy = layout.v1.get("memory") or layout.unified
    assert hierarchy is not None
    folder = hierarchy.mountpoint / made
    folder.mkdir(parents=True)
    if "memory" in layout.v1:
        (folder / "memory.limit_in_bytes").write_text(str(LEFT))
    else:
        (folder.parent / "cgroup.subtree_control").write_text("+memory")
        (folder / "memory.max").write_text(str(LEFT))
    yield f"/{made}"
    for found in [*Path("/sys/fs/cgroup").glob(made), *Path("/sys/fs/cgroup").glob(f"*/{made}")]:
        found.rmdir()
        if not any(path.is_dir() for path in found.parent.iterdir()):
            found.parent.rmdir()


def test_a_kill_by_the_limit_of_an_ancestor_is_told_apart(
    engine: EngineUnderTest, tiny_image: str, agent: Stack, small_parent: str
) -> None:
    service = f"oom-ancestor-{uuid.uuid4().hex[:6]}"
    more = {"mem_limit": None, "memswap_limit": None, "cgroup_parent": small_parent}
    ended = cause(engine, tiny_image, service, KINDS[0], 3, **more)
    assert sum(one.kills for one in ended) == 3
    until(lambda: counted(agent, service) == 3, what="three kills")
    # The kernel's log limits the lines that name the cgroup: a kill without one is the container's own.
    assert counted(agent, service, cause="ancestor") >= 1
    assert counted(agent, service, cause="host") == 0


@pytest.mark.skipif("MIDWATCH_TEST_GUEST" not in os.environ, reason="takes all memory: only in the guest of test-v2")
def test_a_kill_because_the_host_ran_out_is_told_apart(engine: EngineUnderTest, tiny_image: str, agent: Stack) -> None:
    service = f"oom-host-{uuid.uuid4().hex[:6]}"
    more = {"mem_limit": None, "memswap_limit": None, "oom_score_adj": 1000}
    (one,) = cause(engine, tiny_image, service, GLUTTONS, 1, **more)
    assert one.kills >= 1
    until(lambda: counted(agent, service) >= one.kills, what=f"{one.kills} kills")
    assert counted(agent, service) == counted(agent, service, cause="host") == one.kills
