"""Prometheus remote write, 1.0 and 2.0: what a request is, its bytes, and its samples in columns.

Follows prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

import cramjam
from google.protobuf.message import DecodeError

from service.decode import HARMLESS, PROTOBUF, IngestRefused, Limits, inflate
from service.decode_columns import Columns, Kind, LabelSet
from service.model import Metadata, MetricBatch, MetricType, Series
from service.remote_write_proto import Request, WriteRequest
from service.samples import NAME

Version = Literal["1.0", "2.0"]
RESERVED: Final = "midwatch_"
"""Metrics that our agents ship themselves: a second copy by way of a Prometheus would count twice."""
_PROTO: Final[Mapping[str, Version]] = {"prometheus.WriteRequest": "1.0", "io.prometheus.write.v2.Request": "2.0"}
_TYPES: Final[tuple[MetricType, ...]] = (
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset",
)  # fmt: skip
_PARTS: Final = ("_bucket", "_count", "_sum")
_SYMBOLS_PER_SAMPLE = 5


@dataclass(frozen=True)
class Written:
    """A decoded request: its samples, and what of it is not kept here."""

    batch: MetricBatch
    histograms: int = 0
    exemplars: int = 0


class _Label(NamedTuple):
    """One label of a series of 2.0."""

    name: str
    value: str


def version_of(content_type: str | None) -> Version:
    """The message that a content type names, 1.0 where it names none; 415 for any other."""
    kind, *parameters = (content_type or PROTOBUF).split(";")
    if kind.strip().lower() != PROTOBUF:
        raise IngestRefused(415, f"the content type {kind[:80]!r} is not taken here: send {PROTOBUF}")
    named = dict(part.strip().partition("=")[::2] for part in parameters)
    proto = named.get("proto", "prometheus.WriteRequest").strip('"')
    if proto not in _PROTO:
        raise IngestRefused(415, f"the message {proto[:80]!r} is not taken here: send one of {', '.join(_PROTO)}")
    return _PROTO[proto]


def unpacked(body: bytes, content_encoding: str | None, limits: Limits) -> bytes:
    """The request's bytes; 413 where they are over their bound, told before anything is inflated."""
    encoding = (content_encoding or "snappy").strip().lower()
    if encoding == "zstd":
        return inflate(body, encoding, limits)
    if encoding != "snappy":
        raise IngestRefused(415, f"the content encoding {encoding[:80]!r} is not taken here: send snappy")
    if len(body) > limits.body_bytes:
        raise IngestRefused(413, f"the body has {len(body)} bytes, more than the {limits.body_bytes} taken at once")
    if _announced(body) > limits.decompressed_bytes:
        raise IngestRefused(413, f"the decompressed body has more than the {limits.decompressed_bytes} bytes taken")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as fault:
        raise IngestRefused(400, f"the body is not snappy (block format): {fault}") from fault


def decode(plain: bytes, version: Version, limits: Limits, known: Mapping[str, MetricType] | None = None) -> Written:
    """The samples of a request; `known` tells the types of families that 1.0 does not. Raises IngestRefused."""
    try:
        message = (WriteRequest if version == "1.0" else Request).FromString(plain)
    except DecodeError as fault:
        raise IngestRefused(400, f"the body is not a message of remote write {version}: {fault}") from fault
    columns = Columns(limits)
    columns.look_at(len(message.timeseries))
    if version == "1.0":
        _first(message, columns, known or {})
    else:
        _second(message, columns)
    batch = columns.batch(None)
    histograms = sum(len(it.histograms) for it in message.timeseries)
    exemplars = sum(len(it.exemplars) for it in message.timeseries)
    return Written(batch, histograms, exemplars)


def check_message(plain: bytes, version: Version) -> None:
    """400 where a body holds nothing that its version knows: it is one of the other version."""
    known = ("timeseries", "metadata") if version == "1.0" else ("timeseries", "symbols")
    message = (WriteRequest if version == "1.0" else Request).FromString(plain)
    if plain and not any(len(getattr(message, name)) for name in known):
        said = "does the content type name the version that is sent?"
        raise IngestRefused(400, f"the body has nothing that remote write {version} knows: {said}")


def kind_of(name: str, told: MetricType | None) -> Kind:
    """Whether a series counts: by its family's type, else by its name.

    A sum of observations may fall and may be NaN, which no counter may: what is written must not be lost for it.
    """
    match told:
        case "counter":
            return "counter"
        case "histogram":
            return "gauge" if name.endswith("_sum") else "counter"
        case "summary":
            return "counter" if name.endswith("_count") else "gauge"
        case "gauge" | "gaugehistogram" | "info" | "stateset":
            return "gauge"
        case _:
            return "counter" if name.endswith(("_total", "_bucket", "_count")) else "gauge"


def family(name: str, told: MetricType | None = None) -> str:
    """The name of a series' family: without `_bucket`, `_count` and `_sum` where it is one of histograms."""
    if told in (None, "histogram", "gaugehistogram", "summary"):
        return next((name.removesuffix(it) for it in _PARTS if name.endswith(it)), name)
    return name


