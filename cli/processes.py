"""Detached processes with a pid file and a log: started once, found again, stopped by us alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Refusal

LOG_KEEP_BYTES = 10 << 20
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """One process of ours: `<folder>/<name>.pid` holds pid, start time and what it was made from, if that was told;
    `<folder>/<name>.log` what it said.
    """

    name: str
    folder: Path

    @property
    def pid_file(self) -> Path:
        """Where pid and start time are kept."""
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        """Where standard output and error go."""
        return self.folder / f"{self.name}.log"

    def pid(self) -> int | None:
        """The pid while the process that we started lives; a pid used again by another is not ours."""
        try:
            pid, started = self._kept()[:2]
            return int(pid) if start_ticks(int(pid)) == int(started) else None
        except ValueError:
            return None

    def command(self) -> list[str]:
        """The command line that it runs with; none where it does not run."""
        try:
            return Path(f"/proc/{self.pid()}/cmdline").read_text(errors="surrogateescape").split("\0")[:-1]
        except OSError:
            return []

    def is_made_from(self, what: str) -> bool:
        """True where it lives and was started with just this `made_from`."""
        return self.pid() is not None and self._kept()[2:] == [what]

    def _kept(self) -> list[str]:
        try:
            return self.pid_file.read_text().split()
        except (OSError, ValueError):
            return []

    def start(self, command: Sequence[str], environment: Mapping[str, str], made_from: str = "") -> int:
        """Start it detached from this terminal and session; returns the pid. `made_from` is one word, kept with it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rotate()
        with os.fdopen(os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            child = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        started = start_ticks(child.pid)
        if started is not None:
            self.pid_file.write_text(f"{child.pid} {started} {made_from}\n")
        child.returncode = 0  # it outlives us on purpose: no warning that nobody waited for it
        return child.pid

    def stop(self, grace_seconds: float = 30.0) -> bool:
        """Terminate it, kill it after the grace; True where it ran."""
        pid = self.pid()
        if pid is not None:
            _end(pid, grace_seconds)
        self.pid_file.unlink(missing_ok=True)
        return pid is not None

    def wait(self, ready: Callable[[], bool], timeout_seconds: float, remedy: str) -> None:
        """Wait until it is ready; refuses with its last words where it ends or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.pid() is None:
                raise Refusal(f"{self.name} ended at its start: {self.last_words()}", remedy)
            if time.monotonic() > deadline:
                raise Refusal(f"{self.name} was not ready after {timeout_seconds:g} s: {self.last_words()}", remedy)
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """The last line of its log that says something."""
        try:
            lines = self.log_file.read_text(errors="replace")[-8192:].splitlines()
        except OSError:
            return "no log"
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _rotate(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_KEEP_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is none.

    One whose main thread is dead is gone only with its last thread: until then it holds its files and their locks.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads = fields[0], int(fields[17])
    return None if state == "Z" and threads <= 1 else int(fields[19])


def _end(pid: int, grace_seconds: float) -> None:
    born = start_ticks(pid)
    for sign, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            _reap(pid)
            if start_ticks(pid) != born:
                return
            time.sleep(POLL_SECONDS)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
