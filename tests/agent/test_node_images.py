"""Which registries this node's images come from: what was only built here comes from none."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

import pytest

from agent.clock import Clock
from agent.ledger import Ledger
from agent.node_images import NodeImages, comes_from_outside
from runtime.engine import Engine, Insecure
from runtime.engine_json import references_of
from runtime.errors import EngineUnavailable
from runtime.model import Pull, ServiceName
from tests.agent.stories import PLAIN
from tests.support.faulty_registry import faulty_registry
from tests.support.own_engine import own_engine


def test_a_name_without_a_registry_counts_only_once_it_was_pulled() -> None:
    ledger, web = Ledger(lambda: 0), ServiceName("p", "web")
    assert not comes_from_outside(ledger, web, "shop-worker")
    assert comes_from_outside(ledger, web, "127.0.0.1:5000/shop-worker:1")
    ledger.pull(Pull("shop-worker", "docker.io", "library/shop-worker", "not_found", 0, 2.0, 0, (), None, None), web)
    assert comes_from_outside(ledger, web, "shop-worker")


class Listing:
    """An engine that answers with what it is told, or not at all."""

    def __init__(self, **images: tuple[str, ...]) -> None:
        self.images = images
        self.asked = 0
        self.away = False

    def pulled_images(self) -> dict[str, tuple[str, ...]]:
        self.asked += 1
        if self.away:
            raise EngineUnavailable("gone")
        return self.images

    def insecure_registries(self) -> Insecure:
        return Insecure(frozenset({"r.test:5000"}), ())


def test_containers_need_the_registries_of_their_images_and_what_was_built_here_needs_none() -> None:
    engine = Listing(one=("r:5000/a:1", "q.test/a:1"), two=("r:5000/b:2",))
    containers = [
        replace(PLAIN, image="q.test/a:1", image_id="one"),
        replace(PLAIN, image="sha256:2", image_id="two"),
        replace(PLAIN, image="built-here:1", image_id="three"),
    ]
    images = NodeImages(lambda: engine, lambda: ["declared:1"], lambda: containers, Clock())  # type: ignore[arg-type,return-value]
    assert list(images.needed()) == ["declared:1", "q.test/a:1", "r:5000/b:2"]
    assert list(images.others()) == ["r:5000/a:1", "q.test/a:1", "r:5000/b:2"]
    assert images.insecure.names == {"r.test:5000"} and engine.asked == 1


def test_what_an_engine_said_last_stands_while_it_is_away() -> None:
    engine, now = Listing(one=("r:5000/a:1",)), [0.0]

    class Later(Clock):
        def monotonic(self) -> float:
            return now[0]

    images = NodeImages(lambda: engine, list, list, Later())  # type: ignore[arg-type,return-value]
    assert list(images.others()) == ["r:5000/a:1"]
    engine.away, now[0] = True, 3600.0
    assert list(images.others()) == ["r:5000/a:1"] and engine.asked == 2


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ({"RepoTags": ["r:5000/a:1"], "RepoDigests": ["r:5000/a@sha256:1"]}, ("r:5000/a:1",)),
        ({"RepoTags": ["a:1", "r:5000/a:2"], "RepoDigests": ["r:5000/a@sha256:1"]}, ("r:5000/a:2",)),
        ({"RepoTags": None, "RepoDigests": ["r:5000/a@sha256:1"]}, ("r:5000/a@sha256:1",)),
        ({"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}, None),
        ({"RepoTags": ["built:1"], "RepoDigests": []}, None),
        ({"RepoTags": ["built:1"]}, None),
    ],
)
def test_an_image_is_named_by_its_tag_where_a_registry_knows_it(
    listed: dict[str, object], found: tuple[str, ...] | None
) -> None:
    assert references_of([{"Id": "sha256:1", **listed}]).get("sha256:1") == found


@pytest.mark.engine
def test_a_real_engine_tells_what_it_pulled_and_whom_it_does_not_check() -> None:
    unchecked = {"insecure-registries": ["shop.test:5000", "10.9.0.0/16"]}
    with own_engine(**unchecked) as own, faulty_registry() as registry, closing(Engine(own.url)) as engine:
        pulled = engine.pull(registry.image("plain/1"), None, lambda: time.time_ns() // 1_000_000)
        assert pulled.outcome == "ok"
        assert list(engine.pulled_images().values()) == [(registry.image("plain/1"),)]
        found = engine.insecure_registries()
    assert "shop.test:5000" in found.names and {"10.9.0.0/16", "127.0.0.0/8"} <= set(found.networks)
