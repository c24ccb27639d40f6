from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent.deploys import DEADLINE_MS, Deploy, Ended, Step, settle
from agent.model import NodeIdentity
from agent.otlp import traces_request
from agent.progress import Progress
from agent.projects import Handed
from agent.trace import deploy_spans
from runtime.actions import BuildImage, Create, Outcome, Recreate
from runtime.model import Build, BuildSpec, Project, Pull, ServiceName, ServiceSpec
from tests.agent.stories import PLAIN

API = ServiceName("shop", "api")
AT = 1_700_000_000_000
SPEC = ServiceSpec(
    name="api", image="api:2", build=None, command=None, entrypoint=None, environment={}, ports=(), mounts=(),
    networks=(), replicas=1, memory_limit_bytes=None, cpu_limit_cores=None, healthcheck=None, restart="no",
    max_retries=0, depends_on={}, labels={}, stop_grace_seconds=10.0, user=None, read_only=False, cap_drop=(),
)  # fmt: skip
SHOP = Handed(Project("shop", "/shop.yaml", (SPEC,), (), ()))


def deploy() -> Deploy:
    going = Deploy(API, "r:5000/api:2", "r:5000/api:1", AT, "its image changed")
    going.fetched(Pull("r:5000/api:2", "r:5000", "api", "ok", AT, 1.5, 9, (), "sha256:d", None), True)
    going.created("c1", AT + 1_500, AT + 1_700, AT + 1_900)
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
        "create": ((AT + 1_500) * 10**6, (AT + 1_700) * 10**6),
        "start": ((AT + 1_700) * 10**6, (AT + 1_900) * 10**6),
        "ready": ((AT + 1_900) * 10**6, (AT + 2_500) * 10**6),
    }
    assert len({span.trace_id for span in spans.values()}) == 1
    assert {spans[name].parent_span_id for name in ("pull", "create", "start", "ready")} == {spans["deploy"].span_id}


def test_a_failed_deploy_says_so_in_event_and_trace() -> None:
    ended = Ended(deploy(), AT + 9_000, False, "pull of r:5000/api:2: not found")
    assert "could not be brought to" in ended.event().body
    assert deploy_spans(ended)[0].status.description == "pull of r:5000/api:2: not found"


def test_ready_ends_when_the_last_container_was_ready_and_not_when_somebody_looked() -> None:
    going = deploy()
    going.created("c2", AT + 1_900, AT + 1_950, AT + 2_000)
    times = {"c1": AT + 2_100, "c2": AT + 2_300}
    (ended,) = settle([going], lambda _: True, lambda _: True, AT + 9_000, times.get)
    assert (ended.at_ms, ended.deploy.steps[-1]) == (AT + 2_300, Step("ready", AT + 2_000, AT + 2_300, True))


def test_a_container_that_could_not_be_made_is_a_part_that_failed() -> None:
    going = Deploy(API, "api:2", "api:1", AT, "its image changed")
    going.refused(AT, AT + 50, "port is already allocated")
    spans = deploy_spans(Ended(going, AT + 50, False, "port is already allocated"))
    assert [(span.name, span.status.description) for span in spans] == [
        ("deploy", "port is already allocated"),
        ("create", "port is already allocated"),
    ]


def outcome(action: Create | Recreate | BuildImage, **more: Any) -> Outcome:
    return Outcome(action, more.pop("ok", True), **more)


def steps(ended: Outcome) -> list[tuple[str, int, int, bool]]:
    progress = Progress(refresh=False)
    progress.note_deploy(SHOP, ended, {}, AT, AT + 900)
    return [step[:4] for step in progress.deploys["api"].steps]


def test_a_replacement_is_stop_create_and_start_each_with_its_own_time() -> None:
    made = outcome(
        Recreate("api", 1, PLAIN, SPEC, "its image changed"), container_id="c1", making_ms=AT + 500, made_ms=AT + 600
    )
    assert steps(made) == [
        ("stop", AT, AT + 500, True),
        ("create", AT + 500, AT + 600, True),
        ("start", AT + 600, AT + 900, True),
    ]


def test_a_build_is_a_part_of_its_deploy() -> None:
    built = outcome(BuildImage("api", "api", BuildSpec("/src"), "no image"), build=Build("api", True, AT, 0.9, None))
    assert steps(built) == [("build", AT, AT + 900, True)]
