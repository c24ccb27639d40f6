"""How the service tells Prometheus of windows."""

from __future__ import annotations

import pytest

from service.selfmetrics import window_text


@pytest.mark.parametrize(
    ("window_ms", "text"),
    [(300_000, "5m"), (3_600_000, "1h"), (84 * 60_000, "84m"), (259_200_000, "3d"), (70_000, "70s"), (1_500, "1500ms")],
)
def test_a_window_is_written_as_prometheus_writes_durations(window_ms: int, text: str) -> None:
    assert window_text(window_ms) == text
