"""Killed at any moment, with a disk that is full at times: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from service.samples import NAME, Matcher
from service.store import Store
from slo.model import EventRatio, Selector
from slo.model import Matcher as Label
from tests.service import crashing
from tests.service.crashing import BEGIN, LATE, NAMES, STEP_MS, moment, values
from tests.support.waiting import until

KILLS = int(os.environ.get("MIDWATCH_KILLS", "4"))
START_SECONDS = 3.0


class Life(NamedTuple):
    """What one process said before it was killed."""

    acknowledged: list[int]
    start_seconds: float
    was_full: bool


def live(path: Path, first: int, seconds: float, most: int) -> Life:
    """A process that stores from batch `first` on, killed after a while or `most` batches."""
    log = path.parent.parent / "log"
    with log.open("w") as said:
        command = [sys.executable, "-m", "tests.service.crashing", str(path), str(first)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
    assert child.stdout is not None
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(iter(child.stdout.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        until(lambda: len(told) > 1 or child.poll() is not None, 60.0, 0.005)
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(told) < most and child.poll() is None:
            time.sleep(0.001)
        alive = child.poll() is None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        reader.join()
        child.stdout.close()
    assert alive, log.read_text()[-3000:]
    numbers = [int(line) for line in told if line.strip().isdigit() and line.endswith("\n")]
    return Life(numbers, float(told[0].split()[1]), "full\n" in told)


def check(path: Path, last: int) -> int:
    """Every batch up to the last acknowledged one is there once, as samples and as counts; which is the last of all."""
    now = [moment(last + 2)]
    store = Store(path, lambda: now[0])
    try:
        found = store.select((Matcher(NAME, "=", "requests_total"),), 0, now[0], 10**9)
        assert len(found.labels) == len(NAMES)
        per_series = set(found.offsets[1:] - found.offsets[:-1])
        assert len(per_series) == 1, "batches are there whole"
        there = per_series.pop()
        assert there in (last, last + 1), "the one that was under way may be there too"
        order = [int(it["pod"]) for it in found.labels]
        for number in range(1, there + 1):
            at = found.offsets[:-1] + number - 1
            assert set(found.ts_ms[at]) == {moment(number)}
            assert found.values[at].tolist() == [values(number)[it] for it in order]
        _counts(store, there)
        _late(store, there)
        return there
    finally:
        store.close()


def _counts(store: Store, there: int) -> None:
    every = Selector("requests_total")
    ratio = EventRatio((every,), bad=(Selector("requests_total", (Label("code", "=", "2"),)),))
    for begin in {0, there // 2, max(0, there - 3)}:
        counted = store.counts(ratio, [moment(there) - moment(begin)], moment(there))[0]
        assert counted.total == sum(values(there)) - sum(values(begin)), (begin, there)


def _late(store: Store, there: int) -> None:
    found = store.select((Matcher(NAME, "=", "heat"),), 0, moment(there), 10**9)
    numbers = [it for it in range(801, there + 1) if it % 7 == 0]
    assert len(found.ts_ms) == len(LATE) * len(numbers)
    first = found.offsets[0], found.offsets[1] if len(found.offsets) > 1 else 0
    assert found.ts_ms[first[0] : first[1]].tolist() == [moment(it - 720) + 1 for it in numbers]


@pytest.mark.timeout(120 + 30 * KILLS)
def test_what_was_acknowledged_outlives_any_kill_and_is_there_once(tmp_path: Path) -> None:
    path, rng = tmp_path / "x.duckdb", random.Random(11)  # noqa: S311
    last, starts = 0, []
    for _ in range(KILLS):
        life = live(path, last + 1, rng.uniform(0.05, 3.0), 5000)
        starts.append(life.start_seconds)
        assert life.acknowledged == list(range(last + 1, last + 1 + len(life.acknowledged)))
        last = check(path, last + len(life.acknowledged))
    print(f"{KILLS} kills, {last} batches, slowest start {max(starts):.2f} s")  # noqa: T201
    assert max(starts) < START_SECONDS


@pytest.mark.timeout(120 + 30 * KILLS)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_fills_up_and_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    disk, ballast = tmp_path / "disk", tmp_path / "disk" / "ballast"
    disk.mkdir()
    turns = max(3, KILLS // 3)
    megabytes = 48 + 16 * turns
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    rng, last, full = random.Random(5), 0, 0  # noqa: S311
    try:
        for turn in range(turns):
            room = megabytes - rng.randrange(1, 6) - sum(it.stat().st_size for it in disk.glob("x.*")) // 2**20
            if turn % 2 == 1:
                ballast.write_bytes(b"x" * (max(1, room) << 20))
            life = live(disk / "x.duckdb", last + 1, rng.uniform(0.5, 3.0), 5000)
            full += life.was_full
            ballast.unlink(missing_ok=True)
            last = check(disk / "x.duckdb", last + len(life.acknowledged))
        print(f"{last} batches, {full} times full")  # noqa: T201
        assert full, "the disk was never full: nothing is proven"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_processes_of_these_tests_see_blocks_and_days_go_by() -> None:
    assert STEP_MS * 60 == 7_200_000
    assert moment(720) - BEGIN == 86_400_000
    assert crashing.batch(805).series_index[-1] == len(NAMES) + len(LATE) - 1  # type: ignore[comparison-overlap]
