from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroup import CgroupPaths, Hierarchy, Layout, detect
from runtime.node_capability import REMEDIES
from runtime.oom import OomKill, OomTotals, OomWatcher
from runtime.oom_folders import Came
from runtime.oom_inotify import Inotify
from runtime.oom_watch import OomWatch
from runtime.procfs import mountinfo
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

A = "a" * 64
B = "b" * 64
EAT = "dd if=/dev/zero of=/dev/null bs=200M count=1"


class Host:
    """A v2 host of ordinary files, which say what a kernel would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = root / "sys/fs/cgroup"
        self.log = root / "dev/kmsg"
        for folder in (self.top / "docker", root / "proc", root / "dev"):
            folder.mkdir(parents=True)
        self.log.touch()
        self.total = 0
        self.kill(0)

    def kill(self, count: int) -> None:
        self.total += count
        (self.root / "proc/vmstat").write_text(f"oom_kill {self.total}\n")

    def events(self, container: str, kills: int, *, ooms: int | None = None) -> CgroupPaths:
        folder = self.top / "docker" / container
        folder.mkdir(exist_ok=True)
        told = folder / "told"
        told.write_text(f"low 0\nhigh 0\nmax 9\noom {kills if ooms is None else ooms}\noom_kill {kills}\n")
        file = folder / "memory.events"
        file.write_bytes(told.read_bytes())
        return CgroupPaths(f"/docker/{container}", {}, folder)

    def parent(self, kills: int) -> None:
        """What the folder above all containers counts: theirs, also of those that are gone."""
        (self.top / "docker/memory.events").write_text(f"oom 0\noom_kill {kills}\n")

    def flash(self, *containers: str) -> None:
        """Containers that are gone before anything of them can be read."""
        for container in containers:
            (self.top / "docker" / container).mkdir()
        for container in containers:
            (self.top / "docker" / container).rmdir()

    def says(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(f"3,1,2,-;{line}\n")


@contextmanager
def watching(host: Host, **options: Any) -> Iterator[tuple[OomWatcher, queue.Queue[OomKill]]]:
    kills: queue.Queue[OomKill] = queue.Queue()
    layout = Layout({}, Hierarchy(host.top, "/"))
    watcher = OomWatcher(layout, kills.put, root=host.root, log=host.root / "dev/none", **options)
    watcher.start()
    yield watcher, kills
    watcher.stop()
    assert watcher.errors == 0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def told(kills: queue.Queue[OomKill], count: int) -> Counter[str]:
    """Kills by container, once so many are told of."""
    found: Counter[str] = Counter()
    while found.total() < count:
        kill = kills.get(timeout=20)
        found[kill.container_id] += kill.count
    return found


def test_a_rise_of_memory_events_is_told_once(host: Host) -> None:
    host.events(A, 0)
    with watching(host) as (watcher, kills):
        host.kill(2)
        host.events(A, 2)
        assert told(kills, 2) == {A: 2}
        host.events(A, 2)
        host.kill(1)
        host.events(A, 3)
        assert told(kills, 1) == {A: 1}
        assert kills.empty()
        until(lambda: watcher.totals.attributed == 3)


def test_kills_from_before_the_watch_are_not_told(host: Host) -> None:
    host.kill(5)
    host.events(A, 5)
    with watching(host) as (_, kills):
        host.kill(1)
        host.events(A, 6)
        assert told(kills, 1) == {A: 1}
        assert kills.empty()


def test_a_container_that_comes_later_counts_from_zero(host: Host) -> None:
    with watching(host) as (_, kills):
        host.kill(1)
        host.events(A, 1)
        assert told(kills, 1) == {A: 1}


def test_each_run_of_a_container_counts_anew(host: Host) -> None:
    with watching(host) as (_, kills):
        for _ in range(3):
            host.kill(1)
            paths = host.events(A, 1)
            assert told(kills, 1) == {A: 1}
            assert paths.unified is not None
            for file in paths.unified.iterdir():
                file.unlink()
            paths.unified.rmdir()


def test_a_limit_that_is_only_touched_is_no_kill(host: Host) -> None:
    host.events(A, 0)
    with watching(host) as (watcher, kills):
        host.events(A, 0, ooms=3)
        host.kill(1)
        host.events("b" * 64, 1)
        assert told(kills, 1) == {"b" * 64: 1}
        assert watcher.totals.attributed == 1


def test_a_checkpoint_makes_up_for_the_time_the_agent_was_down(host: Host) -> None:
    paths = host.events(A, 5)
    with watching(host) as (watcher, kills):
        watcher.watch(A, paths, pid=None, started_ms=0, counted=3)
        assert told(kills, 2) == {A: 2}
        assert watcher.counted(A) == 5


def test_a_container_in_a_hierarchy_of_its_own_is_watched_too(host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / A
    elsewhere.mkdir(parents=True)
    (elsewhere / "memory.events").write_text("oom 0\noom_kill 0\n")
    with watching(host) as (watcher, kills):
        watcher.watch(A, CgroupPaths("/x", {}, elsewhere), pid=None, started_ms=None)
        until(lambda: A in watcher.containers)
        host.kill(1)
        (elsewhere / "memory.events").write_text("oom 1\noom_kill 1\n")
        assert told(kills, 1) == {A: 1}


def test_a_container_that_ended_before_the_engine_told_of_it_is_no_new_run(host: Host) -> None:
    with watching(host) as (watcher, kills):
        host.kill(1)
        paths = host.events(A, 1)
        assert told(kills, 1) == {A: 1}
        assert paths.unified is not None
        for file in paths.unified.iterdir():
            file.unlink()
        paths.unified.rmdir()
        until(lambda: A not in watcher.containers)
        watcher.watch(A, paths, pid=7, started_ms=time.time_ns() // 10**6)
        watcher.floor(A, time.time_ns() // 10**6)
        host.kill(1)
        host.events("b" * 64, 1)
        assert told(kills, 1) == {"b" * 64: 1}


def test_the_engines_word_counts_where_no_counter_was_read(host: Host) -> None:
    with watching(host) as (watcher, kills):
        host.kill(1)
        watcher.floor(A, time.time_ns() // 10**6)
        assert told(kills, 1) == {A: 1}


def test_kills_that_nobody_is_named_for_are_published(host: Host) -> None:
    host.events(A, 0)
    clock = iter(range(0, 10**9, 2500))
    with watching(host, clock_ms=lambda: next(clock)) as (watcher, kills):
        host.events(A, 1)
        assert told(kills, 1) == {A: 1}
        host.kill(2)
        until(lambda: watcher.totals.unattributed == 1)


def test_a_container_that_vanished_unread_is_known_by_its_parents_count(host: Host) -> None:
    host.parent(3)
    host.events(B, 0)
    with watching(host) as (watcher, kills):
        host.kill(2)
        host.parent(5)
        host.flash(A)
        assert told(kills, 2) == {A: 2}
        host.kill(1)
        host.events(B, 1)
        host.parent(6)
        assert told(kills, 1) == {B: 1}
        until(lambda: watcher.totals == OomTotals(3, 0, 0))
        assert kills.empty()


def test_of_two_that_vanished_unread_neither_is_named(host: Host) -> None:
    host.parent(0)
    with watching(host) as (watcher, kills):
        host.kill(1)
        host.parent(1)
        host.flash(A, B)
        until(lambda: watcher.totals.unattributed == 1)
        assert kills.empty()


def test_one_that_comes_and_goes_while_the_watch_looks_is_suspected_too(host: Host) -> None:
    """Both had gone when the parent's count was compared, and the notices of one of them had been read."""
    host.parent(0)
    inotify = Inotify()
    watch = OomWatch(Layout({}, Hierarchy(host.top, "/")), host.root, host.root / "dev/none", inotify)
    watch.begin(0)
    (host.top / "docker" / A).mkdir()
    late = watch.counters.late

    def meanwhile(now_ms: int) -> list[Came]:
        watch.counters.late = late  # type: ignore[method-assign]
        host.kill(1)
        host.parent(1)
        (host.top / "docker" / B).mkdir()
        (host.top / "docker" / A).rmdir()
        (host.top / "docker" / B).rmdir()
        return late(now_ms)

    watch.counters.late = meanwhile  # type: ignore[method-assign]
    kills = []
    for now in range(1000, 10_000, 100):
        watch.read([inotify.fd] if inotify.fd is not None else [], now)
        kills += watch.due(now)
    watch.close()
    assert kills == []
    assert watch.book.totals == OomTotals(0, 0, 1)


