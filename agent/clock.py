"""The two clocks of the agent, passed in so that nothing that decides reads one by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


def wall_ms() -> int:
    """Milliseconds UTC by the host's clock."""
    return time.time_ns() // 1_000_000


class Clock(NamedTuple):
    """`now_ms` is the wall clock, `monotonic` seconds that never jump and stand still in a suspend."""

    now_ms: Callable[[], int] = wall_ms
    monotonic: Callable[[], float] = time.monotonic
