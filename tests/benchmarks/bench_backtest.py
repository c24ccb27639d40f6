"""Backtests of 10 objectives over 30 days, each kind of them: the first try, and the next ones, as while typing.

`python -m tests.benchmarks.bench_backtest [raw days] [folder]`; a folder that holds a store already is used again. The
store holds 60 days of 1,000 objectives' worth of series at a sample a minute, of which single samples are kept for
`raw days` (7, as it is set; 90 keeps all).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from service.promql.engine import Engine
from service.slo_backtest import Question, tried
from service.slo_histories import Histories
from service.store import Store
from service.store_append import Bounds
from service.store_samples import StoreSamples
from slo.model import EventRatio, Matcher, MinuteSlices, Objective, QueryIndicator, Selector
from slo.slices import RatioTimeslices, Timeslices
from tests.benchmarks.bench_slo import BEGIN_MS, Load, fill

DAY, MINUTE = 86_400_000, 60_000
SERIES, DAYS = 50, 60


def _counters(n: int) -> Objective:
    app = Matcher("app", "=", f"api-{n}")
    bad = Selector("app_requests_total", (app, Matcher("code", "=", "500")))
    ratio = EventRatio((Selector("app_requests_total", (app,)),), bad=(bad,))
    return Objective(f"api-{n}", f"api-{n}", (), ratio, Fraction(1, 1000), "99.9 %", 30 * DAY, f"API {n}")


def _queries(n: int) -> Objective:
    window = "app_requests_total{app='api-%d'%s}[2m]"
    part, total = (f"sum(rate({window % (n, it)}))" for it in (",code='500'", ""))
    return replace(_counters(n), query=QueryIndicator("bad", part, total))


def _minutes(n: int) -> Objective:
    app = Matcher("app", "=", f"api-{n}")
    bad = Selector("app_requests_total", (app, Matcher("code", "=", "500")))
    whole = Selector("app_requests_total", (app, Matcher("code", "=", "200")))
    return replace(_counters(n), indicator=MinuteSlices("counter", bad, whole, Fraction(1, 20)), window_ms=7 * DAY)


def kinds() -> dict[str, list[Objective]]:
    """Ten objectives of each kind."""
    ten = [_counters(n) for n in range(10)]
    return {
        "ratios of counters": ten,
        "slices of 1 min": [replace(it, slices=Timeslices(Fraction(99, 100), MINUTE)) for it in ten],
        "ratio slices of 5 min": [replace(it, slices=RatioTimeslices(5 * MINUTE)) for it in ten],
        "minutes": [_minutes(n) for n in range(10)],
        "queries": [_queries(n) for n in range(10)],
    }


def _took(histories: Histories, objectives: Sequence[Objective], now_ms: int) -> tuple[float, float]:
    """Seconds of the clock, and of the processor."""
    began, worked = time.perf_counter(), time.process_time()
    found = tried(histories, Question(objectives, objectives, now_ms - 30 * DAY, now_ms))
    took = time.perf_counter() - began, time.process_time() - worked
    wrong = {it.why_not for it in found if it.asked is None}
    if wrong:
        print(f"  not tried: {wrong}")
    return took


def main() -> None:
    """Measure, and print."""
    raw = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    clock, there = [BEGIN_MS], (folder / "bench.duckdb").exists()
    bounds = Bounds(raw_ms=raw * DAY, rollup_ms=400 * DAY)
    load = Load(Store(folder / "bench.duckdb", lambda: clock[0], bounds), SERIES)
    began = time.perf_counter()
    if there:
        clock[0] = (load.store.span()[1] or 0) // MINUTE * MINUTE
    else:
        fill(load, DAYS, clock)
    print(f"history: {time.perf_counter() - began:.1f} s")
    for kind, objectives in kinds().items():
        histories = Histories(load.store, Engine(StoreSamples(load.store)))
        first = _took(histories, objectives, clock[0])
        changed = [replace(it, budget=it.budget / 2) for it in objectives]
        again = [_took(histories, changed, clock[0]) for _ in range(3)]
        then = f"{min(again)[0]:.2f} to {max(again)[0]:.2f} s ({min(again)[1]:.2f} of the processor)"
        print(f"{kind}: first {first[0]:.2f} s ({first[1]:.2f} of the processor), then {then}")
    load.store.close()


if __name__ == "__main__":
    main()
