"""Detached processes: found again, never mistaken for another's, ended for certain."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cli.errors import Refusal
from cli.made_from import made_from
from cli.processes import Process, start_ticks
from cli.up import begin, config_in_use, server_process
from tests.support.waiting import until

SLEEPER = [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('hello', flush=True); time.sleep(600)",
]


def _started(folder: Path, command: list[str]) -> Process:
    process = Process("sleeper", folder)
    process.start(command, os.environ)
    until(lambda: "hello" in process.log_file.read_text())
    return process


def test_a_started_process_is_found_again_by_another_command(tmp_path: Path) -> None:
    started = _started(tmp_path, SLEEPER)
    assert Process("sleeper", tmp_path).pid() == started.pid() is not None
    assert Process("sleeper", tmp_path).stop()
    assert started.pid() is None


def test_what_runs_another_configuration_or_code_starts_anew_and_says_so(tmp_path: Path) -> None:
    process, said = Process("sleeper", tmp_path), list[str]()
    assert begin(process, SLEEPER, os.environ, "one", said.append)
    first = process.pid()
    assert not begin(process, SLEEPER, os.environ, "one", said.append)
    assert (process.pid(), said) == (first, [])
    assert begin(process, SLEEPER, os.environ, "two", said.append)
    assert process.pid() not in (first, None)
    assert said == ["sleeper starts anew: its configuration or its code is another now"]
    process.stop()


def test_a_process_of_before_that_is_remembered_starts_anew(tmp_path: Path) -> None:
    process = _started(tmp_path, SLEEPER)
    first = process.pid()
    process.pid_file.write_text(" ".join(process.pid_file.read_text().split()[:2]))
    assert process.pid() == first
    assert begin(process, SLEEPER, os.environ, "one", lambda line: None)
    assert process.pid() != first
    process.stop()


def test_who_names_no_configuration_means_the_one_that_runs(tmp_path: Path) -> None:
    assert config_in_use(tmp_path) is None
    process = server_process(tmp_path)
    process.start([*SLEEPER, "server", "--config", "/etc/a file.yaml"], os.environ)
    until(lambda: config_in_use(tmp_path) == Path("/etc/a file.yaml"))
    process.stop()
    assert config_in_use(tmp_path) is None


def test_a_word_stands_for_command_configuration_variables_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.made_from.HOME", tmp_path)
    (tmp_path / "slo").mkdir()
    code, config = tmp_path / "slo" / "a.py", tmp_path / "midwatch.yaml"
    code.write_text("1")
    config.write_text("service: {}")

    def word(command: str = "server", env: dict[str, str] | None = None) -> str:
        return made_from([command], config, env or {"PATH": "/bin", "MIDWATCH_X": "1"})

    first = word()
    assert word() == first == word(env={"PATH": "/usr/bin", "MIDWATCH_X": "1"})
    others = {word("agent"), word(env={"MIDWATCH_X": "2"})}
    config.write_text("service: {listen: 127.0.0.1:1}")
    others.add(word())
    config.write_text("service: {}")
    os.utime(code, ns=(0, 0))
    others.add(word())
    assert len(others | {first}) == 5


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    process = _started(tmp_path, STUBBORN)
    pid = process.pid()
    assert pid is not None
    process.stop(grace_seconds=0.2)
    assert start_ticks(pid) is None


def test_a_pid_that_now_belongs_to_another_process_is_not_ours(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path)
    process.pid_file.write_text(f"{os.getpid()} 1\n")
    assert process.pid() is None
    assert not process.stop()
    assert not process.pid_file.exists()


@pytest.mark.parametrize("content", ["", "abc", "12", "1 2 3"])
def test_a_damaged_pid_file_counts_as_no_process(tmp_path: Path, content: str) -> None:
    process = Process("sleeper", tmp_path)
    process.pid_file.write_text(content)
    assert process.pid() is None


def test_waiting_for_one_that_ended_tells_its_last_words(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path)
    process.start([sys.executable, "-c", "raise SystemExit('no room at the inn')"], os.environ)
    with pytest.raises(Refusal, match="ended at its start: no room at the inn; look there"):
        process.wait(lambda: False, 30.0, "look there")


def test_a_log_that_grew_large_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path)
    with process.log_file.open("wb") as log:
        log.truncate((10 << 20) + 1)
    _started(tmp_path, SLEEPER).stop()
    assert process.log_file.stat().st_size < 100
    assert process.log_file.with_suffix(".log.1").exists()


def test_a_process_is_not_gone_before_its_last_thread(tmp_path: Path) -> None:
    main_thread_ends = "import threading, time, ctypes; threading.Thread(target=time.sleep, args=(600,)).start()"
    code = f"{main_thread_ends}; print('hello', flush=True); ctypes.CDLL(None).pthread_exit(None)"
    process = _started(tmp_path, [sys.executable, "-c", code])
    pid = process.pid()
    assert pid is not None
    state = Path(f"/proc/{pid}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z", what="its main thread ended")
    assert process.pid() == pid
    assert process.stop()
    assert process.pid() is None
