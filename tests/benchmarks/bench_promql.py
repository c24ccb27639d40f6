"""How long queries take on samples in memory: `python -m tests.benchmarks.bench_promql [SERIES]`.

SERIES counters of 20 services at 15 s over 24 h, with jitter and resets. Each query first once, then the least and the
median of 15 runs: with the numpy twins, with the compiled kernels, and asked of a Prometheus that holds the same
samples, where one is installed. Its times include HTTP and JSON, ours are the engine's alone.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from service.promql import Engine, jit
from service.samples import Matcher, Selected, TooManySamples
from tests.support.prometheus import Prometheus
from tests.support.waiting import until

DAY_MS, STEP_MS = 86_400_000, 15_000
BASE_MS = 1_700_006_400_000
QUERIES = (
    "sum by (service) (rate(x[5m]))",
    "x",
    "rate(x[5m])",
    "topk(5, rate(x[5m]))",
    "sum by (service) (rate(x[5m])) / on (service) group_left sum by (service) (rate(x[1h]))",
    "max_over_time(x[1h])",
    "quantile_over_time(0.9, x[5m])",
    "sum(x) + count(x > 100)",
)


class Columns:
    """Series as they lie in memory: selecting them is a view, so that the engine alone is measured."""

    def __init__(self, series: int, seed: int = 5) -> None:
        random = np.random.default_rng(seed)
        size = DAY_MS // STEP_MS
        grown = random.poisson(3.0, (series, size)).astype(np.float64).cumsum(axis=1)
        resets = random.integers(0, size, series)
        for row, at in enumerate(resets):
            grown[row, at:] -= grown[row, at]
        ts = np.arange(size) * STEP_MS + random.integers(0, 200, (series, size))
        self._ts, self._values = ts.ravel().astype(np.int64), grown.ravel()
        self._offsets = np.arange(series + 1, dtype=np.int64) * size
        self._labels: Sequence[Mapping[str, str]] = [
            {"__name__": "x", "service": f"shop/{i % 20}", "container": f"c{i}", "node": f"n{i % 7}", "job": "midwatch"}
            for i in range(series)
        ]

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """All there is, whatever is asked for."""
        if len(self._ts) > limit:
            raise TooManySamples(f"{len(self._ts)} samples, more than {limit}")
        return Selected(self._labels, self._offsets, self._ts, self._values)

    def lines(self) -> Iterator[str]:
        """The same as OpenMetrics, from `BASE_MS` on."""
        yield "# TYPE x unknown\n"
        for i, labels in enumerate(self._labels):
            part = slice(self._offsets[i], self._offsets[i + 1])
            named = ",".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
            for at, value in zip(self._ts[part].tolist(), self._values[part].tolist(), strict=True):
                yield f"x{{{named}}} {value!r} {(BASE_MS + at) / 1000:.3f}\n"
        yield "# EOF\n"


def _timed(ask: Callable[[str], object], form: str, runs: int) -> None:
    for text in QUERIES:
        times = []
        for _ in range(runs + 1):
            started = time.perf_counter()
            ask(text)
            times.append((time.perf_counter() - started) * 1000)
        least, median = min(times[1:]), statistics.median(times[1:])
        print(f"{form:10}  {times[0]:9.1f} {least:9.1f} {median:9.1f}  {text}")


def main(series: int) -> None:
    """Prints a row for each query and form of the kernels."""
    columns = Columns(series)
    engine = Engine(columns)
    print(f"{series} series, {DAY_MS // STEP_MS} samples each, 24 h at 60 s; ms: first, least, median")
    _timed(lambda text: engine.range(text, 0, DAY_MS, 60_000), "numpy", 3)
    jit.warm(threading.Event())
    _timed(lambda text: engine.range(text, 0, DAY_MS, 60_000), "numba", 15)
    if shutil.which("prometheus") and shutil.which("promtool"):
        with tempfile.TemporaryDirectory() as folder:
            _peer(Path(folder), columns)


def _peer(folder: Path, columns: Columns) -> None:
    with (folder / "data.txt").open("w") as file:
        file.writelines(columns.lines())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "data.txt"), str(folder / "tsdb")]
    subprocess.run(command, check=True, capture_output=True)
    server = Prometheus(folder, {}, flags=("--storage.tsdb.retention.time=100y",))
    bounds = {"start": str(BASE_MS / 1000), "end": str((BASE_MS + DAY_MS) / 1000), "step": "60"}
    try:
        until(lambda: server.get("query", query="1") is not None)
        _timed(lambda text: server.get("query_range", query=text, **bounds), "prometheus", 15)
    finally:
        server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
