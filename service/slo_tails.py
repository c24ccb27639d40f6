"""What windows held at their begin, of objectives whose budget is on its way to its end: read once an hour.

Only those that burn above 1 need it, and of their windows only as much as leaves until the end; what is read holds
until the next hour of old events leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from slo.model import Counts, Judgement, Objective
from slo.rows import DAY_MS, HOUR_MS, MINUTE_MS
from slo.tail import Leaving

MOST_READ: Final = 50
"""Objectives whose tail is read in one evaluation; the others are told as if nothing bad left, until the next."""
MOST_KEPT: Final = 1_000
MOST_STEPS: Final = 1_000
Steps = Callable[[Sequence[Objective], Sequence[int]], list[list[Counts]]]
_Key = tuple[Objective, int]


class Tails:
    """Tails by objective; to be used by one thread at a time."""

    def __init__(self, steps: Steps) -> None:
        """`steps` counts contiguous steps of objectives, as they are judged."""
        self._steps = steps
        self._kept: OrderedDict[_Key, list[Counts]] = OrderedDict()

    def of(self, judgements: Sequence[Judgement]) -> dict[int, list[Leaving]]:
        """The tails of those whose budget has an end within a window that rolls, by their index."""
        wanted = [
            index for index, it in enumerate(judgements) if it.ending == "clean-tail" and not it.objective.members
        ]
        groups: dict[tuple[int, int], list[int]] = {}
        for index in wanted:
            it = judgements[index]
            size = _size(it)
            if len(self._kept.get(_key(it), ())) < size:
                groups.setdefault((it.objective.window_ms, size), []).append(index)
        left = MOST_READ
        for (_, size), indices in groups.items():
            self._read([judgements[index] for index in indices[:left]], size)
            left -= min(left, len(indices))
        found = {index: self._kept.get(_key(judgements[index])) for index in wanted}
        return {index: _leaving(judgements[index], counts) for index, counts in found.items() if counts}

    def _read(self, judgements: Sequence[Judgement], size: int) -> None:
        if not judgements:
            return
        step_ms, begin_ms = _step_ms(judgements[0]), _begin_ms(judgements[0])
        edges = [begin_ms + index * step_ms for index in range(size + 1)]
        found = self._steps([it.objective for it in judgements], edges)
        for it, counts in zip(judgements, found, strict=True):
            self._kept[_key(it)] = counts
            self._kept.move_to_end(_key(it))
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _step_ms(it: Judgement) -> int:
    """An hour; of windows below a week five minutes, as samples of long ago are kept."""
    step_ms = HOUR_MS if it.objective.window_ms >= 7 * DAY_MS else 5 * MINUTE_MS
    return step_ms if it.objective.slices is None else max(step_ms, it.objective.slices.slice_ms)


def _begin_ms(it: Judgement) -> int:
    step_ms = _step_ms(it)
    return (it.at_ms - it.objective.window_ms) // step_ms * step_ms


def _key(it: Judgement) -> _Key:
    return it.objective, _begin_ms(it)


def _size(it: Judgement) -> int:
    """Steps that leave until twice the time that a clean tail has, which is enough but where more than half leaves.

    Rounded up to a power of two, so that objectives of a kind are read together and seldom anew.
    """
    step_ms = _step_ms(it)
    clean_ms = (it.exhausted_at_ms or it.at_ms) - it.at_ms
    steps = min(2 * clean_ms, it.objective.window_ms) // step_ms + 2
    return int(min(MOST_STEPS, max(16, 1 << (steps - 1).bit_length()), it.objective.window_ms // step_ms))


def _leaving(it: Judgement, counts: Sequence[Counts]) -> list[Leaving]:
    """Steps from the window's begin on, which lies within the first of them: of that what still is in the window."""
    since_ms = it.at_ms - it.objective.window_ms
    found = []
    for one in counts:
        length = one.until_ms - one.since_ms
        ms = min(length, one.until_ms - since_ms)
        if ms > 0:
            found.append(Leaving(ms, one.bad * ms // length, one.total * ms // length))
    return found
