"""The engine's own word of how many pulls it did and how long they took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine_metrics import PullActions, metrics_url, parse_pull_actions, pull_actions
from tests.runtime.servers import http, serving
from tests.support.ports import free_port

# As Docker Engine 20.10.24 answers.
TOLD = """\
# HELP engine_daemon_image_actions_seconds The number of seconds it takes to process each image action
# TYPE engine_daemon_image_actions_seconds histogram
engine_daemon_image_actions_seconds_bucket{action="pull",le="10"} 8
engine_daemon_image_actions_seconds_bucket{action="pull",le="+Inf"} 8
engine_daemon_image_actions_seconds_sum{action="pull"} 4.649184829
engine_daemon_image_actions_seconds_count{action="pull"} 8
engine_daemon_image_actions_seconds_count{action="delete"} 3
"""
QUIET = "# TYPE engine_daemon_events_total counter\nengine_daemon_events_total 7\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TOLD, PullActions(8, 4.649184829)),
        (TOLD.replace('action="pull"', 'action="push"'), PullActions(0, 0.0)),
        (QUIET, PullActions(0, 0.0)),
        (TOLD.replace("} 8", "} many"), None),
        (TOLD.replace("} 8", "} +Inf"), None),
        ("node_load1 3\n", None),
        ("", None),
    ],
)
def test_count_and_sum_are_read_and_none_is_not_zero(text: str, found: PullActions | None) -> None:
    assert parse_pull_actions(text) == found


@given(st.text(max_size=400))
def test_no_text_is_too_strange(text: str) -> None:
    assert parse_pull_actions(text) is None


def test_metrics_that_do_not_answer_are_none() -> None:
    with serving(lambda _head: http("404 Not Found", TOLD.encode())) as server:
        assert pull_actions(f"http://127.0.0.1:{server.port}/metrics") is None
    with serving(lambda _head: http("200 OK", TOLD.encode())) as server:
        assert pull_actions(f"http://127.0.0.1:{server.port}/metrics") == PullActions(8, 4.649184829)
    assert pull_actions(f"http://127.0.0.1:{free_port()}/metrics") is None
    assert pull_actions("http://[") is None


@pytest.mark.parametrize(
    ("configuration", "url"),
    [
        ({"metrics-addr": "127.0.0.1:9323"}, "http://127.0.0.1:9323/metrics"),
        ({"metrics-addr": "0.0.0.0:9323"}, "http://127.0.0.1:9323/metrics"),
        ({"metrics-addr": ":9323"}, "http://127.0.0.1:9323/metrics"),
        ({"metrics-addr": "[::]:9323"}, "http://127.0.0.1:9323/metrics"),
        ({"metrics-addr": "10.0.0.1"}, None),
        ({"metrics-addr": 7}, None),
        ({}, None),
        ([], None),
    ],
)
def test_where_the_metrics_are_stands_in_the_engines_configuration(
    configuration: object, url: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "daemon.json"
    assert metrics_url(file) is None
    file.write_text(json.dumps(configuration))
    assert metrics_url(file) == url
