"""Compiled readers of OTLP metrics: number points of a body to columns, without a message being made.

What they don't read themselves (histograms, deltas, fields they don't know, unusual order) they leave to the reader of
`service.decode_metrics`, resource by resource; malformed bodies too, which it refuses. A series is known by a keyed
128-bit hash (SipHash-1-3) of the bytes that make it, so that nobody can make two series fall together on purpose.

Import this once `numba`'s cache folder is set: see `service.wire_jit`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

U = np.uint64
STALE: Final = U(0x7FF0000000000002)
NONE: Final = np.int64(-(2**62))
NS_PER_MS: Final = U(1_000_000)
ROWS_FULL: Final = -2
MALFORMED: Final = -1


@njit
def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """One round of SipHash."""
    v0 = v0 + v1
    v1 = ((v1 << U(13)) | (v1 >> U(51))) ^ v0
    v0 = (v0 << U(32)) | (v0 >> U(32))
    v2 = v2 + v3
    v3 = ((v3 << U(16)) | (v3 >> U(48))) ^ v2
    v0 = v0 + v3
    v3 = ((v3 << U(21)) | (v3 >> U(43))) ^ v0
    v2 = v2 + v1
    v1 = ((v1 << U(17)) | (v1 >> U(47))) ^ v2
    v2 = (v2 << U(32)) | (v2 >> U(32))
    return v0, v1, v2, v3


@njit
def word(b: Any, p: Any) -> Any:
    """Eight bytes, little end first."""
    found = U(0)
    for at in range(8):
        found |= U(b[p + at]) << U(8 * at)
    return found


@njit
def begin(key: Any, x: Any, y: Any) -> Any:
    """The state after the key and two words."""
    v0, v1 = U(0x736F6D6570736575) ^ key[0], U(0x646F72616E646F6D) ^ key[1] ^ U(0xEE)
    v2, v3 = U(0x6C7967656E657261) ^ key[0], U(0x7465646279746573) ^ key[1]
    for m in (x, y):
        v3 ^= m
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= m
    return v0, v1, v2, v3


@njit
def absorb(v0: Any, v1: Any, v2: Any, v3: Any, m: Any) -> Any:
    """The state after one more word."""
    v3 ^= m
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ m, v1, v2, v3


@njit
def finish(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """The two halves of the hash."""
    v2 ^= U(0xEE)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    low = v0 ^ v1 ^ v2 ^ v3
    v1 ^= U(0xDD)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return low, v0 ^ v1 ^ v2 ^ v3


@njit
def sip(b: Any, p: Any, e: Any, key: Any, x: Any, y: Any) -> Any:
    """The hash of two words and the bytes `b[p:e]`."""
    v0, v1, v2, v3 = begin(key, x, y)
    length = U(e - p)
    while p + 8 <= e:
        v0, v1, v2, v3 = absorb(v0, v1, v2, v3, word(b, p))
        p += 8
    rest = length << U(56)
    at = U(0)
    while p < e:
        rest |= U(b[p]) << at
        at += U(8)
        p += 1
    v0, v1, v2, v3 = absorb(v0, v1, v2, v3, rest)
    return finish(v0, v1, v2, v3)


@njit
def varint(b: Any, p: Any, e: Any) -> Any:
    """A number and where it ends; -1 where it does not end."""
    found, shift = U(0), U(0)
    while p < e and shift < U(70):
        byte = U(b[p])
        p += 1
        found |= (byte & U(127)) << shift
        if byte < U(128):
            return found, p
        shift += U(7)
    return found, np.int64(-1)


@njit
def block(b: Any, p: Any, e: Any) -> Any:
    """Where a field of bytes begins and ends; -1 where it goes beyond."""
    length, p = varint(b, p, e)
    if p < 0 or length > U(e - p):
        return np.int64(-1), np.int64(-1)
    return p, p + np.int64(length)


@njit
def skip(b: Any, p: Any, e: Any, tag: Any) -> Any:
    """The place behind a field; -1 where there is none."""
    kind = tag & U(7)
    if kind == U(0):
        _, p = varint(b, p, e)
        return p
    if kind == U(2):
        _, p = block(b, p, e)
        return p
    if kind == U(1):
        return p + 8 if p + 8 <= e else np.int64(-1)
    if kind == U(5):
        return p + 4 if p + 4 <= e else np.int64(-1)
    return np.int64(-1)


@njit
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


@njit
def _point(b: Any, p: Any, e: Any, key: Any, x: Any, y: Any, counter: Any, n: Any, rows: Any) -> Any:
    """One number point into row `n`; False where it is left to the other reader."""
    lo, hi, ts, start, value = rows
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
        elif tag == U(25):
            at = word(b, p)
            p += 8
        elif tag == U(17):
            begun = word(b, p)
            p += 8
        elif tag == U(33):
            bits, has_value = word(b, p), True
            p += 8
        elif tag == U(49):
            value[n], has_value = np.float64(np.int64(word(b, p))), True
            bits = value[n : n + 1].view(np.uint64)[0]
            p += 8
        else:
            return False
    stale = flags & U(1) != U(0)
    if at == U(0) or not (has_value or stale):
        return False
    lo[n], hi[n] = sip(b, first, last, key, x, y) if first >= 0 else sip(b, 0, 0, key, x, y)
    ts[n] = np.int64(at // NS_PER_MS)
    start[n] = np.int64(begun // NS_PER_MS) if counter and begun != U(0) else NONE
    value[n : n + 1].view(np.uint64)[0] = STALE if stale else bits
    return True


@njit
def _metric(b: Any, p: Any, e: Any, key: Any, x: Any, y: Any, n: Any, most: Any, rows: Any, of: Any, m: Any,
            metrics: Any) -> Any:  # fmt: skip
    """The points of one metric into rows from `n`; how many rows there are then, -1 where it is left, -2 where full."""
    head, kind = p, 0
    data, data_end = np.int64(-1), np.int64(-1)
    head_end = p
    while p < e:
        here = p
        tag, p = varint(b, p, e)
        if p < 0:
            return MALFORMED
        at, p = block(b, p, e)
        if p < 0:
            return MALFORMED
        if (tag == U(10) or tag == U(18) or tag == U(26)) and data < 0:
            head_end = p
        elif (tag == U(42) or tag == U(58)) and data < 0:
            data, data_end, head_end = at, p, here
            kind = 1 if tag == U(42) else _sum_kind(b, at, p)
        else:
            return MALFORMED
    if kind == 0:
        return MALFORMED
    a, c = sip(b, head, head_end, key, x, y + U(kind))
    metrics[m, 0], metrics[m, 1], metrics[m, 2] = head, head_end, kind
    p, before = data, n
    while p < data_end:
        tag, p = varint(b, p, data_end)
        if p < 0:
            return MALFORMED
        if tag != U(10):
            p = skip(b, p, data_end, tag)
            if p < 0 or kind == 1:
                return MALFORMED
            continue
        at, p = block(b, p, data_end)
        if p < 0:
            return MALFORMED
        if n >= most:
            return ROWS_FULL
        if not _point(b, at, p, key, a, c, kind == 3, n, rows):
            return MALFORMED
        of[n, 0], of[n, 1], of[n, 2] = m, at, p
        n += 1
    return n if n > before else MALFORMED


@njit
def _resource(b: Any, p: Any, e: Any, key: Any, n: Any, most: Any, rows: Any, of: Any, m: Any, metrics: Any) -> Any:
    """The points of one resource; rows and metrics then, rows -1 where it is left, -2 where full."""
    x, y = U(0), U(0)
    whose, whose_end, seen = np.int64(0), np.int64(0), False
    while p < e:
        tag, p = varint(b, p, e)
        if p < 0:
            return MALFORMED, m
        at, p = block(b, p, e)
        if p < 0 or (tag == U(10) and (seen or whose_end > 0)):
            return MALFORMED, m
        if tag == U(10):
            whose, whose_end = at, p
            x, y = sip(b, at, p, key, U(1), U(1))
        elif tag == U(18):
            seen = True
            q, scope, scope_end, a, c = at, np.int64(0), np.int64(0), x, y
            begun = False
            while q < p:
                inner, q = varint(b, q, p)
                if q < 0:
                    return MALFORMED, m
                start, q = block(b, q, p)
                if q < 0 or (inner == U(10) and (begun or scope_end > 0)):
                    return MALFORMED, m
                if inner == U(10):
                    scope, scope_end = start, q
                    a, c = sip(b, start, q, key, x, y + U(7))
                elif inner == U(18):
                    begun = True
                    if m >= len(metrics):
                        return MALFORMED, m
                    metrics[m, 3], metrics[m, 4], metrics[m, 5], metrics[m, 6] = whose, whose_end, scope, scope_end
                    n = _metric(b, start, q, key, a, c, n, most, rows, of, m, metrics)
                    if n < 0:
                        return n, m
                    m += 1
                elif inner != U(26):
                    return MALFORMED, m
        elif tag != U(26):
            return MALFORMED, m
    return n, m


def scan_otlp(
    b: Any, key: Any, most: Any, lo: Any, hi: Any, ts: Any, start: Any, value: Any, of: Any, metrics: Any, left: Any
) -> Any:
    """Number points of an ExportMetricsServiceRequest into rows; (rows, frames left to the other reader).

    Rows: hash (`lo`, `hi`), `ts` and `start` in ms, `value` with its bits, `of` (metric, begin and end of the point).
    `metrics`: begin and end of the head, kind, begin and end of resource and scope. `left`: begin and end of the frames
    of resources that are left. Rows are -1 where the body is malformed, -2 where there are more than `most`.
    """
    n, m, count, p = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    rows = (lo, hi, ts, start, value)
    while p < len(b):
        here = p
        tag, p = varint(b, p, len(b))
        if p < 0 or tag != U(10):
            return np.int64(MALFORMED), count
        at, p = block(b, p, len(b))
        if p < 0:
            return np.int64(MALFORMED), count
        found, after = _resource(b, at, p, key, n, most, rows, of, m, metrics)
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


BODY: Final = 'Array(uint8, 1, "C", readonly=True)'
SCAN_OTLP: Final = (
    f"Tuple((int64, int64))({BODY}, uint64[::1], int64, uint64[::1], uint64[::1], int64[::1], int64[::1], "
    "float64[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1])"
)
