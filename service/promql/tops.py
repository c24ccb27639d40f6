"""topk and bottomk in pure numpy: the twin of the kernel of the same name, and the order of an instant answer."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

MOST_PLACES: Final = 1 << 22
"""Places (groups × steps × k) up to which the compiled form is asked; it sorts by insertion, which is for few."""


def ranks(values: Floats, present: Flags) -> Ints:
    """The place of each value in its column, ascending; NaN after numbers, what is absent last; equals by their row."""
    order = np.argsort(values, axis=0, kind="stable")
    last = np.where(present, np.isnan(values) * 1, 2)
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(last, order, 0), axis=0, kind="stable"), 0)
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(len(values))[:, None], 0)
    return found


def members(groups: Ints, count: int) -> list[Ints]:
    """The rows of each group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(groups, minlength=count))[:-1]) if count else []


def tops(values: Floats, present: Flags, groups: Ints, wanted: Ints, largest: bool, kept: Flags) -> None:
    """Marks in `kept` (n, T) the `wanted` (T) largest or smallest rows of each group at each step."""
    for rows in members(groups, int(groups.max(initial=-1)) + 1):
        mine = -values[rows] if largest else values[rows]
        kept[rows] = (ranks(mine, present[rows]) < wanted) & present[rows]
