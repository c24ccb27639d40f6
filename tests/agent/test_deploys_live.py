"""A deploy on a real engine is one trace in the agent's spool."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.agent.running import running
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until


def spans_of(data: Path, service: str) -> list[Span]:
    """The spans that are spooled for a service."""
    found: list[Span] = []
    for path in sorted((data / "agent" / "spool" / "traces").glob("*.gz")):
        request = ExportTraceServiceRequest.FromString(gzip.decompress(path.read_bytes()))
        for group in request.resource_spans:
            told = {one.key: one.value.string_value for one in group.resource.attributes}
            if told.get("service.name") == service:
                found += [span for scope in group.scope_spans for span in scope.spans]
    return found


@pytest.mark.engine
def test_a_container_that_somebody_runs_is_a_trace_of_create_start_and_ready(
    engine: EngineUnderTest, tiny_image: str
) -> None:
    name = f"deploy-{engine.run_id}"
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), engine.url) as agent:
        made = engine.client.containers.run(
            tiny_image, ["sleep", "60"], name=name, labels=engine.labels, network_mode="none", detach=True,
            restart_policy={"Name": "always"},
        )  # fmt: skip
        spans = until(lambda: spans_of(agent.data, name), 30.0, what="the trace")
        made.remove(force=True)
    root, *parts = spans
    assert [span.name for span in spans] == ["deploy", "create", "start", "ready"]
    assert {(span.trace_id, span.parent_span_id) for span in parts} == {(root.trace_id, root.span_id)}
    times = [root.start_time_unix_nano, *(span.end_time_unix_nano for span in parts)]
    assert times == sorted(times) and root.end_time_unix_nano == parts[-1].end_time_unix_nano
    assert parts[1].end_time_unix_nano > parts[1].start_time_unix_nano
