"""`midwatch server` and `midwatch agent`: one process in the foreground, ended by SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

from cli.config import Config
from cli.errors import Refusal

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def watch(data: Path, config: Config) -> None:
    """Run the agent until it is told to stop."""
    from agent.main import CannotListen, HomeTaken, run

    try:
        run(config.agent, data, _until_told(), os.environ)
    except (CannotListen, HomeTaken) as error:
        raise _refusal(error) from error


def _until_told() -> threading.Event:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _refusal(error: Exception) -> Refusal:
    """What and remedy, as the room's own message has them: `what; remedy`."""
    what, _, remedy = str(error).rpartition("; ")
    return Refusal(what, remedy) if what else Refusal(remedy, "see the log")
