"""Conditions of alert policies that must hold for a while before they fire (`alertAfter`), and those without data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from slo.burn import DEFAULT, Policy, covered
from slo.model import BurnRow, Judgement, RowResult
from slo.text import duration, percent

MOST: Final = 100_000
NO_DATA_MS: Final = 60_000
"""Time for which data must be missing before that is told, at least: a restart of ours is none."""


class HeldConditions:
    """Since when each condition holds; what is not known (unmeasured) neither begins nor ends it."""

    def __init__(self, policy: Policy = DEFAULT, since_ms: Mapping[str, int] | None = None) -> None:
        """`since_ms` is what another one's `since_ms` was when it was stored."""
        self._policy = policy
        self._since_ms = dict(since_ms or {})
        self._seen: set[str] = set()
        self._now_ms: int | None = None

    @property
    def since_ms(self) -> dict[str, int]:
        """Since when what holds holds, to be stored."""
        return dict(self._since_ms)

    def settle(self) -> None:
        """An evaluation is over: forget conditions of which it did not speak."""
        self._since_ms = {key: at for key, at in self._since_ms.items() if key in self._seen}
        self._seen = set()

    def of(self, judgement: Judgement) -> Judgement:
        """The judgement with conditions that have not held for long enough as not fired."""
        self._told(judgement.at_ms)
        # one that has no rows, for nothing can measure it now, has its conditions still
        self._seen.update(_key(judgement, it, "holds") for it in judgement.objective.conditions if it.after_ms)
        rows = tuple(self._row(judgement, it) for it in judgement.rows)
        found = {it.row.name: it for it in judgement.rows if it.row.op is not None}
        missing = [
            (it.name, why)
            for it in judgement.objective.conditions
            if it.telling.no_data and (why := self._no_data(judgement, it, found.get(it.name))) is not None
        ]
        return replace(judgement, rows=rows, no_data=tuple(missing))

    def _row(self, judgement: Judgement, result: RowResult) -> RowResult:
        if not result.row.after_ms:
            return result
        if not result.measured:
            return result
        key = _key(judgement, result.row, "holds")
        held = self._for_long(key, result.fired, judgement.at_ms, result.row.after_ms)
        return result if held or not result.fired else replace(result, fired=False, in_part=False)

    def _no_data(self, judgement: Judgement, row: BurnRow, result: RowResult | None) -> str | None:
        """Why a condition has had no burn rate for as long as it must; None where it has one, or had just now."""
        key = _key(judgement, row, "no data")
        self._seen.add(key)
        if judgement.paused:
            return None
        why = missing(judgement, result, self._policy)
        held = self._for_long(key, why is not None, judgement.at_ms, max(row.after_ms, NO_DATA_MS))
        return why if held else None

    def _told(self, now_ms: int) -> None:
        """What held for a while has held for as long where the clock was set back."""
        back_ms = 0 if self._now_ms is None else self._now_ms - now_ms
        if back_ms > 0:
            self._since_ms = {key: at - back_ms for key, at in self._since_ms.items()}
        self._now_ms = now_ms

    def _for_long(self, key: str, holds: bool, now_ms: int, after_ms: int) -> bool:
        if not holds:
            self._since_ms.pop(key, None)
            return False
        if len(self._since_ms) >= MOST:
            self._since_ms.clear()
        since_ms = self._since_ms[key] = min(self._since_ms.get(key, now_ms), now_ms)
        return now_ms - since_ms >= after_ms


def missing(judgement: Judgement, result: RowResult | None, policy: Policy = DEFAULT) -> str | None:
    """Why a condition has no burn rate: unmeasured, or no traffic; None where it has one."""
    if result is None:
        return f"unmeasured: {judgement.reason}"
    counts, span = result.long_counts, duration(result.row.long_ms)
    if counts.first_ms is None:
        return "unmeasured: no sample has been seen yet."
    if not covered(counts, policy):
        seen = counts.coverage
        return f"unmeasured: {'nothing' if not seen else percent(seen)} of the last {span} was observed."
    return f"no traffic in the last {span}, though it was measured." if counts.total <= 0 else None


def _key(judgement: Judgement, row: BurnRow, what: str) -> str:
    of = judgement.objective
    return json.dumps([of.slo, of.service, of.scope, row.name, what])
