"""Three servers on the same samples, over HTTP: `python -m tests.benchmarks.bench_http [containers] [hours]`.

The service, Prometheus and VictoriaMetrics, each a process of its own, take the same requests of remote write, one tick
of all series each, one server after the other; then they are asked the same. CPU is that of their processes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from cli.processes import Process
from service.remote_encode import Encoder, compressed
from service.remote_send import HEADERS
from tests.benchmarks.store_data import STEP_MS, Data, day
from tests.support.comparing import difference
from tests.support.ports import free_port
from tests.support.remote import Engine
from tests.support.waiting import until

RUNS = 15
QUIET_SECONDS = 10.0
SEALED_SECONDS = 330.0
"""After so long the service has put away what came at once: it does so every five minutes."""
MANY = 'http_requests_total{code="200"}'
QUERIES = (
    ("sum by (service) (rate(x[5m])), 200 series, 60 s", f"sum by (service) (rate({MANY}[5m]))"),
    ("one series, 60 s", 'container_memory_rss{container="svc-03-00003"}'),
    ("one series, rate, 60 s", 'rate(http_requests_total{container="svc-03-00003",code="200"}[5m])'),
    ("error ratio, 60 s", 'sum(rate(http_requests_total{code="500"}[5m])) / sum(rate(http_requests_total[5m]))'),
    (
        "histogram_quantile by service, 2,000 series, 60 s",
        "histogram_quantile(0.99, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))",
    ),
)
LISTS = (
    ("label/container/values", {}),
    ("label/container/values", {"match[]": 'up{service="shop/svc-03"}'}),
    ("labels", {}),
    ("series", {"match[]": "up"}),
)


class Server(NamedTuple):
    """One server: its address, where its data is, its process."""

    name: str
    url: str
    folder: Path
    process: Process


def ours(folder: Path) -> Server:
    """The service as its command starts it."""
    address, process = f"127.0.0.1:{free_port()}", Process("midwatch", folder)
    limits = {"MAX_SAMPLES": "1000000", "AGENT_SAMPLES_PER_SECOND": "100000000", "SAMPLES_PER_SECOND": "100000000"}
    environment = {
        **os.environ,
        "MIDWATCH_SERVICE_LISTEN": address,
        **{f"MIDWATCH_SERVICE_INGEST__{name}": value for name, value in limits.items()},
    }
    process.start([sys.executable, "-m", "cli.main", "server", "--data", str(folder / "data")], environment)
    url = f"http://{address}"
    until(lambda: _answers(f"{url}/healthz"), 60.0)
    until(lambda: "kernels are ready" in process.log_file.read_text(), 120.0)
    return Server("midwatch", url, folder / "data", process)


def peer(name: str, folder: Path) -> Server:
    """Prometheus or VictoriaMetrics."""
    engine = Engine(name, folder)
    return Server(name, engine.url, folder, Process(name, folder))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def cpu_seconds(process: Process) -> float:
    """What the process used so far."""
    fields = Path(f"/proc/{process.pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(data: Data, begin_ms: int, ticks: int) -> Iterator[bytes]:
    """The bodies of all ticks."""
    encoder, index = Encoder(), np.arange(len(data.series))
    for tick in range(ticks):
        ts, values = data.tick(tick, begin_ms)
        yield compressed(encoder.encode(data.series, index, ts, values).body)


def fill(server: Server, bodies: Sequence[bytes]) -> tuple[float, list[float]]:
    """CPU seconds that taking all took, and what each request took, in ms."""
    before, latencies = cpu_seconds(server.process), []
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        for body in bodies:
            begun = time.perf_counter()
            client.post(f"{server.url}/api/v1/write", content=body, headers=HEADERS).raise_for_status()
            latencies.append((time.perf_counter() - begun) * 1000)
    return cpu_seconds(server.process) - before, latencies


def timed(run: Callable[[], object]) -> tuple[float, float, float]:
    """Milliseconds: the first, then the least and the middle one of further runs."""
    found = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        run()
        found.append((time.perf_counter() - begun) * 1000)
    return found[0], min(found[1:]), statistics.median(found[1:])


def ask(servers: Sequence[Server], end_ms: int, hours: int) -> None:
    """Print what each query takes on each server, and whether ours answers as Prometheus does."""
    # where the samples begin Prometheus 2 extrapolates counters otherwise
    bounds = {"start": f"{end_ms / 1000 - hours * 3600 + 900}", "end": f"{end_ms / 1000}", "step": "60", "nocache": "1"}
    with httpx.Client(trust_env=False, timeout=120.0) as client:
        for title, query in QUERIES:
            form, answers = {"query": query, **bounds}, []
            for it in servers:
                url = f"{it.url}/api/v1/query_range"
                first, least, middle = timed(lambda url=url, form=form: client.post(url, data=form).content)
                answers.append(client.post(url, data=form).json()["data"])
                print(f"{title:52s} {it.name:18s} {first:9.1f} {least:9.1f} {middle:9.1f}", flush=True)
            print(f"{'':52s} against Prometheus: {difference(answers[0], answers[1]) or 'equal'}")
        for path, asked in LISTS:
            for it in servers:
                form = {**asked, "start": bounds["start"], "end": bounds["end"]}
                url = f"{it.url}/api/v1/{path}"
                first, least, middle = timed(lambda url=url, form=form: client.get(url, params=form).content)
                title = f"{path} {asked.get('match[]', '')}"
                print(f"{title:52s} {it.name:18s} {first:9.1f} {least:9.1f} {middle:9.1f}", flush=True)


def size(folder: Path) -> int:
    """Bytes on disk below a folder."""
    return sum(it.stat().st_blocks * 512 for it in folder.rglob("*") if it.is_file())


def main(containers: int, hours: int) -> None:
    """Fill all, ask all."""
    data, ticks = day(containers), hours * 3_600_000 // STEP_MS
    end_ms = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS - 60_000
    samples = ticks * len(data.series)
    print(f"{len(data.series)} series, {ticks} ticks, {samples / 1e6:.1f} M samples")
    with tempfile.TemporaryDirectory() as name:
        folder, bodies = Path(name), list(requests(data, end_ms - ticks * STEP_MS, ticks))
        print(f"{sum(map(len, bodies)) / samples:.1f} bytes per sample of remote write")
        servers, began = [ours(folder / "midwatch")], time.monotonic()
        servers += [peer(it, folder / it) for it in ("prometheus", "victoria-metrics") if shutil.which(it)]
        try:
            for it in servers:
                cpu, latencies = fill(it, bodies)
                time.sleep(QUIET_SECONDS)
                p50, p99 = np.percentile(latencies, [50, 99])
                print(
                    f"{it.name:18s} {samples / cpu / 1e6:6.2f} M samples per CPU-second; request p50 {p50:.1f}, "
                    f"p99 {p99:.1f}, most {max(latencies):.1f} ms; {size(it.folder) / samples:.2f} bytes per sample "
                    f"on disk now",
                    flush=True,
                )
            time.sleep(max(0.0, SEALED_SECONDS - (time.monotonic() - began)))
            print(
                f"after {SEALED_SECONDS:g} s: {size(servers[0].folder) / samples:.2f} bytes per sample of ours on disk"
            )
            print("ms: first, least, median of", RUNS)
            ask(servers, end_ms, hours)
        finally:
            for it in servers:
                it.process.stop()


if __name__ == "__main__":
    main(*(int(it) for it in (*sys.argv[1:], "200", "24")[:2]))
