"""What compiled readers are made of: protobuf's fields and a keyed hash over bytes at an address.

Addresses, not arrays, go from function to function: a compiled function counts the references of each array that it is
given, which takes five times as long as reading a point. So every reader checks its bounds before it reads; a field
ends within its message, and a message within the body.

A series is known by a keyed 128-bit hash (SipHash-1-3) of the bytes that make it, so that nobody can make two series
fall together on purpose. Import this once `numba`'s cache folder is set: see `service.wire_jit`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

U = np.uint64
NONE: Final = np.int64(-(2**62))
ROWS_FULL: Final = -2
MALFORMED: Final = -1
ROW_BYTES: Final = 64
"""A row: two words of hash, time, start, value, and three places."""
BODY: Final = 'Array(uint8, 1, "C", readonly=True)'


@njit(forceinline=True)
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


def _loader(bits: int) -> Any:
    """Reads an unsigned number of so many bits at an address, little end first."""

    @intrinsic
    def load(_: Any, base: Any, place: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            at = builder.inttoptr(builder.add(*values), ir.IntType(bits).as_pointer())
            found = builder.load(at, align=1)
            return builder.zext(found, ir.IntType(64)) if bits < 64 else found

        return types.uint64(types.int64, types.int64), code

    return load


@intrinsic
def _put(_: Any, base: Any, place: Any, number: Any) -> Any:
    """Write 64 bits at an address."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        at = builder.inttoptr(builder.add(values[0], values[1]), ir.IntType(64).as_pointer())
        builder.store(values[2], at, align=8)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, number), code


@intrinsic
def _address(_: Any, array: Any) -> Any:
    """Where an array's first element is."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), code


@intrinsic
def _bits_of(_: Any, number: Any) -> Any:
    """The bits of a double."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(64))

    return types.uint64(types.float64), code


word: Any = _loader(64)
byte: Any = _loader(8)
put: Any = _put
address: Any = _address
bits_of: Any = _bits_of


@njit(forceinline=True)
def begin(key: Any, x: Any, y: Any) -> Any:
    """The state after the key and two words."""
    v0, v1 = U(0x736F6D6570736575) ^ key[0], U(0x646F72616E646F6D) ^ key[1] ^ U(0xEE)
    v2, v3 = U(0x6C7967656E657261) ^ key[0], U(0x7465646279746573) ^ key[1]
    for m in (x, y):
        v3 ^= m
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= m
    return v0, v1, v2, v3


@njit(forceinline=True)
def absorb(v0: Any, v1: Any, v2: Any, v3: Any, m: Any) -> Any:
    """The state after one more word."""
    v3 ^= m
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ m, v1, v2, v3


@njit(forceinline=True)
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


@njit(forceinline=True)
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
        rest |= byte(b, p) << at
        at += U(8)
        p += 1
    v0, v1, v2, v3 = absorb(v0, v1, v2, v3, rest)
    return finish(v0, v1, v2, v3)


@njit(forceinline=True)
def varint(b: Any, p: Any, e: Any) -> Any:
    """A number and where it ends; -1 where it does not end."""
    found, shift = U(0), U(0)
    while p < e and shift < U(70):
        one = byte(b, p)
        p += 1
        found |= (one & U(127)) << shift
        if one < U(128):
            return found, p
        shift += U(7)
    return found, np.int64(-1)


@njit(forceinline=True)
def block(b: Any, p: Any, e: Any) -> Any:
    """Where a field of bytes begins and ends; -1 where it goes beyond."""
    length, p = varint(b, p, e)
    if p < 0 or length > U(e - p):
        return np.int64(-1), np.int64(-1)
    return p, p + np.int64(length)


@njit(forceinline=True)
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
