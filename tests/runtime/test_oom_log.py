from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.oom_book import Detail
from runtime.oom_kmsg import KernelKill
from runtime.oom_log import Attribution, Attributor, KernelLogReader, cause_of

A, B = "a" * 64, "b" * 64


def attributor(proc: Path, *known: str) -> Attributor:
    return Attributor(proc, known.__contains__)


def process(proc: Path, pid: int, cgroup: str, inner: int | None = None) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cgroup").write_text(f"4:memory:{cgroup}\n0::{cgroup}\n")
    (folder / "status").write_text(f"Name:\tx\nNSpid:\t{pid}" + ("" if inner is None else f"\t{inner}") + "\n")


def kill(pid: int, *, host: bool | None = False, task: str | None = None, scope: str | None = None) -> KernelKill:
    return KernelKill(pid, "app", host, task, scope)


def test_the_logs_own_words_name_the_container(tmp_path: Path) -> None:
    process(tmp_path, 7, "/", 1)
    found = attributor(tmp_path, A).attribute(kill(7, task=f"/docker/{A}", scope=f"/docker/{A}"))
    assert found == Attribution(A, Detail("container", "main", "app"))


def test_without_them_the_victims_cgroup_does(tmp_path: Path) -> None:
    process(tmp_path, 7, f"/docker/{A}", 12)
    assert attributor(tmp_path, A).attribute(kill(7)) == Attribution(A, Detail("container", "child", "app"))


def test_a_victim_already_gone_is_known_by_its_pid(tmp_path: Path) -> None:
    known = attributor(tmp_path, A)
    known.note(A, {7, 8})
    assert known.attribute(kill(7)) == Attribution(A, Detail("container", "unknown", "app"))
    known.main_pids[A] = 7
    assert known.attribute(kill(7)) == Attribution(A, Detail("container", "main", "app"))
    assert known.attribute(kill(8)) == Attribution(A, Detail("container", "child", "app"))
    known.forget_others(set())
    assert known.attribute(kill(8)) is None


def test_the_main_process_is_found_among_those_of_the_container(tmp_path: Path) -> None:
    known = attributor(tmp_path, A)
    process(tmp_path, 7, f"/docker/{A}", 3)
    process(tmp_path, 9, f"/docker/{A}", 1)
    known.note(A, {7, 9})
    assert known.main_pids == {A: 9}


def test_a_victim_that_nothing_tells_of_stays_unattributed(tmp_path: Path) -> None:
    process(tmp_path, 7, "/")
    assert attributor(tmp_path).attribute(kill(7)) is None
    assert attributor(tmp_path).attribute(kill(8)) is None


def test_a_process_of_the_host_is_in_no_container(tmp_path: Path) -> None:
    process(tmp_path, 7, "/system.slice/cron.service")
    wanted = Attribution(None, Detail("host", "unknown", "app"))
    assert attributor(tmp_path).attribute(kill(7, host=True)) == wanted
    assert attributor(tmp_path).attribute(kill(9, host=True, task="/")) == wanted


def test_a_kill_in_a_container_inside_a_container_is_the_outer_ones(tmp_path: Path) -> None:
    found = attributor(tmp_path, A).attribute(kill(7, task=f"/docker/{A}/docker/{B}"))
    assert found is not None
    assert found.container_id == A


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (kill(1, host=True, task=f"/docker/{A}"), "host"),
        (kill(1, task=f"/docker/{A}", scope="/docker"), "ancestor"),
        (kill(1, task=f"/docker/{A}", scope=f"/docker/{A}"), "container"),
        (kill(1, task=f"/docker/{A}/sub", scope=f"/docker/{A}/sub"), "container"),
        (kill(1), "container"),
    ],
)
def test_the_cause_is_what_ran_out(told: KernelKill, cause: str) -> None:
    assert cause_of(told, A) == cause


def test_a_log_that_cannot_be_read_gives_nothing(tmp_path: Path) -> None:
    reader = KernelLogReader(tmp_path / "kmsg")
    assert (reader.fd, reader.kills()) == (None, [])


def test_the_log_is_read_from_its_end_on(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    line = b"3,1,2,-;Memory cgroup out of memory: Killed process %d (dd) total-vm:1kB\n"
    log.write_bytes(line % 1)
    reader = KernelLogReader(log)
    assert reader.kills() == []
    with log.open("ab") as file:
        file.write(line % 2)
        file.flush()
        os.fsync(file.fileno())
    assert [found.pid for found in reader.kills()] == [2]
    reader.close()
