"""The command as a user meets it: help, one clear line for what can't be done, exit codes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo import source
from tests.support.command import NOBODY, midwatch
from tests.support.engine import EngineUnderTest
from tests.support.ports import free_port

COMMANDS = [
    ["up"], ["down"], ["server"], ["agent"], ["run"], ["stop"], ["ps"], ["check"], ["query"],
    ["demo", "up"], ["demo", "down"], ["demo", "break"], ["demo", "repair"],
    ["silence", "add"], ["silence", "list"], ["silence", "expire"], ["slo", "export"],
]  # fmt: skip

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user or to mount")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "midwatch-test", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    ran = midwatch(*command, "--help")
    assert ran.code == 0
    assert "Example: " in ran.out


def test_a_sound_file_is_no_finding() -> None:
    assert midwatch("check", str(source() / "compose.yaml")).code == 0


def test_every_fault_of_every_file_is_a_finding_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    imgae: nginx\n    image: nginx\n")
    (tmp_path / "midwatch.yaml").write_text("service:\n  lisen: 127.0.0.1:80\n")
    ran = midwatch("check", str(tmp_path / "compose.yaml"), str(tmp_path / "midwatch.yaml"))
    assert ran.code == 1
    assert re.search(r"compose\.yaml:3: .*imgae", ran.out)
    assert "midwatch.yaml:2: service.lisen: unknown key; did you mean listen?" in ran.out


def test_faults_of_rule_files_are_findings_too(tmp_path: Path) -> None:
    rules = "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n"
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "midwatch.yaml").write_text("service:\n  rules: ['*.yml', none.yml]\n")
    ran = midwatch("check", str(tmp_path / "midwatch.yaml"))
    assert ran.code == 1
    assert re.search(rf"{tmp_path}/rules\.yml:5: invalid query: .*correct the expression", ran.out)
    assert f"{tmp_path}/none.yml:1: no such file" in ran.out
    assert midwatch("check", str(tmp_path / "rules.yml")).code == 1
    (tmp_path / "rules.yml").write_text(rules.replace("sum(", "sum(up)"))
    assert midwatch("check", str(tmp_path / "rules.yml")).code == 0


def _refused(out: tuple[int, str, str]) -> str:
    """The one line of a refusal."""
    assert out[0] == 2, out
    lines = out[2].splitlines()
    assert len(lines) == 1, out[2]
    return lines[0]


def test_an_unknown_key_of_the_configuration_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    config = tmp_path / "midwatch.yaml"
    config.write_text("service:\n  lisen: 127.0.0.1:80\n")
    data = tmp_path / "data"
    line = _refused(midwatch("up", "--data", str(data), "--config", str(config)))
    assert line == f"{config}:2: service.lisen: unknown key; did you mean listen?"
    assert not data.exists()


def test_an_unknown_key_of_a_compose_file_is_one_line_before_the_agent_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web:\n    image: nginx\n    privileged: true\n")
    line = _refused(midwatch("run", str(file), "--data", str(tmp_path)))
    assert line.startswith(f"{file}:4: services.web.privileged: ")


def test_an_agent_that_does_not_run_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    line = _refused(midwatch("ps", "--data", str(tmp_path)))
    assert line.startswith("midwatch: no agent answers") and "midwatch up" in line


def test_a_port_in_use_is_one_line_with_the_key_that_moves_it_and_nothing_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = _refused(midwatch("up", "--data", str(tmp_path / "d"), MIDWATCH_SERVICE_LISTEN=f"127.0.0.1:{port}"))
    assert line.startswith(f"midwatch: port {port} on 127.0.0.1 is in use")
    assert "service.listen" in line
    assert not (tmp_path / "d" / "run").exists()


def test_two_keys_that_ask_for_one_port_are_one_line_and_nothing_starts(tmp_path: Path) -> None:
    ports = {f"MIDWATCH_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("SERVICE", "AGENT")}
    shop = ports["MIDWATCH_SERVICE_LISTEN"].rpartition(":")[2]
    line = _refused(midwatch("up", "--data", str(tmp_path / "d"), MIDWATCH_DEMO_SHOP_PORT=shop, **ports))
    assert f"demo.shop_port and service.listen ask for the same port {shop}" in line
    assert not (tmp_path / "d" / "run").exists()


def test_no_engine_and_no_install_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    ports = {f"MIDWATCH_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("SERVICE", "AGENT")}
    nowhere = f"unix://{tmp_path}/nothing.sock"
    line = _refused(
        midwatch("up", "--no-install", "--no-demo", "--data", str(tmp_path / "d"), DOCKER_HOST=nowhere, **ports)
    )
    assert "no container engine answers" in line
    assert not (tmp_path / "d" / "run").exists()


@as_root
def test_a_full_disk_is_one_line_with_the_remedy_and_nothing_starts(tiny_disk: Path) -> None:
    ports = {f"MIDWATCH_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("SERVICE", "AGENT")}
    line = _refused(midwatch("up", "--no-demo", "--data", str(tiny_disk / "d"), **ports))
    assert re.match(r"midwatch: only \d MiB are free under .*; free some space or choose another disk", line)
    assert not (tiny_disk / "d" / "run").exists()


@as_root
def test_a_service_on_a_full_disk_ends_with_one_line(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"x" * ((1 << 20) - 4096 * 4))
    ran = midwatch("server", "--data", str(tiny_disk / "d"), MIDWATCH_SERVICE_LISTEN=f"127.0.0.1:{free_port()}")
    assert "space" in _refused(ran)


@as_root
@pytest.mark.engine
def test_another_user_without_permission_on_the_socket_is_told_so(engine: EngineUnderTest, tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    for folder in (*tmp_path.parents[:2], tmp_path):
        folder.chmod(0o755)
    ports = {f"MIDWATCH_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("SERVICE", "AGENT")}
    ran = midwatch("up", "--no-demo", "--data", str(data), user=NOBODY, DOCKER_HOST=engine.url, **ports)
    assert "no permission to open" in _refused(ran)
    assert not (data / "run").exists()


def test_down_where_nothing_runs_says_so(tmp_path: Path) -> None:
    ran = midwatch("down", "--data", str(tmp_path))
    assert (ran.code, ran.out.strip()) == (0, f"nothing was running under {tmp_path}")
