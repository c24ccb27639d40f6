from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.oom_kmsg import KernelKill, KernelLog, message

ID = "4bb6e49bd7de6e1edfd5c7efc15446b0ad9536a88ae422cf2fc86037e723015d"
HEAD = "oom-kill:constraint=CONSTRAINT_{kind},nodemask=(null),cpuset={id},mems_allowed=0,"


def log(*lines: str) -> list[KernelKill]:
    kernel = KernelLog()
    records = (f"3,{number},14769553837,-;{line}\n".encode() for number, line in enumerate(lines))
    return [kill for record in records if (kill := kernel.feed(record))]


def killed(pid: int, name: str, head: str = "Memory cgroup out of memory: ") -> str:
    return f"{head}Killed process {pid} ({name}) total-vm:207068kB, anon-rss:16000kB, UID:0 pgtables:68kB"


def test_a_kill_by_the_containers_own_limit() -> None:
    constraint = (
        HEAD.format(kind="MEMCG", id=ID) + f"oom_memcg=/docker/{ID},task_memcg=/docker/{ID},task=dd,pid=7,uid=0"
    )
    assert log("dd invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL)", constraint, killed(7, "dd")) == [
        KernelKill(7, "dd", False, f"/docker/{ID}", f"/docker/{ID}")
    ]


def test_a_kill_because_the_host_ran_out_names_the_victims_cgroup() -> None:
    constraint = (
        HEAD.format(kind="NONE", id="x")
        + f"global_oom,task_memcg=/system.slice/docker-{ID}.scope,task=python3,pid=4242,uid=1000"
    )
    assert log(constraint, killed(4242, "python3", "Out of memory: ")) == [
        KernelKill(4242, "python3", True, f"/system.slice/docker-{ID}.scope", None)
    ]


def test_a_kill_by_the_limit_of_a_parent_has_both_sides() -> None:
    constraint = (
        HEAD.format(kind="MEMCG", id="x")
        + f"oom_memcg=/kubepods/burstable/podX,task_memcg=/kubepods/burstable/podX/{ID},task=manager,pid=966,uid=0"
    )
    (kill,) = log(constraint, killed(966, "manager"))
    assert (kill.scope_cgroup, kill.task_cgroup) == ("/kubepods/burstable/podX", f"/kubepods/burstable/podX/{ID}")


def test_an_old_kernels_lines_are_joined() -> None:
    lines = (
        f"Task in /docker/{ID} killed as a result of limit of /docker",
        "Memory cgroup out of memory: Kill process 12 (stress) score 1001 or sacrifice child",
        killed(12, "stress", ""),
    )
    assert log(*lines) == [KernelKill(12, "stress", False, f"/docker/{ID}", "/docker")]


def test_a_kill_whose_first_line_was_rate_limited_still_counts() -> None:
    assert log(killed(7, "dd"), killed(8, "sh", "Out of memory: ")) == [
        KernelKill(7, "dd", False, None, None),
        KernelKill(8, "sh", True, None, None),
    ]


def test_the_line_of_another_pid_is_not_taken() -> None:
    constraint = HEAD.format(kind="MEMCG", id=ID) + "oom_memcg=/a,task_memcg=/a,task=dd,pid=7,uid=0"
    (kill,) = log(constraint, killed(8, "dd"))
    assert kill.task_cgroup is None


def test_every_process_of_a_group_kill_counts() -> None:
    lines = ("Tasks in /docker/x are going to be killed due to memory.oom.group set", killed(1, "a"), killed(2, "b"))
    assert [kill.pid for kill in log(*lines)] == [1, 2]


@pytest.mark.parametrize("name", ["foo-bar", "Plex Media Serv", "()", "a) total-vm:1", "x,pid=1,uid=0"])
def test_any_name_of_a_process_is_kept(name: str) -> None:
    constraint = HEAD.format(kind="MEMCG", id=ID) + f"oom_memcg=/d,task_memcg=/d/{ID},task={name},pid=7,uid=0"
    assert log(constraint, killed(7, name)) == [KernelKill(7, name, False, f"/d/{ID}", "/d")]


def test_a_program_that_writes_to_the_log_counts_for_nothing() -> None:
    assert KernelLog().feed(f"12,1,2,-;{killed(7, 'dd')}\n".encode()) is None


@pytest.mark.parametrize("line", ["Killed process", "app: Killed process 7 (dd) total-vm:1kB", "usb 1-1: reset"])
def test_other_lines_are_no_kills(line: str) -> None:
    assert log(line) == []


def test_the_text_ends_where_the_records_own_fields_begin() -> None:
    assert message(b"6,1,2,-;text\n SUBSYSTEM=usb\n") == "text"


@given(st.binary(max_size=300))
def test_any_record_is_survived(record: bytes) -> None:
    found = KernelLog().feed(record)
    assert found is None or b"Killed process" in record


@given(st.lists(st.integers(1, 2**22), unique=True, max_size=200))
def test_each_killed_process_counts_once(pids: list[int]) -> None:
    assert [kill.pid for kill in log(*(killed(pid, "x") for pid in pids))] == pids
