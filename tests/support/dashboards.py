"""Queries of the kinds that public dashboards use, and a small exporter that gives them something to show."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, start_http_server

from tests.support.ports import free_port

R = "demo_http_requests_total"
D = "demo_http_request_duration_seconds"
QUERIES = (
    # traffic, errors, latency
    f"sum(rate({R}[1m]))",
    f"sum by (code) (rate({R}[1m]))",
    f"sum by (path, method) (rate({R}{{code=~'2..'}}[30s]))",
    f"sum(rate({R}{{code=~'5..'}}[1m])) / sum(rate({R}[1m]))",
    f"100 * (1 - sum(rate({R}{{code=~'5..'}}[1m])) / sum(rate({R}[1m])))",
    f"sum by (path) (irate({R}[30s]))",
    f"sum by (path) (increase({R}[1m]))",
    f"topk(3, sum by (path) (rate({R}[1m])))",
    f"bottomk(2, sum by (path) (rate({R}[1m])))",
    f"sum without (instance, job) (rate({R}[1m]))",
    f"histogram_quantile(0.99, sum by (le) (rate({D}_bucket[1m])))",
    f"histogram_quantile(0.5, sum by (le, path) (rate({D}_bucket[1m])))",
    f"histogram_quantile(0.9, rate({D}_bucket[1m]))",
    f"sum(rate({D}_sum[1m])) / sum(rate({D}_count[1m]))",
    f"sum(rate({D}_bucket{{le='0.25'}}[1m])) by (path) / sum(rate({D}_count[1m])) by (path)",
    f"(sum(rate({D}_bucket{{le='0.1'}}[1m])) + sum(rate({D}_bucket{{le='0.5'}}[1m]))) / 2 / sum(rate({D}_count[1m]))",
    f"sum by (le) (increase({D}_bucket[1m]))",
    # saturation and states
    "demo_queue_length",
    "max by (queue) (demo_queue_length)",
    "avg(demo_queue_length) by (queue)",
    "min_over_time(demo_queue_length[1m])",
    "max_over_time(demo_queue_length[1m]) - min_over_time(demo_queue_length[1m])",
    "avg_over_time(demo_temperature_celsius[1m])",
    "stddev_over_time(demo_temperature_celsius[1m])",
    "quantile_over_time(0.9, demo_temperature_celsius[1m])",
    "deriv(demo_temperature_celsius[1m])",
    "predict_linear(demo_queue_length[1m], 3600)",
    "delta(demo_temperature_celsius[1m])",
    "changes(demo_queue_length[1m])",
    "resets(demo_jobs_total[2m])",
    "rate(demo_jobs_total[1m])",
    "increase(demo_jobs_total[90s])",
    "demo_vanishing",
    "count_over_time(demo_vanishing[1m])",
    "absent(demo_vanishing)",
    "absent_over_time(demo_nothing[1m])",
    "sum(demo_batch_seconds_sum) / sum(demo_batch_seconds_count)",
    # joins and sets
    f"sum by (job) (rate({R}[1m])) * on (job) group_left (version) demo_build_info",
    "demo_queue_length / on (queue) group_left () demo_queue_limit",
    "demo_queue_length > 3",
    "demo_queue_length > bool 3",
    "demo_queue_length > 3 and on (queue) demo_queue_limit < 50",
    "demo_queue_length or demo_nothing",
    "up unless on (instance) demo_queue_length",
    "count by (job) (up == 1)",
    "sum(up) / count(up)",
    "count_values('state', up)",
    "quantile(0.5, demo_queue_length)",
    "stdvar(demo_queue_length)",
    "group by (queue) (demo_queue_length)",
    "sort_desc(sum by (queue) (demo_queue_length))",
    "label_replace(up, 'host', '$1', 'instance', '(.*):.*')",
    "label_join(demo_queue_length, 'both', '/', 'job', 'queue')",
    "clamp_max(demo_queue_length, 4) + clamp_min(demo_temperature_celsius * 0, 1) * 0",
    "abs(demo_temperature_celsius - 20)",
    "round(demo_temperature_celsius, 0.5)",
    "ceil(demo_temperature_celsius) - floor(demo_temperature_celsius)",
    # times
    "time() - process_start_time_seconds",
    "timestamp(up)",
    "demo_queue_length offset 30s",
    f"sum(rate({R}[1m])) / sum(rate({R}[1m] offset 30s))",
    f"max_over_time(sum(rate({R}[30s]))[1m:10s])",
    "avg_over_time(demo_queue_length[1m:5s])",
    "hour() + minute() * 0 + day_of_week() * 0",
    # what processes tell of themselves
    "rate(process_cpu_seconds_total[1m])",
    "process_resident_memory_bytes / 1024 / 1024",
    "process_open_fds / process_max_fds * 100",
    "go_goroutines",
    "rate(go_memstats_alloc_bytes_total[1m])",
    "sum by (job) (scrape_samples_scraped)",
    "avg by (job) (scrape_duration_seconds)",
    "rate(prometheus_tsdb_head_samples_appended_total[1m])",
    "sum by (handler) (rate(prometheus_http_requests_total[1m]))",
    "prometheus_tsdb_head_series",
    "{__name__=~'demo_queue_.+', queue!='b'}",
)


PATHS, METHODS, CODES = ("/", "/api", "/login", "/cart"), ("GET", "POST"), ("200", "404", "500")


def shortened(queries: tuple[str, ...]) -> tuple[str, ...]:
    """The queries with windows of a third, for when there is but a minute of samples."""
    windows = {"2m": "40s", "90s": "30s", "1m": "20s", "30s": "10s"}
    return tuple(re.sub(r"\b(2m|90s|1m|30s)\b", lambda it: windows[it[1]], query) for query in queries)


class Exporter:
    """A process's metrics that move by themselves, the same way each time but for the clock."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rand = random.Random(11)  # noqa: S311 - a fixed sequence
        more = {"registry": self.registry}
        self._requests = Counter("demo_http_requests_total", "Requests.", ("method", "path", "code"), **more)
        self._duration = Histogram(
            "demo_http_request_duration_seconds", "Durations.", ("path",), buckets=(0.05, 0.1, 0.25, 0.5, 1, 5), **more
        )
        self._batch = Summary("demo_batch_seconds", "Batches.", **more)
        self._queue = Gauge("demo_queue_length", "Waiting.", ("queue",), **more)
        self._temperature = Gauge("demo_temperature_celsius", "Of the room.", **more)
        self._jobs = Gauge("demo_jobs_total", "A counter that begins anew now and then.", **more)
        self._vanishing = Gauge("demo_vanishing", "There and gone.", ("kind",), **more)
        limit = Gauge("demo_queue_limit", "Most that may wait.", ("queue",), **more)
        for queue, most in (("a", 10), ("b", 100), ("c", 40)):
            limit.labels(queue).set(most)
        Info("demo_build", "What runs.", **more).info({"version": "1.2.3"})
        self._turns = 0
        for path in PATHS:
            for method in METHODS:
                for code in CODES:
                    self._requests.labels(method, path, code)

    def turn(self) -> None:
        """Let something happen."""
        rand, self._turns = self._rand, self._turns + 1
        # no two paths have one rate, so that it is certain which are the most
        for at, path in enumerate(PATHS):
            for _ in range(3 * at + rand.randrange(1, 4)):
                code = rand.choices(CODES, (95, 3, 2))[0]
                self._requests.labels(rand.choice(METHODS), path, code).inc()
                self._duration.labels(path).observe(rand.expovariate(6))
        self._batch.observe(rand.random())
        for queue in ("a", "b", "c"):
            self._queue.labels(queue).set(rand.randrange(0, 9))
        self._temperature.set(20 + rand.gauss(0, 2))
        self._jobs.set(self._turns % 97 * 1.5)
        if self._turns % 100 < 60:
            self._vanishing.labels("x").set(self._turns)
        else:
            self._vanishing.clear()


@contextmanager
def exporting(every_seconds: float = 0.2) -> Iterator[int]:
    """The exporter at work; gives its port on loopback."""
    exporter, stop, port = Exporter(), threading.Event(), free_port()

    def work() -> None:
        while not stop.wait(every_seconds):
            exporter.turn()

    exporter.turn()
    server: WSGIServer
    server, thread = start_http_server(port, "127.0.0.1", exporter.registry)
    worker = threading.Thread(target=work, name="exporter")
    worker.start()
    try:
        yield port
    finally:
        stop.set()
        worker.join()
        server.shutdown()
        server.server_close()
        thread.join()
