"""From what runs to what should: the plan, by table and by property."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.actions import Action, BuildImage, Create, PullImage, Recreate, Remove, Start, Wait, key_of, settled
from runtime.converge import dismissal, in_order, plan
from runtime.creation import config_hash
from runtime.model import BuildSpec, Container, Project, ServiceSpec
from tests.runtime.engine_answers import ANY, owned
from tests.runtime.test_creation import WEB

IMAGES = {"web:1": "sha256:1", "db:1": "sha256:1"}
API = replace(WEB, ports=(), replicas=1, restart="always", max_retries=0)
DB = replace(API, name="db", image="db:1")
JOB = replace(API, name="job", restart="no")


def shop(*services: ServiceSpec) -> Project:
    return Project("shop", "/srv/shop/compose.yaml", services, ("default",), ())


def made(spec: ServiceSpec, replica: int = 1, **changes: Any) -> Container:
    """A container just as the file has it."""
    policy = {"restart_policy": spec.restart, "max_retries": spec.max_retries}
    return owned("shop", spec.name, replica, config_hash("shop", spec), **{**policy, **changes})


def told(actions: Sequence[Action]) -> list[str]:
    return [f"{type(action).__name__} {action.service}: {action.reason}" for action in actions]


def test_on_an_empty_node_every_replica_is_made() -> None:
    actions = plan(shop(replace(API, replicas=2)), [], IMAGES)
    assert [(type(action), action.replica) for action in actions if isinstance(action, Create)] == [
        (Create, 1), (Create, 2),
    ]  # fmt: skip


def test_what_is_as_the_file_has_it_is_left_alone() -> None:
    assert plan(shop(API), [made(API)], IMAGES) == ()


def test_a_missing_image_is_pulled_before_anything_is_made() -> None:
    assert told(plan(shop(API), [], {})) == ["PullImage web: the image is missing"]


def test_an_image_that_two_services_lack_is_pulled_once() -> None:
    twin = replace(API, name="twin")
    assert told(plan(shop(API, twin), [], {})) == [
        "PullImage web: the image is missing", "Wait twin: waits for image web:1",
    ]  # fmt: skip


def test_an_image_to_be_built_is_built_and_never_pulled() -> None:
    built = replace(API, build=BuildSpec("/srv"))
    (action,) = plan(shop(built), [], {})
    assert isinstance(action, BuildImage) and action.image == "web:1"


def test_a_policy_of_never_pulls_nothing_and_says_so() -> None:
    assert told(plan(shop(replace(API, pull_policy="never")), [], {})) == [
        "Wait web: image web:1 is missing and pull_policy is never"
    ]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [(replace(API, pull_policy="always"), PullImage), (replace(API, build=BuildSpec("/s")), BuildImage)],
)
def test_a_file_handed_over_anew_fetches_what_may_have_changed_and_later_plans_do_not(
    spec: ServiceSpec, kind: type
) -> None:
    assert [type(action) for action in plan(shop(spec), [made(spec)], IMAGES, refresh=True)] == [kind]
    assert plan(shop(spec), [made(spec)], IMAGES) == ()


def test_a_running_service_whose_image_went_missing_keeps_running_while_it_is_pulled() -> None:
    assert [type(action) for action in plan(shop(API), [made(API)], {"web:1": None})] == [PullImage]


def test_a_changed_configuration_and_a_changed_image_are_deploys_with_their_reason() -> None:
    changed = replace(API, user="2")
    assert told(plan(shop(changed), [made(API)], IMAGES)) == ["Recreate web: its configuration changed"]
    assert told(plan(shop(API), [made(API)], {"web:1": "sha256:2"})) == ["Recreate web: its image changed"]


def test_replicas_are_replaced_one_at_a_time_and_only_once_the_last_one_stands() -> None:
    new = replace(API, replicas=3, user="2")
    old = [made(API, number) for number in (1, 2, 3)]
    (first,) = plan(shop(new), old, IMAGES)
    assert isinstance(first, Recreate) and first.replica == 1
    starting = [made(new, 1, health="starting"), *old[1:]]
    assert told(plan(shop(new), starting, IMAGES)) == [
        "Wait web: waits until shop-web-1 stands before the next is replaced"
    ]
    crashing = [made(new, 1, state="restarting"), *old[1:]]
    assert settled(plan(shop(new), crashing, IMAGES))
    (second,) = plan(shop(new), [made(new, 1), *old[1:]], IMAGES)
    assert isinstance(second, Recreate) and second.replica == 2


def test_a_replica_that_does_not_serve_anyway_is_replaced_first() -> None:
    new = replace(API, replicas=2, user="2")
    (action,) = plan(shop(new), [made(API, 1), made(API, 2, state="restarting")], IMAGES)
    assert isinstance(action, Recreate) and action.replica == 2


def test_the_callers_own_word_for_ready_holds_a_rollout_back() -> None:
    new = replace(API, replicas=2, user="2")
    running = [made(new, 1), made(API, 2)]
    assert settled(plan(shop(new), running, IMAGES, ready=lambda _container: False))


def test_fewer_replicas_remove_the_highest_and_other_services_containers_are_orphans() -> None:
    running = [made(API, 1), made(API, 2), made(DB)]
    removed = [action.container.name for action in plan(shop(API), running, IMAGES) if isinstance(action, Remove)]
    assert sorted(removed) == ["shop-db-1", "shop-web-2"]


def test_a_container_with_a_number_that_is_none_or_stands_twice_is_surplus() -> None:
    odd = replace(made(API), id="odd", labels={**made(API).labels, "io.midwatch.replica": "-1"})
    twin = replace(made(API), id="twin", created_ms=9)
    removed = [action.container.id for action in plan(shop(API), [twin, made(API), odd], IMAGES)]  # type: ignore[union-attr]
    assert sorted(removed) == ["odd", "twin"]


@pytest.mark.parametrize(
    ("spec", "state", "expected"),
    [
        (API, {"state": "created"}, ["Start web: it was made but never started"]),
        (API, {"state": "exited", "exit_code": 0}, ["Start web: it was stopped"]),
        (API, {"state": "exited", "exit_code": 137}, ["Start web: it was stopped"]),
        (API, {"state": "restarting", "exit_code": 1}, []),
        (API, {"state": "paused"}, []),
        (API, {"state": "removing"}, ["Wait web: shop-web-1 is being removed"]),
        (API, {"state": "dead"}, ["Remove web: the engine could not remove it", "Create web: a replica is missing"]),
        (JOB, {"state": "exited", "exit_code": 0}, []),
        (JOB, {"state": "exited", "exit_code": 1}, []),
        (JOB, {"state": "created"}, ["Start job: it was made but never started"]),
        (replace(API, restart="on-failure"), {"state": "exited", "exit_code": 0}, []),
        (replace(API, restart="on-failure"), {"state": "exited", "exit_code": 137}, ["Start web: it was stopped"]),
        (
            replace(API, restart="on-failure", max_retries=3),
            {"state": "exited", "exit_code": 1, "restart_count": 3},
            ["Wait web: the engine gave shop-web-1 up after 3 restarts"],
        ),
    ],
)
def test_each_state_of_a_container_has_its_answer(
    spec: ServiceSpec, state: dict[str, Any], expected: list[str]
) -> None:
    assert told(plan(shop(spec), [made(spec, **state)], IMAGES)) == expected


@pytest.mark.parametrize(
    ("condition", "db", "waits"),
    [
        ("service_started", None, True),
        ("service_started", {"state": "created"}, True),
        ("service_started", {"state": "running"}, False),
        ("service_started", {"state": "restarting"}, False),
        ("service_healthy", {"health": "starting"}, True),
        ("service_healthy", {"health": "unhealthy"}, True),
        ("service_healthy", {"health": "healthy"}, False),
        ("service_healthy", {"health": "none"}, False),
        ("service_completed_successfully", {"state": "running"}, True),
        ("service_completed_successfully", {"state": "exited", "exit_code": 1}, True),
        ("service_completed_successfully", {"state": "exited", "exit_code": 0}, False),
    ],
)
def test_a_service_waits_for_what_it_depends_on(condition: Any, db: dict[str, Any] | None, waits: bool) -> None:
    needs = replace(API, depends_on={"db": condition})
    running = [] if db is None else [made(DB, **db)]
    actions = [action for action in plan(shop(needs, DB), running, IMAGES) if action.service == "web"]
    assert [type(action) for action in actions] == [Wait if waits else Create]


def test_our_own_probe_speaks_for_a_dependency_without_a_health_check() -> None:
    needs = replace(API, depends_on={"db": "service_healthy"})
    actions = plan(shop(needs, DB), [made(DB)], IMAGES, ready=lambda _container: False)
    assert told(actions) == ["Wait web: waits for db (service healthy)"]


def test_what_runs_already_is_not_stopped_when_its_dependency_falls() -> None:
    needs = replace(API, depends_on={"db": "service_healthy"})
    assert plan(shop(needs, DB), [made(needs), made(DB, health="unhealthy")], IMAGES) == ()


def test_services_come_after_those_they_depend_on_and_else_as_the_file_has_them() -> None:
    c = replace(API, name="c", depends_on={"a": "service_started"})
    a = replace(API, name="a", depends_on={"b": "service_started"})
    b, d = replace(API, name="b"), replace(API, name="d")
    assert [spec.name for spec in in_order([c, a, b, d])] == ["b", "d", "a", "c"]


def test_stopping_a_project_removes_its_containers_and_no_others() -> None:
    others = [ANY, owned("blog", "web")]
    removed = dismissal("shop", [made(API), made(DB), *others])
    assert [action.container.name for action in removed if isinstance(action, Remove)] == ["shop-web-1", "shop-db-1"]


STATES = st.sampled_from(["created", "running", "paused", "restarting", "removing", "exited", "dead"])
LABELS = st.fixed_dictionaries(
    {},
    optional={
        "io.midwatch.project": st.sampled_from(["shop", "shop2", "Shop", ""]),
        "io.midwatch.service": st.sampled_from(["web", "db", "gone", ""]),
        "io.midwatch.replica": st.sampled_from(["1", "2", "7", "x", "٣", ""]),
        "io.midwatch.config-hash": st.sampled_from([config_hash("shop", API), "old"]),
        "com.docker.compose.project": st.just("shop"),
    },
)
CONTAINERS = st.lists(
    st.builds(
        lambda labels, state, code, image, number: replace(
            ANY, id=f"c{number}", name=f"c{number}", labels=labels, state=state, exit_code=code, image_id=image
        ),
        LABELS, STATES, st.sampled_from([None, 0, 1]), st.sampled_from(["sha256:1", "sha256:2"]), st.integers(0, 10**6),
    ),
    max_size=12,
)  # fmt: skip


@given(CONTAINERS, st.integers(0, 3), st.booleans())
def test_only_containers_with_the_projects_own_label_are_ever_touched(
    containers: list[Container], replicas: int, refresh: bool
) -> None:
    project = shop(replace(API, replicas=replicas), DB)
    for action in (*plan(project, containers, IMAGES, refresh=refresh), *dismissal("shop", containers)):
        if isinstance(action, Start | Remove | Recreate):
            assert action.container.labels.get("io.midwatch.project") == "shop"


def simulated(action: Action, containers: list[Container], images: dict[str, str | None]) -> list[Container]:
    """What the node looks like after an action, as a perfect engine would have it."""
    match action:
        case PullImage(image=image) | BuildImage(image=image):
            images[image] = "sha256:1"
        case Create(spec=spec, replica=replica):
            return [*containers, made(spec, replica, created_ms=99, image_id=images[spec.image] or "")]
        case Recreate(spec=spec, replica=replica, container=old):
            kept = [container for container in containers if container is not old]
            return [*kept, made(spec, replica, created_ms=99, image_id=images[spec.image] or "")]
        case Start(container=old):
            return [replace(found, state="running") if found is old else found for found in containers]
        case Remove(container=old):
            return [container for container in containers if container is not old]
    return containers


@given(CONTAINERS, st.integers(0, 3), st.booleans())
def test_from_any_state_the_plans_lead_to_what_the_file_says(
    containers: list[Container], replicas: int, pulled: bool
) -> None:
    needs = replace(API, replicas=replicas, depends_on={"db": "service_started"})
    images: dict[str, str | None] = dict(IMAGES) if pulled else {}
    containers = [found for found in containers if found.state != "removing"]
    for _ in range(20):
        actions = plan(shop(needs, DB), containers, images)
        if settled(actions):
            break
        for action in actions:
            containers = simulated(action, containers, images)
    assert actions == () or all("given up" in action.reason for action in actions)
    own = [found for found in containers if found.labels.get("io.midwatch.project") == "shop"]
    assert sorted(found.labels["io.midwatch.service"] for found in own) == ["db"] + ["web"] * replicas


def test_failures_are_counted_by_image_and_by_replica() -> None:
    pull, create = PullImage("web", "web:1", ""), Create("web", 2, API, "")
    start, remove = Start("web", made(API, 2), ""), Remove("web", made(API, 2), "")
    assert key_of(pull) == "image web:1" and key_of(Wait("web", "")) == "wait web"
    assert {key_of(action) for action in (create, start, remove)} == {"replica web 2"}
