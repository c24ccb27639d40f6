"""Compose files as desired state, and every fault with its file, line and key."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.compose import load, normalised
from runtime.errors import ComposeFault
from runtime.model import BuildSpec, HealthCheck, Mount, Port, Project, ServiceSpec


def project(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Project:
    (folder / "compose.yaml").write_text(text)
    return load(folder / "compose.yaml", environ or {})


def service(folder: Path, body: str, environ: Mapping[str, str] | None = None) -> ServiceSpec:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return project(folder, f"services:\n  web:\n    image: web:1\n{lines}\n", environ).services[0]


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ComposeFault) as caught:
        project(folder, text, environ)
    prefix = f"{folder / 'compose.yaml'}:"
    assert all(fault.startswith(prefix) and "\n" not in fault for fault in caught.value.faults)
    return [fault.removeprefix(prefix) for fault in caught.value.faults]


def test_a_service_that_says_nothing_gets_every_default(tmp_path: Path) -> None:
    found = service(tmp_path, "")
    assert found == ServiceSpec(
        name="web", image="web:1", build=None, command=None, entrypoint=None, environment={}, ports=(), mounts=(),
        networks=("default",), replicas=1, memory_limit_bytes=None, cpu_limit_cores=None, healthcheck=None,
        restart="no", max_retries=0, depends_on={}, labels={}, stop_grace_seconds=10.0, user=None, read_only=False,
        cap_drop=(), working_dir=None, pull_policy="missing",
    )  # fmt: skip


def test_the_whole_subset_is_read(tmp_path: Path) -> None:
    (tmp_path / "ctx").mkdir()
    (tmp_path / "ctx" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "web.env").write_text("FROM_FILE=1\nBOTH=file\n")
    (tmp_path / "conf").mkdir()
    found = project(tmp_path, FULL, {"HOME_TOWN": "Ulm"})
    web, db = found.services
    assert found.name == "my-shop" and found.networks == ("back", "front") and found.volumes == ("data",)
    assert found.source == str(tmp_path / "compose.yaml")
    assert web == ServiceSpec(
        name="web",
        image="my-shop-web",
        build=BuildSpec(str(tmp_path / "ctx"), "Dockerfile", {"V": "1", "HOME_TOWN": "Ulm"}, "final"),
        command=("serve", "--name", "a b"),
        entrypoint=("/init", "-q"),
        environment={"FROM_FILE": "1", "BOTH": "file section", "PLAIN": "1.10", "WORD": "on", "HOME_TOWN": "Ulm"},
        ports=(Port(80, 8080, "127.0.0.1"), Port(443, 8443), Port(53, None, "", "udp")),
        mounts=(Mount("volume", "data", "/data"), Mount("bind", str(tmp_path / "conf"), "/conf", True),
                Mount("tmpfs", "", "/tmp")),
        networks=("front", "back"),
        replicas=1,
        memory_limit_bytes=64 << 20,
        cpu_limit_cores=0.5,
        healthcheck=HealthCheck(("CMD-SHELL", "wget -q localhost || exit 1"), 5.0, 0.5, 3, 60.0),
        restart="on-failure",
        max_retries=5,
        depends_on={"db": "service_healthy"},
        labels={"midwatch.readiness": "http://:80/ready", "team": "shop"},
        stop_grace_seconds=90.0,
        user="1000:1000",
        read_only=True,
        cap_drop=("ALL",),
        working_dir="/srv",
        pull_policy="always",
    )  # fmt: skip
    assert (db.replicas, db.healthcheck, db.networks) == (3, HealthCheck(("NONE",)), ("back",))


FULL = """
version: "3.9"
name: My-Shop
x-anything: {goes: here}
services:
  web:
    build: {context: ctx, args: [V=1, HOME_TOWN], target: final}
    command: serve --name 'a b'
    entrypoint: [/init, -q]
    env_file: [web.env, {path: missing.env, required: false}]
    environment: {BOTH: file section, PLAIN: 1.10, WORD: on, HOME_TOWN: , UNSET: }
    ports:
      - 127.0.0.1:8080:80
      - {target: 443, published: "8443", protocol: tcp}
      - 53/udp
    volumes:
      - data:/data
      - ./conf:/conf:ro
      - {type: tmpfs, target: /tmp}
    networks: [front, back]
    deploy: {resources: {limits: {memory: 64m, cpus: "0.5"}}}
    healthcheck: {test: "wget -q localhost || exit 1", interval: 5s, timeout: 500ms, retries: 3, start_period: 1m}
    restart: on-failure:5
    depends_on: {db: {condition: service_healthy}}
    labels: [midwatch.readiness=http://:80/ready, team=shop]
    stop_grace_period: 1m30s
    user: 1000:1000
    read_only: true
    cap_drop: [ALL]
    working_dir: /srv
    pull_policy: always
    x-note: fine
  db:
    image: db:1
    networks: {back: }
    scale: 3
    healthcheck: {disable: true}
networks: {front: , back: {driver: bridge}}
volumes: {data: }
"""


def test_all_faults_come_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: web:1
    comand: x
    mem_limit: lots
    ports: ["80:x"]
    privileged: true
  db:
    restart: perhaps
netwroks: {}
"""
    found = faults(tmp_path, text)
    assert found == [
        "5: services.web.comand: unknown key; did you mean command?",
        "6: services.web.mem_limit: 'lots' is no size; write one such as 64m, 1.5g or 1073741824",
        "7: services.web.ports[0]: '80:x' is no port; write it as 80, 8080:80 or 127.0.0.1:8080:80",
        "8: services.web.privileged: Midwatch does not honour this key of Compose; remove it",
        "10: services.db: has neither image nor build; name one of them",
        "10: services.db.restart: 'perhaps' is no restart policy; "
        "write no, always, unless-stopped, on-failure or on-failure:3",
        "11: netwroks: unknown key; did you mean networks?",
    ]


W = "services: {web: {image: a%s}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("[]", "a list stands where a mapping belongs"),
        ("services: {a: {image: a, ports: !reset []}}", "tag !reset is not honoured"),
        ("services: !override {a: {image: a}}", "tag !override is not honoured"),
        ("services: {}", "there is no service"),
        ("name: '---'\nservices: {a: {image: a}}", "holds no letter"),
        ("services: {'a b': {image: a}}", "is no service's name"),
        ("services: {a: 3}", "a value stands where a mapping belongs"),
        ("secrets: {}\nservices: {a: {image: a}}", "does not honour this key"),
        ("services: {a: {image: [x]}}", "a list stands where one value belongs"),
        (W % ", depends_on: [db]", "there is no service 'db'"),
        (W % ", depends_on: {web: {condition: soon}}", "is no condition"),
        (W % ", depends_on: [web]", "depend on each other in a circle"),
        (W % ", networks: [x]", "network 'x' is not declared"),
        (W % ", networks: {default: {aliases: [b]}}", "does not honour this key"),
        (W % ", volumes: ['x:/x']", "volume 'x' is not declared"),
        (W % ", volumes: ['./nowhere:/x']", "does not exist"),
        (W % ", volumes: [{type: npipe, target: /x}]", "is not honoured"),
        (W % ", volumes: [{type: bind, target: /x}]", "source is missing"),
        (W % ", volumes: [{type: volume, target: x}]", "is not absolute"),
        (W % ", ports: [{published: 80}]", "target is missing"),
        (W % ", ports: ['80:80'], scale: 2", "2 replicas can't share port 80"),
        (W % ", scale: 2, deploy: {replicas: 3}", "deploy.replicas says 3"),
        (W % ", scale: 1001", "out of range"),
        (W % ", mem_limit: 64m, deploy: {resources: {limits: {memory: 65m}}}", "differs"),
        (W % ", deploy: {resources: {limits: {memroy: 65m}}}", "did you mean memory?"),
        (W % ", deploy: {resources: {reservations: {memory: 65m}}}", "does not honour"),
        (W % ", deploy: {update_config: {}}", "does not honour"),
        (W % ", healthcheck: {test: [x]}", "begins with none of"),
        (W % ", healthcheck: {interval: 5}", "is no duration"),
        (W % ", healthcheck: {start_interval: 5s}", "does not honour"),
        (W % ", labels: {io.midwatch.project: x}", "are Midwatch's"),
        (W % ", labels: {midwatch.readiness: 'udp://:1'}", "is no probe"),
        (W % ", pull_policy: daily", "is not honoured"),
        (W % ", env_file: nowhere.env", "can't be read: No such file"),
        (W % ", environment: ['=x']", "has no name"),
        (W % ", build: nowhere", "is no folder"),
        (W % ", build: {context: .}", "no Dockerfile"),
        (W % ", environment: {'A=B': x}", "environment.A=B: 'A=B' holds ="),
        (W % ", environment: {A: \"x\\0\"}", "holds a NUL"),
        (W % ", environment: {A: \"\\ud800\"}", "holds a NUL or half a character"),
        (W % ", labels: {\"a\\eb\": x}", "holds a control character"),
        (W % ", user: 'a:b:c:d'", "'a:b:c:d' is no user"),
        (W % ", cap_drop: [NET_RAW, NOPE]", "cap_drop[1]: 'NOPE' is no capability"),
        (W % ", cap_drop: [net_rwa]", "did you mean NET_RAW?"),
        (W % ", working_dir: srv", "'srv' is not absolute"),
        (W % ", tmpfs: /x, volumes: ['/x', {type: tmpfs, target: /x}]", "two volumes are mounted at /x"),
        (W % f", volumes: ['./{'x' * 300}:/x']", "does not exist"),
        (W % f", build: {'x' * 5000}", "is no folder"),
        (W % ", build: {context: ., dockerfile: .}", "no . in"),
        ("services: {a: {image: '!!!'}}", "services.a.image: '!!!' is no image"),
        ("services: {a: {image: }}", "services.a.image: is empty"),
        (W % ", read_only: 7", "neither true nor false"),
        (W % ", command: \"a 'b\"", "can't be split"),
        (W % ", user: '${U:?who}'", "variable U is required: who"),
        ("services: {a: {image: a, ports: ['80:1']}, b: {image: b, ports: ['80:2']}}", "is taken by services.a.ports"),
        ("services: {a: {image: a}}\nnetworks: {n: {external: true}}", "does not honour"),
        ("services: {a: {image: a}}\nvolumes: {v: {driver: nfs}}", "'nfs' is not honoured; write local"),
    ],
)  # fmt: skip
def test_each_fault_has_its_words(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in fault for fault in faults(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ComposeFault, match=r"nowhere\.yaml:1: can't be read: No such file"):
        load(tmp_path / "nowhere.yaml", {})
    (tmp_path / "b.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ComposeFault, match="not UTF-8 at byte 6"):
        load(tmp_path / "b.yaml", {})


def test_a_service_without_a_sound_name_or_image_is_looked_into_all_the_same(tmp_path: Path) -> None:
    text = """
services:
  "a b":
    image: "!!!"
    user: a:b:c:d
  other:
    cap_drop: [NOPE]
    restart: perhaps
"""
    found = faults(tmp_path, text)
    assert [fault.partition(" ")[0] + " " + fault.split(": ")[1] for fault in found] == [
        "3: services.a b", "4: services.a b.image", "5: services.a b.user",
        "7: services.other", "7: services.other.cap_drop[0]", "8: services.other.restart",
    ]  # fmt: skip


def test_a_key_that_stands_twice_and_a_tag_hide_no_other_fault(tmp_path: Path) -> None:
    text = (
        "services:\n  a:\n    image: a\n    image: b\n    user: !x a:b:c\n    cap_drop: [NOPE]\n    cap_drop: [ALL]\n"
    )
    assert [fault.partition(";")[0] for fault in faults(tmp_path, text)] == [
        "4: key image stands twice, first in line 3",
        "5: tag !x is not honoured",
        "5: services.a.user: 'a:b:c' is no user",
        "6: services.a.cap_drop[0]: 'NOPE' is no capability",
        "7: key cap_drop stands twice, first in line 6",
    ]


@pytest.mark.parametrize("name", ["compose.yaml", ".env", "web.env"])
def test_what_is_no_regular_file_is_refused_at_once_and_never_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web, env_file: web.env}}")
    (tmp_path / "web.env").touch()
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ComposeFault, match=r"it is a pipe, no regular file; (correct|make)") as caught:
        load(tmp_path / "compose.yaml", {})
    assert name in str(caught.value)


