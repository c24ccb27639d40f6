from __future__ import annotations

from pathlib import Path

import pytest

from runtime.cgroup import CgroupPaths, Hierarchy, Layout, Limits
from runtime.limits import Above, ancestors, effective


def seen(layout: Layout, paths: CgroupPaths) -> Limits:
    return effective(layout, paths, Above(), 0.0)


def v1(root: Path, limits: dict[str, str], quotas: dict[str, str]) -> tuple[Layout, CgroupPaths]:
    layout = Layout({name: Hierarchy(root / name, "/") for name in ("memory", "cpu")}, None)
    for path, limit in limits.items():
        folder = root / "memory" / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(limit)
    for path, quota in quotas.items():
        folder = root / "cpu" / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.cfs_quota_us").write_text(quota)
        (folder / "cpu.cfs_period_us").write_text("100000\n")
    return layout, CgroupPaths("/pod/c", {name: root / name / "pod/c" for name in ("memory", "cpu")}, None)


def v2(root: Path, limits: dict[str, str], quotas: dict[str, str]) -> tuple[Layout, CgroupPaths]:
    for path in {*limits, *quotas}:
        (root / path).mkdir(parents=True, exist_ok=True)
    for path, limit in limits.items():
        (root / path / "memory.max").write_text(limit)
    for path, quota in quotas.items():
        (root / path / "cpu.max").write_text(quota)
    return Layout({}, Hierarchy(root, "/")), CgroupPaths("/pod/c", {}, root / "pod/c")


def test_the_least_limit_of_all_above_counts_in_both_versions(tmp_path: Path) -> None:
    ceiling = "9223372036854771712\n"
    old = v1(tmp_path / "1", {"": ceiling, "pod": "1000\n", "pod/c": "5000\n"}, {"pod": "50000\n", "pod/c": "-1\n"})
    new = v2(tmp_path / "2", {"pod": "1000\n", "pod/c": "5000\n"}, {"pod": "50000 100000\n", "pod/c": "max 100000\n"})
    assert seen(*old) == seen(*new) == Limits(1000, 0.5)


def test_the_containers_own_limit_counts_where_it_is_the_least(tmp_path: Path) -> None:
    assert seen(*v2(tmp_path, {"pod": "1000\n", "pod/c": "7\n"}, {"pod/c": "20000 100000\n"})) == Limits(7, 0.2)


def test_no_limit_anywhere_is_absent_and_not_zero(tmp_path: Path) -> None:
    assert seen(*v2(tmp_path, {"pod": "max\n", "pod/c": "max\n"}, {"pod/c": "max 100000\n"})) == Limits()
    assert seen(Layout({}, None), CgroupPaths("/", {}, None)) == Limits()


@pytest.mark.parametrize("garbage", ["", "x\n", "-5\n"])
def test_a_garbled_file_limits_nothing(tmp_path: Path, garbage: str) -> None:
    assert seen(*v2(tmp_path, {"pod": garbage, "pod/c": "7\n"}, {"pod": garbage})) == Limits(7)


def test_nothing_above_the_mountpoint_is_asked() -> None:
    assert list(ancestors(Path("/m/a/b"), Path("/m"))) == [Path("/m/a/b"), Path("/m/a"), Path("/m")]
    assert list(ancestors(Path("/other"), Path("/m"))) == []


def test_what_is_above_is_read_once_for_all_below_and_again_after_a_while(tmp_path: Path) -> None:
    layout, paths = v2(tmp_path, {"pod": "1000\n", "pod/c": "5000\n"}, {})
    above = Above(30.0)
    assert effective(layout, paths, above, 10.0).memory_bytes == 1000
    (tmp_path / "pod/memory.max").write_text("700\n")
    (tmp_path / "pod/c/memory.max").write_text("900\n")
    assert effective(layout, paths, above, 39.9).memory_bytes == 900
    assert effective(layout, paths, above, 40.0).memory_bytes == 700
