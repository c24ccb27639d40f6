"""Names and labels by OpenTelemetry's rules for Prometheus; translating twice changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.translate import clean_name, label_name, labels, metric_name

units = st.sampled_from(["", "s", "ms", "By", "1", "%", "{request}", "m/s", "By/s", "furlong", "{x}/s"])


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "other", "http_server_request_duration_seconds"),
        ("http.server.request.duration_seconds", "s", "other", "http_server_request_duration_seconds"),
        ("http.client.requests", "{request}", "counter", "http_client_requests_total"),
        ("requests_total", "", "counter", "requests_total"),
        ("process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"),
        ("process_cpu_seconds_total", "s", "counter", "process_cpu_seconds_total"),
        ("jvm.memory.used", "By", "gauge", "jvm_memory_used_bytes"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("system.cpu.utilization", "1", "other", "system_cpu_utilization"),
        ("speed", "m/s", "gauge", "speed_meters_per_second"),
        ("events", "{event}/s", "gauge", "events_per_second"),
        ("2xx", "", "gauge", "_2xx"),
        ("a  b--c", "", "gauge", "a_b_c"),
        ("fuel", "%", "gauge", "fuel_percent"),
    ],
)
def test_a_name_gets_its_unit_and_its_kind_where_they_are_missing(
    name: str, unit: str, kind: str, expected: str
) -> None:
    assert metric_name(name, unit, kind == "counter", kind == "gauge") == expected


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30), units, st.booleans())
def test_translating_twice_changes_nothing_and_gives_a_prometheus_name(name: str, unit: str, monotonic: bool) -> None:
    once = metric_name(name, unit, monotonic, not monotonic)
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", once)
    assert metric_name(once, unit, monotonic, not monotonic) == once
    assert clean_name(once) == once


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("http.method", "http_method"), ("code", "code"), ("1st", "key_1st"), ("__name__", "key_name__"), ("", "key_"),
        ("service", "exported_service"), ("container", "exported_container"), ("é", "_"),
    ],
)  # fmt: skip
def test_a_key_becomes_a_label(key: str, expected: str) -> None:
    assert label_name(key) == expected


@settings(deadline=None)
@given(st.text(max_size=20))
def test_every_label_is_one_that_prometheus_takes(key: str) -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label_name(key))


def test_keys_that_fall_together_keep_both_values() -> None:
    assert labels([("a.b", "2"), ("a_b", "1")]) == {"a_b": "2;1"}
    assert labels([("a_b", "1"), ("a.b", "2")]) == {"a_b": "2;1"}
