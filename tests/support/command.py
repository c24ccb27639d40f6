"""The command `midwatch` as a user calls it: a process of its own, its output, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

NOBODY = 65534
DROPPED = """\
import os, sys
import cli.check, cli.config, cli.down, cli.foreground, cli.projects, cli.service_client, cli.up
import docker.transport, encodings.idna, getpass, stringprep
os.setgroups([]); os.setgid({user}); os.setuid({user})
from cli.main import main
main()
"""
"""All that is needed is imported first: an interpreter in root's home can't be read afterwards."""


class Ran(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def midwatch(*arguments: str, user: int | None = None, seconds: float = 120.0, **environment: str) -> Ran:
    """Run the command, as another user where one is named; variables MIDWATCH_… of the caller don't reach it."""
    how = ["-m", "cli.main"] if user is None else ["-c", DROPPED.format(user=user)]
    done = subprocess.run(
        [sys.executable, *how, *arguments],
        env={**clean(os.environ), **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what would configure Midwatch."""
    return {name: value for name, value in environment.items() if not name.startswith("MIDWATCH_")}
