"""Objectives whose judging fails: each is unmeasured by itself and says why, and all others are judged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from service.errors import StoreFault
from slo.model import Labels, Objective

T = TypeVar("T")
AGAIN_MS: Final = 60_000
"""What fails where many are counted at once is left out for so long; and what goes on failing is told so often."""
MOST: Final = 20_000
_LOG = logging.getLogger(__name__)
_Key = tuple[str, str, Labels]


class _Failed(NamedTuple):
    at_ms: int
    why: str


class Faults:
    """What failed, and when; to be used by one thread at a time."""

    def __init__(self) -> None:
        self.count = 0
        """Judgements that failed since this began."""
        self._now_ms = 0
        self._told: dict[_Key, int] = {}
        self._left_out: dict[_Key, _Failed] = {}

    def begin(self, now_ms: int) -> None:
        """An evaluation begins."""
        self._now_ms = now_ms
        self._left_out = {key: it for key, it in self._left_out.items() if 0 <= now_ms - it.at_ms < AGAIN_MS}

    def guarded(self, objective: Objective, run: Callable[[], T], instead: Callable[[Objective], T]) -> T:
        """What `run` makes of an objective; where it fails, what there is `instead` of one that can't be measured.

        A store that can't be read is no fault of an objective: StoreFault goes on.
        """
        try:
            return run()
        except StoreFault:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is no reason to judge nothing else
            return instead(self.failed(objective, fault))

    def failed(self, objective: Objective, fault: Exception) -> Objective:
        """The objective with what failed as the reason why nothing can measure it."""
        self.count += 1
        key, why = _key(objective), f"Judging it failed: {type(fault).__name__}: {str(fault)[:200]}."
        if not 0 <= self._now_ms - self._told.get(key, -AGAIN_MS) < AGAIN_MS:
            if len(self._told) >= MOST:
                self._told.clear()
            self._told[key] = self._now_ms
            _LOG.error("objective %s of %s can't be judged", objective.slo, objective.service, exc_info=fault)
        return replace(objective, unmeasurable=why)

    def leave_out(self, objective: Objective, fault: Exception) -> Objective:
        """The same of one that makes the counting of many fail: it is not among them for a while."""
        found = self.failed(objective, fault)
        self._left_out[_key(objective)] = _Failed(self._now_ms, found.unmeasurable or "")
        return found

    def without(self, objective: Objective) -> Objective:
        """The objective, as one that nothing can measure while it is left out."""
        failed = self._left_out.get(_key(objective))
        return objective if failed is None else replace(objective, unmeasurable=failed.why)


def _key(objective: Objective) -> _Key:
    return objective.slo, objective.service, objective.scope
