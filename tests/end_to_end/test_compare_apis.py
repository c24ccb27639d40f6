"""A real Prometheus and the service answer alike on what the one scraped and wrote to the other."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.compare_apis import run
from tests.support.dashboards import QUERIES, shortened
from tests.support.prometheus import needs_prometheus

SECONDS = 75.0


@needs_prometheus
def test_queries_of_public_dashboards_are_answered_alike(tmp_path: Path) -> None:
    found = run(tmp_path, SECONDS, shortened(QUERIES), young_seconds=45.0)
    assert found.differences == []
    assert found.filled > 0.9 * found.equal
    assert found.equal == 9 * len(QUERIES) >= 540
