"""A process that stores batches as fast as it can, rolls up, seals and writes days anew, until it is killed.

`python -m tests.service.crashing FILE SEED`: batches come from standard input's count on; each acknowledged number is
written to standard output after it is durable.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from service.errors import StoreFault, StoreUnavailable
from service.model import BatchIdentity, MetricBatch, Series
from service.store import Store
from service.store_db import Resources

BEGIN = 1_760_000_000_000 // 86_400_000 * 86_400_000
STEP_MS = 120_000
"""Far apart, so that blocks and days go by while a test waits."""
NAMES = tuple(Series("requests_total", (("code", str(at % 3)), ("pod", f"{at:03d}"))) for at in range(60))
LATE = tuple(Series("heat", (("pod", f"{at:03d}"),)) for at in range(20))


def moment(number: int) -> int:
    """When batch `number` was read."""
    return BEGIN + number * STEP_MS


def values(number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What it holds: counters that rise by 1 to 3 each time."""
    at = np.arange(len(NAMES))
    return (number * (1 + at % 3)).astype(float)


def batch(number: int) -> MetricBatch:
    """Batch `number`; every seventh brings samples of a day before too, which nobody sent then."""
    n = len(NAMES)
    index, ts, value = np.arange(n), np.full(n, moment(number)), values(number)
    if number % 7 == 0 and number > 800:
        index = np.concatenate([index, n + np.arange(len(LATE))])
        ts = np.concatenate([ts, np.full(len(LATE), moment(number - 720) + 1)])
        value = np.concatenate([value, np.arange(len(LATE)) + number / 3])
    kinds = ("counter",) * n + ("gauge",) * len(LATE)
    identity = BatchIdentity("n1", "s1", "metrics", number)
    return MetricBatch(identity, NAMES + LATE, kinds, index, ts, value, np.full(len(index), BEGIN))  # type: ignore[arg-type]


def main() -> None:
    """Store until killed; where the disk is full, try again."""
    path, first = Path(sys.argv[1]), int(sys.argv[2])
    now = [moment(max(first, 1))]
    begun = time.monotonic()
    store = Store(path, lambda: now[0], resources=Resources(checkpoint_mb=1))
    os.write(1, f"started {time.monotonic() - begun:.3f}\n".encode())

    def keep() -> None:
        while True:
            try:
                store.keep()
            except StoreFault:
                time.sleep(0.01)

    threading.Thread(target=keep, daemon=True).start()
    number = first
    while True:
        now[0] = moment(number)
        try:
            store.append(batch(number))
        except StoreUnavailable:
            os.write(1, b"full\n")
            time.sleep(0.02)
            continue
        os.write(1, b"%d\n" % number)
        number += 1


if __name__ == "__main__":
    main()
