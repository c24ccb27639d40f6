"""Conditions of alert policies that must hold for a while before they fire (`alertAfter`)."""

from __future__ import annotations

from dataclasses import replace

from slo.model import Judgement, Labels, RowResult

MOST = 100_000
_Key = tuple[str, str, Labels, str]


class HeldConditions:
    """Since when each condition holds; what is not known (unmeasured) neither begins nor ends it."""

    def __init__(self) -> None:
        self._since_ms: dict[_Key, int] = {}

    def of(self, judgement: Judgement) -> Judgement:
        """The judgement with conditions that have not held for long enough as not fired."""
        return replace(judgement, rows=tuple(self._row(judgement, it) for it in judgement.rows))

    def _row(self, judgement: Judgement, result: RowResult) -> RowResult:
        if not result.row.after_ms or not result.measured:
            return result
        of = judgement.objective
        key = (of.slo, of.service, of.scope, result.row.name)
        if not result.fired:
            self._since_ms.pop(key, None)
            return result
        if len(self._since_ms) >= MOST:
            self._since_ms.clear()
        since_ms = self._since_ms.setdefault(key, judgement.at_ms)
        return result if judgement.at_ms - since_ms >= result.row.after_ms else replace(result, fired=False)
