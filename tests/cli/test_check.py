"""`midwatch check`: every fault of every file, and nothing that it is given makes it wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.check import check


def told(capsys: pytest.CaptureFixture[str], *files: Path) -> list[str]:
    assert check(files, {}) == 1
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", ["compose.yaml", "midwatch.yaml"])
def test_a_pipe_that_nobody_writes_to_is_a_finding_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    os.mkfifo(tmp_path / name)
    line, count = told(capsys, tmp_path / name)
    assert (
        line
        == f"{tmp_path / name}:1: can't be read: it is a pipe, no regular file; correct the path or its permissions"
    )
    assert count == "1 file, 1 fault"


def test_devices_folders_and_files_beyond_the_bound_are_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(5 << 20)
    lines = told(capsys, Path("/dev/zero"), tmp_path / "empty", tmp_path / "large.yaml", tmp_path / "none.yaml")
    assert [line.split(": ")[2].split(";")[0] for line in lines[:4]] == [
        "it is a device, no regular file",
        "it is a folder, no regular file",
        "it is larger than 4194304 bytes",
        "No such file or directory",
    ]


def test_a_rule_file_is_read_by_its_name_as_it_stands_and_a_pipe_that_the_configuration_names_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r[1].yml").write_text("groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n")
    assert len(told(capsys, tmp_path / "r[1].yml")) == 2
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "midwatch.yaml").write_text("service:\n  rules: [pipe.yml]\n")
    assert "is no regular file" in told(capsys, tmp_path / "midwatch.yaml")[0]


def test_what_a_file_holds_is_shown_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text('services:\n  "a\u202eb":\n    image: x\n', encoding="utf-8")
    out = "\n".join(told(capsys, file))
    assert "\u202e" not in out and "services.a\\u202eb" in out


def test_sound_files_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("services: {a: {image: a}}")
    (tmp_path / "midwatch.yaml").write_text("")
    assert check([tmp_path / "a.yaml", tmp_path / "midwatch.yaml"], {}) == 0
    assert capsys.readouterr().out == "2 files, no fault\n"


def test_a_configuration_tells_of_burn_rows_that_can_not_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "midwatch.yaml").write_text("service:\n  burn: {table: sloth-7d}\n")
    assert check([tmp_path / "midwatch.yaml"], {}) == 0
    told = capsys.readouterr().out
    assert "the built-in objective node-disk: row ticket-3d fires at 0.98x" in told
    assert "the built-in objective build-time: row slow can never fire: 15x" in told
    (tmp_path / "midwatch.yaml").write_text("service: {}\n")
    assert check([tmp_path / "midwatch.yaml"], {}) == 0
    assert capsys.readouterr().out == "1 file, no fault\n"


def test_labels_of_objectives_are_checked_with_their_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """\
services:
  web:
    image: nginx
    labels:
      midwatch.slo.cold-start.threshold: soon
      midwatch.slo.container-up.target: 80 %
"""
    (tmp_path / "compose.yaml").write_text(text)
    assert check([tmp_path / "compose.yaml"], {}) == 1
    told = [it.removeprefix(f"{tmp_path}/") for it in capsys.readouterr().out.splitlines()]
    assert told[0] == (
        "compose.yaml:5: services.web.labels: midwatch.slo.cold-start.threshold = 'soon': "
        "not a duration above 0, such as 500ms, 2s or 5m"
    )
    assert told[1].startswith("compose.yaml:6: services.web.labels: warning: container-up: row fast can never fire")