def test_what_a_parent_counts_beyond_the_hosts_total_is_nobodys(host: Host) -> None:
    host.parent(0)
    with watching(host) as (_, kills):
        host.parent(1)
        host.flash(A)
        host.kill(1)
        host.events(B, 1)
        assert told(kills, 1) == {B: 1}
        host.parent(2)
        host.kill(1)
        host.events(B, 2)
        assert told(kills, 1) == {B: 1}
        assert kills.empty()


def test_a_node_that_gives_no_notices_is_looked_at_each_second(host: Host) -> None:
    host.events(A, 2)
    with watching(host, inotify=Inotify(wanted=False)) as (watcher, kills):
        assert watcher.capabilities()["oom_notify"] is False
        host.kill(2)
        host.events(A, 3)
        host.events(B, 1)
        assert told(kills, 2) == {A: 1, B: 1}


def test_a_host_without_sources_says_so(tmp_path: Path) -> None:
    watcher = OomWatcher(Layout({}, None), lambda kill: None, root=tmp_path, log=tmp_path / "none")
    watcher.start()
    assert set(watcher.capabilities().values()) == {False}
    assert set(watcher.capabilities()) <= set(REMEDIES)
    watcher.stop()


def here() -> Layout:
    return detect(mountinfo(Path("/proc/1/mountinfo").read_bytes()))


