"""Time of searching logs and traces, by hand: `python -m tests.benchmarks.bench_search [millions]`.

Lines of fourteen words by twenty services on one day, and a tenth as many spans; the store as the service has it.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from service.model import LogBatch, LogRow, SpanRow, TraceBatch
from service.store import Store
from service.store_records import Records
from service.store_search import LogSearch, TraceSearch, read_trace, search_logs, search_traces

BATCH = 50_000
WORDS = [f"w{n:04d}" for n in range(3_000)]
DAY_MS = 86_400_000


def fill(records: Records, begin_ms: int, count: int, rand: random.Random) -> None:
    """Lines and spans, a hundred a second."""
    for first in range(0, count, BATCH):
        lines = tuple(
            LogRow(
                begin_ms + n * 10, "n1", "u1", f"shop/s{n % 20}", f"shop-s{n % 20}-1", None, "stdout",
                "Payment REFUSED by NEEDLE" if n == count // 3 else " ".join(rand.choices(WORDS, k=14)),
                rand.choice(("info", "info", "info", "warn", "error")), f"{n:032x}", f"{n:016x}",
            )
            for n in range(first, min(first + BATCH, count))
        )  # fmt: skip
        records.append_logs(LogBatch(None, (), lines))
        spans = tuple(
            SpanRow(f"{n // 5:032x}", f"{n:016x}", None if n % 5 == 0 else "0" * 16, "GET /", "n1", "u1",
                    f"shop/s{n % 20}", begin_ms + n * 100, begin_ms + n * 100 + rand.randrange(500), n % 50 != 0, {})
            for n in range(first // 10, min(first + BATCH, count) // 10)
        )  # fmt: skip
        records.append_spans(TraceBatch(None, spans))


def least_ms(work: Callable[[], object]) -> float:
    """The least of several runs, in milliseconds."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return min(found)


def main(count: int) -> None:
    """Print the table."""
    now_ms = time.time_ns() // 1_000_000
    begin = now_ms // DAY_MS * DAY_MS - 3 * DAY_MS
    since, until = begin - 1, begin + count * 10
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.duckdb", lambda: now_ms)
        fill(Records(store.database, store.streams, lambda: now_ms), begin, count, random.Random(1))  # noqa: S311 - the same lines each time
        store.database.checkpoint()
        table = Table("asked", "found", "ms")
        for name, more in (
            ("a part in any case, one line has it", {"text": "needle"}),
            ("a regular expression, one line has it", {"regex": "NEED.E"}),
            ("a part that many have, the newest 100", {"text": "w0007"}),
            ("a part, of one service", {"text": "needle", "service": "shop/s3"}),
            ("errors of a service, the newest 100", {"severities": ("error",), "service": "shop/s3"}),
            ("lines of a trace", {"trace_id": f"{count // 2:032x}"}),
        ):
            asked = LogSearch(since, until, **more)  # type: ignore[arg-type]
            found = len(search_logs(store.database, asked, 60.0))
            table.add_row(name, str(found), f"{least_ms(lambda a=asked: search_logs(store.database, a, 60.0)):.1f}")
        slow = TraceSearch(since, until, service="shop/s3", min_ms=400)
        table.add_row(
            "traces of a service from 400 ms",
            "20",
            f"{least_ms(lambda: search_traces(store.database, slow, 60.0)):.1f}",
        )
        one = f"{count // 100:032x}"
        table.add_row("a trace", "5", f"{least_ms(lambda: read_trace(store.database, one, 60.0)):.1f}")
        Console().print(f"{count:,} lines, {count // 10:,} spans, {store.used_bytes() / count:.0f} bytes a line", table)
        store.close()


if __name__ == "__main__":
    main(int(float(sys.argv[1]) * 1_000_000) if len(sys.argv) > 1 else 2_000_000)
