"""Who is scraped, when, and what of the answers goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.model import Points, Resource, Scraped
from agent.scrape import ScrapeLimits
from agent.scrape_book import DAY_MS
from agent.scraper import Scraper
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
    """A clock that stands still until a round is over."""

    def __init__(self) -> None:
        self.now_ms = STARTED

    def __call__(self) -> int:
        return self.now_ms


class Rounds(Scraper):
    """A scraper whose rounds are five seconds apart."""

    def __init__(self, limits: ScrapeLimits | None = None, **more: Any) -> None:
        self.times = Times()
        super().__init__(self.times, limits or ScrapeLimits(), **more)

    def round(self, containers: Any) -> list[Points]:
        self.times.now_ms += 5_000
        return super().round(containers)


@pytest.fixture
def scraper() -> Iterator[Rounds]:
    made = Rounds()
    yield made
    made.close()


def rows(found: list[Points]) -> list[tuple[str, float, int, int | None]]:
    return [
        (point.value.name, point.value.value, point.value.at_ms - STARTED, point.value.start_ms)
        for points in found
        for point in points.points
        if isinstance(point, Scraped) and not point.value.name.startswith("scrape_")
    ]


def test_a_scrape_gives_samples_with_the_containers_start_and_that_it_is_up(scraper: Rounds) -> None:
    with exposed() as target:
        target.text = "# TYPE a_total counter\na_total 3\n# TYPE g gauge\ng 4\n"
        found = scraper.round([(container({"midwatch.metrics": f"http://:{target.port}/metrics"}), API)])
    assert [points.resource for points in found] == [API]
    assert rows(found) == [("up", 1.0, 5_000, None), ("a_total", 3.0, 5_000, STARTED), ("g", 4.0, 5_000, None)]
    assert scraper.outcomes == {"ok": 1}


def test_a_counter_that_appears_between_two_scrapes_was_zero_at_the_first(scraper: Rounds) -> None:
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


def test_after_a_restart_of_the_container_nothing_is_known_of_its_counters(scraper: Rounds) -> None:
    with exposed() as target:
        labels = {"midwatch.metrics": f"http://:{target.port}/metrics"}
        scraper.round([(container(labels), API)])
        target.text = "b_total 7\n"
        again = rows(scraper.round([(container(labels, started_ms=STARTED + 6_000), API)]))
    assert again == [("up", 1.0, 10_000, None), ("b_total", 7.0, 10_000, STARTED + 6_000)]


def test_a_target_that_fails_is_down_counted_and_said_and_does_not_touch_the_others(scraper: Rounds) -> None:
    with exposed() as target:
        good = container({"midwatch.metrics": f"http://:{target.port}"}, id="b" * 64, name="good")
        bad = container({"midwatch.metrics": "http://10.0.0.1:80/metrics"}, name="bad")
        found = scraper.round([(bad, API), (good, API)])
    assert sorted(row[:2] for row in rows(found)) == [("a_total", 1.0), ("up", 0.0), ("up", 1.0)]
    assert scraper.outcomes == {"ok": 1, "bad_target": 1}
    assert list(scraper.faults) == ["bad"]


def test_a_container_that_asks_for_nothing_or_does_not_run_is_left_alone(scraper: Rounds) -> None:
    asked = {"midwatch.metrics": "http://:1/metrics"}
    assert scraper.round([(container({}), API), (container(asked, state="exited"), API)]) == []
    assert scraper.outcomes == {}


def test_each_scrape_tells_how_long_it_took_and_how_much_there_was(scraper: Rounds) -> None:
    with exposed() as target:
        target.text = "a_total 1\nmidwatch_x 1\n"
        (points,) = scraper.round([(container({"midwatch.scrape": str(target.port)}), API)])
    told = {point.value.name: point.value.value for point in points.points if isinstance(point, Scraped)}
    assert told == {"up": 1.0, "scrape_duration_seconds": 0.0, "scrape_samples_scraped": 2.0, "a_total": 1.0}


def test_new_series_without_end_stop_at_the_days_bound_and_those_known_go_on() -> None:
    made = Rounds(ScrapeLimits(series=3))
    with exposed() as target, contextlib.closing(made):
        asked = [(container({"midwatch.scrape": str(target.port)}), API)]
        names = []
        for number in range(4):
            target.text = f'steady 1\nnew{{id="{number}"}} 1\n'
            names.append([row[0] for row in rows(made.round(asked))])
        assert names == [["up", "steady", "new"], ["up", "steady", "new"], ["up", "steady"], ["up", "steady"]]
        assert made.refused == {"series": 2}
        made.times.now_ms += DAY_MS
        assert [row[0] for row in rows(made.round(asked))] == ["up", "steady", "new"]


def test_a_restart_does_not_give_a_container_new_room_for_series() -> None:
    made = Rounds(ScrapeLimits(series=1))
    with exposed() as target, contextlib.closing(made):
        labels = {"midwatch.scrape": str(target.port)}
        made.round([(container(labels), API)])
        target.text = "b_total 1\n"
        assert rows(made.round([(container(labels, started_ms=STARTED + 1), API)])) == [("up", 1.0, 10_000, None)]


def test_what_a_node_takes_in_one_round_is_bounded_and_the_rest_is_down() -> None:
    made = Rounds(ScrapeLimits(round_samples=3))
    with exposed() as target, contextlib.closing(made):
        target.text = "a 1\nb 1\n"
        labels = {"midwatch.scrape": str(target.port)}
        asked = [(container(labels, id=letter * 64, name=letter), API) for letter in "xyz"]
        for _ in range(2):
            assert sorted(row[1] for row in rows(made.round(asked)) if row[0] == "up") == [0.0, 0.0, 1.0]
    assert made.outcomes == {"ok": 2, "node_full": 4}


def test_a_sidecar_in_anothers_network_is_scraped_at_that_ones_address(scraper: Rounds) -> None:
    with exposed() as target:
        owner = container({}, id="b" * 64, name="owner")
        sidecar = container(
            {"midwatch.scrape": str(target.port)}, address=None, network_mode="container:" + "b" * 64, name="sidecar"
        )
        assert [row[:2] for row in rows(scraper.round([(owner, API), (sidecar, API)]))] == [
            ("up", 1.0), ("a_total", 1.0),
        ]  # fmt: skip
        assert [row[:2] for row in rows(scraper.round([(sidecar, API)]))] == [("up", 0.0)]
    assert scraper.outcomes == {"ok": 1, "no_address": 1}


def test_those_who_do_not_answer_do_not_keep_the_others_waiting() -> None:
    made = Rounds(ScrapeLimits(timeout_seconds=0.3), workers=1, round_seconds=0.5)
    with exposed() as target, socket.create_server(("127.0.0.1", 0)) as silent, contextlib.closing(made):
        hung = {"midwatch.scrape": str(silent.getsockname()[1])}
        slow = [(container(hung, id=letter * 64, name=letter), API) for letter in "bcd"]
        good = container({"midwatch.scrape": str(target.port)}, name="good")

        def all_slow_known() -> bool:
            made.round(slow)
            return made.outcomes["timeout"] >= 6

        until(all_slow_known, 30.0)
        made.round([*slow, (good, API)])
        assert made.outcomes["ok"] == 1 and "good" not in made.faults


@pytest.mark.engine
def test_a_real_container_is_scraped_at_its_own_address(
    engine: EngineUnderTest, tiny_image: str, scraper: Rounds
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


def test_what_one_container_makes_of_its_scrape_costs_no_other(scraper: Rounds) -> None:
    with exposed() as target:
        labels = {"midwatch.scrape": str(target.port)}
        # No label is a number; it stands for whatever an engine or a library may come up with.
        odd: dict[str, Any] = {"prometheus.io/scrape": "true", "prometheus.io/port": 80}
        broken = container(odd, id="b" * 64, name="broken")
        found = scraper.round([(broken, API), (container(labels), API)])
    ups = sorted(value for name, value, _, _ in rows(found) if name == "up")
    assert ups == [0.0, 1.0]
    assert scraper.outcomes == {"error": 1, "ok": 1} and "AttributeError" in scraper.faults["broken"]


def test_an_answer_is_not_taken_where_its_process_ended_meanwhile() -> None:
    """Another run may have given it: its counters would be taken for those of the run before."""
    lives = iter(["first", "second", "second", "second", None])
    made = Rounds(life=lambda pid: next(lives))
    with exposed() as target, contextlib.closing(made):
        asked = [(container({"midwatch.scrape": str(target.port)}), API)]
        found = [rows(made.round(asked))[0][:2] for _ in range(3)]
    assert found == [("up", 0.0), ("up", 1.0), ("up", 0.0)]
    assert made.outcomes == {"ended": 2, "ok": 1}


def test_two_scrapes_within_a_millisecond_are_one(scraper: Rounds) -> None:
    with exposed() as target:
        asked = [(container({"midwatch.scrape": str(target.port)}), API)]
        scraper.round(asked)
        target.text = "a_total 2\nb_total 1\n"
        scraper.times.now_ms -= 5_000
        assert rows(scraper.round(asked)) == []
        found = rows(scraper.round(asked))
    assert ("b_total", 0.0, 5_000, STARTED) in found and ("a_total", 2.0, 10_000, STARTED) in found
    assert scraper.outcomes == {"ok": 2, "held": 1}
