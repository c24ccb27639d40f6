"""Exported rules in a real Prometheus agree with our own judgement of the same samples.

The bound: of T events in a window, B of them bad, t and b came with the first samples of the window, which `increase`
leaves out. It extrapolates each series by at most 1.1 intervals on either side of the span between first and last
sample, and by the same for all that were read together but for the extrapolation to zero. So the error ratio of
Prometheus lies between (B - b) / T / F and B / (T - t) x F, with F = 1 + 2.2 x longest interval / span.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any, Final, NamedTuple

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.judging import Judging
from service.model import MetricBatch
from service.remote_encode import Encoder, compressed
from service.store import Store
from service.store_append import Bounds
from slo.burn import DEFAULT, rows_of
from slo.judge import windows
from slo.model import EventRatio, Judgement, Objective
from slo.prometheus.words import window
from tests.service.stores import Clock, select, series
from tests.slo.prometheus.support import objective, rules
from tests.slo.support import DAY, HOUR, MINUTE
from tests.support.prometheus import needs_prometheus
from tests.support.remote import Engine
from tests.support.waiting import until

APPS: Final = ("calm", "outage", "over", "slow", "restarts", "few")
NAMES: Final = (*APPS, "by-good")
CODES: Final = ("200", "500")
AHEAD_MS: Final = 5 * MINUTE
"""Samples are there for as long as the test takes."""
Values = NDArray[np.float64]
Moments = NDArray[np.int64]


def _data(name: str) -> str:
    return "slow" if name == "by-good" else name


def _app(name: str) -> Objective:
    """The objective of an app; `by-good` counts the good ones of what `slow` does."""
    app = _data(name)
    part = (select("agree_total", app=app, code="200" if name == "by-good" else "500"),)
    indicator = EventRatio((select("agree_total", app=app),), **{"good" if name == "by-good" else "bad": part})  # type: ignore[arg-type]
    return objective(name, service="agree", indicator=indicator, window_ms=7 * DAY)


def _rises(name: str, at: Moments, now_ms: int) -> tuple[Values, Values]:
    """Good and bad events that each sample adds."""
    ago, steps = now_ms - at, np.diff(at, prepend=at[0] - 30_000) / 15_000
    share = np.full(len(at), {"slow": 0.002, "restarts": 0.008, "few": 0.0}.get(name, 0.0002))
    if name == "outage":
        share[ago < 10 * MINUTE] = 0.3
    if name == "over":
        share[(ago < 80 * MINUTE) & (ago > 20 * MINUTE)] = 0.3
    every = np.round(steps * (1 if name == "few" else 5000))
    bad = np.round(every * share)
    if name == "few":
        every = (np.arange(len(at)) % 4 == 0).astype(float)
        bad[np.flatnonzero((ago > 0) & (every > 0))[-1]] = 1
    return every - bad, bad


class Written(NamedTuple):
    """What was written: moments, and by (app, code) the values and what each sample added."""

    at: Moments
    values: dict[tuple[str, str], Values]
    rises: dict[tuple[str, str], Values]
    starts: dict[str, Moments]

    def added(self, app: str, code: str, since_ms: int, until_ms: int) -> tuple[float, float]:
        """Events of a window, and those of them that its first sample added."""
        mine = (self.at > since_ms) & (self.at <= until_ms)
        rises = self.rises[app, code][mine]
        return float(rises.sum()), float(rises[0])


def _written(now_ms: int) -> Written:
    old = np.arange(now_ms - 7 * DAY - HOUR, now_ms - 8 * HOUR, 30_000)
    at = np.concatenate([old, np.arange(now_ms - 8 * HOUR, now_ms + AHEAD_MS, 15_000)]) + 137
    values, rises, starts = {}, {}, {}
    for app in APPS:
        begun = np.full(len(at), at[0] - 60_000)
        every = len(at) if app != "restarts" else 700
        lives = np.arange(len(at)) // every
        for life in range(1, int(lives[-1]) + 1):
            begun[lives == life] = at[np.flatnonzero(lives == life)[0]] - 9_000
        starts[app] = begun
        for code, rise in zip(CODES, _rises(app, at, now_ms), strict=True):
            rises[app, code] = rise
            sums = np.cumsum(rise)
            before = np.concatenate([[0.0], sums])[np.flatnonzero(np.diff(lives, prepend=-1))][lives]
            values[app, code] = sums - before
    return Written(at, values, rises, starts)


def _batch(it: Written, part: slice) -> MetricBatch:
    names = [(app, code) for app in APPS for code in CODES]
    size = len(it.at[part])
    return MetricBatch(
        identity=None,
        series=tuple(series("agree_total", app=app, code=code) for app, code in names),
        kinds=("counter",) * len(names),
        series_index=np.repeat(np.arange(len(names)), size).tolist(),
        ts_ms=np.tile(it.at[part], len(names)).tolist(),
        value=np.concatenate([it.values[name][part] for name in names]).tolist(),
        start_ms=np.concatenate([it.starts[app][part] for app, _ in names]).tolist(),
    )


class Both(NamedTuple):
    """A Prometheus and a store with the same samples, and what these are."""

    engine: Engine
    store: Store
    written: Written

    def asked(self, query: str, at_ms: int | None = None) -> list[dict[str, Any]]:
        form = {"query": query} | ({} if at_ms is None else {"time": f"{at_ms / 1000:.3f}"})
        answer = httpx.post(f"{self.engine.url}/api/v1/query", data=form, trust_env=False, timeout=60.0)
        return list(answer.raise_for_status().json()["data"]["result"])

    def recorded(self, name: str, app: str) -> tuple[int, float]:
        """The last sample of a recorded series: when, in ms, and its value."""
        (found,) = self.asked(f'{name}{{slo="{app}"}}[10s]')
        at, value = found["values"][-1]
        return round(float(at) * 1000), float(value)

    def judged(self, app: str, at_ms: int) -> Judgement:
        return Judging(self.store).judged([_app(app)], at_ms)[0]

    def bounds(self, app: str, window_ms: int, at_ms: int) -> tuple[float, float]:
        """Between what the error ratio of Prometheus lies, and our own count held against what was written."""
        bad, first_bad = self.written.added(_data(app), "500", at_ms - window_ms, at_ms)
        good, first_good = self.written.added(_data(app), "200", at_ms - window_ms, at_ms)
        total, first = bad + good, first_bad + first_good
        (counts,) = self.store.counts(_app(app).indicator, [window_ms], at_ms)
        assert (counts.bad, counts.total) == (bad, total)
        factor = 1 + 2.2 * 30_000 / (window_ms - 60_000)
        return (bad - first_bad) / total / factor, bad / (total - first) * factor


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("agree")
    now_ms = time.time_ns() // 1_000_000
    written, engine = _written(now_ms), Engine("prometheus", folder / "prometheus")
    store = Store(folder / "x.duckdb", Clock(now_ms + AHEAD_MS), Bounds(raw_ms=30 * DAY))
    try:
        store.append(_batch(written, slice(None)))
        _send(engine, written)
        text = rules([_app(name) for name in NAMES])[0]
        engine.load(re.sub(r"interval: \w+", "interval: 1s", text))
        found = Both(engine, store, written)
        left = "midwatch_slo:error_budget_remaining:ratio"
        until(lambda: len(found.asked(left)) == len(NAMES), what="budgets of all")
        seen = time.time()
        until(lambda: _evaluated_since(engine, seen), what="every group was evaluated again")
        yield found
    finally:
        engine.stop()
        store.close()


def _send(engine: Engine, written: Written, step: int = 120) -> None:
    encoder = Encoder()
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        for begin in range(0, len(written.at), step):
            batch = _batch(written, slice(begin, begin + step))
            index, at, value = (np.asarray(it) for it in (batch.series_index, batch.ts_ms, batch.value))
            body = encoder.encode(batch.series, index, at, value).body
            answer = client.post(f"{engine.url}/api/v1/write", content=compressed(body), headers=headers)
            assert answer.status_code in (200, 204), answer.text


def _firing(both: Both) -> set[tuple[str, str, str, str]]:
    """(alert, objective, row, road) of all that fires."""
    answer = httpx.get(f"{both.engine.url}/api/v1/alerts", trust_env=False).json()
    names = ("alertname", "slo", "row", "road")
    every = [it["labels"] for it in answer["data"]["alerts"] if it["state"] == "firing"]
    return {tuple(it.get(name, "") for name in names) for it in every}  # type: ignore[misc]


def _evaluated_since(engine: Engine, seconds: float) -> bool:
    groups = httpx.get(f"{engine.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    return all(datetime.fromisoformat(it["lastEvaluation"][:19] + "+00:00").timestamp() > seconds for it in groups)


@needs_prometheus
def test_every_rule_is_healthy(both: Both) -> None:
    groups = httpx.get(f"{both.engine.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) > 300
    assert [it for it in found if it["health"] == "err"] == []


@needs_prometheus
@pytest.mark.parametrize("app", NAMES)
def test_error_ratio_burn_and_budget_agree_in_every_window(both: Both, app: str) -> None:
    of = _app(app)
    for window_ms in windows(of):
        at_ms, ratio = both.recorded(f"midwatch_slo:sli_error:ratio_rate{window(window_ms)}", app)
        low, high = both.bounds(app, window_ms, at_ms)
        assert low <= ratio <= high, (window(window_ms), low, ratio, high)
        at_ms, burn = both.recorded(f"midwatch_slo:burn:rate{window(window_ms)}", app)
        low, high = (it / float(of.budget) for it in both.bounds(app, window_ms, at_ms))
        assert low <= burn <= high, (window(window_ms), low, burn, high)
    at_ms, left = both.recorded("midwatch_slo:error_budget_remaining:ratio", app)
    low, high = (1 - it / float(of.budget) for it in both.bounds(app, of.window_ms, at_ms))
    assert high <= left <= low
    ours = both.judged(app, at_ms).budget_remaining
    assert ours is not None
    assert abs(left - float(ours)) <= 0.02 * max(1.0, abs(1 - float(ours)))


@needs_prometheus
def test_ratios_agree_at_moments_of_the_past(both: Both) -> None:
    random = np.random.default_rng(6)
    latest = int(both.written.at[-1]) - AHEAD_MS
    asked = 0
    for app in APPS:
        for window_ms in (14 * MINUTE, 84 * MINUTE, 6 * HOUR):
            for at_ms in (latest - random.integers(0, 5 * DAY, 2)).tolist():
                at_ms = at_ms // 1000 * 1000 + 500  # no sample stands at a window's begin, which Prometheus 2 holds
                text = window(window_ms)
                one = f'sum(increase(agree_total{{app="{app}",code="500"}}[{text}]))'
                whole = f'sum(increase(agree_total{{app="{app}"}}[{text}]))'
                (found,) = both.asked(f"{one} / ({whole} > 0)", at_ms)
                low, high = both.bounds(app, window_ms, at_ms)
                assert low <= float(found["value"][1]) <= high, (app, text, at_ms)
                asked += 1
    assert asked == 36


@needs_prometheus
def test_the_same_alerts_fire(both: Both) -> None:
    firing = _firing(both)
    at_ms = time.time_ns() // 1_000_000
    expected: set[tuple[str, str, str, str]] = set()
    for app in NAMES:
        of, judgement = _app(app), both.judged(app, at_ms)
        for result in judgement.rows:
            assert not _doubtful(both, of, result.row, at_ms), (app, result.row.name)
            if result.fired:
                road = "ticket" if result.guarded else result.row.road
                expected.add(("slo-burn", app, result.row.name, road))
        if judgement.projected_gone:
            expected.add(("budget-projected-gone", app, "", "page"))
    assert firing == expected
    by_app: dict[str, set[str]] = {app: {f"{row} {road}" for _, it, row, road in firing if it == app} for app in NAMES}
    assert by_app["calm"] == set()
    assert "fast page" in by_app["outage"]
    assert "fast page" not in by_app["over"]
    assert by_app["slow"] == by_app["by-good"] == {"ticket-3d ticket"}
    assert "slow page" in by_app["restarts"]
    assert "fast ticket" in by_app["few"]
    assert "fast page" not in by_app["few"]


def _doubtful(both: Both, of: Objective, row: Any, at_ms: int) -> bool:
    """Whether extrapolation alone could tell whether the row fires."""
    limit = float(row.factor * of.budget)
    pairs: Sequence[tuple[float, float]] = [both.bounds(of.slo, ms, at_ms) for ms in (row.long_ms, row.short_ms)]
    if any(high < limit for _, high in pairs):
        return False
    return any(low <= limit <= high for low, high in pairs)


def test_the_windows_are_those_of_the_rows() -> None:
    of = _app("calm")
    assert [window(it.long_ms) for it in rows_of(of, DEFAULT)] == ["14m", "84m", "336m", "1008m"]
    assert [it.factor for it in rows_of(of, DEFAULT)] == [Fraction("14.4"), 6, 3, 1]
