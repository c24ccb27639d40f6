"""CPU time of ingest over HTTP, by hand: `python -m tests.benchmarks.bench_ingest_http [containers]`.

A service as a process of its own takes rounds over one kept connection; each is on disk before its answer. CPU is that
of the whole service, evaluations among it, once its readers are compiled.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_ingest import METRICS, otlp, store_clock, write
from tests.benchmarks.tools import cpu_seconds
from tests.service.test_main import Process, service
from tests.service.writes import V1, V2, packed
from tests.support.waiting import until

ROUNDS = 60
OTLP = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


def bodies(name: str, containers: int, first_ms: int) -> list[bytes]:
    """What is posted, one body a round."""
    times = [first_ms + 15_000 * n for n in range(ROUNDS + 1)]
    if name == "OTLP":
        return [gzip.compress(otlp(containers, at), 1) for at in times]
    return [packed(write(containers, at, "2.0" if name.endswith("2.0") else "1.0")) for at in times]


def seconds(running: Process, name: str, sent: list[bytes]) -> tuple[float, float]:
    """CPU and wall seconds of all rounds but the first, which makes the series."""
    path = "/v1/metrics" if name == "OTLP" else "/api/v1/write"
    headers = {"OTLP": OTLP, "remote write 1.0": V1, "remote write 2.0": V2}[name]
    with httpx.Client(base_url=running.url, trust_env=False, timeout=60.0) as client:
        assert client.post(path, content=sent[0], headers=headers).is_success
        cpu, wall = cpu_seconds(running.process.pid), time.monotonic()
        for body in sent[1:]:
            assert client.post(path, content=body, headers=headers).is_success
        return cpu_seconds(running.process.pid) - cpu, time.monotonic() - wall


def idle(pid: int) -> bool:
    """Whether a process does next to nothing: what it compiles is compiled."""
    before = cpu_seconds(pid)
    time.sleep(2.0)
    return cpu_seconds(pid) - before < 0.1


def main(containers: int) -> None:
    """Print the table."""
    samples = containers * METRICS
    table = Table("what", "CPU, ns a sample", "million a CPU-second", "ms a batch, answered")
    for name in ("OTLP", "remote write 1.0", "remote write 2.0"):
        told = {"ingest": {"agent_samples_per_second": 100_000_000, "samples_per_second": 100_000_000}}
        with tempfile.TemporaryDirectory() as folder, service(Path(folder), **told) as running:
            kernels = Path(folder) / "server" / "kernels"
            until(lambda at=kernels: len(list(at.rglob("*scan_otlp*.nbc"))) > 0, 120.0)
            until(lambda pid=running.process.pid: idle(pid), 120.0)
            cpu, wall = seconds(running, name, bodies(name, containers, store_clock() - 3_600_000))
        each = cpu / ROUNDS / samples
        table.add_row(name, f"{each * 1e9:,.0f}", f"{1 / each / 1e6:.2f}", f"{wall / ROUNDS * 1e3:.0f}")
    Console().print(f"{samples:,} samples a batch", table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
