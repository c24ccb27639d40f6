"""Composites of OpenSLO: several objectives that burn one budget, each with its weight.

OpenSLO names no target of a composite, only how members burn it. So a composite's burn is declared here as the weighted
sum of its members' burns; a member without traffic adds nothing, and where none has any there is no burn.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from slo.slices import Slice, Timeslices, spent


class Member(NamedTuple):
    """One member's burn, None without traffic, and its weight."""

    burn: Fraction | None
    weight: Fraction = Fraction(1)


def composite_burn(members: Sequence[Member]) -> Fraction | None:
    """Occurrences: the sum of weight x burn."""
    burns = [it.weight * it.burn for it in members if it.burn is not None]
    return sum(burns, Fraction(0)) if burns else None


def composite_ratio(members: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """RatioTimeslices: misses add, so (SLI, weight) of 95 % and 95 % make 90 %; not clamped."""
    return 1 - sum(((1 - sli) * weight for sli, weight in members), Fraction(0))


def composite_slices(members: Sequence[tuple[Timeslices, Sequence[Slice | None]]]) -> list[bool | None]:
    """Timeslices: a slice is bad (False) where it is bad for any member; None where no member knows.

    A slice that one member calls good while another does not know it is not known either: silence is not health.
    """
    columns = zip(*(slices for _, slices in members), strict=True)
    return [
        _together([_good(method, it) for (method, _), it in zip(members, column, strict=True)]) for column in columns
    ]


def _good(method: Timeslices, part: Slice | None) -> bool | None:
    """Without traffic a slice is not bad."""
    return None if part is None else spent(method, [part], 1).bad == 0


def _together(outcomes: Sequence[bool | None]) -> bool | None:
    if False in outcomes:
        return False
    return None if None in outcomes else True
