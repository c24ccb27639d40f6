"""The compiled readers give what the other readers give, whatever is sent, the first time and every time after."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from service import wire_jit
from service.decode import IngestRefused, Limits
from service.deltas import Deltas, Turn
from service.ingest import decode_metrics
from service.model import MetricBatch, Series
from service.quota import OverQuota, Quota, QuotaBounds
from service.remote_write import Version, decode
from service.series_book import SeriesBook
from service.store_series import Directory
from service.store_state import NONE
from service.wire_fast import FastWire
from service.wire_otlp import OtlpReader
from service.wire_write import WriteReader
from tests.service.stores import Clock
from tests.service.test_ingest_metrics import gauge, histogram, text, total
from tests.service.writes import first, second

LIMITS = Limits(labels=6, label_value_chars=40, label_name_chars=20, points=5_000, series=5_000)
T0 = 1_760_000_000_000
MS = 1_000_000
TURN = Turn({}, threading.Lock())


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert wire_jit.warm(threading.Event(), tmp_path_factory.mktemp("kernels")) == 5


def fast(limits: Limits = LIMITS, most: int = 100_000, bounds: QuotaBounds = QuotaBounds()) -> FastWire:  # noqa: B008
    book = SeriesBook(most)
    quota = Quota(bounds, book, Clock(), lambda series: (len(series), 10**9))
    return FastWire(limits, quota, book, Directory(), most)


Row = tuple[Series, str, int, bytes, int | None]


def rows(batch: MetricBatch) -> Counter[Row]:
    series, kinds = list(batch.series), list(batch.kinds)
    columns = zip(batch.series_index, batch.ts_ms, batch.value, batch.start_ms, strict=True)
    return Counter(
        (
            series[int(at)],
            kinds[int(at)],
            int(ts),
            struct.pack("<d", value),
            None if start in (None, NONE) else int(start or 0),
        )
        for at, ts, value, start in columns
    )


def same(mine: MetricBatch | None, theirs: MetricBatch) -> None:
    assert mine is not None
    assert rows(mine) == rows(theirs)
    assert +Counter(mine.refused) == +Counter(theirs.refused)
    assert len(mine.series) == len(mine.kinds) == len(mine.numbers)


ATTRIBUTES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c.d", "service", "job", "le", "x" * 21]),
        st.sampled_from(["", "1", "GET /", "é", "y" * 41, 7, True, 0.5]),
    ),
    max_size=4,
    unique_by=lambda it: it[0],
)
VALUES = st.sampled_from([0.0, -0.0, 1.5, -3.0, float("inf"), float("nan"), 7, -(2**60), None])


def _attribute(pair: Any, name: str, value: Any) -> None:
    pair.key = name
    kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
    setattr(pair.value, kind, value)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    metric = Metric(
        name=draw(st.sampled_from(["m", "http.requests", "cpu_total", "n" * 41, ""])),
        unit=draw(st.sampled_from(["", "s", "1", "By"])),
        description=draw(st.sampled_from(["", "What it is."])),
    )
    kind = draw(st.sampled_from(["gauge", "gauge", "sum", "sum", "histogram", "nothing"]))
    if kind == "histogram":
        metric.MergeFrom(histogram([1.0], [1, 2]))
    if kind == "sum":
        metric.sum.aggregation_temporality = draw(st.sampled_from([2, 2, 2, 1, 0]))
        metric.sum.is_monotonic = draw(st.booleans())
    points = {"gauge": metric.gauge, "sum": metric.sum}.get(kind)
    for _ in range(draw(st.integers(0, 4)) if points is not None else 0):
        point = points.data_points.add()  # type: ignore[union-attr]
        point.time_unix_nano = draw(st.sampled_from([T0 * MS, (T0 + 1) * MS + 5, (T0 + 7_000) * MS, 0, 2**64 - 1]))
        point.start_time_unix_nano = draw(st.sampled_from([0, (T0 - 5) * MS]))
        point.flags = draw(st.sampled_from([0, 0, 0, 1, 2]))
        value = draw(VALUES)
        if isinstance(value, int):
            point.as_int = value
        elif value is not None:
            point.as_double = value
        for name, it in draw(ATTRIBUTES):
            _attribute(point.attributes.add(), name, it)
        if draw(st.integers(0, 9)) == 0:
            point.exemplars.add(as_double=1.0)
    if kind == "gauge" and not metric.HasField("gauge"):
        metric.gauge.SetInParent()
    return metric


@st.composite
def requests(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        group = request.resource_metrics.add(schema_url=draw(st.sampled_from(["", "https://x"])))
        for name, it in draw(st.lists(st.sampled_from([
            ("service.name", "api"), ("host.name", "n1"), ("process.pid", 7), ("job", "j"), ("k" * 30, "v"),
            ("service.namespace", "y" * 50),
        ]), max_size=3, unique=True)):  # fmt: skip
            _attribute(group.resource.attributes.add(), name, it)
        for _ in range(draw(st.integers(0, 2))):
            scope = group.scope_metrics.add()
            scope.scope.name = draw(st.sampled_from(["", "midwatch.agent", "lib"]))
            scope.metrics.extend(draw(st.lists(metrics(), max_size=4)))
    return request


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests(), min_size=1, max_size=3))
def test_otlp_is_read_the_same_by_both(sent: Sequence[ExportMetricsServiceRequest]) -> None:
    reader = OtlpReader(fast())
    for request in [*sent, *sent]:
        body = request.SerializeToString()
        with Deltas().turn() as mine, Deltas().turn() as theirs:
            found = reader.read(body, None, "a", mine)
            if found is not None:
                same(found, decode_metrics(body, None, None, LIMITS, turn=theirs))
                assert mine.staged == theirs.staged
            else:
                assert mine.staged == {}


def test_simple_bodies_are_read_by_the_compiled_reader_with_no_metadata_the_second_time() -> None:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend([text("service.name", "api"), text("process.pid", "7")])
    group.scope_metrics.add().metrics.extend([gauge("g", unit="s"), total(start=(T0 - 5) * MS), gauge("h", flags=1)])
    reader, body = OtlpReader(fast()), request.SerializeToString()
    found, again = reader.read(body, None, "a", TURN), reader.read(body, None, "a", TURN)
    theirs = decode_metrics(body, None, None, LIMITS)
    for batch in (found, again):
        same(batch, theirs)
    assert found is not None
    assert again is not None
    assert [it.metric for it in found.metadata] == ["g_seconds", "c_total", "h", "target_info"]
    assert list(again.metadata) == []
    assert [it.metric for it in again.series] == ["g_seconds", "c_total", "h", "target_info"]


def test_one_resource_that_is_not_simple_costs_the_others_nothing() -> None:
    request = ExportMetricsServiceRequest()
    for metric in (gauge("g"), histogram([1.0], [1, 2])):
        request.resource_metrics.add().scope_metrics.add().metrics.append(metric)
    body = request.SerializeToString()
    found = OtlpReader(fast()).read(body, None, "a", TURN)
    same(found, decode_metrics(body, None, None, LIMITS))


def test_too_many_samples_are_refused_by_both() -> None:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend([gauge(f"g{n}") for n in range(4)])
    body, limits = request.SerializeToString(), Limits(points=3, series=3)
    with pytest.raises(IngestRefused, match="more than the 3 samples"):
        OtlpReader(fast(limits)).read(body, None, "a", TURN)


def test_a_batch_over_its_bound_of_series_leaves_no_trace() -> None:
    wire = fast(bounds=QuotaBounds(agent_series=2))
    reader = OtlpReader(wire)
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend([gauge(f"g{n}") for n in range(3)])
    for _ in range(2):
        with pytest.raises(OverQuota):
            reader.read(request.SerializeToString(), None, "a", TURN)
    del request.resource_metrics[0].scope_metrics[0].metrics[2]
    same(
        reader.read(request.SerializeToString(), None, "a", TURN),
        decode_metrics(request.SerializeToString(), None, None),
    )


def test_a_full_table_and_a_full_book_begin_anew_and_nothing_is_mixed_up() -> None:
    reader = OtlpReader(fast(most=50))
    for turn in range(12):
        request = ExportMetricsServiceRequest()
        names = [gauge(f"g{(turn * 17 + n) % 60}", float(n)) for n in range(20)]
        request.resource_metrics.add().scope_metrics.add().metrics.extend(names)
        body = request.SerializeToString()
        found = reader.read(body, None, "a", TURN)
        if found is not None:
            same(found, decode_metrics(body, None, None))


def test_numbers_of_the_store_are_given_while_they_hold() -> None:
    book, directory = SeriesBook(), Directory()
    quota = Quota(QuotaBounds(), book, Clock(), lambda series: (0, 1))
    reader = OtlpReader(FastWire(LIMITS, quota, book, directory, 1000))
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend([gauge("g"), gauge("h")])
    body = request.SerializeToString()

    def numbers() -> list[int]:
        found = reader.read(body, None, "a", TURN)
        assert found is not None
        assert found.epoch == directory.epoch
        return [int(it) for it in found.numbers]

    assert numbers() == [0, 0]
    h = Series("h", (("service", "unknown_service"),))
    directory.add([(7, h, 0)])
    assert numbers() == [0, 7]
    directory.remove([7])
    assert numbers() == [0, 0]


LABELS = st.lists(
    st.tuples(
        st.sampled_from(["__name__", "job", "a", "", "x" * 21, "é"]),
        st.sampled_from(["", "up", "c_total", "midwatch_x", "y" * 41, "n"]),
    ),
    max_size=5,
)
SAMPLES = st.lists(
    st.tuples(st.sampled_from([T0, T0 + 1, -5, 2**62]), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("-inf")])),
    max_size=3,
)


def writes(version: Version, given_: Sequence[Any], odd: int) -> bytes:
    if version == "1.0":
        request = first()
        for labels, samples in given_:
            series = request.timeseries.add()
            for name, value in labels:
                series.labels.add(name=name, value=value)
            for ts_ms, value in samples:
                series.samples.add(timestamp=ts_ms, value=value)
        if odd:
            request.metadata.add(type=odd, metric_family_name="up")
    else:
        request = second(*((dict(labels), samples) for labels, samples in given_), type_=odd, created=T0 - 5)
    if given_ and odd == 3:
        request.timeseries[0].exemplars.append(b"")
        request.timeseries[-1].histograms.append(b"")
    body: bytes = request.SerializeToString()
    return body


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["1.0", "2.0"]),
    st.lists(st.lists(st.tuples(LABELS, SAMPLES), max_size=4), min_size=1, max_size=3),
    st.integers(0, 4),
)
def test_remote_write_is_read_the_same_by_both(version: Version, sent: Sequence[Any], odd: int) -> None:
    reader = WriteReader(fast())
    for given_ in [*sent, *sent]:
        body = writes(version, given_, odd)
        found, theirs = reader.read(body, version, "a", {}), decode(body, version, LIMITS)
        if found is not None:
            same(found.batch, theirs.batch)
            assert (found.histograms, found.exemplars) == (theirs.histograms, theirs.exemplars)
        else:
            assert body == b""


@settings(deadline=None, max_examples=400)
@given(
    st.binary(max_size=200),
    st.binary(min_size=1, max_size=6),
    st.integers(0, 10_000),
    st.sampled_from(["otlp", "1.0", "2.0"]),
)
def test_damaged_bodies_do_no_more_than_be_refused(noise: bytes, patch: bytes, at: int, kind: Any) -> None:
    wire = fast()
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.append(text("service.name", "api"))
    group.scope_metrics.add().metrics.extend(
        [gauge("g", attributes=[text("a", "b")]), total(), histogram([1.0], [1, 2])]
    )
    whole = (
        request.SerializeToString()
        if kind == "otlp"
        else writes(kind, [([("__name__", "up"), ("a", "b")], [(T0, 1.0)])] * 2, 1)
    )
    damaged = bytearray(whole)
    at %= len(damaged)
    damaged[at : at + len(patch)] = patch
    for body in (bytes(damaged), noise, whole[:at]):
        try:
            if kind == "otlp":
                OtlpReader(wire).read(body, None, "a", TURN)
            else:
                WriteReader(wire).read(body, kind, "a", {})
        except IngestRefused as refused:
            assert refused.status in (400, 413)
