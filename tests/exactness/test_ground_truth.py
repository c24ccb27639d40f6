"""What the service counts of requests is what was asked, while containers, agent and service come and go."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from docker.errors import APIError, NotFound

from cli import demo
from tests.exactness.truth import PORT, Customers, Life
from tests.support.engine import EngineUnderTest
from tests.support.shop import TestProject, project, shop_service
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE, until

REQUESTS = int(os.environ.get("MIDWATCH_TEST_REQUESTS", "20000"))
"""`make ground-truth` asks for 100,000."""
REPLICAS = 3
AWAY_SECONDS = 6.0
LAG_MS = 500
"""An answer may be read so long after its process ended."""
pytestmark = [pytest.mark.engine, pytest.mark.timeout(int((240 + REQUESTS / 100) * PATIENCE))]

SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: answers}}
spec:
  service: answers
  indicator:
    metadata: {{name: answers}}
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource: {{type: Prometheus, spec: {{query: 'http_requests_total{{service="{service}",code=~"5.."}}'}}}}
        total:
          metricSource: {{type: Prometheus, spec: {{query: 'http_requests_total{{service="{service}"}}'}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.99}}]
"""


class Last(NamedTuple):
    """What was scraped last of one process."""

    at_ms: int
    total: int
    bad: int
    within: int


class Ran(NamedTuple):
    """What is left when all requests were answered."""

    customers: Customers
    lives: dict[str, Life]
    last: dict[str, Last]
    judged: dict[str, dict[str, Any]]
    """Judgements of the service by name."""


