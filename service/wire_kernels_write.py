"""Compiled readers of remote write 1.0 and 2.0, and the look-up of series by their hash.

What they don't read themselves is left to the reader of `service.remote_write`, series by series.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from service.wire_kernels import BODY, MALFORMED, NONE, ROWS_FULL, U, absorb, begin, block, finish, sip, varint, word

REFUSED: Final = -2
"""In a table: numbers from here down are series that can't be taken."""


@njit
def _sample(b: Any, p: Any, e: Any, n: Any, rows: Any) -> Any:
    """A sample's time, value and (in 2.0) start into row `n`; False where it has other fields."""
    _, _, ts, start, value = rows
    at, begun, bits = U(0), U(0), U(0)
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return False
        if tag == U(9):
            if p + 8 > e:
                return False
            bits = word(b, p)
            p += 8
        elif tag == U(16):
            at, p = varint(b, p, e)
        elif tag == U(24):
            begun, p = varint(b, p, e)
        else:
            return False
        if p < 0:
            return False
    ts[n], start[n] = np.int64(at), np.int64(begun)
    value[n : n + 1].view(np.uint64)[0] = bits
    return True


@njit
def _series_1(b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any, of: Any) -> Any:
    """The samples of one series of 1.0; rows then, -1 where it is left, -2 where full."""
    lo, hi, _, start, _ = rows
    labels, labels_end, first = p, p, n
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return MALFORMED
        at, p = block(b, p, e)
        if p < 0:
            return MALFORMED
        if tag == U(10) and n == first:
            labels_end = p
        elif tag == U(18):
            if n >= most:
                return ROWS_FULL
            if not _sample(b, at, p, n, rows) or start[n] != 0:
                return MALFORMED
            start[n] = NONE
            n += 1
        else:
            return MALFORMED
    if n > first:
        x, y = sip(b, labels, labels_end, key, U(3), U(3))
        for row in range(first, n):
            lo[row], hi[row] = x, y
            of[row, 0], of[row, 1], of[row, 2] = labels, labels_end, 0
    return n


def scan_write_1(
    b: Any, key: Any, most: Any, lo: Any, hi: Any, ts: Any, start: Any, value: Any, of: Any, left: Any
) -> Any:
    """Samples of a WriteRequest into rows; (rows, frames left to the other reader), as `scan_otlp` has them.

    `of`: begin and end of the labels.
    """
    n, count, p = np.int64(0), np.int64(0), np.int64(0)
    rows = (lo, hi, ts, start, value)
    while p < len(b):
        here = p
        tag, p = varint(b, p, len(b))
        if p < 0:
            return np.int64(MALFORMED), count
        at, p = block(b, p, len(b))
        if p < 0 or (tag != U(10) and tag != U(26)) or count >= len(left):
            return np.int64(MALFORMED), count
        found = np.int64(MALFORMED) if tag == U(26) else _series_1(b, at, p, key, n, most, rows, of)
        if found == ROWS_FULL:
            return np.int64(ROWS_FULL), count
        if found < 0:
            left[count, 0], left[count, 1] = here, p
            count += 1
        else:
            n = found
    return n, count


@njit
def _kind_2(b: Any, p: Any, e: Any) -> Any:
    """The type that a series' metadata tells; -1 where it is malformed."""
    found = U(0)
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0 or (tag != U(8) and tag != U(24) and tag != U(32)):
            return np.int64(-1)
        number, p = varint(b, p, e)
        if p < 0:
            return np.int64(-1)
        if tag == U(8):
            found = number
    return np.int64(found & U(0xFFFF))


@njit
def _series_2(b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any, of: Any, names: Any, known: Any) -> Any:
    """The samples of one series of 2.0; rows then, -1 where it is left, -2 where full."""
    lo, hi, ts, start, _ = rows
    here, first, kind, created = p, n, np.int64(0), U(0)
    refs, refs_end = np.int64(-1), np.int64(-1)
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return MALFORMED
        if tag == U(48):
            created, p = varint(b, p, e)
            if p < 0:
                return MALFORMED
            continue
        at, p = block(b, p, e)
        if p < 0:
            return MALFORMED
        if tag == U(10) and refs < 0:
            refs, refs_end = at, p
        elif tag == U(18):
            if n >= most:
                return ROWS_FULL
            if not _sample(b, at, p, n, rows):
                return MALFORMED
            n += 1
        elif tag == U(42) and kind == 0:
            kind = _kind_2(b, at, p)
            if kind < 0:
                return MALFORMED
        else:
            return MALFORMED
    if n == first:
        return n if refs < 0 else MALFORMED
    v0, v1, v2, v3 = begin(key, U(4), U(kind))
    p = refs
    while p < refs_end:
        ref, p = varint(b, p, refs_end)
        if p < 0 or ref >= U(known):
            return MALFORMED
        v0, v1, v2, v3 = absorb(v0, v1, v2, v3, names[np.int64(ref), 0])
        v0, v1, v2, v3 = absorb(v0, v1, v2, v3, names[np.int64(ref), 1])
    x, y = finish(v0, v1, v2, v3)
    for row in range(first, n):
        begun = start[row] if start[row] != 0 else np.int64(created)
        start[row] = begun if 0 < begun <= ts[row] else NONE
        lo[row], hi[row] = x, y
        of[row, 0], of[row, 1], of[row, 2] = here, e, 0
    return n


