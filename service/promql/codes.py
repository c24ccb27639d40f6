"""Numbers for the kinds of work that a kernel tells apart: compiled code branches on numbers, not on names."""

from __future__ import annotations

from enum import IntEnum


class FOLD(IntEnum):
    """What becomes of the samples of a window."""

    COUNT = 0
    SUM = 1
    AVG = 2
    LAST = 3
    FIRST = 4
    PRESENT = 5
    STDDEV = 6
    STDVAR = 7
    TS_LAST = 8
    TS_FIRST = 9
    TS_MIN = 10
    TS_MAX = 11


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
