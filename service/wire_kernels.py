"""Compiled reader of OTLP metrics: number points of a body to rows, without a message being made.

What it doesn't read itself (histograms, deltas, fields it doesn't know, unusual order) it leaves to the reader of
`service.decode_metrics`, resource by resource; malformed bodies too, which that one refuses.
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
    address,
    bits_of,
    block,
    put,
    sip,
    skip,
    varint,
    word,
)

STALE: Final = U(0x7FF0000000000002)
NS_PER_MS: Final = U(1_000_000)
METRIC_BYTES: Final = 56


@njit(forceinline=True)
def _sum_kind(b: Any, p: Any, e: Any) -> Any:
    """3 for a cumulative sum that only grows, 2 for one that may fall, 0 for any other."""
    temporality, monotonic = U(0), U(0)
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return 0
        if tag == U(16):
            temporality, p = varint(b, p, e)
        elif tag == U(24):
            monotonic, p = varint(b, p, e)
        elif tag == U(10):
            p = skip(b, p, e, tag)
        else:
            return 0
        if p < 0:
            return 0
    if temporality != U(2):
        return 0
    return 3 if monotonic != U(0) else 2


@njit(forceinline=True)
def _point(b: Any, p: Any, e: Any, key: Any, x: Any, y: Any, counter: Any, row: Any) -> Any:
    """One number point into the row at an address; False where it is left to the other reader."""
    first, last, has_value = np.int64(-1), np.int64(-1), False
    at, begun, bits, flags = U(0), U(0), U(0), U(0)
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0:
            return False
        if tag == U(58):
            _, p = block(b, p, e)
            if p < 0 or (first >= 0 and here != last):
                return False
            first = here if first < 0 else first
            last = p
        elif tag == U(64):
            flags, p = varint(b, p, e)
            if p < 0:
                return False
        elif p + 8 > e:
            return False
        else:
            field = word(b, p)
            p += 8
            if tag == U(25):
                at = field
            elif tag == U(17):
                begun = field
            elif tag == U(33):
                bits, has_value = field, True
            elif tag == U(49):
                bits, has_value = bits_of(np.float64(np.int64(field))), True
            else:
                return False
    stale = flags & U(1) != U(0)
    if at == U(0) or not (has_value or stale):
        return False
    low, high = sip(b, max(first, np.int64(0)), max(last, np.int64(0)), key, x, y)
    put(row, 0, low)
    put(row, 8, high)
    put(row, 16, np.int64(at // NS_PER_MS))
    put(row, 24, np.int64(begun // NS_PER_MS) if counter and begun != U(0) else NONE)
    put(row, 32, STALE if stale else bits)
    return True


@njit(forceinline=True)
def _metric(b: Any, p: Any, e: Any, key: Any, x: Any, y: Any, n: Any, most: Any, rows: Any, m: Any, metric: Any) -> Any:
    """The points of one metric into rows from `n`; how many rows there are then, -1 where it is left, -2 where full."""
    head, kind = p, 0
    data, data_end = np.int64(-1), np.int64(-1)
    head_end = p
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        at, p = block(b, p, e)
        if p < 0:
            return np.int64(MALFORMED)
        if (tag == U(10) or tag == U(18) or tag == U(26)) and data < 0:
            head_end = p
        elif (tag == U(42) or tag == U(58)) and data < 0:
            data, data_end, head_end = at, p, here
            kind = 1 if tag == U(42) else _sum_kind(b, at, p)
        else:
            return np.int64(MALFORMED)
    if kind == 0:
        return np.int64(MALFORMED)
    low, high = sip(b, head, head_end, key, x, y + U(kind))
    put(metric, 0, head)
    put(metric, 8, head_end)
    put(metric, 16, np.int64(kind))
    p, before = data, n
    while p < data_end:
        tag, p = varint(b, p, data_end)
        if p < 0:
            return np.int64(MALFORMED)
        if tag != U(10):
            p = skip(b, p, data_end, tag)
            if p < 0 or kind == 1:
                return np.int64(MALFORMED)
            continue
        at, p = block(b, p, data_end)
        if p < 0:
            return np.int64(MALFORMED)
        if n >= most:
            return np.int64(ROWS_FULL)
        row = rows + n * ROW_BYTES
        if not _point(b, at, p, key, low, high, kind == 3, row):
            return np.int64(MALFORMED)
        put(row, 40, m)
        put(row, 48, at)
        put(row, 56, p)
        n += 1
    return n if n > before else np.int64(MALFORMED)


@njit
def _scope(
    b: Any, p: Any, e: Any, key: Any, x: Any, y: Any, n: Any, most: Any, rows: Any, m: Any, metrics: Any,
    most_metrics: Any, whose: Any, whose_end: Any,
) -> Any:  # fmt: skip
    """The points of one scope; rows and metrics then, rows -1 where it is left, -2 where full."""
    scope, scope_end, begun = np.int64(0), np.int64(0), False
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED), m
        at, p = block(b, p, e)
        if p < 0 or (tag == U(10) and (begun or scope_end > 0)):
            return np.int64(MALFORMED), m
        if tag == U(10):
            scope, scope_end = at, p
            x, y = sip(b, at, p, key, x, y + U(7))
        elif tag == U(18):
            begun = True
            if m >= most_metrics:
                return np.int64(MALFORMED), m
            metric = metrics + m * METRIC_BYTES
            put(metric, 24, whose)
            put(metric, 32, whose_end)
            put(metric, 40, scope)
            put(metric, 48, scope_end)
            n = _metric(b, at, p, key, x, y, n, most, rows, m, metric)
            if n < 0:
                return n, m
            m += 1
        elif tag != U(26):
            return np.int64(MALFORMED), m
    return n, m


@njit
def _resource(
    b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any, m: Any, metrics: Any, most_metrics: Any
) -> Any:
    """The points of one resource; rows and metrics then, rows -1 where it is left, -2 where full."""
    x, y = U(0), U(0)
    whose, whose_end, seen = np.int64(0), np.int64(0), False
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return np.int64(MALFORMED), m
        at, p = block(b, p, e)
        if p < 0 or (tag == U(10) and (seen or whose_end > 0)):
            return np.int64(MALFORMED), m
        if tag == U(10):
            whose, whose_end = at, p
            x, y = sip(b, at, p, key, U(1), U(1))
        elif tag == U(18):
            seen = True
            n, m = _scope(b, at, p, key, x, y, n, most, rows, m, metrics, most_metrics, whose, whose_end)
            if n < 0:
                return n, m
        elif tag != U(26):
            return np.int64(MALFORMED), m
    return n, m


def scan_otlp(body: Any, keys: Any, rows: Any, metrics: Any, left: Any) -> Any:
    """Number points of an ExportMetricsServiceRequest into rows; (rows, frames left to the other reader).

    Rows: hash (two), time and start in ms, the value's bits, metric, begin and end of the point. `metrics`: begin and
    end of the head, kind, begin and end of resource and of scope. `left`: begin and end of the frames of resources that
    are left. The number of rows is -1 where the body is malformed, -2 where there are more than fit.
    """
    n, m, count, p = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    b, e, key = address(body), np.int64(len(body)), (keys[0], keys[1])
    into, of, most, most_metrics = address(rows), address(metrics), np.int64(len(rows)), np.int64(len(metrics))
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0 or tag != U(10):
            return np.int64(MALFORMED), count
        at, p = block(b, p, e)
        if p < 0:
            return np.int64(MALFORMED), count
        found, after = _resource(b, at, p, key, n, most, into, m, of, most_metrics)
        if found == ROWS_FULL:
            return np.int64(ROWS_FULL), count
        if found < 0 and count >= len(left):
            return np.int64(MALFORMED), count
        if found < 0:
            left[count, 0], left[count, 1] = here, p
            count += 1
        else:
            n, m = found, after
    return n, count


SCAN_OTLP: Final = f"Tuple((int64, int64))({BODY}, uint64[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1])"
