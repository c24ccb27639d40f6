"""Containers' telemetry for benchmarks of the store: counters with resets, gauges, histograms, at jittered moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.model import Series

STEP_MS = 15_000
PER_DAY = 86_400_000 // STEP_MS
BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
NODES = 20
COUNTERS = (  # name, mean per tick, digits after the point; 0: whole numbers
    ("container_cpu_usage_seconds_total", 4.5, 9), ("container_cpu_user_seconds_total", 3.1, 2),
    ("container_cpu_system_seconds_total", 0.9, 2), ("container_network_receive_bytes_total", 400_000.0, 0),
    ("container_network_transmit_bytes_total", 1_200_000.0, 0), ("container_network_receive_packets_total", 1_700.0, 0),
    ("container_fs_writes_bytes_total", 90_000.0, 0), ("container_fs_reads_bytes_total", 3_000.0, 0),
    ("container_cpu_cfs_periods_total", 150.0, 0), ("container_cpu_cfs_throttled_periods_total", 1.5, 0),
)  # fmt: skip
GAUGES = (  # name, base, step of a walk, chance of a step, digits
    ("container_memory_working_set_bytes", 2e8, 80_000, 0.35, 0), ("container_memory_rss", 1.6e8, 40_000, 0.3, 0),
    ("container_memory_cache", 4e7, 20_000, 0.1, 0), ("container_threads", 30, 1, 0.05, 0),
    ("container_file_descriptors", 100, 2, 0.2, 0), ("app_queue_depth", 2, 2, 0.3, 0),
    ("app_inflight_requests", 3, 2, 0.9, 0), ("app_heap_used_ratio", 0.5, 0.01, 1.0, 4), ("app_load1", 1, 0.03, 1.0, 2),
    ("app_temperature", 55, 0.3, 1.0, 1),
)  # fmt: skip
CONSTANTS = (
    ("container_spec_memory_limit_bytes", 2.0**30), ("container_spec_cpu_quota", 2e5), ("up", 1.0),
    ("container_spec_cpu_shares", 1024.0), ("container_start_time_seconds", 1.7e9), ("container_info", 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """One day of `n` series: values by series and tick, and each node's offset from the regular ticks."""

    series: tuple[Series, ...]
    counter: NDArray[np.bool_]
    values: NDArray[np.float64]
    off_ms: NDArray[np.int64]
    node: NDArray[np.int64]

    def tick(self, at: int, begin_ms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of all series at tick `at` since `begin_ms`; days go on from each other."""
        day, inner = divmod(at, PER_DAY)
        ts = begin_ms + at * STEP_MS + self.off_ms[:, inner][self.node]
        rise = self.values[:, -1] * day
        return ts, np.where(self.counter, np.round(self.values[:, inner] + rise, 9), self.values[:, inner])


def day(containers: int = 200, seed: int = 7) -> Data:
    """A day of containers with 40 series each."""
    rng = np.random.default_rng(seed)
    series: list[Series] = []
    rows: list[NDArray[np.float64]] = []
    counter: list[bool] = []
    node: list[int] = []

    def add(name: str, values: NDArray[np.float64], is_counter: bool, **more: str) -> None:
        series.append(Series(name, tuple(sorted({**labels, **more}.items()))))
        rows.append(values)
        counter.append(is_counter)
        node.append(number % NODES)

    sun = 1 + 0.5 * np.sin(np.arange(PER_DAY) / PER_DAY * 2 * np.pi)
    for number in range(containers):
        service = f"svc-{number % 20:02d}"
        labels = {
            "service": f"shop/{service}", "container": f"{service}-{number:05x}", "node": f"node-{number % NODES}",
            "node_id": f"{number % NODES:032x}", "image": f"registry.example/{service}:1.4", "id": f"{number:064x}",
        }  # fmt: skip
        reset = int(rng.integers(0, PER_DAY)) if rng.random() < 0.3 else 0

        def summed(steps: NDArray[np.float64], digits: int = 0, reset: int = reset) -> NDArray[np.float64]:
            total = np.round(np.cumsum(steps), digits)
            if reset:
                total[reset:] -= total[reset - 1]
            return np.round(total, digits)

        requests = rng.poisson(rng.uniform(30, 900) * sun).astype(float)
        errors = rng.binomial(requests.astype(int), rng.choice([0.0005, 0.002, 0.01])).astype(float)
        add("http_requests_total", summed(requests - errors), True, code="200", method="GET")
        add("http_requests_total", summed(errors), True, code="500", method="GET")
        for name, mean, digits in COUNTERS:
            steps = np.abs(rng.normal(mean * sun, mean / 10)) if digits else rng.poisson(mean * sun).astype(float)
            add(name, summed(steps, digits), True)
        for name, base, step, chance, digits in GAUGES:
            walk = np.cumsum(np.where(rng.random(PER_DAY) < chance, rng.normal(0, step, PER_DAY), 0.0))
            size = 4096.0 if "bytes" in name or "memory" in name else 1.0
            add(name, np.round(np.abs(base + walk) / size, digits) * size, False)
        for name, value in CONSTANTS:
            add(name, np.full(PER_DAY, value + (number if "start" in name else 0)), False)
        share = rng.dirichlet([8, 20, 30, 20, 10, 6, 3, 2, 1, 0.3])
        each = np.stack([rng.poisson(requests.mean() * sun * it) for it in share]).astype(float)
        for bound, steps in zip(BUCKETS, np.cumsum(each, axis=0), strict=True):
            add("http_request_duration_seconds_bucket", summed(steps), True, le=bound)
        add("http_request_duration_seconds_count", summed(each.sum(axis=0)), True)
        seconds = each.T @ np.array([0.003, 0.008, 0.018, 0.04, 0.08, 0.17, 0.35, 0.7, 1.6, 4.0])
        add("http_request_duration_seconds_sum", summed(seconds + rng.random(PER_DAY) / 1000, 15), True)
    jitter = np.where(rng.random((NODES, PER_DAY)) < 0.7, 0, rng.integers(-3, 4, (NODES, PER_DAY)))
    off = rng.integers(10, STEP_MS - 10, NODES)[:, None] + jitter
    return Data(tuple(series), np.array(counter), np.stack(rows), off.astype(np.int64), np.array(node))
