"""Remote write 1.0 and 2.0 to series: names, kinds, starts, and what a hostile body can't do."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ingest import IngestRefused, Limits
from service.model import Metadata, MetricBatch, MetricType, Series
from service.remote_write import Version, Written, decode, kind_of, left_out, unpacked, version_of
from service.staleness import STALE, is_stale
from tests.service.writes import first, packed, second

T0 = 1_760_000_000_000
LIMITS = Limits()
WRITERS = {"1.0": first, "2.0": second}


def of(request: Any, version: Version, limits: Limits = LIMITS) -> MetricBatch:
    return decode(request.SerializeToString(), version, limits).batch


def status_of(run: Callable[[], object]) -> int:
    with pytest.raises(IngestRefused) as refused:
        run()
    return refused.value.status


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_samples_are_taken_with_their_labels_sorted_and_empty_ones_left_out(version: Version) -> None:
    labels = {"__name__": "up", "job": "a", "b": "2", "empty": ""}
    found = of(WRITERS[version]((labels, [(T0, 1.0), (T0 + 1, 0.0)])), version)
    assert found.series == (Series("up", (("b", "2"), ("job", "a"))),)
    assert (found.series_index, found.ts_ms, found.value) == ([0, 0], [T0, T0 + 1], [1.0, 0.0])
    assert found.kinds == ("gauge",)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_staleness_marker_keeps_its_bits(version: Version) -> None:
    found = of(WRITERS[version](({"__name__": "up"}, [(T0, STALE), (T0 + 1, float("nan"))])), version)
    assert [is_stale(it) for it in found.value] == [True, False]
    assert struct.pack("<d", found.value[0]) == struct.pack("<Q", 0x7FF0000000000002)


@pytest.mark.parametrize(
    ("name", "told", "kind"),
    [
        ("x_total", None, "counter"), ("x_bucket", None, "counter"), ("x_count", None, "counter"), ("x", None, "gauge"),
        ("x_sum", None, "gauge"), ("x_sum", "histogram", "gauge"), ("x_sum", "summary", "gauge"),
        ("x_count", "summary", "counter"), ("x_bucket", "histogram", "counter"),
        ("x", "summary", "gauge"), ("x_total", "gauge", "gauge"), ("x", "counter", "counter"), ("x", "info", "gauge"),
        ("x_bucket", "gaugehistogram", "gauge"),
    ],
)  # fmt: skip
def test_a_series_counts_by_its_type_or_its_name(name: str, told: MetricType | None, kind: str) -> None:
    assert kind_of(name, told) == kind


def test_types_that_were_told_before_hold_for_requests_of_1_0() -> None:
    request = first(({"__name__": "x_bucket"}, [(T0, 1.0)]), ({"__name__": "c"}, [(T0, 1.0)]))
    found = decode(request.SerializeToString(), "1.0", LIMITS, {"x": "gaugehistogram", "c": "counter"}).batch
    assert found.kinds == ("gauge", "counter")


def test_created_timestamps_of_2_0_are_starts_of_counters_alone() -> None:
    row = ({"__name__": "x_total"}, [(T0, 1.0)])
    assert of(second(row, type_=1, created=T0 - 5), "2.0").start_ms == [T0 - 5]
    assert of(second(row, type_=1), "2.0").start_ms == [None]
    assert of(second(row, type_=1, created=T0 + 5), "2.0").start_ms == [None]
    assert of(second(row, type_=2, created=T0 - 5), "2.0").start_ms == [None]
    newer = second(row, type_=1)
    newer.timeseries[0].samples[0].start_timestamp = T0 - 7
    assert of(newer, "2.0").start_ms == [T0 - 7]


def test_metadata_is_handed_on() -> None:
    request = first()
    request.metadata.add(type=3, metric_family_name="h", help="Help.", unit="s")
    assert of(request, "1.0").metadata == (Metadata("h", "histogram", "Help.", "s"),)
    rows = [({"__name__": "h_bucket", "le": "1"}, [(T0, 1.0)]), ({"__name__": "h_sum"}, [(T0, 1.0)])]
    assert of(second(*rows, type_=3), "2.0").metadata == (Metadata("h", "histogram", "Help.", ""),)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"job": "a"}, "name"),
        ({"__name__": "n" * 513}, "name"),
        ({"__name__": "midwatch_oom_kills_total"}, "reserved"),
        ({"__name__": "up", "": "x"}, "labels"),
        ({"__name__": "up", "a": "x" * 513}, "labels"),
        ({"__name__": "up", "a" * 129: "x"}, "labels"),
        ({"__name__": "up", **{f"a{n}": "x" for n in range(33)}}, "labels"),
    ],
)
def test_a_series_that_can_not_be_taken_is_left_out_and_the_others_are_kept(
    version: Version, labels: dict[str, str], reason: str
) -> None:
    good = ({"__name__": "good"}, [(T0, 1.0)])
    found = of(WRITERS[version]((labels, [(T0, 1.0), (T0 + 1, 1.0)]), good), version)
    assert ([it.metric for it in found.series], found.refused) == (["good"], {reason: 2})


def test_a_label_that_comes_twice_is_refused() -> None:
    request = first(({"__name__": "up", "a": "1"}, [(T0, 1.0)]))
    request.timeseries[0].labels.add(name="a", value="2")
    assert of(request, "1.0").refused == {"labels": 1}


def test_symbols_that_are_not_there_or_do_not_begin_with_nothing_are_malformed() -> None:
    request = second(({"__name__": "up"}, [(T0, 1.0)]))
    request.timeseries[0].labels_refs[1] = 99
    assert status_of(lambda: of(request, "2.0")) == 400
    request = second(({"__name__": "up"}, [(T0, 1.0)]))
    request.symbols[0] = "x"
    assert status_of(lambda: of(request, "2.0")) == 400
    request = second(({"__name__": "up"}, [(T0, 1.0)]))
    request.timeseries[0].labels_refs.append(0)
    assert of(request, "2.0").refused == {"labels": 1}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_native_histograms_and_exemplars_are_counted_and_named(version: Version) -> None:
    request = WRITERS[version](({"__name__": "up"}, [(T0, 1.0)]))
    request.timeseries[0].histograms.append(b"")
    request.timeseries[0].exemplars.extend([b"", b""])
    written = decode(request.SerializeToString(), version, LIMITS)
    assert (written.histograms, written.exemplars, len(written.batch.value)) == (1, 2, 1)
    assert "1 native histograms" in left_out(written, {})
    assert "2 exemplars" in left_out(written, {})


def test_what_came_before_is_no_loss() -> None:
    written = Written(of(first(), "1.0"))
    assert left_out(written, {"same_moment": 3}) == ""
    assert left_out(written, {"labels": 1, "reserved": 2}).startswith("left out: 1 labels, 2 reserved, names that")


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (None, "1.0"),
        ("application/x-protobuf", "1.0"),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "1.0"),
        ("application/x-protobuf; proto=io.prometheus.write.v2.Request", "2.0"),
    ],
)
def test_the_content_type_tells_the_version(kind: str | None, version: str) -> None:
    assert version_of(kind) == version


@pytest.mark.parametrize("kind", ["text/plain", "application/x-protobuf;proto=io.prometheus.write.v3.Request"])
def test_another_content_type_is_unsupported(kind: str) -> None:
    assert status_of(lambda: version_of(kind)) == 415


def test_snappy_is_expected_where_nothing_is_said() -> None:
    assert unpacked(packed(b"x" * 99), None, LIMITS) == b"x" * 99
    assert status_of(lambda: unpacked(b"x", "gzip", LIMITS)) == 415


@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff\xff\xff\xff", b"\x05abc", b"not snappy at all"])
def test_a_body_that_is_not_snappy_is_malformed(body: bytes) -> None:
    assert status_of(lambda: unpacked(body, "snappy", LIMITS)) == 400


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = packed(bytes(64 << 20))
    assert status_of(lambda: unpacked(bomb, "snappy", LIMITS)) == 413
    assert status_of(lambda: unpacked(bytes(99), "snappy", Limits(body_bytes=98))) == 413


def test_more_series_or_samples_than_a_batch_may_have_refuse_it_whole() -> None:
    request = first(*(({"__name__": f"g{n}"}, [(T0, 1.0)]) for n in range(4)))
    assert status_of(lambda: of(request, "1.0", Limits(series=3))) == 413
    assert status_of(lambda: of(request, "1.0", Limits(points=3))) == 413


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["1.0", "2.0"]))
def test_no_body_does_more_than_be_refused(body: bytes, version: Version) -> None:
    for run in (
        lambda: decode(unpacked(body, "snappy", LIMITS), version, LIMITS),
        lambda: decode(body, version, LIMITS),
    ):
        try:
            run()
        except IngestRefused as refused:
            assert refused.status in (400, 413)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=4), st.integers(0, 10_000), st.sampled_from(["1.0", "2.0"]))
def test_a_real_request_with_bytes_changed_does_no_more_than_be_refused(
    noise: bytes, at: int, version: Version
) -> None:
    body = bytearray(WRITERS[version](({"__name__": "up", "a": "b"}, [(T0, 1.0)])).SerializeToString())
    at %= len(body)
    body[at : at + len(noise)] = noise
    try:
        decode(bytes(body), version, LIMITS)
    except IngestRefused as refused:
        assert refused.status == 400
