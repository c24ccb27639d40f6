"""Numbers for the kinds of work that a kernel tells apart: compiled code branches on numbers, not on names."""

from __future__ import annotations

from enum import IntEnum


class FOLD(IntEnum):
    """What becomes of the samples of a window."""

    COUNT = 0
    SUM = 1
    AVG = 2
    MIN = 3
    MAX = 4
    LAST = 5
    FIRST = 6
    PRESENT = 7
    STDDEV = 8
    STDVAR = 9
    CHANGES = 10
    RESETS = 11
    TS_LAST = 12
    TS_FIRST = 13
    TS_MIN = 14
    TS_MAX = 15


class AGGREGATE(IntEnum):
    """What becomes of the values of a group."""

    SUM = 0
    AVG = 1
    MIN = 2
    MAX = 3
    COUNT = 4
    GROUP = 5
    STDDEV = 6
    STDVAR = 7
