"""Compiled readers of remote write 1.0 and 2.0, and the look-up of series by their hash.

What they don't read themselves is left to the reader of `service.remote_write`, series by series.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from service.wire_bytes import (
    BODY,
    MALFORMED,
    NONE,
    ROW_BYTES,
    ROWS_FULL,
    U,
    absorb,
    address,
    begin,
    block,
    finish,
    put,
    sip,
    varint,
    word,
)

REFUSED: Final = -2
"""In a table: numbers from here down are series that can't be taken."""


@njit(forceinline=True)
def _sample(b: Any, p: Any, e: Any, row: Any) -> Any:
    """A sample's time, value and (in 2.0) start into the row at an address; False where it has other fields."""
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
    put(row, 16, at)
    put(row, 24, begun)
    put(row, 32, bits)
    return True


@njit(forceinline=True)
def _series_1(b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any) -> Any:
    """The samples of one series of 1.0; rows then, -1 where it is left, -2 where full."""
    labels, labels_end, first = p, p, n
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        at, p = block(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        if tag == U(10) and n == first:
            labels_end = p
        elif tag == U(18):
            if n >= most:
                return np.int64(ROWS_FULL)
            row = rows + n * ROW_BYTES
            if not _sample(b, at, p, row) or word(row, 24) != U(0):
                return np.int64(MALFORMED)
            n += 1
        else:
            return np.int64(MALFORMED)
    if n > first:
        low, high = sip(b, labels, labels_end, key, U(3), U(3))
        for at in range(first, n):
            _known(rows + at * ROW_BYTES, low, high, NONE, labels, labels_end)
    return n


@njit(forceinline=True)
def _known(row: Any, low: Any, high: Any, start: Any, begins: Any, ends: Any) -> Any:
    """What a row has of its series."""
    put(row, 0, low)
    put(row, 8, high)
    put(row, 24, start)
    put(row, 40, np.int64(0))
    put(row, 48, begins)
    put(row, 56, ends)


def scan_write_1(body: Any, keys: Any, rows: Any, left: Any) -> Any:
    """Samples of a WriteRequest into rows; (rows, frames left to the other reader), as `scan_otlp` has them.

    The last two of a row are begin and end of the labels.
    """
    n, count, p = np.int64(0), np.int64(0), np.int64(0)
    b, e, key, into, most = address(body), np.int64(len(body)), (keys[0], keys[1]), address(rows), np.int64(len(rows))
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED), count
        at, p = block(b, p, e)
        if p < 0 or (tag != U(10) and tag != U(26)) or count >= len(left):
            return np.int64(MALFORMED), count
        found = np.int64(MALFORMED) if tag == U(26) else _series_1(b, at, p, key, n, most, into)
        if found == ROWS_FULL:
            return np.int64(ROWS_FULL), count
        if found < 0:
            left[count, 0], left[count, 1] = here, p
            count += 1
        else:
            n = found
    return n, count


@njit(forceinline=True)
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


@njit(forceinline=True)
def _of_symbols(b: Any, p: Any, e: Any, key: Any, kind: Any, names: Any, known: Any) -> Any:
    """The hash of a series by those of its symbols, and whether all of them are there."""
    v0, v1, v2, v3 = begin(key, U(4), U(kind))
    while p < e:
        ref, p = varint(b, p, e)
        if p < 0 or ref >= U(known):
            return U(0), U(0), False
        at = np.int64(ref) * np.int64(16)
        v0, v1, v2, v3 = absorb(v0, v1, v2, v3, word(names, at))
        v0, v1, v2, v3 = absorb(v0, v1, v2, v3, word(names, at + 8))
    low, high = finish(v0, v1, v2, v3)
    return low, high, True


