"""What windows held at their begin, of objectives whose budget is on its way to its end.

Only those that burn above 1 need it, and of their windows only as much as leaves until the end. What was read is old:
it holds as long as it reaches far enough.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from slo.model import Counts, Judgement, Labels, Objective
from slo.rows import DAY_MS, HOUR_MS, MINUTE_MS
from slo.tail import Leaving

MOST: Final = 200
"""Objectives whose end is told with what leaves, the soonest first; the others as if nothing bad left."""
MOST_READ: Final = 10
"""Of these so many are read in one evaluation, the others in the next ones."""
STEPS: Final = 64
"""Steps in which a tail is read."""
FRESH_MS: Final = 6 * HOUR_MS
"""A tail is read again after this, for samples that came late."""
Steps = Callable[[Sequence[Objective], Sequence[int]], list[list[Counts]]]
_Key = tuple[str, str, Labels]


class _Kept(NamedTuple):
    objective: Objective
    read_ms: int
    counts: Sequence[Counts]

    def serves(self, it: Judgement) -> bool:
        """Whether it reaches beyond the end that a clean tail has; where more leaves than comes, the end is later."""
        if self.objective != it.objective or not 0 <= it.at_ms - self.read_ms < FRESH_MS or not self.counts:
            return False
        needed_ms = min(_clean_ms(it) * 5 // 4, it.objective.window_ms)
        return self.counts[-1].until_ms >= _begin_ms(it) + needed_ms


class Tails:
    """Tails by objective; to be used by one thread at a time."""

    def __init__(self, steps: Steps) -> None:
        """`steps` counts contiguous steps of objectives, as they are judged."""
        self._steps = steps
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def of(self, judgements: Sequence[Judgement]) -> dict[int, list[Leaving]]:
        """The tails of those whose budget has an end within a window that rolls, by their index."""
        wanted = [index for index, it in enumerate(judgements) if _asks(it)]
        wanted = sorted(wanted, key=lambda index: _clean_ms(judgements[index]))[:MOST]
        reads, found = 0, {}
        for index in wanted:
            it = judgements[index]
            kept = self._kept.get(_key(it.objective))
            if kept is None or not kept.serves(it):
                if reads == MOST_READ:
                    continue
                reads += 1
                kept = self._read(it)
            found[index] = _leaving(it, kept.counts)
        return found

    def _read(self, it: Judgement) -> _Kept:
        """From the window's begin on, to two and a half times the end that a clean tail has."""
        step_ms, begin_ms = _step_ms(it), _begin_ms(it)
        horizon_ms = min(_clean_ms(it) * 5 // 2, it.objective.window_ms)
        step_ms *= max(1, -(-horizon_ms // (step_ms * STEPS)))
        first_ms = begin_ms // step_ms * step_ms
        edges = range(first_ms, begin_ms + horizon_ms + step_ms, step_ms)
        kept = _Kept(it.objective, it.at_ms, self._steps([it.objective], edges)[0])
        self._kept[_key(it.objective)] = kept
        self._kept.move_to_end(_key(it.objective))
        while len(self._kept) > 2 * MOST:
            self._kept.popitem(last=False)
        return kept


def _asks(it: Judgement) -> bool:
    """Whether its end is within a window that rolls, from which nothing is taken out."""
    return it.ending == "clean-tail" and not it.objective.members and not it.counts.taken_ms


def _key(it: Objective) -> _Key:
    return it.slo, it.service, it.scope


def _begin_ms(it: Judgement) -> int:
    return it.at_ms - it.objective.window_ms


def _clean_ms(it: Judgement) -> int:
    return (it.exhausted_at_ms or it.at_ms) - it.at_ms


def _step_ms(it: Judgement) -> int:
    """An hour; of windows below a week five minutes, as samples of long ago are kept."""
    step_ms = HOUR_MS if it.objective.window_ms >= 7 * DAY_MS else 5 * MINUTE_MS
    return step_ms if it.objective.slices is None else max(step_ms, it.objective.slices.slice_ms)


def _leaving(it: Judgement, counts: Sequence[Counts]) -> list[Leaving]:
    """Steps from the window's begin on, which lies within the first of them: of that what still is in the window."""
    since_ms = _begin_ms(it)
    found = []
    for one in counts:
        if one.until_ms > since_ms:
            length = one.until_ms - one.since_ms
            ms = min(length, one.until_ms - since_ms)
            found.append(Leaving(ms, one.bad * ms // length, one.total * ms // length))
    return found
