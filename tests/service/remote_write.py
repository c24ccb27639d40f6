"""A second decoder of remote write 1.0, by a schema made with the protobuf library."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from service.model import Series

_F = descriptor_pb2.FieldDescriptorProto


def _message(name: str, *fields: tuple[str, int, Any, str]) -> descriptor_pb2.DescriptorProto:
    found = descriptor_pb2.DescriptorProto(name=name)
    for field, number, kind, of in fields:
        label = _F.LABEL_REPEATED if of else _F.LABEL_OPTIONAL
        added = found.field.add(name=field, number=number, type=kind, label=label)
        if of:
            added.type_name = f".rw.{of}"
    return found


def _request_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="rw.proto", package="rw", syntax="proto3")
    file.message_type.extend(
        [
            _message("Label", ("name", 1, _F.TYPE_STRING, ""), ("value", 2, _F.TYPE_STRING, "")),
            _message("Sample", ("value", 1, _F.TYPE_DOUBLE, ""), ("timestamp", 2, _F.TYPE_INT64, "")),
            _message("TimeSeries", ("labels", 1, _F.TYPE_MESSAGE, "Label"), ("samples", 2, _F.TYPE_MESSAGE, "Sample")),
            _message("WriteRequest", ("timeseries", 1, _F.TYPE_MESSAGE, "TimeSeries")),
        ]
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("rw.WriteRequest"))


_REQUEST = _request_class()


def decoded(body: bytes) -> list[tuple[Series, list[tuple[int, float]]]]:
    """The series of an uncompressed request with their samples; labels must be in order."""
    found = []
    for one in _REQUEST.FromString(body).timeseries:
        pairs = [(it.name, it.value) for it in one.labels]
        assert pairs == sorted(pairs)
        metric = dict(pairs)["__name__"]
        labels = tuple(pair for pair in pairs if pair[0] != "__name__")
        found.append((Series(metric, labels), [(it.timestamp, it.value) for it in one.samples]))
    return found
