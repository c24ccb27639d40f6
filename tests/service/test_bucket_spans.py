"""Since when all histograms of a service have a bound, and what latency objectives make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from service.bucket_spans import LATE_MS
from service.catalogue import catalogue
from service.store import Store
from slo.builtin import builtin
from slo.model import Objective
from tests.service.stores import T0, Clock, Point, batch, series

METRIC = "http_request_duration_seconds"
MINUTE = 60_000
OLD, NEW = ("0.1", "0.25", "0.5", "+Inf"), ("0.1", "0.25", "0.3", "0.5", "+Inf")


class World:
    """A store in which every request takes less than every bucket."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(T0)
        self.store = Store(folder / "x.duckdb", self.clock)
        self.requests: dict[str, int] = {}

    def minutes(self, count: int, containers: Mapping[str, Sequence[str]]) -> None:
        """So many minutes of containers with their buckets."""
        for _ in range(2 * count):
            self.clock.now_ms += MINUTE // 2
            points = []
            for name, bounds in containers.items():
                self.requests[name] = self.requests.get(name, 0) + 10
                value, labels = float(self.requests[name]), {"service": "shop/api", "container": name}
                points.append(Point(series(f"{METRIC}_count", **labels), self.clock.now_ms, value, T0))
                points += [Point(series(f"{METRIC}_bucket", **labels, le=le), self.clock.now_ms, value, T0)
                           for le in bounds]  # fmt: skip
            self.store.append(batch(points))

    def latency(self) -> Objective:
        """The objective of 300 ms over 30 days."""
        found = builtin([], catalogue(self.store, [], (), self.clock.now_ms))
        return next(it for it in found if it.slo == "request-latency")

    def bad(self) -> int:
        """What it counts as slow."""
        (found,) = self.store.counts_of([self.latency().indicator], [[86_400_000]], self.clock.now_ms)
        return found[0].bad


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_all_have_throughout_is_taken_and_nothing_is_said(world: World) -> None:
    world.minutes(5, {"a": NEW, "b": NEW})
    world.minutes(5, {"c": NEW})
    assert world.store.bounds_since(f"{METRIC}_bucket") == {}
    assert (world.bad(), world.latency().note) == (0, None)


def test_a_bucket_that_a_deploy_adds_makes_nothing_slow_that_was_before(world: World) -> None:
    """As the note on a missing bucket asks for."""
    world.minutes(5, {"a": OLD})
    assert "the next one below, 0.25 s, is used" in str(world.latency().note)
    since = world.clock.now_ms + MINUTE // 2
    world.minutes(5, {"a": NEW})
    assert world.store.bounds_since(f"{METRIC}_bucket") == {("shop/api", "0.3"): since}
    assert world.bad() == 0
    assert world.latency().note == (
        f"not all of {METRIC} had the bucket nearest to 300ms throughout 30 d: 0.25 s is used"
    )
    world.clock.now_ms = since + 30 * 86_400_000
    world.minutes(1, {"a": NEW})
    assert world.latency().note is None


def test_a_bucket_that_a_deploy_takes_away_makes_nothing_slow(world: World) -> None:
    world.minutes(5, {"a": NEW, "b": NEW})
    world.minutes(5, {"a": OLD, "b": NEW})
    assert world.bad() == 0
    assert world.store.bounds_since(f"{METRIC}_bucket") == {("shop/api", "0.3"): world.clock.now_ms}


def test_replicas_with_buckets_of_their_own_are_counted_by_what_they_share(world: World) -> None:
    world.minutes(5, {"a": OLD, "b": ("0.1", "0.2", "0.3", "+Inf")})
    assert world.bad() == 0
    assert "0.1 s is used" in str(world.latency().note)


def test_where_nothing_is_shared_nothing_is_measured_rather_than_slow(world: World) -> None:
    world.minutes(5, {"a": ("0.1", "+Inf"), "b": ("0.2", "+Inf")})
    assert world.latency().unmeasurable == (f"Not all of {METRIC} had one bucket at or below 300ms throughout 30 d.")


def test_what_was_replaced_long_ago_does_not_matter(world: World) -> None:
    world.minutes(5, {"a": OLD})
    ended = world.clock.now_ms
    world.clock.now_ms += 30 * 86_400_000
    world.minutes(2, {"b": NEW})
    assert world.store.bounds_since(f"{METRIC}_bucket") == {("shop/api", "0.3"): ended}
    assert (world.bad(), world.latency().note) == (0, None)


def test_a_bucket_that_comes_a_little_later_than_others_is_none_that_is_missing(world: World) -> None:
    labels = {"service": "shop/api", "container": "a"}
    for at, le in ((T0 + 1_000, "0.3"), (T0 + 1_000 + LATE_MS, "0.5")):
        world.store.append(batch([Point(series(f"{METRIC}_bucket", **labels, le=le), at, 1.0, T0)]))
    assert world.store.bounds_since(f"{METRIC}_bucket") == {}
    assert world.store.bounds_since("nothing") == {}
