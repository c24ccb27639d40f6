"""The messages of Prometheus remote write 1.0 and 2.0, as far as they are read here.

Written from the specification (prometheus.io/docs/specs/prw). Histograms and exemplars stay bytes: they are counted.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_DOUBLE, _INT64, _STRING, _BYTES, _UINT32, _INT32 = (
    _Field.TYPE_DOUBLE, _Field.TYPE_INT64, _Field.TYPE_STRING, _Field.TYPE_BYTES, _Field.TYPE_UINT32, _Field.TYPE_INT32,
)  # fmt: skip
_MANY: Final = "*"

_V1: Final = {
    "Label": ((1, "name", _STRING), (2, "value", _STRING)),
    "Sample": ((1, "value", _DOUBLE), (2, "timestamp", _INT64)),
    "TimeSeries": (
        (1, "labels*", "Label"), (2, "samples*", "Sample"), (3, "exemplars*", _BYTES), (4, "histograms*", _BYTES),
    ),
    "MetricMetadata": ((1, "type", _INT32), (2, "metric_family_name", _STRING), (4, "help", _STRING),
                       (5, "unit", _STRING)),
    "WriteRequest": ((1, "timeseries*", "TimeSeries"), (3, "metadata*", "MetricMetadata")),
}  # fmt: skip
_V2: Final = {
    # newer drafts have the created timestamp in each sample, older ones in the series
    "Sample": ((1, "value", _DOUBLE), (2, "timestamp", _INT64), (3, "start_timestamp", _INT64)),
    "Metadata": ((1, "type", _INT32), (3, "help_ref", _UINT32), (4, "unit_ref", _UINT32)),
    "TimeSeries": (
        (1, "labels_refs*", _UINT32), (2, "samples*", "Sample"), (3, "histograms*", _BYTES), (4, "exemplars*", _BYTES),
        (5, "metadata", "Metadata"), (6, "created_timestamp", _INT64),
    ),
    "Request": ((4, "symbols*", _STRING), (5, "timeseries*", "TimeSeries")),
}  # fmt: skip


def _classes(package: str, messages: Any) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            label = _Field.LABEL_REPEATED if field.endswith(_MANY) else _Field.LABEL_OPTIONAL
            added = message.field.add(name=field.rstrip(_MANY), number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


_FIRST, _SECOND = _classes("midwatch.write.v1", _V1), _classes("midwatch.write.v2", _V2)
WriteRequest: Final[Any] = _FIRST["WriteRequest"]
"""`prometheus.WriteRequest` of 1.0."""
Request: Final[Any] = _SECOND["Request"]
"""`io.prometheus.write.v2.Request`."""
SERIES_1: Final[Any] = _FIRST["TimeSeries"]
"""One series of 1.0."""
SERIES_2: Final[Any] = _SECOND["TimeSeries"]
"""One series of 2.0."""
