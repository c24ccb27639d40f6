"""Progress of long work: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cli.terminal import plain


class Steps:
    """One line for each step with its time, and what is told meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._status: Status | None = None

    @property
    def seconds(self) -> float:
        """Since the first step."""
        return time.monotonic() - self._started

    def tell(self, line: str) -> None:
        """Say what is being done within a step."""
        if self._status is not None:
            self._status.update(escape(plain(line)))
        else:
            self._console.print(f"  {escape(plain(line))}", highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run one step; its line is printed once it is done."""
        began = time.monotonic()
        with self._console.status(escape(name)) as status:
            self._status = status if self._console.is_terminal else None
            yield
        self._status = None
        self._console.print(f"{escape(name):<44} {time.monotonic() - began:6.1f} s", highlight=False)
