"""The demo shop: its metrics, its knobs, its faults that outlive a restart."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.demo import source
from runtime.compose import load


@pytest.fixture(scope="module")
def shop() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shop_under_test", source() / "shop.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shop_under_test"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def front(shop: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(shop, "PORT", 0)
    server = shop.Shop("api", shop.Faults(tmp_path, "replica"))
    server.ready = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", trust_env=False) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()


def test_requests_are_counted_by_code_and_timed_in_buckets_that_hold_the_default_bound(front: httpx.Client) -> None:
    assert [front.get("/").status_code for _ in range(3)] == [200] * 3
    families = {family.name: family for family in text_string_to_metric_families(front.get("/metrics").text)}
    requests = families["http_requests"].samples
    assert [(sample.labels, sample.value) for sample in requests] == [({"method": "GET", "code": "200"}, 3.0)]
    buckets = {sample.labels.get("le"): sample.value for sample in families["http_request_duration_seconds"].samples}
    assert {"0.3", "0.5", "+Inf"} <= set(buckets) and buckets["+Inf"] == 3.0


def test_readiness_and_metrics_are_not_counted_as_requests(front: httpx.Client) -> None:
    front.get("/ready")
    front.get("/metrics")
    assert "http_requests_total{" not in front.get("/metrics").text


def test_an_error_ratio_of_one_fails_every_request_until_repaired(front: httpx.Client) -> None:
    assert front.post("/break?errors=1").status_code == 200
    assert front.get("/").status_code == 500
    assert front.post("/repair").status_code == 200
    assert front.get("/").status_code == 200


@pytest.mark.parametrize("query", ["", "errors=lots", "gremlins=1", "errors=-1"])
def test_a_knob_that_is_none_is_refused(front: httpx.Client, query: str) -> None:
    answer = front.post(f"/break?{query}")
    assert (answer.status_code, front.get("/faults").json()) == (400, {})


def test_a_fault_outlives_the_process_and_a_repair_ends_it(shop: ModuleType, tmp_path: Path) -> None:
    shop.Faults(tmp_path, "replica").set({"latency": 0.5})
    assert shop.Faults(tmp_path, "replica").knobs == {"latency": 0.5}
    assert shop.Faults(tmp_path, "another").knobs == {}
    shop.Faults(tmp_path, "replica").repair()
    assert shop.Faults(tmp_path, "replica").knobs == {}


def test_a_damaged_fault_file_is_no_fault(shop: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "replica.json").write_text("{oops")
    assert shop.Faults(tmp_path, "replica").knobs == {}


def test_the_compose_file_says_what_the_shop_is_known_for() -> None:
    project = load(source() / "compose.yaml", {})
    services = {spec.name: spec for spec in project.services}
    assert list(services) == ["front", "api", "worker", "stock"]
    assert services["worker"].build is not None and services["api"].build is None
    assert services["api"].replicas == 2 and services["stock"].restart == "no"
    assert all(spec.memory_limit_bytes == 64 << 20 for spec in services.values())


def test_a_caller_that_hangs_up_is_no_fault_and_a_fault_is_one_line(
    shop: ModuleType, front: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    server = shop.Shop("api", shop.Faults(Path("/nonexistent"), "replica"))
    for error in (ConnectionResetError(104, "reset"), ValueError("bad")):
        try:
            raise error
        except (ConnectionError, ValueError):
            server.handle_error(None, ("10.0.0.1", 1))
    server.server_close()
    told = "".join(capfd.readouterr())
    assert "request from ('10.0.0.1', 1) failed: ValueError('bad')" in told
    assert "104" not in told
    assert told.count("\n") == 1
