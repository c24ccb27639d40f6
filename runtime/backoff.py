"""When to try again what failed: pure, so that whoever holds the state decides where it lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BASE_MS = 1_000
MOST_MS = 300_000


class Failed(NamedTuple):
    """How often in a row something failed, and when it may be tried again (milliseconds UTC)."""

    times: int
    again_ms: int


def delay_ms(times: int, base_ms: int = BASE_MS, most_ms: int = MOST_MS) -> int:
    """The pause after the `times`-th failure in a row: it doubles up to the bound."""
    return min(base_ms << min(max(times - 1, 0), 30), most_ms)


def due(key: str, held: Mapping[str, Failed], now_ms: int) -> bool:
    """True where `key` never failed or its pause is over."""
    return key not in held or now_ms >= held[key].again_ms


def after(key: str, ok: bool, held: Mapping[str, Failed], now_ms: int) -> dict[str, Failed]:
    """The state after a try: success forgets the failures, a failure lengthens the pause."""
    others = {name: failed for name, failed in held.items() if name != key}
    if ok:
        return others
    times = (held[key].times if key in held else 0) + 1
    return {**others, key: Failed(times, now_ms + delay_ms(times))}
