"""A deploy as one trace: pull, create, start, ready under the deploy itself, with the times at which they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.deploys import Ended

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_NS_PER_MS = 1_000_000


def deploy_spans(ended: Ended) -> Sequence[ReadableSpan]:
    """The spans of one deploy, the root first; their identity attributes name the service."""
    # The SDK is 5 MB of memory that an agent without deploys never needs.
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    deploy = ended.deploy
    identity = {"service.namespace": deploy.service.namespace, "service.name": deploy.service.name}
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("midwatch.agent")
    facts = {**identity, "image": deploy.image, "previous_image": deploy.previous_image, "reason": ended.reason[:500]}
    facts |= {"digest": deploy.digest, "quality": deploy.quality}
    root = tracer.start_span("deploy", start_time=deploy.began_ms * _NS_PER_MS, attributes=facts)
    spans = [root]
    for step in deploy.steps:
        about = {**identity, "container": step.container_id} if step.container_id else identity
        span = tracer.start_span(
            step.name, set_span_in_context(root), start_time=step.from_ms * _NS_PER_MS, attributes=about
        )
        span.set_status(Status(StatusCode.OK) if step.ok else Status(StatusCode.ERROR, step.message[:500]))
        span.end(step.to_ms * _NS_PER_MS)
        spans.append(span)
    root.set_status(Status(StatusCode.OK) if ended.ok else Status(StatusCode.ERROR, ended.reason[:500]))
    root.end(ended.at_ms * _NS_PER_MS)
    return [span for span in spans if isinstance(span, ReadableSpan)]
