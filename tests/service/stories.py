"""Histories of a service as they are told: dense samples, with what happens to counters and to those who send them."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from service.model import Series
from service.store import Store
from tests.service.naive import Naive
from tests.service.stores import T0, Clock, Point, batch
from tests.service.test_store_counts import BAD, FREE, GOOD, SIZE, TOTAL

WITHOUT_SHRINKING = settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
"""A story is told by its seed: to shrink it takes minutes and makes it no clearer."""
QUARTER, MINUTE = 15_000, 60_000
Told = list[Point] | Literal["keep", "reopen", "crash"]


class Story(NamedTuple):
    """What is told in order, each with the moment at which it is asked after it."""

    seed: int
    minutes: int
    told: tuple[tuple[Told, int], ...]

    def __repr__(self) -> str:
        return f"story({self.seed}, {self.minutes})"


@st.composite
def stories(draw: st.DrawFn, most_minutes: int = 40) -> Story:
    """A history of some minutes."""
    return story(draw(st.integers(0, 2**32)), draw(st.integers(5, most_minutes)))


def story(seed: int, minutes: int) -> Story:
    """The history that follows from a seed."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    begin = T0 + dice.choice([0, 7_000, 59_000])
    points = [it for series in (*GOOD[:1], *TOTAL[:1], *BAD[:2]) for it in _counter(series, begin, minutes, dice)]
    points += [it for at in (0, 1) for it in _gauges(FREE[at], SIZE[at], begin, minutes, dice)]
    return Story(seed, minutes, tuple(_shipped(points, begin, minutes, dice)))


def _counter(series: Series, begin: int, minutes: int, dice: random.Random) -> list[Point]:
    """A counter with quiet minutes, resets, restarts and gaps."""
    start: int | None = dice.choice([begin - 1_000, begin - 3_600_000, None])
    value, found, at = float(dice.randint(0, 5)), [], begin
    slow = dice.choice([1, 4, 40])
    parts = [1, 0.25] if "seconds" in series.metric else [1]  # requests are whole
    while at < begin + minutes * MINUTE:
        match dice.choices(["go", "quiet", "reset", "restart", "gap"], [70, 20, 2, 2, 2])[0]:
            case "reset":
                value = float(dice.randint(0, 3))
            case "restart":
                start, value = at - 1_000, float(dice.randint(0, 3))
            case "gap":
                at += dice.randint(1, 5) * MINUTE
        rate = dice.choice([0, 0, 1, slow])
        for _ in range(4):
            value += dice.randint(0, rate) * dice.choice(parts)
            found.append(Point(series, at, value, start))
            at += QUARTER
    return found


def _gauges(free: Series, size: Series, begin: int, minutes: int, dice: random.Random) -> list[Point]:
    found = []
    for at in range(begin, begin + minutes * MINUTE, 2 * QUARTER):
        if dice.random() < 0.05:
            continue
        found.append(Point(free, at, float(dice.randint(10, 60)), None, "gauge"))
        found.append(Point(size, at, 100.0, None, "gauge"))
    return found


def _shipped(points: list[Point], begin: int, minutes: int, dice: random.Random) -> list[tuple[Told, int]]:
    """Samples in batches: some come late, some twice, and between them the store rolls up, restarts and crashes."""
    found: list[tuple[Told, int]] = []
    late: list[Point] = []
    at = begin
    while at < begin + minutes * MINUTE:
        end = at + dice.choice([1, 3, 10]) * MINUTE
        now = [it for it in points if at <= it.ts_ms < end]
        behind = [it for it in now if dice.random() < 0.02]
        if dice.random() < 0.2:
            behind = [it for it in now if it.series == dice.choice(now).series] if now else []
        sent = [it for it in now if it not in behind]
        sent += [it._replace(value=it.value + 1) for it in sent if dice.random() < 0.01]  # a second one of a moment
        found.append((sent, end + dice.choice([0, 1, 30_000])))
        late += behind
        if late and dice.random() < 0.4:
            found.append((late, end))
            late = []
        if dice.random() < 0.3:
            found.append((dice.choice(["keep", "reopen", "crash"]), end))  # type: ignore[arg-type]
        at = end
    return [*found, (late, at)] if late else found


def heard(store: Store, naive: Naive, told: Told, clock: Clock) -> tuple[Store, bool]:
    """The store after what was told, and whether it is another one now: what was in memory is gone."""
    match told:
        case "keep":
            clock.now_ms += 130_000
            store.keep()
        case "reopen" | "crash":
            store.close() if told == "reopen" else store.database.close()
            return Store(store.database.path, clock), True
        case list():
            store.append(batch(told))
            naive.append(batch(told))
    return store, False
