"""The public's rules for cAdvisor at full length, over a captured host as the agent exposes it: days pass in promtool.

A series of the exposition goes on as its slope says; a fault is one slope or value that differs from the quiet host's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.collect import Collector
from agent.exposition import Dropped, Exposition
from runtime.layers import LayerUse
from tests.agent.test_collect import NOW, container, target
from tests.runtime import trees
from tests.support.prometheus import needs_prometheus, peer_file

RULES = "rules/docker-containers-google-cadvisor.yml"
ASKED = (
    "container_last_seen", "container_cpu_usage_seconds_total", "container_spec_cpu_quota", "container_spec_cpu_period",
    "container_memory_working_set_bytes", "container_spec_memory_limit_bytes", "container_fs_inodes_free",
    "container_fs_inodes_total", "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total",
)  # fmt: skip
LIMIT_BYTES = 64 << 20
DAY = 24 * 60
SOON, WEEK = 20, 7 * DAY + 10
"""Minutes after which it is asked."""

Course = tuple[tuple[float, float, int], ...]
"""Legs of a series: value at first, rise a minute, minutes; the last leg goes on to the end."""

QUIET: Mapping[str, Course] = {
    # A quota of half a core, of which 15 s a minute are used; 600 periods a minute, 30 of them throttled.
    "container_last_seen": ((0, 60, 0),),
    "container_cpu_usage_seconds_total": ((0, 15, 0),),
    "container_cpu_cfs_periods_total": ((0, 600, 0),),
    "container_cpu_cfs_throttled_periods_total": ((0, 30, 0),),
    "container_memory_working_set_bytes": ((LIMIT_BYTES / 2, 0, 0),),
    "container_fs_inodes_free": ((800, 0, 0),),
    "container_fs_inodes_total": ((1000, 0, 0),),
}
"""What differs from the captured values, so that nothing is wrong."""


def written(course: Course, seconds: int, minutes: int) -> str:
    """A course as promtool has it, a sample every so many seconds."""
    legs, left = [], minutes * 60 // seconds
    for first, rise, length in course:
        steps = min(left, length * 60 // seconds) if length else left
        legs.append(f"{first:g}+{rise * seconds / 60:g}x{max(0, steps - 1)}")
        left -= steps
    return " ".join(legs)


def exposed() -> dict[str, tuple[str, float]]:
    """Every series that the rules ask for, by name: as the agent writes it, and its value."""
    host = trees.hybrid()
    collector = Collector(host.root, layer_of=lambda _id: LayerUse("/dev/vda", 1, 10, 1000, 800))
    text = generate_latest(Exposition(collector.collect([target(container(host))], NOW), Dropped())).decode()
    collector.close()
    found: dict[str, tuple[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in ASKED:
                labels = {**sample.labels, "instance": "node:9640", "job": "midwatch"}
                pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
                found[sample.name] = (f"{sample.name}{{{pairs}}}", sample.value)
    return found


def checked(folder: Path, fault: Mapping[str, Course], alert: str, minute: int, *, fires: bool) -> str:
    """promtool's word on whether the alert fires at a minute: empty where it is as was said."""
    seconds = 15 if minute <= SOON else 60
    courses = {metric: ((value, 0.0, 0),) for metric, (_, value) in exposed().items()} | {**QUIET, **fault}
    series = [
        {"series": name, "values": written(courses[metric], seconds, minute + 1)}
        for metric, (name, _) in exposed().items()
        if courses[metric]
    ]
    rules = yaml.safe_load(peer_file(RULES).read_text())
    (rule,) = [rule for group in rules["groups"] for rule in group["rules"] if rule["alert"] == alert]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    asked: dict[str, Any] = {"eval_time": f"{minute}m", "expr": query}
    asked["exp_samples"] = [{"labels": "{}", "value": 1}] if fires else []
    test = {"interval": f"{seconds}s", "input_series": series, "promql_expr_test": [asked]}
    every = "1m" if minute <= SOON else "5m"
    (folder / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": [test]})
    )
    told = subprocess.run(["promtool", "test", "rules", str(folder / "test.yml")], capture_output=True, text=True)
    return "" if told.returncode == 0 else told.stdout + told.stderr


FAULTS: list[tuple[str, Mapping[str, Course], int]] = [
    ("ContainerKilled", {"container_last_seen": ((0, 60, 10), (600, 0, 0))}, 12),
    ("ContainerAbsent", {"container_last_seen": ()}, 6),
    ("ContainerHighCpuUtilization", {"container_cpu_usage_seconds_total": ((0, 27, 0),)}, SOON),
    ("ContainerHighMemoryUsage", {"container_memory_working_set_bytes": ((LIMIT_BYTES * 0.9, 0, 0),)}, SOON),
    ("ContainerVolumeUsage", {"container_fs_inodes_free": ((100, 0, 0),)}, SOON),
    ("ContainerHighThrottleRate", {"container_cpu_cfs_throttled_periods_total": ((0, 300, 0),)}, SOON),
    ("ContainerHighLowChangeCpuUsage", {"container_cpu_usage_seconds_total": ((0, 1, 10), (10, 40, 0))}, 11),
    ("ContainerLowCpuUtilization", {"container_cpu_usage_seconds_total": ((0, 1, 0),)}, WEEK),
    ("ContainerLowMemoryUsage", {"container_memory_working_set_bytes": ((LIMIT_BYTES / 10, 0, 0),)}, WEEK),
]


def test_the_agent_exposes_every_series_that_the_rules_ask_for() -> None:
    assert set(exposed()) == set(ASKED)


@needs_prometheus
@pytest.mark.parametrize(("alert", "fault", "minute"), FAULTS, ids=[name for name, *_ in FAULTS])
def test_a_rule_fires_for_its_fault_at_full_length(
    alert: str, fault: Mapping[str, Course], minute: int, tmp_path: Path
) -> None:
    assert checked(tmp_path, fault, alert, minute, fires=True) == ""


@needs_prometheus
@pytest.mark.parametrize("alert", [name for name, *_ in FAULTS])
def test_a_rule_is_quiet_where_nothing_is_wrong(alert: str, tmp_path: Path) -> None:
    assert checked(tmp_path, {}, alert, SOON, fires=False) == ""


@needs_prometheus
@pytest.mark.parametrize("alert", ["ContainerLowCpuUtilization", "ContainerLowMemoryUsage"])
def test_a_rule_of_a_week_waits_for_a_week(alert: str, tmp_path: Path) -> None:
    fault = dict(next(fault for name, fault, _ in FAULTS if name == alert))
    assert checked(tmp_path, fault, alert, 6 * DAY, fires=False) == ""
