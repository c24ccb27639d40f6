"""The finest steps in which an objective's past can be counted, as edges of even width."""

from __future__ import annotations

from typing import Final

from slo.model import Objective

MINUTE_MS: Final = 60_000
FIVE_MS: Final = 5 * MINUTE_MS
HOUR_MS: Final = 60 * MINUTE_MS
MOST_STEPS: Final = 110_000
"""A year of five minutes."""


def fine_edges(objective: Objective, since_ms: int, until_ms: int, oldest_raw_ms: int | None) -> list[list[int]]:
    """Edges of `(since, until]` with whole steps alone: five minutes up to where single samples begin, then minutes.

    Slices have their own length. Where these are more than MOST_STEPS, steps are of five minutes, or of an hour.
    """
    if objective.slices is not None:
        return _bounded([(objective.slices.slice_ms, since_ms, until_ms)])
    turn = until_ms if oldest_raw_ms is None else min(max(oldest_raw_ms, since_ms), until_ms)
    turn = -(-turn // FIVE_MS) * FIVE_MS
    return _bounded([(FIVE_MS, since_ms, min(turn, until_ms)), (MINUTE_MS, max(turn, since_ms), until_ms)])


def _bounded(pieces: list[tuple[int, int, int]]) -> list[list[int]]:
    for least_ms in (0, FIVE_MS, HOUR_MS):
        edges = [_edges(max(step, -(-least_ms // step) * step), since, until) for step, since, until in pieces]
        if sum(map(len, edges)) <= MOST_STEPS:
            break
    return [it for it in edges if len(it) > 1]


def _edges(step_ms: int, since_ms: int, until_ms: int) -> list[int]:
    return list(range(-(-since_ms // step_ms) * step_ms, until_ms // step_ms * step_ms + 1, step_ms))
