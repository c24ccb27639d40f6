"""Who a container is, by its labels, its name or its image."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.identity import MAX_NAME_CHARS, UNNAMED_IMAGE, bounded, registry_of, service_of
from runtime.model import PLATFORM, ServiceName
from tests.runtime.engine_answers import ANY, owned

COMPOSE = {"com.docker.compose.project": "blog", "com.docker.compose.service": "db"}
DIGEST = "sha256:" + "a" * 64


def test_our_own_labels_name_the_service_before_all_others() -> None:
    ours = owned("shop", "api")
    assert service_of(replace(ours, labels={**ours.labels, **COMPOSE, "midwatch.service": "x"})) == ("shop", "api")


def test_compose_labels_name_it_whoever_ran_compose() -> None:
    assert service_of(replace(ANY, labels={**COMPOSE, "midwatch.service": "x"})) == ("blog", "db")


def test_the_label_names_it_with_or_without_a_namespace() -> None:
    assert service_of(replace(ANY, labels={"midwatch.service": "edge/proxy"})) == ("edge", "proxy")
    assert service_of(replace(ANY, labels={"midwatch.service": "proxy"})) == ("", "proxy")


def test_a_container_with_a_restart_policy_goes_by_its_own_name() -> None:
    assert service_of(replace(ANY, restart_policy="always", name="gluetun")) == ("", "gluetun")


@pytest.mark.parametrize(
    ("image", "service"),
    [
        ("busybox:1", "busybox"),
        ("ghcr.io/acme/tool:2", "acme/tool"),
        ("127.0.0.1:5000/tool@" + DIGEST, "tool"),
        ("library/redis", "redis"),
    ],
)
def test_a_one_shot_container_goes_by_its_images_repository(image: str, service: str) -> None:
    assert str(service_of(replace(ANY, image=image))) == service


@pytest.mark.parametrize("image", ["", DIGEST, "4965268e3d5c", "a" * 64])
def test_containers_of_images_without_a_name_share_one_service(image: str) -> None:
    assert service_of(replace(ANY, image=image)) == UNNAMED_IMAGE


def test_no_container_may_pose_as_the_platform() -> None:
    assert service_of(replace(ANY, labels={"midwatch.service": "platform"})) != PLATFORM


def test_a_slash_inside_a_compose_name_can_not_move_the_border_of_the_namespace() -> None:
    labels = {"com.docker.compose.project": "a/b", "com.docker.compose.service": "c"}
    assert service_of(replace(ANY, labels=labels)) == ("a_b", "c")


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=600))
def test_whatever_a_container_says_its_service_is_bounded_printable_and_not_empty(a: str, b: str, c: str) -> None:
    labels = {"com.docker.compose.project": a, "com.docker.compose.service": b, "midwatch.service": c}
    for labelled in ({}, labels, {"midwatch.service": c}):
        named = service_of(replace(ANY, labels=labelled, image=a, name=b, restart_policy="always"))
        assert isinstance(named, ServiceName) and named.name
        assert all(len(part) <= MAX_NAME_CHARS for part in named)
        assert not any(character in str(named) for character in "\n\r\t\x00 ")


def test_two_over_long_names_with_one_beginning_stay_two() -> None:
    assert bounded("x" * 300 + "a") != bounded("x" * 300 + "b")


@pytest.mark.parametrize(
    ("reference", "registry", "repository", "tag"),
    [
        ("redis", "docker.io", "library/redis", "latest"),
        ("redis:7", "docker.io", "library/redis", "7"),
        ("acme/tool:1.2", "docker.io", "acme/tool", "1.2"),
        ("index.docker.io/acme/tool", "docker.io", "acme/tool", "latest"),
        ("localhost/tool", "localhost", "tool", "latest"),
        ("localhost:5000/a/b/c:x", "localhost:5000", "a/b/c", "x"),
        ("127.0.0.1:8641/shop/api:1", "127.0.0.1:8641", "shop/api", "1"),
        ("ghcr.io/acme/tool@" + DIGEST, "ghcr.io", "acme/tool", DIGEST),
        ("ghcr.io/acme/tool:1@" + DIGEST, "ghcr.io", "acme/tool", DIGEST),
    ],
)
def test_references_come_apart_as_docker_takes_them(reference: str, registry: str, repository: str, tag: str) -> None:
    assert registry_of(reference) == (registry, repository, tag)


@given(st.text(max_size=500))
def test_no_reference_is_too_strange(reference: str) -> None:
    assert all(len(part) <= MAX_NAME_CHARS for part in registry_of(reference))
