"""Chunks and frames give back every sample bit for bit, by numpy and by what numba compiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import chunk, chunk_kernels
from service.flat import NONE, Flat, ordered
from service.flat_frame import pack, unpack
from service.samples import STALE_BITS

T0 = 1_760_000_000_000
STALE = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
odd_values = st.sampled_from([float(STALE), float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 2.0**53 + 2])
decimals = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 9)).map(lambda it: it[0] / 10 ** it[1])
any_values = st.floats(allow_nan=True) | odd_values | decimals | st.integers(0, 2**53).map(float)


@st.composite
def rows(draw: st.DrawFn) -> Flat:
    """A few series: regular, jittered or at any moments; of one kind of value each, with odd ones among them."""
    parts: list[tuple[int, int, float, int]] = []
    for number in sorted(draw(st.sets(st.integers(1, 2**40), max_size=5))):
        step = draw(st.sampled_from([1, 1000, 15_000]))
        count = draw(st.integers(1, 30))
        kind = draw(st.sampled_from([any_values, decimals, st.just(3.25), st.integers(0, 10**12).map(float)]))
        start = draw(st.sampled_from([NONE, T0 - 5, T0 + 100]))
        for at in range(count):
            value = draw(odd_values) if draw(st.integers(0, 9)) == 0 else draw(kind)
            start = T0 + at if draw(st.integers(0, 9)) == 0 else start
            parts.append((number, T0 + at * step + draw(st.integers(0, 3)), value, start))
    columns = list(zip(*parts, strict=True)) or [(), (), (), ()]
    return ordered(
        Flat(
            np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64),
            np.array(columns[3], np.int64),
        )
    )  # fmt: skip


def same(found: Flat, told: Flat) -> bool:
    return all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(map(np.ascontiguousarray, found), map(np.ascontiguousarray, told), strict=True)
    )


@settings(max_examples=150, deadline=None)
@given(rows())
def test_a_chunk_gives_back_every_sample_bit_for_bit(told: Flat) -> None:
    assert same(chunk.decode(chunk.encode(told)).flat(), told)


@settings(max_examples=60, deadline=None)
@given(rows(), st.data())
def test_rows_that_are_asked_for_alone_are_the_same(told: Flat, data: st.DataObject) -> None:
    found = chunk.decode(chunk.encode(told))
    asked = sorted(data.draw(st.sets(st.sampled_from(range(len(found.series)))))) if len(found.series) else []
    mine = found.flat(np.array(asked, np.int64))
    assert same(mine, told.where(np.isin(told.series, found.series[asked])))


@settings(max_examples=80, deadline=None)
@given(rows(), st.booleans(), st.data())
def test_a_stretch_of_time_alone_is_the_same(told: Flat, compiled: bool, data: st.DataObject) -> None:
    chunk_kernels.warm()
    found = chunk.decode(chunk.encode(told))
    moments = st.sampled_from([T0 - 1, *told.ts_ms.tolist(), T0 + 10**6])
    since, until = sorted((data.draw(moments), data.draw(moments)))
    every = np.arange(len(found.series))
    low, high = found.span(every, since, until)
    counts = high - low
    ts_ms, values = np.empty(int(counts.sum()), np.int64), np.empty(int(counts.sum()))
    kernel, chunk_kernels._compiled.run = chunk_kernels._compiled.run, None
    chunk_kernels._compiled.run = kernel if compiled else None
    try:
        found.fill(chunk_kernels.Part(every, low, high, np.cumsum(counts) - counts), ts_ms, values)
    finally:
        chunk_kernels._compiled.run = kernel
    mine = Flat(np.repeat(found.series, counts), ts_ms, values, found.starts(every, low, high))
    assert same(mine, told.between(since, until))


@settings(max_examples=60, deadline=None)
@given(rows())
def test_a_frame_gives_back_every_sample_bit_for_bit(told: Flat) -> None:
    assert same(unpack(pack(told)), told)
    shuffled = told.where(np.arange(told.size)[::-1])
    assert same(unpack(pack(shuffled)), shuffled)


def test_what_numba_compiled_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk_kernels.warm()
    rng = np.random.default_rng(5)
    series = np.repeat(np.arange(1, 9), 480)
    kinds = [
        np.cumsum(rng.integers(0, 50, 480)), np.cumsum(rng.integers(0, 30_000, 480)) / 100, np.full(480, 7),
        rng.random(480), np.cumsum(rng.integers(-(2**40), 2**40, 480)), rng.integers(-(10**9), 10**9, 480) / 10**9,
        np.where(rng.random(480) < 0.1, STALE, 4.5), -np.cumsum(rng.integers(0, 3, 480)) * 1.0,
    ]  # fmt: skip
    told = Flat(series, T0 + np.tile(np.arange(480) * 15_000, 8) + series % 3, np.concatenate(kinds), series * 0 + NONE)
    found = chunk.decode(chunk.encode(told))
    assert same(found.flat(), told)
    monkeypatch.setattr(chunk_kernels._compiled, "run", None)
    assert same(found.flat(), told)


def test_counters_and_gauges_at_regular_times_take_about_a_byte() -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate([np.cumsum(rng.poisson(40, 480)) for _ in range(200)]).astype(float)
    ts = T0 + np.tile(np.arange(480) * 15_000, 200)
    told = Flat(np.repeat(np.arange(200), 480), ts, values, np.full(len(ts), NONE))
    assert len(chunk.encode(told)) < 0.95 * len(ts)


def test_a_frame_or_chunk_of_another_version_is_refused() -> None:
    told = Flat(np.ones(1, np.int64), np.ones(1, np.int64), np.ones(1), np.ones(1, np.int64))
    with pytest.raises(ValueError, match="version 9"):
        chunk.decode(b"\x09" + chunk.encode(told)[1:])
    with pytest.raises(ValueError, match="version 9"):
        unpack(b"\x09" + pack(told)[1:])
