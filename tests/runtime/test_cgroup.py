from __future__ import annotations

from pathlib import Path

import pytest

from runtime.cgroup import Hierarchy, Layout, Texts, ceiling, container_id, container_ids, detect, paths_of, working_set
from runtime.errors import ParseFault
from runtime.procfs import mountinfo, number, pid_cgroup
from tests.runtime import trees

A, B = "a" * 64, "b" * 64


def test_the_captured_hosts_are_told_apart(tmp_path: Path) -> None:
    assert trees.hybrid().layout.kind == "hybrid"
    assert trees.v2().layout.kind == "v2"
    assert trees.v1(tmp_path).layout.kind == "v1"
    assert detect(()).kind == "none"


def test_controllers_mounted_together_are_both_found() -> None:
    line = b"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    layout = detect(mountinfo(line))
    assert set(layout.v1) == {"cpu", "cpuacct"}
    assert layout.v1["cpu"].mountpoint == Path("/sys/fs/cgroup/cpu,cpuacct")


def test_of_two_mounts_the_one_that_shows_all_is_taken() -> None:
    lines = b"1 0 0:1 /docker/x /inner rw - cgroup2 cgroup2 rw\n2 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert detect(mountinfo(lines)).unified == Hierarchy(Path("/sys/fs/cgroup"), "/")


def test_a_container_has_a_folder_in_each_hierarchy() -> None:
    host = trees.hybrid()
    paths = paths_of(host.layout, pid_cgroup((host.root / f"proc/{host.pid}/cgroup").read_bytes()))
    assert paths.id == f"/docker/{host.container_id}"
    assert paths.v1["memory"] == host.folder("memory")
    assert paths.unified == host.folder("unified")
    assert set(paths.v1) == {"cpu", "cpuacct", "memory", "blkio", "pids"}


def test_a_hierarchy_that_shows_a_part_leads_to_what_is_in_that_part_only() -> None:
    layout = Layout({"memory": Hierarchy(Path("/m"), "/docker")}, Hierarchy(Path("/u"), "/other"))
    paths = paths_of(layout, {"memory": f"/docker/{A}", "": f"/docker/{A}"})
    assert paths.v1["memory"] == Path("/m") / A
    assert paths.unified is None


def test_a_path_above_our_own_namespace_leads_nowhere() -> None:
    layout = Layout({}, Hierarchy(Path("/u"), "/"))
    assert paths_of(layout, {"": f"/../{A}"}).unified is None


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (f"/docker/{A}", A),
        (f"/system.slice/docker-{A}.scope", A),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope", A),
        (f"/machine.slice/libpod-{A}.scope/container", A),
        (f"/machine.slice/libpod-conmon-{A}.scope", None),
        (f"/kubepods/burstable/pod0b7f1d1c-4d54-4f8c-a0a7-6d53e6f2a0a1/{A}", A),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b7f_1d.slice/cri-containerd-{A}.scope", A),
        (f"/ecs/task/{A}", A),
        (f"/my/own/parent/{A}", A),
        (f"/docker/{A}/docker/{B}", B),
        (f"/system.slice/var-lib-docker-overlay-{A}-merged.mount", None),
        ("/system.slice/ssh.service", None),
        (f"/docker/{A}{'0' * 4}", None),
        ("/", None),
    ],
)
def test_the_container_is_found_in_the_paths_of_every_runtime(path: str, wanted: str | None) -> None:
    assert container_id(path) == wanted


def test_nested_containers_are_told_outermost_first() -> None:
    assert container_ids(f"/docker/{A}/docker/{B}") == (A, B)


def test_a_missing_file_is_absent_and_a_garbled_one_is_a_fault() -> None:
    texts = Texts({"good": b"1\n", "bad": b"x\n", "missing": None}, "/cg")
    assert [texts.parse(name, number) for name in ("good", "bad", "missing", "unheard")] == [1, None, None, None]
    assert [str(fault) for fault in texts.faults] == ["/cg/bad:1: expected a whole number, found 'x'"]


def test_no_ceiling_is_absent() -> None:
    assert (ceiling(b"max\n", "x"), ceiling(b"100\n", "x")) == (None, 100)
    with pytest.raises(ParseFault):
        ceiling(b"most\n", "x")


def test_the_working_set_never_falls_below_zero_and_is_absent_without_its_parts() -> None:
    assert (working_set(10, 3), working_set(3, 10), working_set(None, 3), working_set(3, None)) == (7, 0, None, None)
