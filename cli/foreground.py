"""`midwatch server` and `midwatch agent`: one process in the foreground, ended by SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

from cli.config import Config
from cli.errors import Refusal
from cli.terminal import plain_lines

LOG = logging.getLogger(__name__)
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Lines whose names, which containers choose, can't steer the terminal that shows them."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, a traceback's too."""
        return plain_lines(super().format(record))


def serve(data: Path, config: Config) -> None:
    """Run the service until it is told to stop."""
    try:
        from service.errors import ServiceFault
        from service.serve import run
    except ModuleNotFoundError as error:
        raise Refusal(f"the service needs {error.name}, which is not installed", "install midwatch[server]") from error
    _private()
    try:
        run(config.service, data, lambda address: LOG.info("serving at %s", address))
    except ServiceFault as error:
        raise Refusal(str(error)) from error


def watch(data: Path, config: Config) -> None:
    """Run the agent until it is told to stop."""
    from agent.main import CannotListen, HomeTaken, run

    _private()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(config.agent, data, stop, os.environ)
    except (CannotListen, HomeTaken) as error:
        raise Refusal(str(error)) from error


def _private() -> None:
    """What either writes is for its own user alone: log lines of containers hold secrets."""
    os.umask(0o077)
    _log()


def _log() -> None:
    """To standard error, which a unit file or `midwatch up` keeps."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter(LOG_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("httpx", "apscheduler"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
