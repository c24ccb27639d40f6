"""What a container exposes may lie: what is taken of it, under which name and kind."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Points, Resource, Scraped
from agent.names import RESERVED_NAMES, RESERVED_PREFIXES
from agent.scrape import IDENTITY_LABELS, ScrapedSample, ScrapeLimits, Scraper, parse
from agent.scrape_http import ScrapeFault
from runtime.engine import Engine
from runtime.model import Container, ServiceName
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

STARTED = 1_760_000_000_000
API = Resource(ServiceName("shop", "api"), "shop-api-1", "/docker/" + "a" * 64, "shop:1")


def container(labels: dict[str, str], **changes: Any) -> Container:
    whole = Container(
        id="a" * 64, name="shop-api-1", image="shop:1", image_id="sha256:0", labels=labels, state="running", pid=1,
        created_ms=STARTED, started_ms=STARTED, finished_ms=None, exit_code=None, oom_killed=False, restart_count=0,
        restart_policy="no", max_retries=0, health="none", network_mode="bridge", address="127.0.0.1",
        memory_limit_bytes=None, cpu_limit_cores=None,
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def only(text: str) -> ScrapedSample:
    (sample,) = parse(text).samples
    return sample


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("# TYPE a_total counter\na_total 1", "counter"),
        ("# TYPE a counter\na 1", "counter"),
        ("# TYPE a gauge\na 1", "gauge"),
        ("# TYPE a_total gauge\na_total 1", "gauge"),
        ("a_total 1", "counter"),
        ("a 1", "gauge"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1", "counter"),
        ("# TYPE a histogram\na_sum 1", "counter"),
        ("# TYPE a histogram\na_count 1", "counter"),
        ("# TYPE a summary\na_sum 1", "counter"),
        ("# TYPE a summary\na{quantile=\"0.5\"} 1", "gauge"),
        ("# TYPE a unknown\na 1", "gauge"),
        ("# TYPE a info\na_info 1", "gauge"),
        ("# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1", "gauge"),
        ("# TYPE a nonsense\na_total 1", "gauge"),
    ],
)  # fmt: skip
def test_the_kind_comes_from_the_type_and_without_one_from_the_suffix(text: str, kind: str) -> None:
    assert only(text).kind == kind


@pytest.mark.parametrize("name", [*RESERVED_NAMES, *(f"{prefix}x" for prefix in RESERVED_PREFIXES)])
def test_a_name_of_ours_is_refused_and_counted_whatever_its_type(name: str) -> None:
    result = parse(f"# TYPE {name} counter\n{name} 1000000\nmine 1\n")
    assert [sample.name for sample in result.samples] == ["mine"]
    assert result.refused == {"reserved_name": 1}


@pytest.mark.parametrize("label", sorted(IDENTITY_LABELS))
def test_a_label_that_claims_an_identity_is_renamed(label: str) -> None:
    assert only(f'a{{{label}="shop/other"}} 1').labels == ((f"exported_{label}", "shop/other"),)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_not_finite_is_refused_and_counted(value: str) -> None:
    result = parse(f"a {value}\nb 1")
    assert [sample.name for sample in result.samples] == ["b"]
    assert result.refused == {"not_finite": 1}


@pytest.mark.parametrize(
    ("le", "text"),
    [("0.30", "0.3"), ("1.0", "1"), ("5e-3", "0.005"), ("+Inf", "+Inf"), ("inf", "+Inf"), ("300", "300")],
)
def test_a_bucket_bound_has_one_text(le: str, text: str) -> None:
    assert only(f'# TYPE h histogram\nh_bucket{{le="{le}"}} 1').labels == (("le", text),)


def test_a_label_named_le_of_anything_else_stays() -> None:
    assert only('# TYPE g gauge\ng{le="1.0"} 1').labels == (("le", "1.0"),)


def test_two_bounds_that_are_the_same_number_count_once() -> None:
    result = parse('# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 2')
    assert [sample.value for sample in result.samples] == [1.0]
    assert result.refused == {"duplicate": 1}


def test_created_times_are_left_out() -> None:
    result = parse("# TYPE a counter\na_total 1\na_created 1.76e9\n")
    assert [sample.name for sample in result.samples] == ["a_total"]


@pytest.mark.parametrize(
    "labels",
    [
        "{" + ",".join(f'l{number}="x"' for number in range(25)) + "}",
        '{l="' + "x" * 513 + '"}',
        "{" + "l" * 129 + '="x"}',
    ],
)
def test_labels_beyond_a_bound_cost_their_sample_alone(labels: str) -> None:
    result = parse(f"a{labels} 1\nb 1")
    assert [sample.name for sample in result.samples] == ["b"]
    assert result.refused == {"labels": 1}


def test_more_samples_than_the_bound_is_a_fault_and_never_a_part_of_a_histogram() -> None:
    text = "\n".join(f'a{{n="{number}"}} 1' for number in range(11))
    assert len(parse(text, ScrapeLimits(samples=11)).samples) == 11
    with pytest.raises(ScrapeFault, match="more than the 10 samples") as fault:
        parse(text, ScrapeLimits(samples=10))
    assert fault.value.outcome == "too_many_samples"


def test_one_malformed_line_refuses_the_whole() -> None:
    with pytest.raises(ScrapeFault, match="line 2") as fault:
        parse("a 1\nnot a sample\n")
    assert fault.value.outcome == "malformed"


@settings(deadline=None)
@given(st.text(st.sampled_from('amidwatch_up{}le="exported_container", \\n01.#NaI+\n'), max_size=120))
def test_no_text_gets_a_reserved_name_an_identity_label_or_an_infinite_value_through(text: str) -> None:
    try:
        result = parse(text)
    except ScrapeFault:
        return
    for sample in result.samples:
        assert not sample.name.startswith(RESERVED_PREFIXES)
        assert sample.name not in RESERVED_NAMES
        assert not IDENTITY_LABELS & {name for name, _ in sample.labels}
        assert math.isfinite(sample.value)
        assert list(sample.labels) == sorted(sample.labels)
    assert len({(sample.name, sample.labels) for sample in result.samples}) == len(result.samples)


class Exposed:
    """The metrics endpoint of a container, on the loopback address."""

    def __init__(self) -> None:
        self.text = "a_total 1\n"
        self.port = 0


@contextmanager
def exposed() -> Iterator[Exposed]:
    state = Exposed()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(state.text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Times:
    """A clock that is five seconds later each time it is asked."""

    def __init__(self) -> None:
        self.now_ms = STARTED

    def __call__(self) -> int:
        self.now_ms += 5_000
        return self.now_ms


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    made = Scraper(Times())
    yield made
    made.close()


def rows(found: list[Points]) -> list[tuple[str, float, int, int | None]]:
    return [
        (point.value.name, point.value.value, point.value.at_ms - STARTED, point.value.start_ms)
        for points in found
        for point in points.points
        if isinstance(point, Scraped)
    ]


def test_a_scrape_gives_samples_with_the_containers_start_and_that_it_is_up(scraper: Scraper) -> None:
    with exposed() as target:
        target.text = "# TYPE a_total counter\na_total 3\n# TYPE g gauge\ng 4\n"
        found = scraper.round([(container({"midwatch.metrics": f"http://:{target.port}/metrics"}), API)])
    assert [points.resource for points in found] == [API]
    assert rows(found) == [("up", 1.0, 5_000, None), ("a_total", 3.0, 5_000, STARTED), ("g", 4.0, 5_000, None)]
    assert scraper.outcomes == {"ok": 1}


def test_a_counter_that_appears_between_two_scrapes_was_zero_at_the_first(scraper: Scraper) -> None:
    with exposed() as target:
        asked = [(container({"midwatch.metrics": f"http://:{target.port}/metrics"}), API)]
        scraper.round(asked)
        target.text += 'b_total{code="500"} 2\n'
        second = rows(scraper.round(asked))
        third = rows(scraper.round(asked))
    assert second == [
        ("up", 1.0, 10_000, None), ("a_total", 1.0, 10_000, STARTED),
        ("b_total", 0.0, 5_000, STARTED), ("b_total", 2.0, 10_000, STARTED),
    ]  # fmt: skip
    assert third == [("up", 1.0, 15_000, None), ("a_total", 1.0, 15_000, STARTED), ("b_total", 2.0, 15_000, STARTED)]


def test_after_a_restart_of_the_container_nothing_is_known_of_its_counters(scraper: Scraper) -> None:
    with exposed() as target:
        labels = {"midwatch.metrics": f"http://:{target.port}/metrics"}
        scraper.round([(container(labels), API)])
        target.text = "b_total 7\n"
        again = rows(scraper.round([(container(labels, started_ms=STARTED + 6_000), API)]))
    assert again == [("up", 1.0, 10_000, None), ("b_total", 7.0, 10_000, STARTED + 6_000)]


def test_a_target_that_fails_is_down_counted_and_said_and_does_not_touch_the_others(scraper: Scraper) -> None:
    with exposed() as target:
        good = container({"midwatch.metrics": f"http://:{target.port}"}, id="b" * 64, name="good")
        bad = container({"midwatch.metrics": "http://10.0.0.1:80/metrics"}, name="bad")
        found = scraper.round([(bad, API), (good, API)])
    assert sorted(row[:2] for row in rows(found)) == [("a_total", 1.0), ("up", 0.0), ("up", 1.0)]
    assert scraper.outcomes == {"ok": 1, "bad_target": 1}
    assert list(scraper.faults) == ["bad"]


def test_a_container_that_asks_for_nothing_or_does_not_run_is_left_alone(scraper: Scraper) -> None:
    asked = {"midwatch.metrics": "http://:1/metrics"}
    assert scraper.round([(container({}), API), (container(asked, state="exited"), API)]) == []
    assert scraper.outcomes == {}


@pytest.mark.engine
def test_a_real_container_is_scraped_at_its_own_address(
    engine: EngineUnderTest, tiny_image: str, scraper: Scraper
) -> None:
    page = "printf 'hits_total 7\\nmidwatch_oom_kills_total 99\\n' > /www/metrics"
    serve = f"mkdir -p /www && {page} && exec httpd -f -p 8080 -h /www"
    labels = {**engine.labels, "midwatch.metrics": "http://:8080/metrics"}
    made = engine.client.containers.run(tiny_image, ["sh", "-c", serve], labels=labels, detach=True)
    with contextlib.closing(Engine(engine.url)) as reader:
        inspected = reader.inspect(made.id)
        assert inspected is not None
        found = until(lambda: [row[:2] for row in rows(scraper.round([(inspected, API)])) if row[1] > 0], 30.0)
    assert found == [("up", 1.0), ("hits_total", 7.0)]
    assert scraper.refused == {"reserved_name": 1}
    made.remove(force=True)