def scan_write_2(
    b: Any, key: Any, most: Any, lo: Any, hi: Any, ts: Any, start: Any, value: Any, of: Any, names: Any, left: Any
) -> Any:
    """Samples of a 2.0 Request into rows; (rows, frames left, where the symbols end), as `scan_write_1` has them.

    `names` gets the hash of each symbol; `of`: begin and end of the series. Symbols must come before the series.
    """
    n, count, known, p, symbols_end = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    rows = (lo, hi, ts, start, value)
    while p < len(b):
        here = p
        tag, p = varint(b, p, len(b))
        if p < 0:
            return np.int64(MALFORMED), count, symbols_end
        at, p = block(b, p, len(b))
        if p < 0 or count >= len(left):
            return np.int64(MALFORMED), count, symbols_end
        if tag == U(34) and here == symbols_end and known < len(names) and (known > 0 or at == p):
            names[known, 0], names[known, 1] = sip(b, at, p, key, U(5), U(5))
            known, symbols_end = known + 1, p
        elif tag == U(42):
            found = _series_2(b, at, p, key, n, most, rows, of, names, known)
            if found == ROWS_FULL:
                return np.int64(ROWS_FULL), count, symbols_end
            if found < 0:
                left[count, 0], left[count, 1] = here, p
                count += 1
            else:
                n = found
        else:
            return np.int64(MALFORMED), count, symbols_end
    return n, count, symbols_end


def look_up(lo: Any, hi: Any, n: Any, keys: Any, numbers: Any, marks: Any, stamp: Any, found: Any, index: Any,
            misses: Any) -> Any:  # fmt: skip
    """The series of each row: (how many series, how many rows without one).

    `found` gets each series' number once, `index` each row's place in it (REFUSED and below where it can't be taken, -1
    where it is not known), `misses` the rows that are not known. `marks` remembers by series what this `stamp` saw.
    """
    mask = np.int64(len(numbers) - 1)
    count, missed = np.int64(0), np.int64(0)
    for row in range(n):
        at = np.int64(lo[row]) & mask
        while numbers[at] != -1 and (keys[at, 0] != lo[row] or keys[at, 1] != hi[row]):
            at = (at + 1) & mask
        number = numbers[at]
        if number == -1:
            index[row] = -1
            misses[missed] = row
            missed += 1
        elif number <= REFUSED:
            index[row] = number
        else:
            if marks[number] >> 32 != stamp:
                marks[number] = (stamp << 32) | count
                found[count] = number
                count += 1
            index[row] = marks[number] & 0xFFFFFFFF
    return count, missed


def insert(keys: Any, numbers: Any, lo: Any, hi: Any, given: Any) -> Any:
    """Put hashes with their numbers into the table, which must have room; how many were new."""
    mask = np.int64(len(numbers) - 1)
    new = np.int64(0)
    for row in range(len(given)):
        at = np.int64(lo[row]) & mask
        while numbers[at] != -1 and (keys[at, 0] != lo[row] or keys[at, 1] != hi[row]):
            at = (at + 1) & mask
        new += 1 if numbers[at] == -1 else 0
        keys[at, 0], keys[at, 1], numbers[at] = lo[row], hi[row], given[row]
    return new


_ROWS: Final = "uint64[::1], uint64[::1], int64[::1], int64[::1], float64[::1], int64[:, ::1]"
SCAN_1: Final = f"Tuple((int64, int64))({BODY}, uint64[::1], int64, {_ROWS}, int64[:, ::1])"
SCAN_2: Final = f"Tuple((int64, int64, int64))({BODY}, uint64[::1], int64, {_ROWS}, uint64[:, ::1], int64[:, ::1])"
LOOK_UP: Final = (
    "Tuple((int64, int64))(uint64[::1], uint64[::1], int64, uint64[:, ::1], int64[::1], int64[::1], int64, int64[::1], "
    "int64[::1], int64[::1])"
)
INSERT: Final = "int64(uint64[:, ::1], int64[::1], uint64[::1], uint64[::1], int64[::1])"
