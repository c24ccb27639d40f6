"""The Engine API's body of a service's container, and its configuration hash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.creation import config_hash, creation
from runtime.model import HealthCheck, Mount, Port, ServiceSpec

WEB = ServiceSpec(
    name="web", image="web:1", build=None, command=("serve",), entrypoint=None, environment={"B": "2", "A": "1"},
    ports=(Port(80, 8080, "127.0.0.1"), Port(53, None, "", "udp")),
    mounts=(Mount("volume", "data", "/data"), Mount("volume", "", "/anonymous"), Mount("bind", "/srv", "/srv", True)),
    networks=("front", "back"), replicas=2, memory_limit_bytes=64 << 20, cpu_limit_cores=0.5,
    healthcheck=HealthCheck(("CMD", "true"), 1.5), restart="on-failure", max_retries=3, depends_on={},
    labels={"team": "shop"}, stop_grace_seconds=1.5, user="1000", read_only=True, cap_drop=("ALL",),
)  # fmt: skip


def test_every_field_of_the_file_stands_in_the_engines_body() -> None:
    made = creation("shop", WEB, 2, "abc")
    assert made.name == "shop-web-2" and made.further_networks == (("shop_back", ("web",)),)
    assert made.body == {
        "Image": "web:1", "Cmd": ["serve"], "Entrypoint": None, "Env": ["A=1", "B=2"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "User": "1000", "WorkingDir": "",
        "Labels": {
            "team": "shop", "io.midwatch.project": "shop", "io.midwatch.service": "web", "io.midwatch.replica": "2",
            "io.midwatch.config-hash": "abc",
        },
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_500_000_000, "Timeout": 0, "Retries": 0,
                        "StartPeriod": 0},
        "StopTimeout": 2,
        "HostConfig": {
            "NetworkMode": "shop_front", "Memory": 64 << 20, "NanoCpus": 500_000_000,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                             "53/udp": [{"HostIp": "", "HostPort": ""}]},
            "Mounts": [
                {"Type": "volume", "Source": "shop_data", "Target": "/data", "ReadOnly": False},
                {"Type": "volume", "Source": "", "Target": "/anonymous", "ReadOnly": False},
                {"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": True},
            ],
            "ReadonlyRootfs": True, "CapDrop": ["ALL"],
        },
        "NetworkingConfig": {"EndpointsConfig": {"shop_front": {"Aliases": ["web"]}}},
    }  # fmt: skip


def test_no_label_of_compose_is_set_or_compose_would_take_the_container_for_its_own() -> None:
    assert not any(label.startswith("com.docker.compose") for label in creation("shop", WEB, 1).body["Labels"])


def test_the_hash_is_the_same_for_all_replicas_and_whatever_does_not_shape_a_container() -> None:
    wanted = config_hash("shop", WEB)
    same = replace(WEB, replicas=5, pull_policy="always", depends_on={"db": "service_started"})
    assert config_hash("shop", same) == wanted


def test_the_hash_stays_from_release_to_release_or_an_upgrade_would_replace_every_container() -> None:
    assert config_hash("shop", WEB) == "e81eec161aa6d558"


@pytest.mark.parametrize(
    "change",
    [
        {"image": "web:2"}, {"command": None}, {"environment": {}}, {"ports": ()}, {"mounts": ()}, {"networks": ()},
        {"memory_limit_bytes": None}, {"cpu_limit_cores": 1.0}, {"healthcheck": None}, {"restart": "always"},
        {"labels": {}}, {"user": None}, {"read_only": False}, {"cap_drop": ()}, {"stop_grace_seconds": 9.0},
    ],
)  # fmt: skip
def test_whatever_shapes_a_container_changes_the_hash(change: dict[str, object]) -> None:
    assert config_hash("shop", replace(WEB, **change)) != config_hash("shop", WEB)  # type: ignore[arg-type]
