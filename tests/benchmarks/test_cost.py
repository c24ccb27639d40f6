"""What collecting costs: our agent beside netdata, node_exporter and the engine's own statistics. Printed as Markdown.

All of them watch the same containers at the same time, and CPU time is the kernel's, not the wall's. netdata and
node_exporter are Debian's, where they are installed: `apt-get install --no-install-recommends netdata
prometheus-node-exporter`. They are processes of this run, which end with it.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.benchmarks.tools import Collector, collectors, cpu_seconds, family, listener
from tests.support.engine import EngineUnderTest

WINDOW_SECONDS = float(os.environ.get("MIDWATCH_BENCH_SECONDS", "60"))
COMPARED = 50
SIZES = (0, 10, COMPARED, 100)
SCRAPES = 40
AT_ONCE = 16


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="midwatch-bench-") as name:
        yield Path(name)


def grow(engine: EngineUnderTest, image: str, now: int, wanted: int) -> None:
    """More containers of a service each, up to the number."""
    has_bridge = bool(engine.client.networks.list(names=["bridge"]))

    def make(number: int) -> None:
        engine.client.containers.run(
            image, ["sleep", "86400"], name=f"bench-{engine.run_id}-{number}", labels=engine.labels, detach=True,
            network_mode="bridge" if has_bridge else "none", restart_policy={"Name": "always"},
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(now, wanted)))


def beating(seconds: float, every: float, work: Callable[[], object]) -> int:
    """Does the work on a steady beat for a while; how often."""
    began, done = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        time.sleep(max(0.0, began + done * every - now))
        work()
        done += 1
    return done


def spent(watched: dict[str, Collector], seconds: float) -> dict[str, float]:
    """Seconds of CPU of each over a window, in which those that must be asked are asked at their interval."""
    askers = [
        threading.Thread(target=beating, args=(seconds, float(name.split()[-2]), one.scrape))
        for name, one in watched.items()
        if name.startswith("node_exporter") and one.scrape
    ]
    before, began = {name: one.cpu() for name, one in watched.items()}, time.monotonic()
    for asker in askers:
        asker.start()
    time.sleep(seconds)
    for asker in askers:
        asker.join()
    took = time.monotonic() - began
    return {name: (one.cpu() - before[name]) * seconds / took for name, one in watched.items()}


def engine_spent(engine: EngineUnderTest, seconds: float, *, ask: bool) -> tuple[float, int]:
    """Seconds of CPU of the engine over a window, asked once a second for all statistics or left alone; rounds."""
    pids = family(listener(engine.url.removeprefix("unix://")))
    found = engine.client.containers.list(filters={"label": [f"{key}={it}" for key, it in engine.labels.items()]})
    api = docker.APIClient(engine.url, timeout=60, num_pools=AT_ONCE)

    def statistics_of(container: Container) -> None:
        if ask:
            api.stats(container.id, stream=False, one_shot=True)

    with ThreadPoolExecutor(AT_ONCE) as pool, closing(api):
        before = sum(map(cpu_seconds, pids))
        rounds = beating(seconds, 1.0, lambda: list(pool.map(statistics_of, found)))
        return sum(map(cpu_seconds, pids)) - before, rounds


@pytest.mark.engine
@pytest.mark.timeout(1800)
def test_cost_of_collecting(engine: EngineUnderTest, tiny_image: str, folder: Path) -> None:
    growth: list[tuple[int, float, float, int]] = []
    with collectors(folder, engine.url) as watched:
        ours = {seconds: watched[f"midwatch agent, {seconds} s"] for seconds in (1, 5)}
        now = 0
        for size in SIZES:
            grow(engine, tiny_image, now, size)
            now = size
            time.sleep(15.0)
            used = spent(watched, WINDOW_SECONDS)
            growth.append((size, used[ours[1].name], used[ours[5].name], ours[1].resident()))
            if size == COMPARED:
                _compare(used, watched, ours[1], engine)
    print("\n| containers | CPU at 1 s | CPU at 5 s | resident |\n|---|---|---|---|")
    for size, fast, slow, resident in growth:
        print(f"| {size} | {fast / WINDOW_SECONDS:.2%} | {slow / WINDOW_SECONDS:.2%} | {resident / 1e6:.1f} MB |")
    (_, none, none_slow, _), (most, all_, all_slow, _) = growth[0], growth[-1]
    print(f"\nper container and round: {(all_ - none) / WINDOW_SECONDS / most * 1e6:.0f} µs at 1 s, "
          f"{(all_slow - none_slow) / (WINDOW_SECONDS / 5) / most * 1e6:.0f} µs at 5 s")  # fmt: skip


def _compare(used: dict[str, float], watched: dict[str, Collector], ours: Collector, engine: EngineUnderTest) -> None:
    print(f"\n\n| {COMPARED} containers | CPU of a core | resident |\n|---|---|---|")
    for name, seconds in used.items():
        print(f"| {name} | {seconds / WINDOW_SECONDS:.2%} | {watched[name].resident() / 1e6:.1f} MB |")
    idle, _ = engine_spent(engine, WINDOW_SECONDS / 3, ask=False)
    asked, rounds = engine_spent(engine, WINDOW_SECONDS / 3, ask=True)
    each = (asked - idle) / rounds / COMPARED
    print(f"| engine's stats API, one-shot, 1 s | {(asked - idle) / (WINDOW_SECONDS / 3):.2%} | |")
    print(f"\nstats API: {each * 1e6:.0f} µs of the engine's CPU per container and round")
    assert ours.scrape is not None
    before = ours.cpu()
    sizes = [ours.scrape() for _ in range(SCRAPES)]
    print(f"exposition: {(ours.cpu() - before) / SCRAPES * 1e3:.1f} ms and {sizes[-1] / 1e6:.2f} MB per scrape")