@pytest.fixture
def live() -> Iterator[tuple[OomWatcher, queue.Queue[OomKill]]]:
    """The watch over this machine."""
    kills: queue.Queue[OomKill] = queue.Queue()
    watcher = OomWatcher(here(), kills.put)
    watcher.start()
    yield watcher, kills
    watcher.stop()
    assert watcher.errors == 0


def cause(engine: EngineUnderTest, image: str, command: list[str], watcher: OomWatcher) -> str:
    """Runs a container of 16 MB to its end, and tells the watch what the engine says of it; its id."""
    container = engine.client.containers.create(
        image,
        command,
        labels=engine.labels,
        mem_limit="16m",
        memswap_limit="16m",
        network_mode="none",
        oom_score_adj=500,
    )
    container.start()
    container.wait()
    container.reload()
    if container.attrs["State"]["OOMKilled"]:
        started = datetime.fromisoformat(container.attrs["State"]["StartedAt"][:26] + "+00:00")
        watcher.floor(str(container.id), int(started.timestamp() * 1000))
    container.remove(force=True)
    return str(container.id)


def of(kills: queue.Queue[OomKill], ids: list[str], count: int) -> list[OomKill]:
    """The kills in these containers, once so many are told of and no more come for a second."""
    found: list[OomKill] = []
    while True:
        wait = 20.0 if sum(kill.count for kill in found) < count else 1.5
        try:
            kill = kills.get(timeout=wait)
        except queue.Empty:
            return found
        if kill.container_id in ids:
            found.append(kill)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("command", "each", "victim"),
    [
        (["sh", "-c", f"sleep 0.2; exec {EAT}"], 1, "main"),
        (EAT.split(), 1, "main"),
        (["sh", "-c", f"{EAT}; {EAT}; {EAT}; sleep 0.1; exit 3"], 3, "child"),
    ],
    ids=["mains after some life", "mains at once", "children while their parent lives"],
)
def test_as_many_kills_are_counted_as_were_caused(
    engine: EngineUnderTest,
    tiny_image: str,
    live: tuple[OomWatcher, queue.Queue[OomKill]],
    command: list[str],
    each: int,
    victim: str,
) -> None:
    watcher, kills = live
    ids = [cause(engine, tiny_image, command, watcher) for _ in range(6)]
    found = of(kills, ids, each * len(ids))
    assert Counter({one: sum(k.count for k in found if k.container_id == one) for one in ids}) == dict.fromkeys(
        ids, each
    )
    assert {kill.cause for kill in found} == {"container"}
    assert {kill.victim for kill in found} <= {victim, "unknown"}


@pytest.mark.engine
def test_a_kill_under_a_parent_of_its_own_is_counted(
    engine: EngineUnderTest, tiny_image: str, live: tuple[OomWatcher, queue.Queue[OomKill]]
) -> None:
    _, kills = live
    container = engine.client.containers.create(
        tiny_image,
        EAT.split(),
        labels=engine.labels,
        mem_limit="16m",
        memswap_limit="16m",
        network_mode="none",
        cgroup_parent=f"/midwatch-test-{engine.run_id}/own",
        oom_score_adj=500,
    )
    container.start()
    container.wait()
    container.remove(force=True)
    assert sum(kill.count for kill in of(kills, [str(container.id)], 1)) == 1
    hierarchies = Path("/sys/fs/cgroup")
    made = f"midwatch-test-{engine.run_id}/own"
    for folder in [*hierarchies.glob(made), *hierarchies.glob(f"*/{made}")]:
        folder.rmdir()
        folder.parent.rmdir()


@pytest.mark.engine
def test_a_container_that_kills_itself_has_no_oom(
    engine: EngineUnderTest, tiny_image: str, live: tuple[OomWatcher, queue.Queue[OomKill]]
) -> None:
    watcher, kills = live
    ids = [cause(engine, tiny_image, ["sh", "-c", "kill -9 $$"], watcher)]
    assert of(kills, ids, 0) == []


@pytest.mark.engine
def test_every_run_of_a_container_that_restarts_is_counted(
    engine: EngineUnderTest, tiny_image: str, live: tuple[OomWatcher, queue.Queue[OomKill]]
) -> None:
    _, kills = live
    container = engine.client.containers.run(
        tiny_image,
        ["sh", "-c", f"sleep 0.05; exec {EAT}"],
        detach=True,
        labels=engine.labels,
        mem_limit="16m",
        memswap_limit="16m",
        network_mode="none",
        oom_score_adj=500,
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
    )
    until(lambda: container.reload() or container.attrs["State"]["Status"] == "exited")
    found = of(kills, [str(container.id)], 4)
    container.remove(force=True)
    assert sum(kill.count for kill in found) == 4
    assert {kill.victim for kill in found} <= {"main", "unknown"}
