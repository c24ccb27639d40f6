"""What adjustments took out of a budget, in words."""

from __future__ import annotations

from dashboards.amounts import counted, exposure
from dashboards.text import duration
from slo.model import Judgement, TakenOut

MOST_TOLD = 5


def taken_text(judgement: Judgement) -> str:
    """How much time was taken out of the objective's window, `2 h taken out`; empty where none was."""
    found = judgement.taken_out
    return f"{duration(sum(it.ms for it in found))} taken out" if found else ""


def taken_title(judgement: Judgement) -> str:
    """Each adjustment with what it took out, why, and who made it; those that took the most first."""
    found = sorted(judgement.taken_out, key=lambda it: -it.ms)
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return "; ".join(_one(it, judgement) for it in found[:MOST_TOLD]) + more


def _one(it: TakenOut, judgement: Judgement) -> str:
    of = judgement.objective
    return f"{duration(it.ms)} taken out, {counted(it.bad, of)} bad of {exposure(it.total, of)}: {it.reason} ({it.by})"
