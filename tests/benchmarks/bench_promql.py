"""How long queries take on samples in memory: `python -m tests.benchmarks.bench_promql [SERIES]`.

SERIES counters of 20 services at 15 s over 24 h, with jitter and resets. Each query once cold, then the least and the
median of 15 runs, once with the compiled kernels and once with their numpy twins.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from service.promql import Engine, jit
from service.samples import Matcher, Selected, TooManySamples

DAY_MS, STEP_MS = 86_400_000, 15_000
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


def _timed(engine: Engine, text: str, runs: int) -> tuple[float, float, float]:
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        engine.range(text, 0, DAY_MS, 60_000)
        times.append((time.perf_counter() - started) * 1000)
    return times[0], min(times[1:]), statistics.median(times[1:])


def main(series: int) -> None:
    """Prints a row for each query and form of the kernels."""
    engine = Engine(Columns(series))
    print(f"{series} series, {DAY_MS // STEP_MS} samples each, 24 h at 60 s; ms: first, least, median")
    for form in ("numpy", "numba"):
        if form == "numba":
            jit.warm(threading.Event())
        for text in QUERIES:
            first, least, median = _timed(engine, text, 15 if form == "numba" else 3)
            print(f"{form}  {first:9.1f} {least:9.1f} {median:9.1f}  {text}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
