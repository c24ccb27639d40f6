"""CPU time of ingest, by hand: `python -m tests.benchmarks.bench_ingest [containers]`.

A round of containers with 40 series each, as OTLP and as remote write 1.0 and 2.0, read by the compiled readers and by
the others, and stored with fsync before the answer would go out.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from rich.console import Console
from rich.table import Table

from service import wire_jit
from service.decode import Limits
from service.deltas import Turn
from service.ingest import decode_metrics
from service.model import MetricBatch
from service.quota import Quota, QuotaBounds
from service.remote_write import Version, decode
from service.series_book import SeriesBook
from service.store import Store
from service.store_append import Bounds
from service.wire_fast import FastWire
from service.wire_otlp import OtlpReader
from service.wire_write import WriteReader
from tests.benchmarks.tools import least_cpu_seconds
from tests.service.writes import first, second

METRICS = 40
LIMITS = Limits(points=200_000, series=200_000)
Read = Callable[[bytes], MetricBatch | None]


def labels_of(container: int, metric: int) -> dict[str, str]:
    """Some eight labels, as an agent or a Prometheus has them."""
    return {
        "__name__": f"container_sample_{metric}_total", "container": f"shop-api-{container}",
        "id": f"/docker/{container:064x}", "image": "registry.example/shop/api:1.2.3", "instance": "10.0.0.7:9100",
        "job": "containers", "node": "n1", "service": f"shop/s{container % 20}",
    }  # fmt: skip


def otlp(containers: int, at_ms: int) -> bytes:
    """A round as an agent sends it: a resource for each container."""
    request = ExportMetricsServiceRequest()
    for container in range(containers):
        group = request.resource_metrics.add()
        for key, value in (
            ("host.name", "n1"), ("service.name", f"s{container % 20}"), ("service.namespace", "shop"),
            ("container.name", f"shop-api-{container}"), ("container.id", f"/docker/{container:064x}"),
            ("container.image.name", "registry.example/shop/api:1.2.3"),
        ):  # fmt: skip
            group.resource.attributes.add(key=key).value.string_value = value
        scope = group.scope_metrics.add()
        scope.scope.name = "midwatch.agent"
        for number in range(METRICS):
            metric = scope.metrics.add(name=f"container_sample_{number}_total")
            metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
            point = metric.sum.data_points.add(
                time_unix_nano=at_ms * 1_000_000, start_time_unix_nano=1_760_000_000_000_000_000,
                as_double=at_ms * 1e-3 + container * number,
            )  # fmt: skip
            point.attributes.add(key="interface").value.string_value = "eth0"
    return request.SerializeToString()


def write(containers: int, at_ms: int, version: Version) -> bytes:
    """The same as a Prometheus sends it."""
    rows = [
        (labels_of(container, metric), [(at_ms, at_ms * 1e-3 + container * metric)])
        for container in range(containers)
        for metric in range(METRICS)
    ]
    request = first(*rows) if version == "1.0" else second(*rows, type_=1, created=1_760_000_000_000)
    body: bytes = request.SerializeToString()
    return body


def wire(store: Store) -> FastWire:
    """The compiled readers over a store."""
    book = SeriesBook()
    quota = Quota(QuotaBounds(), book, store_clock, lambda series: (0, 1))
    return FastWire(LIMITS, quota, book, store.directory, 1_000_000)


def reader(name: str, compiled: bool, store: Store) -> Read:
    """What reads a body of that protocol."""
    turn = Turn({}, threading.Lock())
    version: Version = "2.0" if name.endswith("2.0") else "1.0"
    if name == "OTLP":
        one = OtlpReader(wire(store))
        return lambda body: one.read(body, None, "a", turn) if compiled else decode_metrics(body, None, None, LIMITS)
    other = WriteReader(wire(store))
    return lambda body: ((compiled and other.read(body, version, "a", {})) or decode(body, version, LIMITS)).batch


def store_clock() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


def appended_seconds(store: Store, read: Read, bodies: list[bytes]) -> float:
    """CPU seconds of the whole process per body, read and stored; the first one makes the series."""
    for body in bodies[:1]:
        batch = read(body)
        assert batch is not None
        store.append(batch)
    began = time.process_time()
    for body in bodies[1:]:
        batch = read(body)
        assert batch is not None
        store.append(batch)
    return (time.process_time() - began) / (len(bodies) - 1)


def measured(name: str, compiled: bool, bodies: list[bytes]) -> tuple[float, float]:
    """CPU seconds of a body: read, and read and stored."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.duckdb", store_clock, Bounds())
        read = reader(name, compiled, store)
        stored = appended_seconds(store, read, bodies)
        alone = least_cpu_seconds(lambda: read(bodies[-1]))
        store.close()
    return alone, stored


def main(containers: int) -> None:
    """Print the table."""
    wire_jit.warm(threading.Event())
    samples, now_ms = containers * METRICS, store_clock() - 3_600_000
    table = Table("what", "read, ns a sample", "read and stored, ns a sample", "million a CPU-second")
    for name in ("OTLP", "remote write 1.0", "remote write 2.0"):
        times = [now_ms + 15_000 * n for n in range(60)]
        version: Version = "2.0" if name.endswith("2.0") else "1.0"
        bodies = [otlp(containers, at) if name == "OTLP" else write(containers, at, version) for at in times]
        for compiled in (True, False):
            alone, stored = (seconds / samples * 1e9 for seconds in measured(name, compiled, bodies))
            way = "compiled" if compiled else "other reader"
            table.add_row(f"{name}, {way}", f"{alone:,.0f}", f"{stored:,.0f}", f"{1e3 / stored:.2f}")
    Console().print(f"{samples} samples a batch, {len(otlp(containers, now_ms)):,} bytes as OTLP", table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
