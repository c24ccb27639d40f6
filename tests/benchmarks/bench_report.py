"""Pages of objectives, reports and history over stored data: how long each takes, and what history costs.

`python -m tests.benchmarks.bench_report [objectives] [days] [folder]`; a folder that holds a store already is used
again. Counters are scraped each minute. History is filled with a judgement of each objective and minute of the last
eight days.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alerts.thresholds import DEFAULT as LIMITS
from dashboards import pages
from service.digest import Digest, payload
from service.digest_times import schedule
from service.evaluate import Evaluator
from service.slo_book import SloBook
from service.slo_history import trim, write_history
from service.source import StoreSource
from service.store import Store
from tests.benchmarks.bench_slo import BEGIN_MS, MINUTE_MS, SLO, Load, fill

DAY_MS = 86_400_000


def timed(name: str, what: Callable[[], object]) -> None:
    """Print how long a call took, the better of two."""
    best = None
    for _ in range(2):
        begun = time.perf_counter()
        what()
        took = time.perf_counter() - begun
        best = took if best is None else min(best, took)
    print(f"{name:<44} {1000 * (best or 0):8.0f} ms")


def main(n: int, days: int, folder: Path) -> None:
    """Fill, evaluate, ask."""
    clock = [BEGIN_MS]
    file = folder / "slos.yaml"
    file.write_text("---\n".join(SLO.format(n=at) for at in range(n)))
    store = Store(folder / "x.duckdb", lambda: clock[0])
    fill(Load(store, n), days, clock)
    evaluator = Evaluator(store, [], "http://x", LIMITS, lambda: clock[0], lambda: None, slos=SloBook([str(file)]))
    judgements = evaluator.tick().judgements
    now = clock[0]
    source = StoreSource(store, evaluator, store.span, True, lambda: now)
    begun = time.perf_counter()
    for at in range(now - 8 * DAY_MS, now, MINUTE_MS):
        store.database.write(lambda cursor, at=at: write_history(cursor, judgements, at))
    print(f"{'a minute of history':<44} {(time.perf_counter() - begun) / 8 / 1440 * 1000:8.1f} ms")
    one = {"slo": "api-0", "service": "api-0"}
    for name, page, asked in (
        ("/slo", "slo", {}), ("/slo/api-0", "slo", {"service": "api-0"}), ("/slo/api-0?slo=api-0", "slo", one),
        ("report of one, 30 d", "reports", {**one, "range": "30d"}),
        ("report of one, last week", "reports", {**one, "period": "last-week"}),
        ("report of all, 30 d", "reports", {"range": "30d"}),
    ):  # fmt: skip
        draw = pages.slo if page == "slo" else pages.report
        request = pages.parse(pages.page_name(page), asked, now)
        timed(name, lambda draw=draw, request=request: pages.render(draw(source, request, now)))
    digest = Digest("x", schedule("week", None, "UTC"))
    timed("a digest", lambda: _digest(source, digest, now))
    key = ("api-0", "api-0", ())
    timed("history of one, 8 d", lambda: (source.points(key, 0, now, 50_000), source.runs(0, now, "api-0", "api-0")))
    timed("states of all, 24 h", lambda: source.runs(now - DAY_MS, now))
    print(f"{'database':<44} {store.used_bytes() / 2**20:8.0f} MiB")
    begun = time.perf_counter()
    gone = trim(store.database.write, now, 2 * DAY_MS, 400 * DAY_MS, 10**9)
    print(f"{'thinning six days':<44} {(time.perf_counter() - begun) * 1000:8.0f} ms, {gone.thinned} rows")
    store.close()


def _digest(source: StoreSource, digest: Digest, now_ms: int) -> object:
    from dashboards.desk import open_desk
    from dashboards.report_data import many, span_of

    desk = open_desk(source, pages.parse("reports", {"period": "last-week"}, now_ms), now_ms)
    return payload(digest, many(desk), span_of(desk), "http://x")


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        main(int(given[0]) if given else 100, int(given[1]) if len(given) > 1 else 30,
             Path(given[2]) if len(given) > 2 else Path(scratch))  # fmt: skip