def test_anchors_and_merge_keys_share_what_services_have_in_common(tmp_path: Path) -> None:
    text = """
x-base: &base {restart: always, mem_limit: 64m}
services:
  a: {<<: *base, image: a}
  b: {<<: *base, image: b, restart: "no"}
"""
    a, b = project(tmp_path, text).services
    assert (a.restart, a.memory_limit_bytes, b.restart, b.memory_limit_bytes) == ("always", 64 << 20, "no", 64 << 20)


def test_variables_come_from_the_environment_before_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=file\nONLY=here\n")
    found = service(tmp_path, "user: ${TAG}\nworking_dir: /${ONLY}", {"TAG": "env"})
    assert (found.user, found.working_dir) == ("env", "/here")


def test_a_variable_without_a_value_becomes_empty_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="runtime.compose"):
        assert service(tmp_path, "environment: {A: 'x${NOWHERE}'}").environment == {"A": "x"}
    assert "variable NOWHERE is not set" in caplog.text


def test_values_in_environments_are_never_expanded_twice(tmp_path: Path) -> None:
    assert service(tmp_path, "environment: {A: '$V'}", {"V": "a$b${c}"}).environment == {"A": "a$b${c}"}


@pytest.mark.parametrize(
    ("given", "name"),
    [("Shop", "shop"), ("My Shop!", "myshop"), ("_-x_y-", "x_y-"), ("été", "t"), ("---", ""), ("1a", "1a")],
)
def test_project_names_are_made_as_compose_makes_them(given: str, name: str) -> None:
    assert normalised(given) == name


def test_without_a_name_the_project_is_called_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Web.Shop 2"
    folder.mkdir()
    assert project(folder, "services: {a: {image: a}}").name == "webshop2"


KEYS = st.sampled_from(
    ["image", "build", "command", "environment", "env_file", "ports", "volumes", "networks", "deploy", "mem_limit",
     "cpus", "healthcheck", "restart", "depends_on", "labels", "user", "read_only", "cap_drop", "scale", "x-a", "b"]
)  # fmt: skip
SCALARS = st.sampled_from(["1", "''", "~", "true", "a b", "64m", "'80:80'", "'${X}'", "'$'", "-1", "a", "5s"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda found: "{" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_stands_under_a_key_is_a_project_or_faults_never_another_exception(
    tmp_path_factory: pytest.TempPathFactory, body: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = "services:\n  web:\n    image: a\n" + "".join(f"    {key}: {value}\n" for key, value in body.items())
    try:
        assert project(folder, text.replace("    image: a\n", "", "image" in body)).services
    except ComposeFault as fault:
        assert fault.faults
