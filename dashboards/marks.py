"""What state looks like: each level has a shape and a word of its own, colour is never alone, and only ok is green."""

from __future__ import annotations

from typing import Literal, NamedTuple

from slo.model import Judgement

Level = Literal["ok", "part", "warn", "crit", "quiet", "learning", "unmeasured"]
WORDS: dict[Level, str] = {
    "ok": "ok",
    "part": "ok, in part",
    "warn": "warning",
    "crit": "critical",
    "quiet": "no traffic",
    "learning": "learning",
    "unmeasured": "unmeasured",
}
RANK: dict[Level, int] = {"crit": 0, "warn": 1, "part": 2, "ok": 3, "quiet": 4, "learning": 5, "unmeasured": 6}
"""The order in which rows are shown, worst first."""
DISK_WARN, DISK_CRIT = 0.70, 0.90
"""Shares used; the limits of the alert node-disk."""
MEMORY_WARN, MEMORY_CRIT = 0.85, 0.95


class Mark(NamedTuple):
    """A level with the word that stands beside its shape."""

    level: Level
    word: str

    @property
    def known(self) -> bool:
        """False for the hollow marks: nothing was measured that could be good or bad."""
        return self.level in ("ok", "part", "warn", "crit")


def mark(level: Level, word: str | None = None) -> Mark:
    """The mark of a level, with its usual word unless another is given."""
    return Mark(level, word or WORDS[level])


NO_DATA = mark("unmeasured", "no data")


def of_judgement(judgement: Judgement) -> Mark:
    """The mark of a judgement: critical where it is exhausted or would page; no green for a window measured in part."""
    match judgement.state:
        case "ok":
            return mark("part" if judgement.in_part else "ok")
        case "burning":
            paging = any(it.fired and it.row.road == "page" and not it.guarded for it in judgement.rows)
            return mark("crit" if paging or judgement.projected_gone else "warn", "burning")
        case "exhausted":
            return mark("crit", "exhausted")
        case "no-traffic":
            return mark("quiet")
        case "learning":
            return mark("learning")
        case "unmeasured":
            return mark("unmeasured")


def of_ratio(ratio: float | None, warn: float, crit: float) -> Mark:
    """The mark of a share used, which is worse the higher it is."""
    if ratio is None:
        return NO_DATA
    return mark("crit" if ratio >= crit else "warn" if ratio >= warn else "ok")


def worst(marks: list[Mark]) -> Mark:
    """The gravest of what is known; hollow only where nothing is known."""
    return min(marks, key=lambda it: RANK[it.level], default=NO_DATA)