@njit(forceinline=True)
def _series_2(b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any, names: Any, known: Any) -> Any:
    """The samples of one series of 2.0; rows then, -1 where it is left, -2 where full."""
    here, first, kind, created = p, n, np.int64(0), U(0)
    refs, refs_end = np.int64(-1), np.int64(-1)
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        if tag == U(48):
            created, p = varint(b, p, e)
            if p < 0:
                return np.int64(MALFORMED)
            continue
        at, p = block(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        if tag == U(10) and refs < 0:
            refs, refs_end = at, p
        elif tag == U(18):
            if n >= most:
                return np.int64(ROWS_FULL)
            if not _sample(b, at, p, rows + n * ROW_BYTES):
                return np.int64(MALFORMED)
            n += 1
        elif tag == U(42) and kind == 0:
            kind = _kind_2(b, at, p)
            if kind < 0:
                return np.int64(MALFORMED)
        else:
            return np.int64(MALFORMED)
    if n == first:
        return n if refs < 0 else np.int64(MALFORMED)
    low, high, whole = _of_symbols(b, max(refs, np.int64(0)), max(refs_end, np.int64(0)), key, kind, names, known)
    if not whole:
        return np.int64(MALFORMED)
    for at in range(first, n):
        row = rows + at * ROW_BYTES
        told = np.int64(word(row, 24))
        begun = told if told != 0 else np.int64(created)
        start = begun if 0 < begun <= np.int64(word(row, 16)) else NONE
        _known(row, low, high, start, here, e)
    return n


def scan_write_2(body: Any, keys: Any, rows: Any, names: Any, left: Any) -> Any:
    """Samples of a 2.0 Request into rows; (rows, frames left, where the symbols end), as `scan_write_1` has them.

    `names` gets the hash of each symbol; symbols must come before the series. The last two of a row are begin and end
    of the series.
    """
    n, count, known, p, symbols_end = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    b, e, key, into, most = address(body), np.int64(len(body)), (keys[0], keys[1]), address(rows), np.int64(len(rows))
    table = address(names)
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED), count, symbols_end
        at, p = block(b, p, e)
        if p < 0 or count >= len(left):
            return np.int64(MALFORMED), count, symbols_end
        if tag == U(34) and here == symbols_end and known < len(names) and (known > 0 or at == p):
            names[known, 0], names[known, 1] = sip(b, at, p, key, U(5), U(5))
            known, symbols_end = known + 1, p
        elif tag == U(42):
            found = _series_2(b, at, p, key, n, most, into, table, known)
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


def look_up(rows: Any, n: Any, keys: Any, numbers: Any, marks: Any, stamp: Any, found: Any, places: Any, misses: Any,
            times: Any, starts: Any, values: Any) -> Any:  # fmt: skip
    """The series of each row: (how many series, how many rows without one); and the rows' other columns.

    `found` gets each series' number once, `places` each row's place in it (REFUSED and below where it can't be taken,
    -1 where it is not known), `misses` the rows that are not known. `marks` remembers by series what this `stamp` saw.
    """
    mask = np.int64(len(numbers) - 1)
    count, missed = np.int64(0), np.int64(0)
    for row in range(n):
        low, high = U(rows[row, 0]), U(rows[row, 1])
        at = np.int64(low) & mask
        while numbers[at] != -1 and (keys[at, 0] != low or keys[at, 1] != high):
            at = (at + 1) & mask
        number = numbers[at]
        times[row], starts[row], values[row] = rows[row, 2], rows[row, 3], rows[row, 4]
        if number == -1:
            places[row] = -1
            misses[missed] = row
            missed += 1
        elif number <= REFUSED:
            places[row] = number
        else:
            if marks[number] >> 32 != stamp:
                marks[number] = (stamp << 32) | count
                found[count] = number
                count += 1
            places[row] = marks[number] & 0xFFFFFFFF
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


SCAN_1: Final = f"Tuple((int64, int64))({BODY}, uint64[::1], int64[:, ::1], int64[:, ::1])"
SCAN_2: Final = f"Tuple((int64, int64, int64))({BODY}, uint64[::1], int64[:, ::1], uint64[:, ::1], int64[:, ::1])"
LOOK_UP: Final = (
    "Tuple((int64, int64))(int64[:, ::1], int64, uint64[:, ::1], int64[::1], int64[::1], int64, int64[::1], "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
INSERT: Final = "int64(uint64[:, ::1], int64[::1], uint64[::1], uint64[::1], int64[::1])"
