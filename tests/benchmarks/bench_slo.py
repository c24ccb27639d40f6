"""Evaluation of 1,000 objectives of files over stored history: each evaluation, its parts, and the first one.

`python -m tests.benchmarks.bench_slo [objectives] [days] [folder] [order]`; a folder that holds a store already is used
again; with an order, such as cumulative, a profile is printed. Counters are scraped each minute, each 15 s while it is
measured, and each objective has two of them, of which one rarely moves. In the end all objectives fail at once.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import tempfile
import time
import uuid
from datetime import time as time_of_day
from pathlib import Path

import numpy as np

from alerts.thresholds import DEFAULT as LIMITS
from service import adjustments
from service.evaluate import Evaluator
from service.model import MetricBatch, Series
from service.slo_book import SloBook
from service.store import Store
from slo.adjust import Adjustment, Recurrence, Revoked

BEGIN_MS = 1_760_000_000_000 // 86_400_000 * 86_400_000
MINUTE_MS, ROUND_MS = 60_000, 15_000
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: api-{n}}}
spec:
  service: api-{n}
  indicator:
    metadata: {{name: good-{n}}}
    spec:
      ratioMetric:
        counter: true
        bad: {{metricSource: {{type: Prometheus, spec: {{query: 'app_requests_total{{app="api-{n}",code="500"}}'}}}}}}
        total: {{metricSource: {{type: Prometheus, spec: {{query: 'app_requests_total{{app="api-{n}"}}'}}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.999}}]
"""


class Load:
    """Counters of `n` services, told at moments that the benchmark chooses."""

    def __init__(self, store: Store, n: int) -> None:
        self.store = store
        names = [(f"api-{at}", code) for at in range(n) for code in ("200", "500")]
        self.series = tuple(
            Series("app_requests_total", (("app", app), ("code", code), ("node", f"n{at % 20}")))
            for at, (app, code) in enumerate(names)
        )
        self.rng = np.random.default_rng(7)
        self.values = np.zeros(len(self.series))
        self.mean = np.tile([30.0, 0.01], n)

    def tell(self, moments: list[int]) -> None:
        """One batch with a sample of each series at each of the moments."""
        size = len(self.series)
        rises = self.rng.poisson(np.tile(self.mean, (len(moments), 1))).astype(float)
        values = self.values + np.cumsum(rises, axis=0)
        self.values = values[-1]
        self.store.append(
            MetricBatch(
                identity=None,
                series=self.series,
                kinds=("counter",) * size,
                series_index=np.tile(np.arange(size), len(moments)),
                ts_ms=np.repeat(np.asarray(moments, np.int64), size),
                value=values.ravel(),
                start_ms=np.full(size * len(moments), BEGIN_MS, np.int64),
            )
        )


def fill(load: Load, days: int, clock: list[int]) -> None:
    """History: a sample a minute, in batches of ten minutes; tidied up every two hours as in service."""
    end = BEGIN_MS + days * 86_400_000
    minutes = list(range(BEGIN_MS + MINUTE_MS, end + 1, MINUTE_MS))
    for at in range(0, len(minutes), 10):
        clock[0] = minutes[at : at + 10][-1]
        load.tell(minutes[at : at + 10])
        if at % 120 == 0:
            load.store.keep()
    load.store.keep()


def measured(evaluator: Evaluator, load: Load, clock: list[int], rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of each of so many evaluations, and of its CPU, with new samples before each."""
    found = []
    for _ in range(rounds):
        clock[0] += ROUND_MS
        load.tell([clock[0]])
        began, cpu = time.perf_counter(), time.process_time()
        evaluator.tick()
        found.append(((time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000))
    return found


def taken_out(now_ms: int) -> list[tuple[str, Adjustment]]:
    """Adjustments of all objectives: a maintenance that is over, one that goes on, and one of each night."""
    hour = 3_600_000
    night = Recurrence("day", (), time_of_day(2), "Europe/Berlin", 2 * hour)

    def made(since_ms: int, until_ms: int | None, again: Recurrence | None = None) -> Adjustment:
        number = str(uuid.uuid4())
        return Adjustment(
            number, "maintenance", (), ("*",), (), since_ms, until_ms, "measured", "bench", now_ms, recurrence=again
        )

    return [
        ("a maintenance that is over", made(now_ms - 50 * hour, now_ms - 48 * hour)),
        ("one that goes on", made(now_ms - 2 * hour, now_ms + 2 * hour)),
        ("one of each night", made(now_ms - 40 * 24 * hour, None, night)),
    ]


def say(what: str, found: list[tuple[float, float]]) -> None:
    """One line of figures."""
    told = []
    for name, its in zip(("time", "CPU"), zip(*found, strict=True), strict=True):
        told.append(f"{name} median {statistics.median(its):.0f} ms, most {max(its):.0f}, least {min(its):.0f}")
    print(f"{what}: {'; '.join(told)}")


def opened(folder: Path, number: int, days: int, clock: list[int]) -> Load:
    """The store with its history."""
    folder.mkdir(parents=True, exist_ok=True)
    there = (folder / "bench.duckdb").exists()
    (folder / "slos.yaml").write_text("---\n".join(SLO.format(n=n) for n in range(number)))
    load = Load(Store(folder / "bench.duckdb", lambda: clock[0]), number)
    began = time.perf_counter()
    if there:
        clock[0] = (load.store.span()[1] or 0) // MINUTE_MS * MINUTE_MS
    else:
        fill(load, days, clock)
    print(f"history of {days} d: {time.perf_counter() - began:.1f} s")
    return load


def main() -> None:
    """Measure, and print."""
    number, days = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((1, 1000), (2, 30)))
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
    clock = [BEGIN_MS]
    load = opened(folder, number, days, clock)
    book = SloBook([str(folder / "slos.yaml")])
    began = time.perf_counter()
    book.look(clock[0])
    print(f"reading the file: {time.perf_counter() - began:.2f} s; {len(book.in_force.objectives)} objectives")
    evaluator = Evaluator(load.store, [], "http://midwatch", LIMITS, lambda: clock[0], lambda: None, slos=book)
    began = time.perf_counter()
    evaluator.tick()
    print(f"first evaluation: {time.perf_counter() - began:.2f} s")
    say("each evaluation", measured(evaluator, load, clock, 24))
    for name, made in taken_out(clock[0]):
        load.store.database.write(lambda cursor, made=made: adjustments.add(cursor, made))
        say(f"the first one with {name}", measured(evaluator, load, clock, 1))
        say(f"each one with {name}", measured(evaluator, load, clock, 12))
        gone = Revoked(clock[0], "bench", "measured")
        load.store.database.write(lambda cursor, made=made, gone=gone: adjustments.revoke(cursor, made.id, gone))
    if len(sys.argv) > 4:
        profile = cProfile.Profile()
        profile.runcall(measured, evaluator, load, clock, 12)
        pstats.Stats(profile).sort_stats(sys.argv[4]).print_stats(45)
    load.mean = np.tile([30.0, 0.8], number)
    say("each while all burn and their tails are read", measured(evaluator, load, clock, 20))
    say("each while all burn and these are there", measured(evaluator, load, clock, 12))
    load.mean = np.tile([30.0, 1e6], number)
    say("that in which all begin to fail", measured(evaluator, load, clock, 1))
    say("each with all failing", measured(evaluator, load, clock, 12))
    load.store.close()


if __name__ == "__main__":
    main()
