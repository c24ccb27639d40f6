from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.model import Series
from service.remote_encode import Encoder, compressed, halves, inflated, parts_of, samples_in
from tests.service.remote_write import decoded

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
labels = st.dictionaries(names.filter(lambda it: it != "__name__"), names, max_size=4)
all_series = st.lists(
    st.builds(lambda metric, found: Series(metric, tuple(sorted(found.items()))), names, labels),
    min_size=1, max_size=5, unique=True,
)  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> tuple[list[Series], list[tuple[int, int, float]]]:
    series = draw(all_series)
    row = st.tuples(st.integers(0, len(series) - 1), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, width=64))
    return series, draw(st.lists(row, min_size=1, max_size=20, unique_by=lambda it: it[:2]))


def encode(series: list[Series], rows: list[tuple[int, int, float]]) -> bytes:
    index, ts, value = zip(*rows, strict=True)
    encoded = Encoder().encode(series, np.array(index, np.int64), np.array(ts, np.int64), np.array(value))
    assert encoded.samples == len(rows)
    return encoded.body


@given(columns())
def test_what_is_encoded_is_what_a_decoder_of_the_specification_reads(
    found: tuple[list[Series], list[tuple[int, int, float]]],
) -> None:
    series, rows = found
    told = decoded(inflated(compressed(encode(series, rows))))
    expected = sorted((series[at], ts, value) for at, ts, value in rows)
    assert sorted((one, ts, value) for one, samples in told for ts, value in samples) == expected
    assert [[ts for ts, _ in samples] for _, samples in told] == [sorted(ts for ts, _ in it) for _, it in told]


@given(columns())
def test_halves_hold_together_what_the_whole_held(found: tuple[list[Series], list[tuple[int, int, float]]]) -> None:
    body = encode(*found)
    rows = decoded(body)
    if sum(len(samples) for _, samples in rows) == 1:
        assert halves(body) is None
        return
    two = halves(body)
    assert two is not None
    assert all(two)
    told = [(one, sample) for half in two for one, samples in decoded(half) for sample in samples]
    assert told == [(one, sample) for one, samples in rows for sample in samples]
    assert [samples_in(half) for half in two] == [sum(len(it) for _, it in decoded(half)) for half in two]


def test_joined_requests_are_one_request() -> None:
    one, other = encode([Series("a", ())], [(0, 1, 1.0)]), encode([Series("b", ())], [(0, 2, 2.0)])
    assert decoded(one + other) == decoded(one) + decoded(other)
    assert parts_of(one + other) == [one, other]


def test_a_staleness_marker_keeps_its_bits() -> None:
    marker = np.array([0x7FF0000000000002], np.uint64).view(np.float64)
    for at in (1, 2**40):
        body = Encoder().encode([Series("a", ())], np.zeros(1, np.int64), np.array([at]), marker).body
        assert bytes.fromhex("0200000000 00f07f") in body


def test_empty_labels_are_left_out() -> None:
    body = encode([Series("a", (("empty", ""), ("full", "x")))], [(0, 1, 1.0)])
    assert decoded(body) == [(Series("a", (("full", "x"),)), [(1, 1.0)])]
