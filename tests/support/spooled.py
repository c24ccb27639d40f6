"""What an agent that ships to nobody has told: read from its spool, by whoever."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest


class Told(NamedTuple):
    """One event: whose it is, when, and its attributes."""

    service: str
    container: str
    at_ms: int
    attributes: dict[str, Any]


def events(data: Path, name: str) -> list[Told]:
    """Every event of that name that is in the spool of the agent with this data folder."""
    return [
        told
        for path in sorted((data / "agent" / "spool" / "logs").glob("*-events-*.gz"))
        for told in _events(ExportLogsServiceRequest.FromString(gzip.decompress(path.read_bytes())), name)
    ]


def _events(request: ExportLogsServiceRequest, name: str) -> list[Told]:
    found = []
    for group in request.resource_logs:
        told = {one.key: one.value.string_value for one in group.resource.attributes}
        service = "/".join(filter(None, (told.get("service.namespace"), told.get("service.name"))))
        found += [
            Told(
                service,
                told.get("container.name", ""),
                record.time_unix_nano // 1_000_000,
                {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in record.attributes},
            )
            for scope in group.scope_logs
            for record in scope.log_records
            if record.event_name == name
        ]
    return found
