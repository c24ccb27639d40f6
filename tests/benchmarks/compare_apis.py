"""Two APIs on what one Prometheus scraped: `python -m tests.benchmarks.compare_apis`, by hand.

A real Prometheus scrapes itself and a small exporter, and writes what it scrapes to the service for as long as
MIDWATCH_COMPARE_SECONDS says (600). Then every query of tests.support.dashboards is asked of both, at instants and over
ranges.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.test_remote_write import served
from tests.support.comparing import Compared, Moments, compare, phase
from tests.support.dashboards import QUERIES, exporting
from tests.support.prometheus import Prometheus

SETTLE_SECONDS = 12.0
"""What is younger may still be on its way."""
YOUNG_SECONDS = 130.0
"""Longer than the longest window of a query."""


def run(folder: Path, seconds: float, queries: Sequence[str], young_seconds: float) -> Compared:
    """Scrape and write for some time, then compare; the first `young_seconds` are left out.

    How far a counter is extrapolated that began within the window differs between Prometheus 2 and 3.
    """
    (folder / "prometheus").mkdir()
    with exporting() as port, served(folder / "data") as (url, _):
        targets = {"prometheus": "127.0.0.1:{port}", "demo": f"127.0.0.1:{port}"}
        written = {"url": f"{url}/api/v1/write", "queue_config": {"batch_send_deadline": "1s"}}
        prometheus = Prometheus(folder / "prometheus", targets, write_to=written)
        began = time.time()
        try:
            time.sleep(seconds)
            theirs = f"http://127.0.0.1:{prometheus.port}"
            return compare(theirs, url, queries, moments(theirs, began + young_seconds, time.time() - SETTLE_SECONDS))
        finally:
            prometheus.stop()


def moments(base: str, began: float, until: float) -> Moments:
    """Instants spread over the time, the first ones where there is little yet, and ranges of three steps."""
    end = phase(base, until)
    span = max(1.0, float(int(end - began)))
    instants = [end - int(span * part) for part in (0.0, 0.13, 0.37, 0.61, 0.83, 1.0)]
    ranges = [(end - int(span), end, step) for step in (1.0, 7.0, 15.0)]
    return Moments(instants, ranges)


def main() -> int:
    """Run, and print what differs."""
    seconds = float(os.environ.get("MIDWATCH_COMPARE_SECONDS", "600"))
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), seconds, QUERIES, YOUNG_SECONDS)
    print(f"{len(QUERIES)} queries: {found.equal} answers equal, {found.filled} of them with samples")
    for it in found.differences:
        print(f"differs {it.when}: {it.query}\n    {it.what}")
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(main())
