"""A real Prometheus and a real vmagent write what they scrape to the service, which then holds the same samples."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
import yaml

from cli.processes import Process
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.samples import Matcher
from service.settings import Settings
from service.tokens import create, token_file
from slo.model import Selector
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, needs_prometheus
from tests.support.waiting import until


@contextmanager
def served(data: Path) -> Iterator[tuple[str, Parts]]:
    """A service on a port of its own, its parts within reach."""
    address = f"127.0.0.1:{free_port()}"
    with running(Settings(listen=address), data, system_clock) as parts:
        config = uvicorn.Config(
            create_app(parts), host="127.0.0.1", port=int(address.rpartition(":")[2]), log_config=None
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="served")
        thread.start()
        try:
            until(lambda: server.started, 20.0)
            yield f"http://{address}", parts
        finally:
            server.should_exit = True
            thread.join()


@needs_prometheus
def test_what_prometheus_wrote_is_what_prometheus_has(tmp_path: Path) -> None:
    (tmp_path / "prometheus").mkdir()
    with served(tmp_path / "data") as (url, parts):
        targets = {"prometheus": "127.0.0.1:{port}"}
        written = {
            "url": f"{url}/api/v1/write",
            "queue_config": {"batch_send_deadline": "1s"},
            "metadata_config": {"send_interval": "1s"},
        }
        prometheus = Prometheus(tmp_path / "prometheus", targets, write_to=written)
        try:
            prometheus_ready = until(lambda: prometheus.get("query", query="up"), 30.0)
            assert prometheus_ready
            until(lambda: len(parts.store.instant(Selector("scrape_samples_scraped"), system_clock())) >= 1, 30.0)
            began = system_clock()
            until(lambda: newest(parts, "up") > began + 3000, 30.0)
            assert differences(prometheus, parts, began + 2000) == {}
            assert [total(prometheus, it) for it in ("retried", "failed", "dropped")] == [0.0, 0.0, 0.0]
            until(lambda: "go_goroutines" in {it.metric for it in parts.store.metadata()}, 30.0)
        finally:
            prometheus.stop()


def newest(parts: Parts, metric: str) -> int:
    """When the newest sample of a metric is."""
    return max((it.ts_ms for it in parts.store.instant(Selector(metric), system_clock())), default=0)


def differences(prometheus: Prometheus, parts: Parts, at_ms: int) -> dict[str, tuple[object, object]]:
    """Metrics of which the two hold other values at a moment."""
    vector = prometheus.get("query", query='{__name__=~".+"}', time=f"{at_ms / 1000}")["result"]
    theirs = {tuple(sorted(it["metric"].items())): repr(float(it["value"][1])) for it in vector}
    found = parts.store.select([Matcher("job", "=", "prometheus")], at_ms - 300_000, at_ms, 10**6)
    lasts = found.offsets[1:] - 1
    mine = {
        tuple(sorted(labels.items())): repr(float(found.values[last]))
        for labels, last in zip(found.labels, lasts, strict=True)
    }
    assert len(theirs) > 300
    return {str(key): (mine.get(key), value) for key, value in theirs.items() if mine.get(key) != value}


def total(prometheus: Prometheus, outcome: str) -> float:
    """Samples of which the sender says that they came to this."""
    query = f"sum(prometheus_remote_storage_samples_{outcome}_total) or vector(0)"
    (found,) = prometheus.get("query", query=query)["result"]
    return float(found["value"][1])


@pytest.mark.skipif(shutil.which("vmagent") is None, reason="no vmagent on this machine")
def test_a_vmagent_with_a_token_loses_nothing_while_the_service_takes_nothing(tmp_path: Path) -> None:
    with served(tmp_path / "data") as (url, parts):
        target, token = url.removeprefix("http://"), create(token_file(tmp_path / "data"), "vmagent", system_clock())
        config = tmp_path / "scrape.yml"
        scraped = {"job_name": "own", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        dropped = {"source_labels": ["__name__"], "regex": "midwatch_.*", "action": "drop"}
        config.write_text(yaml.safe_dump({"scrape_configs": [{**scraped, "metric_relabel_configs": [dropped]}]}))
        agent = Process("vmagent", tmp_path / "vmagent")
        agent.start(
            [
                str(shutil.which("vmagent")), f"-promscrape.config={config}", f"-remoteWrite.url={url}/api/v1/write",
                f"-remoteWrite.bearerToken={token}", f"-httpListenAddr=127.0.0.1:{free_port()}",
                f"-remoteWrite.tmpDataPath={tmp_path}/queue", "-remoteWrite.flushInterval=500ms",
            ],
            {"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        try:
            until(lambda: newest(parts, "up") > 0, 60.0)
            parts.store.database._closed = True
            until(lambda: postponed(parts) >= 1, 60.0)
            parts.store.database._closed = False
            began = system_clock()
            until(lambda: newest(parts, "up") > began + 2_000, 60.0)
            found = parts.store.select([Matcher("__name__", "=", "up")], 0, system_clock(), 10_000)
            assert int(np.diff(found.ts_ms).max()) < 1_500
            assert {it["job"] for it in found.labels} == {"own"}
        finally:
            agent.stop()


def postponed(parts: Parts) -> float:
    """Requests that were told to come again."""
    return parts.own.found["midwatch_server_batches_total"].get(("remote_write", "postponed"), 0.0)
