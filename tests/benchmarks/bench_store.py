"""What the store costs: `python -m tests.benchmarks.bench_store [days] [containers]`, with figures beside their goals.

Days of telemetry are appended in batches of one tick, each durable before the next, while blocks are sealed, days are
written anew and a reader asks for samples; then come sizes, and how long questions take.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from service import chunk_kernels
from service.model import BatchIdentity, MetricBatch, Series
from service.samples import NAME, Matcher
from service.serve import SWITCH_SECONDS
from service.store import Store
from service.store_append import Bounds
from slo.model import EventRatio, Selector
from tests.benchmarks.store_data import PER_DAY, STEP_MS, Data, day

BEGIN = 1_760_000_000_000 // 86_400_000 * 86_400_000
KEEP_TICKS = 300_000 // STEP_MS
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Clock:
    """A clock that the benchmark turns."""

    now_ms = BEGIN

    def __call__(self) -> int:
        return self.now_ms


def say(what: str, value: float | str, goal: str = "") -> None:
    shown = value if isinstance(value, str) else f"{value:,.2f}"
    print(f"{what:62s} {shown:>14s}  {goal}", flush=True)


def written_bytes() -> int:
    text = Path("/proc/self/io").read_text()
    return int(text.split("write_bytes: ")[1].split()[0])


def best(run: Callable[[], object], times: int = 7) -> float:
    """Milliseconds of the middle one of several runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        found.append((time.perf_counter() - begun) * 1000)
    return sorted(found)[times // 2]


class Feed:
    """Ticks as batches, with the numbers of series that were asked for once."""

    def __init__(self, store: Store, data: Data) -> None:
        self.store, self.data = store, data
        self.index = np.arange(len(data.series))
        self.start = np.full(len(data.series), BEGIN)
        self.kinds = tuple("counter" if it else "gauge" for it in data.counter)
        self.numbers: list[int] = []

    def batch(self, tick: int) -> MetricBatch:
        ts, values = self.data.tick(tick, BEGIN)
        if not self.numbers:
            self.numbers = self.store.directory.numbers_of(self.data.series)
            self.numbers = self.numbers if all(self.numbers) else []
        return MetricBatch(
            BatchIdentity("bench", "s", "metrics", tick + 1), self.data.series, self.kinds,  # type: ignore[arg-type]
            self.index, ts, values, self.start, numbers=self.numbers, epoch=self.store.directory.epoch,  # type: ignore[arg-type]
        )  # fmt: skip


def fill(store: Store, clock: Clock, data: Data, ticks: int) -> tuple[list[float], float, int]:
    """Latencies in ms, CPU seconds of appending alone (without a reader and the keeper), bytes written."""
    feed = Feed(store, data)
    asked, ended = threading.Event(), threading.Event()

    def keep() -> None:
        while not ended.is_set():
            if asked.wait(0.2):
                asked.clear()
                store.keep()

    def read() -> None:
        while not ended.wait(0.02):
            store.select(
                (Matcher(NAME, "=", "http_requests_total"), Matcher("code", "=", "500")),
                clock.now_ms - HOUR_MS, clock.now_ms, 10**8,
            )  # fmt: skip

    threads = [threading.Thread(target=keep), threading.Thread(target=read)]
    written, latencies = written_bytes(), []
    for it in threads:
        it.start()
    for tick in range(ticks):
        batch = feed.batch(tick)
        clock.now_ms = BEGIN + (tick + 1) * STEP_MS
        begun = time.perf_counter()
        store.append(batch)
        latencies.append((time.perf_counter() - begun) * 1000)
        if tick % KEEP_TICKS == 0:
            asked.set()
            while asked.is_set() and tick % (24 * KEEP_TICKS) == 0:
                time.sleep(0.01)
    ended.set()
    for it in threads:
        it.join()
    store.keep()
    return latencies, written_bytes() - written, feed.index.size * ticks


def appending_alone(folder: Path, data: Data, ticks: int = 400) -> float:
    """Samples per CPU-second of the whole process while it does nothing else."""
    clock = Clock()
    store = Store(folder / "alone.duckdb", clock)
    feed = Feed(store, data)
    store.append(feed.batch(0))
    batches = [feed.batch(tick) for tick in range(1, ticks)]
    begun = time.process_time()
    for tick, batch in enumerate(batches, 1):
        clock.now_ms = BEGIN + (tick + 1) * STEP_MS
        store.append(batch)
    found = feed.index.size * len(batches) / (time.process_time() - begun)
    store.close()
    return found


def sizes(store: Store, samples: int) -> None:
    """Bytes per sealed sample of chunks and statistics, and what else the file holds."""
    store.database.checkpoint()
    with store.database.cursor() as cursor:
        block, used, free = cursor.execute(
            "SELECT block_size, used_blocks, free_blocks FROM pragma_database_size()"
        ).fetchall()[0]
        names = [row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        blobs = sealed = 0
        kinds: dict[str, set[int]] = {"chunks": set(), "stats": set(), "head": set(), "fives": set(), "hours": set()}
        for name in names:
            kind = name.split("_")[0]
            if kind in kinds:
                rows = cursor.execute(f"SELECT block_id, additional_block_ids FROM pragma_storage_info('{name}')")  # noqa: S608
                for one, more in rows.fetchall():
                    kinds[kind] |= {one, *(more or ())} - {-1, None}
            if kind == "chunks":
                n, size = cursor.execute(f"SELECT sum(n), sum(octet_length(data)) FROM {name}").fetchall()[0]  # noqa: S608
                sealed, blobs = sealed + int(n or 0), blobs + int(size or 0)
    together = len(kinds["chunks"] | kinds["stats"]) * block
    say("samples sealed of those appended", sealed / samples)
    say("bytes per sample: blobs", blobs / sealed)
    say("bytes per sample: chunks and statistics, whole blocks of the file", together / sealed, "1.35 live, 1.10 anew")
    for kind in ("stats", "head", "fives", "hours"):
        say(f"bytes per sample: {kind}, whole blocks", len(kinds[kind]) * block / sealed)
    say("bytes per sample: free in the file", free * block / sealed)
    say("MB used by the file", used * block / 1e6)


def questions(store: Store, clock: Clock) -> None:
    one = (Matcher(NAME, "=", "container_memory_rss"), Matcher("container", "=", "svc-03-00003"))
    many = (Matcher(NAME, "=", "http_requests_total"), Matcher("code", "=", "200"))
    since, until = clock.now_ms - DAY_MS, clock.now_ms
    found = store.select(one, since, until, 10**8)
    say("samples of one series over 24 h", float(len(found.ts_ms)))
    say("one series over 24 h, warm, ms", best(lambda: store.select(one, since, until, 10**8)), "5")
    found = store.select(many, since, until, 10**8)
    say("samples of 200 series over 24 h", float(len(found.ts_ms)))
    say("200 series over 24 h, warm, ms", best(lambda: store.select(many, since, until, 10**8)))
    store.memory.planes.clear()
    say("one series over 24 h, cold, ms", best(lambda: store.select(one, since, until, 10**8), 1))
    last = Selector("container_memory_rss")
    say("latest of 200 series, ms", best(lambda: store.instant(last, clock.now_ms)))


def burn_rates(folder: Path) -> None:
    """Eight windows over 30 days of 200 counters."""
    clock = Clock()
    store = Store(folder / "months.duckdb", clock, Bounds(raw_ms=7 * DAY_MS))
    rng = np.random.default_rng(3)
    names = tuple(
        Series("requests_total", (("code", "500" if at % 2 else "200"), ("pod", f"{at // 2:03d}"))) for at in range(200)
    )
    total = np.zeros(200)
    for hour in range(30 * 24):
        ts = BEGIN + hour * HOUR_MS + np.arange(1, 241) * STEP_MS
        values = total[:, None] + np.cumsum(rng.poisson(40, (200, 240)), axis=1)
        total = values[:, -1]
        clock.now_ms = int(ts[-1])
        store.append(MetricBatch(
            None, names, ("counter",) * 200, np.repeat(np.arange(200), 240), np.tile(ts, 200), values.reshape(-1),  # type: ignore[arg-type]
            np.full(200 * 240, BEGIN),  # type: ignore[arg-type]
        ))  # fmt: skip
        store.keep()
    every, bad = Selector("requests_total"), (Selector("requests_total", ()),)
    ratio = EventRatio((every,), bad=bad)
    windows = [minutes * 60_000 for minutes in (5, 30, 60, 120, 360, 1440, 4320, 43_200)]
    moved = iter(range(100))
    found = best(lambda: store.counts(ratio, windows, clock.now_ms - 1000 * next(moved)))
    say("8 windows of a burn rate over 30 days of 200 series, warm, ms", found, "80")
    store.close()


def main() -> None:
    days, containers = (int(it) for it in (*sys.argv[1:3], *("3", "200")[len(sys.argv) - 1 :]))
    sys.setswitchinterval(SWITCH_SECONDS)
    chunk_kernels.warm()
    data = day(containers)
    with TemporaryDirectory(dir=os.environ.get("MIDWATCH_BENCH_DIR")) as name:
        folder, clock = Path(name), Clock()
        say("samples per CPU-second of appending alone, millions", appending_alone(folder, data) / 1e6, "3")
        store = Store(folder / "x.duckdb", clock)
        latencies, written, samples = fill(store, clock, data, days * PER_DAY)
        say("ms for the first batch, all of it new series", latencies.pop(0))
        say("ms from batch to durable, beside sealing and reading: p50", float(np.percentile(latencies, 50)))
        say("p99", float(np.percentile(latencies, 99)), "25")
        say("longest stall, ms", max(latencies), "250")
        say("blocks sealed", float(store.keeper.counts["sealed"]))
        say("days written anew", float(store.keeper.counts["rewritten"]))
        sizes(store, samples)
        say("bytes written per byte kept", written / store.used_bytes(), "30")
        questions(store, clock)
        store.close()
        begun = time.perf_counter()
        store = Store(folder / "x.duckdb", clock)
        say("start-up, ms", (time.perf_counter() - begun) * 1000, "3000")
        store.close()
        burn_rates(folder)
    say("most resident memory, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
