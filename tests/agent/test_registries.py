from __future__ import annotations

import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.home import Home
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.main import Agent
from agent.model import Histogram
from agent.registries import RegistryProbe
from agent.settings import RegistrySettings, Settings
from agent.story import Story
from runtime.engine import Insecure
from runtime.model import RateLimit, RegistryTiming
from runtime.registry_trust import Trust
from tests.agent.running import NOBODY
from tests.runtime.servers import http, serving
from tests.support.certificates import self_signed
from tests.support.faulty_registry import faulty_registry
from tests.support.ports import free_port, own_address
from tests.support.registry import RegistryUnderTest
from tests.support.waiting import until

NEEDED = ("r:5000/a:1", "r:5000/b:1", "nginx", "q.example/x@sha256:1")
NEVER = threading.Event()
CHECKED = Insecure(frozenset(), ())


@dataclass
class Listed:
    """A node's images on paper."""

    wanted: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    insecure: Insecure = CHECKED

    def needed(self) -> tuple[str, ...]:
        return self.wanted

    def others(self) -> tuple[str, ...]:
        return self.rest


class Stopped(Clock):
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        object.__setattr__(self, "at", 1000.0)

    def monotonic(self) -> float:
        return float(self.at)  # type: ignore[attr-defined]

    def after(self, seconds: float) -> None:
        object.__setattr__(self, "at", self.monotonic() + seconds)


def probe(
    *needed: str, others: tuple[str, ...] = (), insecure: Insecure | None = None, trust: Trust | None = None,
    clock: Clock | None = None, **settings: object,
) -> tuple[RegistryProbe, Lifecycle]:  # fmt: skip
    clock = clock or Clock()
    ledger = Ledger(clock.now_ms)
    lifecycle = Lifecycle(Story(ledger), clock.now_ms)
    images = Listed(needed, others, insecure or CHECKED)
    chosen = RegistrySettings.model_validate(settings)
    return RegistryProbe(chosen, images, lambda _: None, ledger, lifecycle, clock, trust), lifecycle


def timed(lifecycle: Lifecycle) -> dict[tuple[str, str], Histogram]:
    """Histograms by registry and phase."""
    points = [point for group in lifecycle.story.ledger.points(0) for point in group.points]
    return {(dict(it.labels)["registry"], dict(it.labels)["phase"]): it for it in points if isinstance(it, Histogram)}


def failures(lifecycle: Lifecycle) -> list[tuple[object, object]]:
    told = [event for event in lifecycle.tick() if event.name == "registry.request"]
    return [(event.attributes["phase"], event.attributes["outcome"]) for event in told]


def test_one_image_of_each_registry_is_asked_for_those_that_are_needed_first() -> None:
    looked_at, _ = probe(*NEEDED, others=("o.example/z:1", "r:5000/c:1"), references=("own.example/y:2",))
    assert [(one.registry, one.repository) for one in looked_at.targets()] == [
        ("own.example", "y"), ("r:5000", "a"), ("docker.io", "library/nginx"), ("q.example", "x"), ("o.example", "z"),
    ]  # fmt: skip


def test_registries_that_are_looked_at_are_bounded() -> None:
    assert len(probe(*NEEDED, most=2)[0].targets()) == 2


def test_a_failure_is_told_of_once_until_it_works_again() -> None:
    looked_at, lifecycle = probe("r:5000/a:1")
    looked_at.targets()
    for message in ("refused", "refused", None, "refused", "timed out"):
        looked_at.took(RegistryTiming("r:5000", 0, message is None, 0.1, {"connect": 0.1}, message))
    told = [event.attributes["message"] for event in lifecycle.tick() if event.name == "registry.request"]
    assert told == ["refused", "refused", "timed out"]


def test_a_registry_that_nothing_needs_counts_from_its_first_answer_on() -> None:
    looked_at, lifecycle = probe(others=("r:5000/a:1",))
    looked_at.targets()
    results = []
    for message in ("refused", None, "refused"):
        looked_at.took(RegistryTiming("r:5000", 0, message is None, 0.1, {}, message, "unreachable"))
        found = timed(lifecycle).get(("r:5000", "total"))
        results.append(sum(found.counts) if found else 0)
    assert results == [0, 1, 2] and failures(lifecycle) == [("connect", "unreachable")]


def test_what_a_registry_says_of_its_limit_is_a_gauge_and_gone_with_what_it_says() -> None:
    looked_at, _ = probe("r:5000/a:1")
    looked_at.targets()
    looked_at.took(RegistryTiming("r:5000", 0, True, 0.1, {}, None, rate_limit=RateLimit(100, 76, 21600)))
    at = (("registry", "r:5000"),)
    assert list(looked_at.samples()) == [
        ("midwatch_registry_ratelimit_limit", at, 100.0),
        ("midwatch_registry_ratelimit_remaining", at, 76.0),
        ("midwatch_registry_ratelimit_window_seconds", at, 21600.0),
    ]
    looked_at.took(RegistryTiming("r:5000", 0, True, 0.1, {}, None))
    assert list(looked_at.samples()) == []


def test_a_registry_that_is_asked_too_often_is_left_alone_as_long_as_it_wants() -> None:
    clock = Stopped()
    with faulty_registry() as registry:
        looked_at, lifecycle = probe(registry.image("limited/1"), clock=clock)
        asked = []
        for seconds in (0.0, 6.0, 1.5):
            clock.after(seconds)
            looked_at.look(NEVER)
            asked.append(len(registry.asked))
    assert asked == [1, 1, 2] and failures(lifecycle) == [("manifest", "rate_limited")]


