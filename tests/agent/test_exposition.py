from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from agent.borrowed import MEMORY_KEYS
from agent.collect import Collector
from agent.exposition import MAX_LABEL_CHARACTERS, Dropped, Exposition
from agent.model import Histogram, Points, Resource, Scraped, Value
from agent.names import OWN
from runtime.model import PLATFORM, ServiceName
from tests.agent.test_collect import NOW, container, target
from tests.runtime import trees

API = Resource(ServiceName("shop", "api"))
ONE = Resource(ServiceName("shop", "api"), "shop-api-1", "/docker/1", "shop:1")
RESTARTS = Value("midwatch_container_restarts_total", (("by", "policy"),), 3, NOW, NOW - 1000)
COLD = Histogram("midwatch_cold_start_seconds", (("segment", "start"),), (0.5, 1.0), (1, 2, 4), 9.5, NOW, NOW - 1000)

Sample = tuple[str, tuple[tuple[str, str], ...]]


def text(rounds: Iterable[Points], *, max_series: int = 1000) -> str:
    return generate_latest(Exposition(rounds, Dropped(), max_series=max_series)).decode()


def samples(exposed: str) -> dict[Sample, float]:
    found: dict[Sample, float] = {}
    for family in parse(exposed):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def labelled(exposed: str, name: str) -> list[dict[str, str]]:
    return [dict(labels) for found, labels in samples(exposed) if found == name]


def lost(exposed: str, reason: str) -> float:
    wanted = (("reason", reason), ("service", "platform"), ("what", "series on /metrics"))
    return samples(exposed)["midwatch_agent_dropped_total", wanted]


def whole() -> list[Points]:
    """All that a captured host and its container give, and each of our own families."""
    host = trees.hybrid()
    collector = Collector(host.root)
    rounds = collector.collect([target(container(host))], NOW)
    collector.close()
    own: list[Value | Histogram] = []
    for name, metric in OWN.items():
        labels = tuple((label, "x") for label in metric.labels)
        if metric.kind == "histogram":
            counts = (1,) * (len(metric.bounds) + 1)
            own.append(Histogram(name, labels, metric.bounds, counts, 1.5, NOW, NOW - 5))
        else:
            own.append(Value(name, labels, 1, NOW, NOW - 5 if metric.kind == "counter" else None))
    return [*rounds, Points(API, tuple(own))]


def test_counters_of_a_service_carry_the_service_and_no_timestamp() -> None:
    exposed = text([Points(API, (RESTARTS,))])
    assert 'midwatch_container_restarts_total{by="policy",service="shop/api"} 3.0\n' in exposed
    assert "# TYPE midwatch_container_restarts_total counter\n" in exposed


def test_points_of_a_container_carry_what_cadvisor_gives_them_and_the_service() -> None:
    value = Value("container_memory_rss", (), 5, NOW)
    assert labelled(text([Points(ONE, (value,))]), "container_memory_rss") == [
        {"id": "/docker/1", "name": "shop-api-1", "image": "shop:1", "container": "api", "service": "shop/api"}
    ]


def test_points_of_the_node_carry_what_node_exporter_gives_them_and_nothing_else() -> None:
    value = Value("node_cpu_seconds_total", (("cpu", "0"), ("mode", "steal")), 5, NOW)
    exposed = text([Points(Resource(PLATFORM), (value,))])
    assert labelled(exposed, "node_cpu_seconds_total") == [{"cpu": "0", "mode": "steal"}]


def test_a_histogram_is_cumulative_and_ends_with_all() -> None:
    exposed = samples(text([Points(API, (COLD,))]))
    name, base = "midwatch_cold_start_seconds", (("segment", "start"), ("service", "shop/api"))
    buckets = [exposed[name + "_bucket", (("le", bound), *base)] for bound in ("0.5", "1.0", "+Inf")]
    assert buckets == [1, 3, 7]
    assert (exposed[name + "_count", base], exposed[name + "_sum", base]) == (7, 9.5)


def test_a_series_that_comes_twice_is_written_once_and_counted() -> None:
    exposed = text([Points(API, (RESTARTS, RESTARTS._replace(value=4)))])
    assert samples(exposed)["midwatch_container_restarts_total", (("by", "policy"), ("service", "shop/api"))] == 3
    assert lost(exposed, "duplicate") == 1


def test_series_beyond_the_bound_are_left_out_and_counted_over_all_scrapes() -> None:
    many = tuple(RESTARTS._replace(labels=(("by", str(n)),)) for n in range(10))
    dropped = Dropped()
    for scrape in (1, 2):
        exposed = generate_latest(Exposition([Points(API, many)], dropped, max_series=4)).decode()
        assert len(labelled(exposed, "midwatch_container_restarts_total")) == 4
        assert lost(exposed, "bound") == 6 * scrape


