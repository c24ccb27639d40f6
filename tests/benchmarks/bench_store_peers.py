"""The store beside Debian's Prometheus and VictoriaMetrics, on the same samples, in one run.

`python -m tests.benchmarks.bench_store_peers [containers]`: one day of containers with 40 series each, written to all
three (to the peers by remote write, hour by hour); then bytes per sample, and the same questions to each.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cramjam
import httpx
import numpy as np

from service import chunk_kernels
from service.promql import jit
from service.promql.engine import Engine as Promql
from service.remote_encode import Encoder
from service.store import Store
from service.store_samples import StoreSamples
from tests.benchmarks import bench_store
from tests.benchmarks.bench_store import Clock, Feed, best, say, sizes
from tests.benchmarks.store_data import PER_DAY, STEP_MS, Data, day
from tests.support.remote import Engine

DAY_MS = 86_400_000
QUESTIONS = {
    "one series over 24 h": 'container_memory_rss{container="svc-03-00003"}',
    "sum by (rate) over 24 h": 'sum by (service) (rate(http_requests_total{code="200"}[5m]))',
}
HEADERS = {
    "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}  # fmt: skip


def hours(data: Data, begin_ms: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # type: ignore[type-arg]
    """Times and values by series and tick of an hour, hour by hour."""
    for first in range(0, PER_DAY, 240):
        ticks = [data.tick(at, begin_ms) for at in range(first, first + 240)]
        yield np.stack([ts for ts, _ in ticks], axis=1), np.stack([values for _, values in ticks], axis=1)


def bodies(data: Data, begin_ms: int) -> Iterator[bytes]:
    """Requests of remote write of 50 series and an hour each."""
    encoder, series = Encoder(), list(data.series)
    for ts, values in hours(data, begin_ms):
        for at in range(0, len(series), 50):
            index = np.repeat(np.arange(len(series[at : at + 50])), 240)
            mine = slice(at, at + 50)
            found = encoder.encode(series[mine], index, ts[mine].reshape(-1), values[mine].reshape(-1))
            yield bytes(cramjam.snappy.compress_raw(found.body))


def size_of(folder: Path) -> int:
    return sum(it.stat().st_size for it in folder.rglob("*") if it.is_file())


def peer(name: str, folder: Path, data: Data, begin_ms: int, samples: int) -> None:
    folder.mkdir()
    engine = Engine(name, folder)
    with httpx.Client(trust_env=False, timeout=120.0) as client:
        begun = time.perf_counter()
        for body in bodies(data, begin_ms):
            client.post(f"{engine.url}/api/v1/write", content=body, headers=HEADERS).raise_for_status()
        say(f"{name}: seconds to write all, encoding of ours in it", time.perf_counter() - begun)
        engine.flush()
        if name == "victoria-metrics":
            client.get(f"{engine.url}/internal/force_merge").raise_for_status()
            time.sleep(15)
        for what, query in QUESTIONS.items():
            step = "15" if "one" in what else "60"
            asked = {"query": query, "start": str(begin_ms / 1000), "end": str(begin_ms / 1000 + 86_400), "step": step,
                     "nocache": "1"}  # fmt: skip

            def ask(asked: dict[str, str] = asked) -> None:
                client.get(f"{engine.url}/api/v1/query_range", params=asked).raise_for_status()

            say(f"{name}: {what}, ms, over HTTP", best(ask))
    engine.stop()
    held = "tsdb" if name == "prometheus" else "data"
    blocks = [it for it in folder.rglob("*") if it.is_dir() and (it / "meta.json").exists()]
    if name == "prometheus" and blocks:
        import json

        n = sum(json.loads((it / "meta.json").read_text())["stats"]["numSamples"] for it in blocks)
        say(f"{name}: bytes per sample in blocks", sum(map(size_of, blocks)) / n)
    say(f"{name}: bytes per sample, the whole folder", size_of(folder) / samples, held)


def ours(folder: Path, data: Data, begin_ms: int, samples: int) -> None:
    clock = Clock()
    store = Store(folder / "x.duckdb", clock)
    feed = Feed(store, data)
    begun = time.perf_counter()
    for tick in range(PER_DAY):
        clock.now_ms = begin_ms + (tick + 1) * STEP_MS
        store.append(feed.batch(tick))
        if tick % 240 == 239:
            store.keep()
    say("midwatch: seconds to write all, each tick durable, sealing in it", time.perf_counter() - begun)
    clock.now_ms += 3_600_000
    store.keep()
    sizes(store, samples)
    engine = Promql(StoreSamples(store))
    _asked(engine, begin_ms, "ms, without HTTP")
    for _ in range(3):
        clock.now_ms += 2 * 3_600_000
        store.keep()
    say("midwatch: days written anew", float(store.keeper.counts["rewritten"]))
    sizes(store, samples)
    _asked(engine, begin_ms, "day written anew, ms")
    store.close()


def _asked(engine: Promql, begin_ms: int, said: str) -> None:
    for what, query in QUESTIONS.items():
        step = 15_000 if "one" in what else 60_000

        def ask(query: str = query, step: int = step) -> None:
            engine.range(query, begin_ms, begin_ms + DAY_MS, step)

        say(f"midwatch: {what}, {said}", best(ask))


def main() -> None:
    containers = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    begin_ms = (time.time_ns() // 1_000_000 // DAY_MS - 1) * DAY_MS
    bench_store.BEGIN = begin_ms
    chunk_kernels.warm()
    jit.warm(threading.Event())
    data = day(containers)
    samples = len(data.series) * PER_DAY
    say("samples, millions", samples / 1e6)
    with TemporaryDirectory() as name:
        ours(Path(name), data, begin_ms, samples)
        for engine in ("victoria-metrics", "prometheus"):
            peer(engine, Path(name) / engine, data, begin_ms, samples)


if __name__ == "__main__":
    main()