def test_one_registry_that_hangs_does_not_hold_the_others_up() -> None:
    stop = threading.Event()
    with faulty_registry() as registry, serving(lambda _head: b"", drip=True) as hanging:
        looked_at, lifecycle = probe(f"127.0.0.1:{hanging.port}/a:1", registry.image("plain/1"))
        thread = threading.Thread(target=looked_at.look, args=(stop,), daemon=True)
        thread.start()
        until(lambda: (registry.address, "blob") in timed(lifecycle), 8, what="the registry that answers")
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def test_a_blob_that_fails_is_a_failure_of_its_own_and_the_manifest_counts_as_answered() -> None:
    with faulty_registry() as registry:
        looked_at, lifecycle = probe(registry.image("broken-config/1"))
        looked_at.look(NEVER)
    found = timed(lifecycle)
    assert found[registry.address, "total"].counts[-1] == 0 and found[registry.address, "blob"].counts[-1] == 1
    assert failures(lifecycle) == [("blob", "unreachable")]


def test_a_manifest_is_fetched_once_and_its_head_each_time() -> None:
    with faulty_registry() as registry:
        looked_at, _ = probe(registry.image("plain/1"))
        for _ in range(3):
            looked_at.look(NEVER)
    manifests = [line.partition(" ")[0] for line in registry.asked if "/manifests/" in line]
    assert (manifests.count("HEAD"), manifests.count("GET")) == (3, 1)
    assert sum("/blobs/" in line for line in registry.asked) == 3


def own() -> str:
    return own_address() or pytest.skip("this machine has no address but loopback")


def test_a_registry_with_a_certificate_that_the_engine_was_given_is_trusted_and_without_it_is_not(
    tmp_path: Path,
) -> None:
    certificate, context = self_signed(tmp_path, f"IP:{own()}")
    with faulty_registry(own(), tls=context) as registry:
        folder = tmp_path / "certs.d" / registry.address
        folder.mkdir(parents=True)
        looked_at, lifecycle = probe(registry.image("plain/1"), trust=Trust(tmp_path / "certs.d"))
        looked_at.look(NEVER)
        assert failures(lifecycle) == [("tls", "tls")]
        (folder / "ca.crt").write_bytes(certificate.read_bytes())
        looked_at.look(NEVER)
    assert (registry.address, "blob") in timed(lifecycle) and failures(lifecycle) == []


@pytest.mark.parametrize("over_tls", [True, False])
def test_a_registry_that_the_engine_does_not_check_is_asked_as_the_engine_does_it(
    over_tls: bool, tmp_path: Path
) -> None:
    context = self_signed(tmp_path, f"IP:{own()}")[1] if over_tls else None
    with faulty_registry(own(), tls=context) as registry:
        looked_at, lifecycle = probe(registry.image("plain/1"), insecure=Insecure(frozenset(), (f"{own()}/32",)))
        looked_at.look(NEVER)
    assert failures(lifecycle) == [] and (registry.address, "blob") in timed(lifecycle)


def test_a_stopped_registry_is_one_more_of_its_own_class() -> None:
    looked_at, lifecycle = probe(f"127.0.0.1:{free_port()}/a:1", "registry.invalid/b:1")
    looked_at.look(NEVER)
    assert sorted(failures(lifecycle), key=str) == [("connect", "unreachable"), ("dns", "dns")]
    assert looked_at.errors == 0


def test_an_answer_that_no_registry_gives_is_a_failure_and_no_error() -> None:
    with serving(lambda _head: http("200 OK", b"{}")) as server:
        looked_at, lifecycle = probe(f"127.0.0.1:{server.port}/a:1")
        looked_at.look(NEVER)
    assert looked_at.errors == 0 and (f"127.0.0.1:{server.port}", "manifest") in timed(lifecycle)


def test_an_agent_without_an_engine_exposes_a_registrys_phases_and_its_headroom(tmp_path: Path) -> None:
    with faulty_registry() as registry:
        chosen = Settings(
            interval_seconds=1.0, listen="127.0.0.1:0", server=NOBODY, engine=f"unix://{tmp_path}/none.sock",
            registries=RegistrySettings(interval_seconds=1.0, references=(registry.image("rationed/1"),)),
        )  # fmt: skip
        home = Home(tmp_path)
        agent = Agent(chosen, home, {}, Clock())
        agent.start()
        try:
            at = f'registry="{registry.address}",service="platform"}}'
            text = until(
                lambda: f"ratelimit_remaining{{{at} 76.0" in (told := exposed(agent)) and told, what="the gauge"
            )
        finally:
            agent.stop()
            home.close()
    assert f"midwatch_registry_ratelimit_limit{{{at} 100.0" in text
    for phase in ("total", "dns", "connect", "manifest", "blob"):
        assert f'midwatch_registry_request_duration_seconds_count{{phase="{phase}",{at}' in text


def exposed(agent: Agent) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.metrics_port}/metrics", timeout=10) as answer:
        return bytes(answer.read()).decode()


@pytest.mark.engine
def test_a_real_registry_is_timed_by_phase(registry: RegistryUnderTest, tiny_image: str) -> None:
    image = registry.push(tiny_image, "shop/api")
    looked_at, lifecycle = probe(image)
    looked_at.look(NEVER)
    phases = {phase for _, phase in timed(lifecycle)}
    assert phases == {"total", "dns", "connect", "manifest", "blob"} and failures(lifecycle) == []
    registry.stop()
    looked_at.look(NEVER)
    assert failures(lifecycle) == [("connect", "unreachable")]