def left_out(written: Written, refused: Mapping[str, int]) -> str:
    """What of a request is not stored and why, as one sentence; empty where all of it is."""
    parts = [f"{count} {reason}" for reason, count in sorted(refused.items()) if reason not in HARMLESS]
    if written.histograms:
        parts.append(f"{written.histograms} native histograms, which are not kept here: send classic ones")
    if written.exemplars:
        parts.append(f"{written.exemplars} exemplars, which are not kept here")
    if "reserved" in refused:
        parts.append(f"names that begin with {RESERVED} come from agents alone: drop them by write_relabel_configs")
    return "left out: " + ", ".join(parts) if parts else ""


def _first(message: Any, columns: Columns, known: Mapping[str, MetricType]) -> None:
    for it in message.metadata[: columns.limits.series]:
        _learn(columns, metadata_of(it.metric_family_name, it.type, it.help, it.unit, columns.limits))
    for series in message.timeseries:
        columns.look_at(len(series.samples))
        found = named(series.labels, columns.limits)
        if isinstance(found, str):
            _refuse(columns, found, series.samples)
            continue
        told = known.get(found.metric) or known.get(family(found.metric))
        index = columns.series(found.metric, columns.label_set(found.labels), kind_of(found.metric, told))
        columns.flat += chain.from_iterable((index, it.timestamp, it.value, None) for it in series.samples)
        columns.check()


def _second(message: Any, columns: Columns) -> None:
    if len(message.symbols) > _SYMBOLS_PER_SAMPLE * columns.limits.points:
        raise IngestRefused(413, f"the request has {len(message.symbols)} symbols, more than are taken at once")
    symbols: Sequence[str] = list(message.symbols)
    if (symbols and symbols[0]) or (not symbols and message.timeseries):
        raise IngestRefused(400, "the first symbol is not the empty text")
    for series in message.timeseries:
        columns.look_at(len(series.samples))
        found = named_by_symbols(series, symbols, columns.limits)
        if isinstance(found, str):
            _refuse(columns, found, series.samples)
            continue
        _learn(columns, metadata_by_symbols(found.metric, series, symbols, columns.limits))
        kind = kind_of(found.metric, type_of(series.metadata.type))
        _samples(columns, found.metric, columns.label_set(found.labels), kind, series)


def _samples(columns: Columns, name: str, labels: LabelSet, kind: Kind, series: Any) -> None:
    created = series.created_timestamp if kind == "counter" else 0
    index = columns.series(name, labels, kind)
    for it in series.samples:
        start = (it.start_timestamp if kind == "counter" else 0) or created
        columns.flat += (index, it.timestamp, it.value, start if 0 < start <= it.timestamp else None)
    columns.check()


def named_by_symbols(series: Any, symbols: Sequence[str], limits: Limits) -> Series | str:
    """The same of a series of 2.0; 400 where a symbol is not there."""
    refs = series.labels_refs
    if len(refs) % 2 or len(refs) > 2 * limits.labels + 2:
        return "labels"
    try:
        labels = [_Label(symbols[name], symbols[value]) for name, value in zip(*[iter(refs)] * 2, strict=True)]
    except IndexError:
        raise _beyond(symbols) from None
    return named(labels, limits)


def named(pairs: Sequence[Any], limits: Limits) -> Series | str:
    """The series that labels make, sorted, or why it can't be taken."""
    if len(pairs) > limits.labels + 1:
        return "labels"
    labels = {it.name: it.value for it in pairs}
    twice = len(labels) != len(pairs)
    metric = labels.pop(NAME, "")
    if not metric or len(metric) > limits.label_value_chars:
        return "name"
    if metric.startswith(RESERVED):
        return "reserved"
    if twice or "" in labels:
        return "labels"
    if any(len(name) > limits.label_name_chars or len(it) > limits.label_value_chars for name, it in labels.items()):
        return "labels"
    return Series(metric, tuple(sorted((name, value) for name, value in labels.items() if value)))


def type_of(number: int) -> MetricType | None:
    """The type that a number says; None where it says none."""
    return _TYPES[number] if 0 < number < len(_TYPES) else None


def metadata_of(name: str, number: int, help_: str, unit: str, limits: Limits) -> Metadata | None:
    """What is told of a family; None where nothing is."""
    told, most = type_of(number), limits.label_value_chars
    if not name or len(name) > most or not (told or help_ or unit):
        return None
    return Metadata(name, told or "unknown", help_[:most], unit[:most])


def metadata_by_symbols(metric: str, series: Any, symbols: Sequence[str], limits: Limits) -> Metadata | None:
    """The same of a series of 2.0; 400 where a symbol is not there."""
    told = series.metadata
    try:
        help_, unit = symbols[told.help_ref], symbols[told.unit_ref]
    except IndexError:
        raise _beyond(symbols) from None
    return metadata_of(family(metric, type_of(told.type) or "unknown"), told.type, help_, unit, limits)


def _beyond(symbols: Sequence[str]) -> IngestRefused:
    return IngestRefused(400, f"a reference is beyond the {len(symbols)} symbols")


def _refuse(columns: Columns, reason: str, samples: Sequence[Any]) -> None:
    if samples:
        columns.refused[reason] += len(samples)


def _learn(columns: Columns, told: Metadata | None) -> None:
    if told is not None:
        columns.metadata.setdefault(told.metric, told)


def _announced(body: bytes) -> int:
    """The length that a snappy block begins with."""
    length = 0
    for at, byte in enumerate(body[:5]):
        length |= (byte & 127) << (7 * at)
        if byte < 128:
            return length
    raise IngestRefused(400, "the body is not snappy (block format): it has no length")