@pytest.fixture(scope="module")
def ran(engine: EngineUnderTest, python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """All requests are answered, amid restarts of containers, of the agent and of the service."""
    with tempfile.TemporaryDirectory(prefix="midwatch-") as data:
        stack = Stack(engine, Path(data), start_seconds=120.0)
        yield from _run(stack, python_image, tmp_path_factory.mktemp("slos"))


def _run(stack: Stack, image: str, folder: Path) -> Iterator[Ran]:
    with project(stack) as shop:
        slos = folder / "answers.yaml"
        slos.write_text(SLO.format(service=f"{shop.name}/api"))
        stack.configuration = {"service": {"slos": [str(slos)]}}
        stack.start()
        shop.run({"api": shop_service(image, deploy={"replicas": REPLICAS})}, wait_seconds=120.0)
        until(lambda: len(_addresses(shop)) == REPLICAS, 60.0, what="all replicas")
        for container in _containers(shop):
            until(lambda it=container: demo.takes(it, "POST", "/break?errors=0.03"), 60.0)  # type: ignore[misc]
        customers = Customers(
            lambda: _addresses(shop), REQUESTS, each_second=REQUESTS / 25 if REQUESTS < 50_000 else 1e5
        )
        customers.start()
        _trouble(stack, shop, customers)
        until(lambda: customers.answered >= REQUESTS, 60 + REQUESTS / 100, what="all answers")
        customers.stop()
        yield _settled(stack, shop, customers)


def _trouble(stack: Stack, shop: TestProject, customers: Customers) -> None:
    """What happens while requests are answered, each at its share of them."""
    acts: list[tuple[float, Callable[[], None]]] = [
        (0.10, lambda: _containers(shop)[0].restart(timeout=1)),
        (0.20, lambda: _kill(shop, 1)),
        (0.25, lambda: _slow(shop, 2, 0.35)),
        (0.27, lambda: _slow(shop, 2, 0.0)),
        (0.30, lambda: _away(stack, shop, customers)),
        (0.50, lambda: _killed(stack)),
        (0.55, lambda: _kill(shop, 0)),
        (0.65, lambda: _anew(shop, 1)),
        (0.75, lambda: _kill_agent(stack)),
        (0.85, lambda: _containers(shop)[0].restart(timeout=1)),
    ]
    for share, act in acts:
        until(lambda it=share: customers.answered >= it * REQUESTS, 60 + REQUESTS / 100, what=f"{share} of all")  # type: ignore[misc]
        act()


def _away(stack: Stack, shop: TestProject, customers: Customers) -> None:
    """The agent is stopped for a while, in which a container restarts and others go on."""
    stack.end("agent")
    time.sleep(AWAY_SECONDS / 2)
    _kill(shop, 0)
    time.sleep(AWAY_SECONDS / 2)
    stack.start_agent()


def _killed(stack: Stack) -> None:
    stack.kill("server")
    time.sleep(2.0)
    stack.start_server()


def _kill_agent(stack: Stack) -> None:
    stack.kill("agent")
    stack.start_agent()


def _kill(shop: TestProject, which: int) -> None:
    """The main process is killed as by a fault: the engine starts it again."""
    container = _containers(shop)[which]

    def pid() -> int:
        container.reload()
        return int(container.attrs["State"]["Pid"])

    # 0 while it is between two lives, and to signal that would be to signal ourselves
    os.kill(until(pid, 60.0, what="a main process"), signal.SIGKILL)


def _anew(shop: TestProject, which: int) -> None:
    """Removed by force: the agent makes another of that name."""
    before = len(_containers(shop))
    _containers(shop)[which].remove(force=True)
    until(lambda: len(_containers(shop)) == before, 60.0, what="a new container")


def _slow(shop: TestProject, which: int, seconds: float) -> None:
    assert demo.takes(_containers(shop)[which], "POST", f"/break?latency={seconds}")


def _containers(shop: TestProject) -> list[Any]:
    return sorted(demo.replicas(shop.client, "api", shop.name), key=lambda it: it.name)


def _addresses(shop: TestProject) -> list[str]:
    try:
        networks = [it.attrs["NetworkSettings"]["Networks"].values() for it in _containers(shop)]
    except (APIError, NotFound):
        return []
    return [address for found in networks for it in found if (address := it["IPAddress"])]


def _settled(stack: Stack, shop: TestProject, customers: Customers) -> Ran:
    """Waits until what lives was scraped after its last answer, and all that was shipped is judged."""
    done_ms, service = _now_ms(), f"{shop.name}/api"
    alive = [_life(address) for address in _addresses(shop)]
    assert len(alive) == REPLICAS
    until(lambda: all(_last(stack, service)[it].at_ms > done_ms for it in alive), 60.0, what="a scrape at the end")
    until(lambda: stack.total("midwatch_agent_spool_batches", signal="metrics") <= 1, 60.0, what="the spool drains")
    scraped_ms = _now_ms()

    def judged() -> dict[str, dict[str, Any]] | None:
        found = stack.get("/api/judgements")
        mine = {it["slo"]: it for it in found["judgements"] if it["service"] in (service, "answers")}
        return mine if (found["evaluated_ms"] or 0) > scraped_ms else None

    judgements = until(judged, 60.0, what="a judgement after the last scrape")
    assert judgements is not None
    return Ran(customers, customers.lives(), _last(stack, service), judgements)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _life(address: str) -> str:
    """The process that answers there."""
    text = httpx.get(f"http://{address}:{PORT}/metrics", timeout=10.0, trust_env=False).raise_for_status().text
    return re.findall(r'shop_life_info{life="([^"]+)"}', text)[0]


def _last(stack: Stack, service: str) -> dict[str, Last]:
    """The last scraped counts of each process, from the service's raw samples."""
    window = f"{int(REQUESTS / 50) + 600}s"
    found: dict[str, Last] = defaultdict(lambda: Last(0, 0, 0, 0))
    moments = {
        (it["metric"]["container"], at): it["metric"]["life"]
        for it in _samples(stack, f'shop_life_info{{service="{service}"}}[{window}]')
        for at, _ in it["values"]
    }
    for (_, at), life in moments.items():
        if at * 1000 > found[life].at_ms:
            found[life] = Last(round(at * 1000), 0, 0, 0)
    counted = {
        "total": _samples(stack, f'http_requests_total{{service="{service}"}}[{window}]'),
        "bad": _samples(stack, f'http_requests_total{{service="{service}",code=~"5.."}}[{window}]'),
        "within": _samples(stack, f'http_request_duration_seconds_bucket{{service="{service}",le="0.3"}}[{window}]'),
    }
    for name, series in counted.items():
        for it in series:
            for at, value in it["values"]:
                life = moments.get((it["metric"]["container"], at))
                if life is not None and found[life].at_ms == round(at * 1000):
                    found[life] = found[life]._replace(**{name: getattr(found[life], name) + int(value)})
    return found


def _samples(stack: Stack, query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{stack.url}/api/v1/query", params={"query": query}, timeout=30.0, trust_env=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
    return found


def test_what_was_scraped_is_what_was_answered(ran: Ran) -> None:
    """Of each process, up to its last scrape: every number was answered, and as what it was counted."""
    missing = 0
    for life, last in ran.last.items():
        answers = ran.lives[life].first(last.total) if life in ran.lives else []
        unanswered = last.total - len(answers)
        missing += unanswered
        assert 0 <= last.bad - sum(it.bad for it in answers) <= unanswered, life
        assert 0 <= last.within - sum(not it.slow for it in answers) <= unanswered, life
    assert missing <= ran.customers.failed


@pytest.mark.parametrize("slo", ["request-availability", "answers"])
def test_good_and_bad_answers_are_counted_up_to_each_last_scrape(ran: Ran, slo: str) -> None:
    scraped = ran.last.values()
    found = ran.judged[slo]
    assert (found["total"], found["bad"]) == (sum(it.total for it in scraped), sum(it.bad for it in scraped))


def test_latency_is_counted_up_to_each_last_scrape(ran: Ran) -> None:
    scraped = ran.last.values()
    found = ran.judged["request-latency"]
    total = sum(it.total for it in scraped)
    assert (found["total"], found["bad"]) == (total, total - sum(it.within for it in scraped))
    assert found["bad"] > 0


@pytest.mark.parametrize("slo", ["request-availability", "answers"])
def test_what_nobody_could_scrape_is_told_as_time_and_as_what_it_may_hide(ran: Ran, slo: str) -> None:
    """What was answered after a process's last scrape was answered within the time that is told."""
    hidden, ms = 0, 0
    for life, its in ran.lives.items():
        last = ran.last.get(life, Last(0, 0, 0, 0))
        late = its.after(last.total)
        hidden += len(late)
        since_ms = last.at_ms or min((it.at_ms for it in late), default=0)
        ms += max(0, max((it.at_ms for it in late), default=since_ms) - since_ms - LAG_MS)
    found = ran.judged[slo]
    counted, answered = found["total"], sum(len(it.answers) for it in ran.lives.values())
    print(
        f"\n{slo}: {answered} answers by {len(ran.lives)} processes, {counted} counted, {found['bad']} of them bad; "
        f"{hidden} after the last scrapes, in {ms} ms; told of: {found['unscraped_ms']} ms, "
        f"which may hide {found['unscraped_events']}; {ran.customers.failed} requests without an answer"
    )
    assert hidden > 0
    assert ms <= found["unscraped_ms"]
    assert hidden <= 2 * found["unscraped_events"]
