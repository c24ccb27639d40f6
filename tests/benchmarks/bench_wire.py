"""CPU time of the wire, by hand: `python -m tests.benchmarks.bench_wire [containers]`.

A round of containers with 40 samples each: encoded, compressed and spooled by the agent, decoded by the service; and a
scrape of 2,000 samples read by our reader and by the client library's.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from agent.model import NodeIdentity, Points, Resource, Value
from agent.otlp import metrics_request
from agent.scrape import ScrapeLimits, parse
from agent.spool import Spool
from runtime.model import ServiceName
from service.ingest import decode_metrics
from tests.benchmarks.tools import least_cpu_seconds

NODE = NodeIdentity("n1", "5f0d8a52-6f0e-4f59-9d6f-1f2a3b4c5d6e")
PER_CONTAINER = 40


def round_of(containers: int, at_ms: int) -> list[Points]:
    """Half of the samples are counters with a start; every fourth has a label."""
    return [
        Points(
            Resource(ServiceName("shop", "api"), f"shop-api-{number}", f"/docker/{number:064x}", "shop:1"),
            tuple(
                Value(
                    f"container_sample_{n}_total",
                    (("interface", "eth0"),) if n % 4 == 0 else (),
                    at_ms * 1e-3 + number * n,
                    at_ms,
                    1_760_000_000_000 if n % 2 else None,
                )
                for n in range(PER_CONTAINER)
            ),
        )
        for number in range(containers)
    ]


def exposition(samples: int) -> str:
    """What an application of the client library exposes."""
    registry = CollectorRegistry()
    seconds = Histogram("http_request_duration_seconds", "", ["method", "path"], registry=registry)
    requests = Counter("http_requests", "", ["method", "path", "code"], registry=registry)
    for number in range(samples // 20):
        seconds.labels("GET", f"/api/{number}").observe(0.2)
        requests.labels("GET", f"/api/{number}", "200").inc()
    return generate_latest(registry).decode()


def main(containers: int) -> None:
    """Measure and print one table."""
    round_, points = round_of(containers, 1_760_000_005_000), containers * PER_CONTAINER
    request = metrics_request(NODE, round_)
    packed, text = gzip.compress(request, 3), exposition(2_000)
    lines = sum(not line.startswith("#") for line in text.splitlines())
    limits = ScrapeLimits(samples=lines)
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        rows: list[tuple[str, int, Callable[[], object]]] = [
            ("encode a round", points, lambda: metrics_request(NODE, round_)),
            ("compress and spool it, synced", points, lambda: spool.put("metrics", request)),
            ("decode it in the service", points, lambda: decode_metrics(packed, "gzip", None)),
            ("read a scrape", lines, lambda: parse(text, limits)),
            ("read it by the client library", lines, lambda: list(text_string_to_metric_families(text))),
        ]
        measured = [(name, samples, least_cpu_seconds(work)) for name, samples, work in rows]
    table = Table(title=f"{containers} containers, {len(request):,} bytes, {len(packed):,} on the wire")
    for heading in ("", "samples", "CPU ms", "µs a sample"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, samples, seconds in measured:
        table.add_row(name, f"{samples:,}", f"{seconds * 1e3:.2f}", f"{seconds / samples * 1e6:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
