"""From the kernel's word on a kill to its sample, taken and durable, in the service. Printed, never asserted."""

from __future__ import annotations

import os
import select
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.engine import EngineUnderTest
from tests.support.forwarder import Forwarder, forwarding
from tests.support.stack import Stack
from tests.support.waiting import until

KILLS = 30
METRIC = "midwatch_oom_kills_total"


@contextmanager
def kernel_kills(name: str) -> Iterator[list[float]]:
    """When the kernel told of each kill of a process of that name, in ms of the wall clock."""
    told: list[float] = []
    stop = threading.Event()
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)

    def follow() -> None:
        while not stop.is_set():
            if select.select([log], [], [], 0.2)[0]:
                record = os.read(log, 8192)
                if b"Killed process" in record and f"({name})".encode() in record:
                    told.append(time.time_ns() / 1e6)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()
        os.close(log)


@pytest.mark.engine
@pytest.mark.parametrize("interval_seconds", [1, 10])
def test_time_from_kernel_kill_to_the_service(engine: EngineUnderTest, tiny_image: str, interval_seconds: int) -> None:
    name = f"mw{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="midwatch-") as folder:
        stack = Stack(engine, Path(folder))
        with forwarding(stack.url) as forwarder, kernel_kills(name) as told:
            stack.configuration = {"agent": {"server": forwarder.url, "interval_seconds": interval_seconds}}
            try:
                stack.start()
                until(lambda: stack.total("midwatch_engine_up") == 1, what="the engine")
                took = [_one(engine, tiny_image, name, forwarder, told, count) for count in range(1, KILLS + 1)]
            finally:
                stack.stop()
    most = sorted(took)[int(0.95 * len(took))]
    print(
        f"\n{KILLS} kills, a round each {interval_seconds} s: from the kernel's word to the service's answer "
        f"{statistics.median(took):.0f} ms in the median, {most:.0f} ms at 95 %, {max(took):.0f} ms at most"
    )


def _one(engine: EngineUnderTest, image: str, name: str, forwarder: Forwarder, told: list[float], count: int) -> float:
    """Causes one kill; ms from the kernel's word on it to when the service had it."""
    grow = f"printf {name} >/proc/$$/comm; x=0123456789abcdef; while :; do x=$x$x; done"
    container = engine.client.containers.run(
        image, ["sh", "-c", grow], detach=True, labels={**engine.labels, "midwatch.service": name},
        mem_limit="16m", memswap_limit="16m", network_mode="none", oom_score_adj=500,
    )  # fmt: skip
    at_ms = until(lambda: forwarder.first(METRIC, name, count), 20.0, every=0.02, what=f"kill {count}")
    container.remove(force=True)
    return at_ms - told[count - 1]
