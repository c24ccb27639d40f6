"""Deltas of any sender are added up, and exponential histograms become classic ones."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from service.deltas import Deltas
from service.ingest import Limits, decode_metrics
from service.model import MetricBatch

DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
T0_MS = 1_760_000_000_000
MS = 1_000_000
Rows = list[tuple[str, str | None, int, float, int | None]]


def rows(batch: MetricBatch) -> Rows:
    return [
        (batch.series[at].metric, dict(batch.series[at].labels).get("le"), ts - T0_MS, value, start)
        for at, ts, value, start in zip(batch.series_index, batch.ts_ms, batch.value, batch.start_ms, strict=True)
    ]


def taken(deltas: Deltas, *metrics: Metric, stored: bool = True) -> MetricBatch:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend(metrics)
    with deltas.turn() as turn:
        batch = decode_metrics(request.SerializeToString(), None, None, turn=turn)
        if stored:
            turn.keep()
    return batch


def delta(value: float, at: int, since: int, name: str = "c", monotonic: bool = True) -> Metric:
    metric = Metric(name=name)
    metric.sum.aggregation_temporality = DELTA
    metric.sum.is_monotonic = monotonic
    metric.sum.data_points.add(
        time_unix_nano=(T0_MS + at) * MS, start_time_unix_nano=(T0_MS + since) * MS, as_double=value
    )
    return metric


def histogram(counts: list[int], at: int) -> Metric:
    metric = Metric(name="h")
    metric.histogram.aggregation_temporality = DELTA
    metric.histogram.data_points.add(
        time_unix_nano=(T0_MS + at) * MS, start_time_unix_nano=T0_MS * MS, count=sum(counts), sum=float(sum(counts)),
        bucket_counts=counts, explicit_bounds=[1.0, 2.0],
    )  # fmt: skip
    return metric


def test_deltas_of_a_counter_add_up_from_the_start_of_the_first() -> None:
    deltas = Deltas()
    assert rows(taken(deltas, delta(2, 10, 0))) == [("c_total", None, 10, 2.0, T0_MS)]
    assert rows(taken(deltas, delta(3, 20, 10))) == [("c_total", None, 20, 5.0, T0_MS)]


def test_several_deltas_of_one_batch_add_up_too() -> None:
    found = rows(taken(Deltas(), delta(2, 10, 0), delta(3, 20, 10)))
    assert [value for *_, value, _ in found] == [2.0, 5.0]


def test_an_up_down_counter_may_fall_and_has_no_start() -> None:
    deltas = Deltas()
    taken(deltas, delta(2, 10, 0, "u", monotonic=False))
    assert rows(taken(deltas, delta(-3, 20, 10, "u", monotonic=False))) == [("u", None, 20, -1.0, None)]


def test_a_batch_that_was_not_stored_adds_nothing_when_it_comes_again() -> None:
    deltas = Deltas()
    taken(deltas, delta(2, 10, 0), stored=False)
    assert [value for *_, value, _ in rows(taken(deltas, delta(2, 10, 0)))] == [2.0]


def test_a_delta_that_was_added_is_left_out_and_counted() -> None:
    deltas = Deltas()
    taken(deltas, delta(2, 10, 0))
    for at, reason in ((10, "same_moment"), (9, "delta_out_of_order")):
        found = taken(deltas, delta(2, at, 0))
        assert (found.refused, rows(found)) == ({reason: 1}, [])
    twice = taken(deltas, delta(2, 20, 10), delta(2, 20, 10))
    assert (twice.refused, len(rows(twice))) == ({"delta_out_of_order": 1}, 1)


def test_beyond_the_bound_the_series_heard_longest_ago_begins_anew() -> None:
    deltas = Deltas(most=2)
    taken(deltas, delta(1, 10, 0, "a"), delta(1, 10, 0, "b"), delta(1, 10, 0, "c"))
    assert (len(deltas), deltas.counts["forgotten"]) == (2, 1)
    assert rows(taken(deltas, delta(1, 20, 10, "a"))) == [("a_total", None, 20, 1.0, T0_MS + 10)]


def test_deltas_of_a_histogram_add_up_per_bucket() -> None:
    deltas = Deltas()
    taken(deltas, histogram([1, 0, 2], 10))
    assert {(name, le): value for name, le, _, value, _ in rows(taken(deltas, histogram([1, 1, 0], 20)))} == {
        ("h_bucket", "1"): 2, ("h_bucket", "2"): 3, ("h_bucket", "+Inf"): 5, ("h_sum", None): 5, ("h_count", None): 5,
    }  # fmt: skip


def exponential(
    scale: int, offset: int, counts: Iterable[int], zero: int = 0, negative: Iterable[int] = (), temporality: int = 2
) -> Metric:
    counts, negative = list(counts), list(negative)
    metric = Metric(name="e")
    metric.exponential_histogram.aggregation_temporality = temporality  # type: ignore[assignment]
    point = metric.exponential_histogram.data_points.add(
        time_unix_nano=T0_MS * MS, scale=scale, zero_count=zero, sum=1.0, count=sum(counts) + sum(negative) + zero
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    point.negative.offset = offset
    point.negative.bucket_counts.extend(negative)
    return metric


def les(batch: MetricBatch) -> dict[str | None, float]:
    return {le: value for name, le, _, value, _ in rows(batch) if name == "e_bucket"}


def test_an_exponential_histogram_of_whole_powers_has_them_as_bounds() -> None:
    assert les(taken(Deltas(), exponential(0, 0, [1, 2, 3], zero=4))) == {"0": 4, "2": 5, "4": 7, "8": 10, "+Inf": 10}


def test_negative_buckets_come_before_zero() -> None:
    found = les(taken(Deltas(), exponential(0, 0, [1], zero=1, negative=[2, 3])))
    assert found == {"-2": 3, "-1": 5, "0": 6, "2": 7, "+Inf": 7}


def test_fine_buckets_are_merged_exactly() -> None:
    found = les(taken(Deltas(), exponential(5, 0, [1] * 32)))
    assert found == {"1.189207115002721": 8, "1.4142135623730951": 16, "1.681792830507429": 24, "2": 32, "+Inf": 32}


def test_wide_ranges_are_merged_to_the_bound_of_buckets() -> None:
    metric = exponential(2, -600, [1] * 1200)
    assert len(les(taken(Deltas(), metric))) <= Limits().buckets


@settings(deadline=None, max_examples=60)
@given(st.integers(-12, 20), st.integers(-4000, 4000), st.lists(st.integers(0, 9), max_size=300), st.integers(0, 5))
def test_no_observation_is_lost_by_merging(scale: int, offset: int, counts: list[int], zero: int) -> None:
    batch = taken(Deltas(), exponential(scale, offset, counts, zero))
    values = [value for name, le, _, value, _ in rows(batch) if name == "e_bucket"]
    assert values == sorted(values)
    assert values[-1] == sum(counts) + zero
    bounds = [math.inf if le == "+Inf" else float(le or "nan") for le in les(batch)]
    assert bounds == sorted(set(bounds))
    assert len(bounds) <= Limits().buckets + 2


@pytest.mark.parametrize(
    "metric",
    [exponential(2_000, 0, [1]), exponential(0, 0, [1] * 2_001), exponential(0, 0, [1], temporality=0)],
    ids=["scale", "too many", "no temporality"],
)
def test_an_exponential_histogram_that_is_none_is_left_out(metric: Metric) -> None:
    assert sum(taken(Deltas(), metric).refused.values()) == 1


def test_deltas_of_exponential_histograms_add_up_with_all_bounds_that_were_seen() -> None:
    deltas = Deltas()
    first, second = exponential(0, 0, [1], temporality=DELTA), exponential(0, 3, [2], temporality=DELTA)
    second.exponential_histogram.data_points[0].time_unix_nano += MS
    taken(deltas, first)
    assert les(taken(deltas, second)) == {"2": 1, "16": 3, "+Inf": 3}
