"""A clock that is set while the agent watches: what lies in the future then would hold everything up."""

from __future__ import annotations

from collections.abc import Callable

from agent.endings import HOLD_MS
from agent.story import Story

STEP_MS = 500
"""A smaller step is the noise of reading two clocks."""


class Steps:
    """Finds that the wall clock was set, by the one that only goes on; a suspend is a step forward."""

    def __init__(self, now_ms: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._now_ms, self._monotonic = now_ms, monotonic
        self._offset_ms = self._offset()

    def taken_ms(self) -> int:
        """By how much the clock was set since the last call; 0 where it was not."""
        before, self._offset_ms = self._offset_ms, self._offset()
        step = self._offset_ms - before
        return step if abs(step) >= STEP_MS else 0

    def _offset(self) -> int:
        return self._now_ms() - round(self._monotonic() * 1000)


def set_back(story: Story, now_ms: int) -> None:
    """Takes every time that is in the future as of now: what comes next is later than it.

    The time by which a run is known stays as the engine has it (`Record.run_ms`).
    """
    for record in story.book.records.values():
        record.started_ms = _past(record.started_ms, now_ms)
        record.ended_ms = _past(record.ended_ms, now_ms - 1)
        record.gone_ms = _past(record.gone_ms, now_ms)
    for ending in story.endings.all():
        ending.due_ms = min(ending.due_ms, now_ms + HOLD_MS)
    for presence in story.book.services.values():
        presence.since_ms = min(presence.since_ms, now_ms)
        presence.empty_ms = _past(presence.empty_ms, now_ms)
        presence.told_ms = _past(presence.told_ms, now_ms)
    story.engine_lost_ms = _past(story.engine_lost_ms, now_ms)


def _past(at_ms: int | None, now_ms: int) -> int | None:
    return None if at_ms is None else min(at_ms, now_ms)
