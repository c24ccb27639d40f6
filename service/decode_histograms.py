"""Histograms of OTLP, explicit and exponential, to buckets by upper bound; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, isfinite, ldexp

from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from service.decode import Limits
from service.deltas import Buckets

FINEST_SCALE = 2
"""Exponential buckets are merged down to this scale at least: four to a doubling."""
COARSEST_SCALE = -10
_MOST_INDEX = 1 << 40


def explicit(point: HistogramDataPoint, limits: Limits) -> Buckets | None:
    """The point's buckets; None where it is none: bounds that don't ascend, counts that don't add up."""
    bounds, counts = point.explicit_bounds, point.bucket_counts
    if len(counts) not in (0, len(bounds) + 1) or len(bounds) > limits.buckets:
        return None
    if any(not isfinite(bound) for bound in bounds) or any(a >= b for a, b in pairwise(bounds)):
        return None
    if (counts and sum(counts) != point.count) or not isfinite(point.sum):
        return None
    found = dict(zip((*bounds, inf), counts, strict=False)) if counts else {inf: point.count}
    return Buckets(found, point.count, point.sum if point.HasField("sum") else None)


def exponential(point: ExponentialHistogramDataPoint, limits: Limits) -> Buckets | None:
    """The point's buckets as classic ones; None where it is none.

    Bucket `i` of scale `s` holds `(base^i, base^(i+1)]` with `base = 2^(2^-s)` (OpenTelemetry's data model). Buckets
    are merged until the scale is FINEST_SCALE or less and their number within the limit; merging is exact, and the
    bounds of a coarser scale are among those of a finer one. Negative buckets are `[-base^(i+1), -base^i)`; the zero
    bucket's bound is its threshold. All bounds between the outermost filled buckets are there, since the counts of a
    cumulative histogram never fall: a bound that is there once stays.
    """
    sizes = (len(point.positive.bucket_counts), len(point.negative.bucket_counts))
    if sum(sizes) > limits.exponential_buckets or not -1075 <= point.scale <= 64 or not isfinite(point.sum):
        return None
    if abs(point.positive.offset) > _MOST_INDEX or abs(point.negative.offset) > _MOST_INDEX:
        return None
    total = sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts) + point.zero_count
    if total != point.count or not isfinite(point.zero_threshold) or point.zero_threshold < 0:
        return None
    found = dict(_merged(point, limits))
    found[inf] = found.get(inf, 0)
    return Buckets(found, point.count, point.sum if point.HasField("sum") else None)


def _merged(point: ExponentialHistogramDataPoint, limits: Limits) -> Iterator[tuple[float, int]]:
    """Upper bounds with their counts, each bound once."""
    up = _filled(point.positive.offset, point.positive.bucket_counts)
    down = _filled(point.negative.offset, point.negative.bucket_counts)
    scale = point.scale
    while scale > FINEST_SCALE or (_width(up) + _width(down) > limits.buckets - 2 and scale > COARSEST_SCALE):
        up, down, scale = _halved(up), _halved(down), scale - 1
    found: dict[float, int] = {}
    for index in range(max(down, default=-1), min(down, default=0) - 1, -1):
        bound = -_bound(scale, index)
        found[bound] = found.get(bound, 0) + down.get(index, 0)
    if point.zero_count:
        found[point.zero_threshold] = found.get(point.zero_threshold, 0) + point.zero_count
    for index in range(min(up, default=0), max(up, default=-1) + 1):
        bound = _bound(scale, index + 1)
        found[bound] = found.get(bound, 0) + up.get(index, 0)
    yield from found.items()


def _filled(offset: int, counts: Sequence[int]) -> dict[int, int]:
    return {offset + at: count for at, count in enumerate(counts) if count}


def _width(filled: dict[int, int]) -> int:
    return max(filled) - min(filled) + 1 if filled else 0


def _halved(filled: dict[int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for index, count in filled.items():
        found[index >> 1] = found.get(index >> 1, 0) + count
    return found


def _bound(scale: int, index: int) -> float:
    """`2^(index x 2^-scale)`, the same bits for the same bound at every scale; `inf` beyond the numbers."""
    if scale > 0:
        whole, part = index >> scale, index & ((1 << scale) - 1)
    else:
        whole, part = index << -scale, 0
    if whole >= 1024:
        return inf
    if whole < -1074:
        return 0.0
    return ldexp(2.0 ** (part / (1 << scale)) if part else 1.0, whole)
