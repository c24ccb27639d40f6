from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent.deploys import DEADLINE_MS, Deploy, Ended, settle
from agent.model import NodeIdentity
from agent.otlp import traces_request
from agent.trace import deploy_spans
from runtime.model import Pull, ServiceName

API = ServiceName("shop", "api")
AT = 1_700_000_000_000


def deploy() -> Deploy:
    going = Deploy(API, "r:5000/api:2", "r:5000/api:1", AT, "its image changed")
    going.fetched(Pull("r:5000/api:2", "r:5000", "api", "ok", AT, 1.5, 9, (), "sha256:d", None), True)
    going.created("c1", AT + 1_500, AT + 1_900)
    return going


def test_a_deploy_is_over_when_all_that_it_made_stands() -> None:
    going = deploy()
    assert settle([going], lambda _: False, lambda _: True, AT + 2_000) == []
    (ended,) = settle([going], lambda _: True, lambda _: True, AT + 2_500)
    assert ended.event().attributes == {
        "image": "r:5000/api:2", "previous_image": "r:5000/api:1", "digest": "sha256:d", "ok": True, "seconds": 2.5,
        "reason": "its image changed",
    }  # fmt: skip


def test_a_deploy_whose_replicas_are_still_being_replaced_goes_on() -> None:
    assert settle([deploy()], lambda _: True, lambda _: False, AT + 2_500) == []


def test_a_deploy_that_is_not_ready_in_time_failed() -> None:
    (ended,) = settle([deploy()], lambda _: False, lambda _: True, AT + 1_900 + DEADLINE_MS)
    assert (ended.ok, ended.reason) == (False, "it was not ready in time")


def test_a_deploy_is_one_trace_with_the_times_at_which_its_parts_were() -> None:
    (ended,) = settle([deploy()], lambda _: True, lambda _: True, AT + 2_500)
    request = ExportTraceServiceRequest.FromString(traces_request(NodeIdentity("n", "id"), deploy_spans(ended)))
    (group,) = request.resource_spans
    named = {one.key: one.value.string_value for one in group.resource.attributes}
    assert (named["service.namespace"], named["service.name"]) == ("shop", "api")
    spans = {span.name: span for scope in group.scope_spans for span in scope.spans}
    assert {name: (span.start_time_unix_nano, span.end_time_unix_nano) for name, span in spans.items()} == {
        "deploy": (AT * 10**6, (AT + 2_500) * 10**6),
        "pull": (AT * 10**6, (AT + 1_500) * 10**6),
        "create": ((AT + 1_500) * 10**6, (AT + 1_900) * 10**6),
        "ready": ((AT + 1_900) * 10**6, (AT + 2_500) * 10**6),
    }
    assert len({span.trace_id for span in spans.values()}) == 1
    assert {spans[name].parent_span_id for name in ("pull", "create", "ready")} == {spans["deploy"].span_id}


def test_a_failed_deploy_says_so_in_event_and_trace() -> None:
    ended = Ended(deploy(), AT + 9_000, False, "pull of r:5000/api:2: not found")
    assert "could not be brought to" in ended.event().body
    assert deploy_spans(ended)[0].status.description == "pull of r:5000/api:2: not found"