def test_a_name_that_the_tables_do_not_have_is_left_out_and_counted() -> None:
    exposed = text([Points(API, (RESTARTS._replace(name="surprise_total"),))])
    assert "surprise" not in exposed
    assert lost(exposed, "unknown") == 1


def test_what_containers_expose_themselves_is_not_exposed_again() -> None:
    scraped = Scraped("counter", Value("http_requests_total", (), 1, NOW))
    assert "http_requests" not in text([Points(ONE, (scraped,))])


def test_identity_wins_over_a_label_of_the_same_name() -> None:
    exposed = text([Points(API, (RESTARTS._replace(labels=(("by", "policy"), ("service", "other"))),))])
    assert labelled(exposed, "midwatch_container_restarts_total") == [{"by": "policy", "service": "shop/api"}]


def test_empty_labels_are_left_out() -> None:
    value = Value("container_memory_rss", (), 5, NOW)
    (found,) = labelled(text([Points(ONE._replace(image="", id=None), (value,))]), "container_memory_rss")
    assert set(found) == {"name", "container", "service"}


@given(st.text(max_size=40))
def test_any_name_of_a_container_comes_back_as_it_was(name: str) -> None:
    value = Value("container_memory_rss", (), 5, NOW)
    exposed = text([Points(ONE._replace(container=name or "x"), (value,))])
    (found,) = labelled(exposed, "container_memory_rss")
    assert found["name"] == (name or "x")


def test_half_a_surrogate_and_an_endless_label_are_written_all_the_same() -> None:
    value = Value("container_memory_rss", (), 5, NOW)
    (found,) = labelled(text([Points(ONE._replace(container="\ud800" + "x" * 5000), (value,))]), "container_memory_rss")
    assert len(found["name"]) == MAX_LABEL_CHARACTERS
    assert found["name"].startswith("?x")


def test_help_and_type_come_once_for_each_family_and_its_samples_stand_together() -> None:
    exposed = text([Points(API, (RESTARTS,)), *whole(), Points(ONE, (RESTARTS._replace(labels=(("by", "manual"),)),))])
    heads = [line.split()[2] for line in exposed.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert len([line for line in exposed.splitlines() if line.startswith("# HELP")]) == len(heads)


def test_openmetrics_has_the_start_of_counters_and_plain_text_has_not() -> None:
    rounds = [Points(API, (RESTARTS, COLD))]
    opened = generate_openmetrics(Exposition(rounds, Dropped(), created=True)).decode()
    created = {s.name: s.value for f in parse_openmetrics(opened) for s in f.samples if s.name.endswith("_created")}
    assert created["midwatch_container_restarts_created"] == (NOW - 1000) / 1000
    assert created["midwatch_cold_start_seconds_created"] == (NOW - 1000) / 1000
    assert "_created" not in text(rounds)


def test_container_labels_are_on_the_info_series_and_on_all_of_cadvisors_where_that_is_asked_for() -> None:
    label = ("container_label_com_docker_compose_project", "shop")
    info = Value("container_info", (("image_id", "x"), label), 1, NOW)
    values = (Value("container_memory_rss", (), 5, NOW), info, Value("midwatch_container_io_reads_total", (), 1, NOW))
    for everywhere in (False, True):
        exposition = Exposition([Points(ONE, values)], Dropped(), labels_everywhere=everywhere)
        exposed = generate_latest(exposition).decode()
        carry = {name for name, labels in samples(exposed) if label in labels}
        assert carry == ({"container_info", "container_memory_rss"} if everywhere else {"container_info"})


def test_all_that_is_emitted_is_valid_openmetrics() -> None:
    opened = generate_openmetrics(Exposition(whole(), Dropped(), created=True)).decode()
    names = {family.name for family in parse_openmetrics(opened)}
    assert {"container_cpu_usage_seconds", "node_load1", "midwatch_cold_start_seconds"} <= names


def test_buckets_never_fall_with_their_bound() -> None:
    exposed = text(whole())
    for family in parse(exposed):
        counts = [s.value for s in family.samples if s.name.endswith("_bucket")]
        assert family.type != "histogram" or all(before <= after for before, after in pairwise(counts))


def test_promtool_finds_nothing_but_node_exporters_own_spelling() -> None:
    """node_exporter's names of /proc/meminfo's fields are camel case: to be found by its dashboards they must be."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: install the package prometheus")
    told = subprocess.run([promtool, "check", "metrics"], input=text(whole()), capture_output=True, text=True)
    complaints = [line for line in (told.stdout + told.stderr).splitlines() if line]
    spelling = "metric names should be written in 'snake_case' not 'camelCase'"
    assert set(complaints) <= {f"node_memory_{key} {spelling}" for key in MEMORY_KEYS}
    assert told.returncode == (3 if complaints else 0)
